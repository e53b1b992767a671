//! The commands that show, or keep, that the trail is the one that was written.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::*;

/// A trail of two with its key beside it.
async fn signed() -> (tempfile::TempDir, PathBuf) {
    let (directory, path) = trail(two()).await;
    std::fs::write(directory.path().join("tollgate.key"), "ab".repeat(32)).unwrap();
    (directory, path)
}

/// The options with the key, and `%` for the directory.
async fn run(path: &Path, args: &str) -> Result<String, String> {
    let directory = path.parent().unwrap().to_str().unwrap();
    let args = args.replace("KEY", "--key-file %/tollgate.key");
    let answer = audit(path, &args.replace('%', directory)).await;
    answer.map_err(|error| error.replace(directory, "PLACE"))
}

async fn execute(path: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

fn write(path: &Path, name: &str, text: &str) {
    std::fs::write(path.with_file_name(name), text).unwrap();
}

#[tokio::test]
async fn a_checkpoint_is_checked_with_the_key_file_or_the_public_key() {
    let (_directory, path) = signed().await;
    let note = run(&path, "checkpoint KEY").await.unwrap();
    assert!(note.contains("\nseq 2\n"), "{note}");
    write(&path, "note.txt", &note);
    let told = run(&path, "verify KEY --checkpoint %/note.txt")
        .await
        .unwrap();
    let told: Vec<_> = told.lines().skip(1).collect();
    assert_snapshot!(told.join("\n"), @r"
    It extends the checkpoint of 2026-11-24T13:00:00.000Z: all up to row 2 is as it was then.
    Not proved: that no row behind that one is missing at the end, or was written anew.
    ");
    let key = run(&path, "checkpoint --public-key KEY").await.unwrap();
    let public = format!("verify --checkpoint %/note.txt --public-key {key}");
    run(&path, &public).await.unwrap();

    write(&path, "note.txt", &note.replace("seq 2", "seq 1"));
    assert_snapshot!(
        run(&path, "verify KEY --checkpoint %/note.txt").await.unwrap_err(),
        @"the checkpoint PLACE/note.txt: its signature does not fit: it was edited, or signed with another key"
    );
    write(&path, "note.txt", &note);
    write(&path, "tollgate.key", &"cd".repeat(32));
    assert_snapshot!(
        run(&path, "verify KEY --checkpoint %/note.txt").await.unwrap_err(),
        @"the checkpoint PLACE/note.txt: it is not signed with this key"
    );
    assert_snapshot!(
        run(&path, "verify KEY --checkpoint /dev/zero").await.unwrap_err(),
        @"the checkpoint /dev/zero: it is not a signed checkpoint of an audit trail, or more than one"
    );
    execute(
        &path,
        "DROP TRIGGER audit_events_no_delete; DELETE FROM audit_events WHERE seq = 2",
    )
    .await;
    assert_snapshot!(
        run(&path, &public).await.unwrap_err(),
        @"the trail was cut off, or replaced by an older copy: it had 2 rows when the checkpoint was made, and ends at row 1"
    );
}

#[tokio::test]
async fn without_a_checkpoint_it_is_said_what_was_not_proved() {
    let (_directory, path) = signed().await;
    let told = run(&path, "verify").await.unwrap();
    let told: Vec<_> = told.lines().skip(1).collect();
    assert_snapshot!(told.join("\n"), @r"
    Not proved: that no row is missing at the end, and that the trail was not written anew as a whole.
    For that, give a checkpoint from before: tollgate audit verify --checkpoint FILE
    ");
}

#[tokio::test]
async fn no_key_is_made_by_a_command() {
    let (directory, path) = trail(two()).await;
    let error = run(&path, "checkpoint KEY").await.unwrap_err();
    assert!(
        error.starts_with("the key file PLACE/tollgate.key cannot be read"),
        "{error}"
    );
    assert!(!directory.path().join("tollgate.key").exists());
}

#[tokio::test]
async fn old_events_are_removed_and_the_trail_says_so() {
    let (_directory, path) = signed().await;
    assert_snapshot!(
        run(&path, "prune --before 2026-11-24T12:00:30Z").await.unwrap(),
        @"Removed 1 event from before 2026-11-24T12:00:30.000Z; the trail begins at row 2 now."
    );
    assert_snapshot!(
        run(&path, "prune --before 2026-11-24T12:00:30Z").await.unwrap(),
        @"Nothing in the trail is from before 2026-11-24T12:00:30.000Z."
    );
    let told = run(&path, "verify").await.unwrap();
    assert!(told.contains("All up to row 1 were pruned"), "{told}");
    let event = run(&path, "show 3 --format json").await.unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["action"], "tollgate.prune");
    assert_eq!(event["actor"]["tool"], "tollgate");
    assert_eq!(
        event["request"]["path"],
        "audit prune --before 2026-11-24T12:00:30.000Z"
    );
    assert!(event["actor"]["name"].is_string());
    let error = run(&path, "prune --before soon").await.unwrap_err();
    assert!(error.contains("write how long ago"), "{error}");
}

#[tokio::test]
async fn a_person_is_erased_only_for_who_means_it() {
    let (_directory, path) = signed().await;
    assert_snapshot!(
        run(&path, "redact --user 5").await.unwrap_err(),
        @"erasing a person cannot be undone: say --yes to do it without being asked"
    );
    assert_snapshot!(
        run(&path, "redact --yes --user 4711").await.unwrap_err(),
        @"nothing in the trail names user 4711"
    );
    assert_snapshot!(
        run(&path, "redact --yes --user 5").await.unwrap(),
        @"Erased from 2 events; row 3 of the trail says so."
    );
    let told = run(&path, "verify").await.unwrap();
    assert!(told.contains("From 2 rows a person was erased"), "{told}");
    let event = run(&path, "show 3 --format json").await.unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["request"]["path"], "audit redact", "without whom");
    assert_eq!(
        run(&path, "redact --user ann")
            .await
            .unwrap_err()
            .lines()
            .count(),
        3
    );
}

#[tokio::test]
async fn a_database_that_is_not_ours_or_newer_is_not_touched() {
    let (directory, path) = signed().await;
    execute(
        &path,
        "INSERT INTO _sqlx_migrations SELECT 999, description, installed_on, success, checksum, execution_time
         FROM _sqlx_migrations LIMIT 1",
    )
    .await;
    let before = std::fs::read(&path).unwrap();
    for command in ["prune --before 1s", "redact --yes --user 5"] {
        let error = run(&path, command).await.unwrap_err();
        assert!(error.contains("newer version of Tollgate"), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == before, "not a byte");
    let missing = directory.path().join("missing.db");
    let error = run(&missing, "prune --before 1s").await.unwrap_err();
    assert!(error.contains("does not exist"), "{error}");
    assert!(!missing.exists());
}
