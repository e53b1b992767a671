//! Questions to the trail, asked with the binary as people ask them.

mod page;
mod seed;
mod tail;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
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

/// More than the database has: in JSON, each of these characters of a request's body becomes six.
const WIDE: usize = 300_000;

#[tokio::test]
async fn an_export_for_which_there_is_no_room_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    seed::wide(&database, WIDE).await;
    assert!(fs::metadata(&database).unwrap().len() < 900_000);
    let exports = folder.path().join("exports");
    fs::create_dir(&exports).unwrap();
    fs::write(exports.join("old.ndjson"), "older").unwrap();
    for name in ["new.ndjson", "old.ndjson"] {
        // No file may grow beyond one megabyte or, where the shell counts in kilobytes, one and a half.
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 1500; exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_tollgate"))
            .args(["audit", "--database"])
            .arg(&database)
            .args(["export", "--output"])
            .arg(exports.join(name))
            .output()
            .unwrap();
        let error = failed(&output, 1);
        let file = exports.join(name);
        assert!(
            error.starts_with(&format!(
                "tollgate: cannot write {}: File too large",
                file.display()
            )),
            "{error}"
        );
        assert_eq!(output.stdout, b"");
        let left: Vec<_> = fs::read_dir(&exports)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["old.ndjson"], "no half of a file");
        assert_eq!(
            fs::read_to_string(exports.join("old.ndjson")).unwrap(),
            "older"
        );
    }
    // That somebody tried is in the trail.
    let tried = audit(&database)
        .args([
            "list",
            "--action",
            "tollgate.export",
            "--outcome",
            "partial",
        ])
        .args(["--format", "ndjson"])
        .output()
        .unwrap();
    let tried = String::from_utf8(tried.stdout).unwrap();
    assert_eq!(tried.matches("File too large").count(), 2, "{tried}");
}

/// A folder that everybody may enter, with the binary in it, and who asks: somebody else if this is the
/// user whom no mode refuses anything.
struct Stranger {
    folder: tempfile::TempDir,
    root: bool,
}

impl Stranger {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = fs::metadata(folder.path()).expect("an owner").uid() == 0;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a mode");
        // Where it was built may be where others cannot look.
        let binary = folder.path().join("tollgate");
        fs::copy(env!("CARGO_BIN_EXE_tollgate"), &binary).expect("a copy");
        fs::set_permissions(&binary, Permissions::from_mode(0o755)).expect("a mode");
        Self { folder, root }
    }

    /// `tollgate audit WORDS`, in a folder of the stranger's.
    fn ask(&self, database: &Path, words: &[&str]) -> Output {
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg(self.folder.path().join("tollgate"));
            command
        } else {
            Command::new(self.folder.path().join("tollgate"))
        };
        command.env_remove("TOLLGATE_CONFIG");
        command.current_dir(self.theirs());
        command.args(["audit", "--database"]).arg(database);
        command.args(words).output().expect("an answer")
    }

    fn theirs(&self) -> PathBuf {
        let theirs = self.folder.path().join("theirs");
        if !theirs.exists() {
            fs::create_dir(&theirs).expect("a folder");
            fs::set_permissions(&theirs, Permissions::from_mode(0o777)).expect("a mode");
        }
        theirs
    }
}

#[tokio::test]
async fn who_may_not_read_the_trail_is_told_so_and_gets_nothing() {
    let stranger = Stranger::new();
    let data = stranger.folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let database = data.join("tollgate.db");
    seed::days(&database).await;
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let kept = (names(&data), fs::read(&database).unwrap());

    // A directory that may not be entered, then one that may, with a file that may not be read.
    let (nothing, owner) = if stranger.root {
        (0o700, 0o600)
    } else {
        (0, 0)
    };
    let cases = [
        (nothing, 0o600, "who may not enter its directory"),
        (0o755, owner, "cannot be opened by this user"),
    ];
    for (directory, file, why) in cases {
        fs::set_permissions(&database, Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(directory)).unwrap();
        for words in [
            &["list"][..],
            &["export"],
            &["export", "--output", "export.ndjson"],
            &["backup", "copy.db"],
        ] {
            let output = stranger.ask(&database, words);
            let error = failed(&output, 1);
            let begin = format!("tollgate: {} cannot be", database.display());
            assert!(error.starts_with(&begin), "{words:?}: {error}");
            assert!(error.contains(why), "{words:?}: {error}");
            assert!(
                error.ends_with(": run this as the user whom the gateway runs as\n"),
                "{words:?}: {error}"
            );
            assert_eq!(output.stdout, b"", "{words:?}");
            assert!(names(&stranger.theirs()).is_empty(), "{words:?}");
        }
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&database, Permissions::from_mode(0o600)).unwrap();
        assert_eq!((names(&data), fs::read(&database).unwrap()), kept);
    }
}
