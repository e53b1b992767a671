//! Questions to the trail, asked with the binary as people ask them.

mod page;
mod seed;
mod tail;

use std::path::Path;
use std::process::{Command, Output};

/// `tollgate audit WORDS`, on a database.
fn audit(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .env_clear()
        .arg("audit")
        .arg("--database")
        .arg(database);
    command
}

#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    error
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let ask = |words: &[&str]| audit(&database).args(words).output().unwrap();

    let error = failed(&ask(&["show", "999"]), 1);
    assert_eq!(error, "tollgate: there is no event 999\n");
    let error = failed(&ask(&["list", "--since", "yesterday"]), 2);
    assert!(error.contains("write how long ago"), "{error}");
    let error = failed(&ask(&["groups", "4123", "--at", "noon"]), 2);
    assert!(error.contains("write how long ago"), "{error}");
    let error = failed(&ask(&["list", "--outcome", "done"]), 2);
    assert!(
        error.contains("applied, partial, rejected, unknown, not_sent"),
        "{error}"
    );
    let doubted = ask(&["list", "--action", "group.updat"]);
    assert_eq!(
        failed(&doubted, 0),
        "tollgate: no event has the action \"group.updat\"; did you mean group.update?\n"
    );
    assert_eq!(doubted.stdout, b"No events.\n");
    assert_eq!(failed(&ask(&["history", "4123", "1"]), 0), "");

    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let to_full = audit(&database)
        .args(["export"])
        .stdout(full)
        .output()
        .unwrap();
    assert!(failed(&to_full, 1).contains("No space left"));

    let missing = audit(&folder.path().join("none.db"))
        .arg("list")
        .output()
        .unwrap();
    assert!(failed(&missing, 1).contains("does not exist"));
    std::fs::write(folder.path().join("other.db"), "dear diary, ".repeat(99)).unwrap();
    let stranger = audit(&folder.path().join("other.db"))
        .args(["backup", "x"])
        .output()
        .unwrap();
    assert!(failed(&stranger, 1).contains("is not a database"));
}

#[tokio::test]
async fn an_export_that_cannot_be_recorded_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    // The lock of whoever writes cannot be made: also root may not write into a directory's place.
    std::fs::remove_file(folder.path().join("tollgate.db-lock")).unwrap();
    std::fs::create_dir(folder.path().join("tollgate.db-lock")).unwrap();
    let output = audit(&database).arg("export").output().unwrap();
    let error = failed(&output, 1);
    assert!(
        error.contains(
            "this one cannot be (`tollgate audit list --format ndjson` reads without recording)"
        ),
        "{error}"
    );
    assert_eq!(output.stdout, b"");
}

#[tokio::test]
async fn a_backup_for_which_there_is_no_room_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let copies = folder.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    // The system lets no file grow beyond a few kilobytes, and says so instead of ending the process.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_tollgate"))
        .args(["audit", "--database"])
        .arg(&database)
        .arg("backup")
        .arg(copies.join("copy.db"))
        .output()
        .unwrap();
    let error = failed(&output, 1);
    assert!(error.starts_with("tollgate: cannot write"), "{error}");
    let left: Vec<_> = std::fs::read_dir(&copies).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
