//! `tollgate audit tail` beside another process that writes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use tollgate::clock::Clock;
use tollgate::domain::action::{Action, Outcome};
use tollgate::store::Trail as _;
use tollgate::store::sqlite::SqliteStore;

use super::{audit, seed};

/// A `tail` that runs. Dropped, it is killed.
struct Tail(Child);

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> (Tail, BufReader<ChildStdout>) {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let out = child.stdout.take().expect("a pipe");
    (Tail(child), BufReader::new(out))
}

// Comes back when there is a line: a `tail` that shows nothing makes the test wait until it is ended.
fn line(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).expect("text");
    line.trim_end().to_owned()
}

#[tokio::test]
async fn tail_shows_what_another_process_writes_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let (mut tail, mut out) =
        start(audit(&database).args(["tail", "--lines", "2", "--outcome", "applied"]));
    assert!(
        line(&mut out).contains("tollgate.export"),
        "the last but one that there was"
    );
    let last = line(&mut out);
    assert!(
        last.contains("Ann Becker via hr-sync    api.write          applied"),
        "{last}"
    );

    let (store, _) = SqliteStore::open(&database, Clock::system()).await.unwrap();
    for (outcome, summary) in [
        (Outcome::Rejected, "not shown"),
        (Outcome::Applied, "shown"),
    ] {
        let mut draft = seed::change(Clock::system().now(), Action::ApiWrite, None, None);
        draft.outcome = outcome;
        draft.summary = summary.into();
        store.complete(draft, vec![]).await.unwrap();
    }
    let seen = line(&mut out);
    assert!(seen.ends_with("applied   shown"), "{seen}");
    store.close().await;

    let pid = tail.0.id().to_string();
    let sent = Command::new("sh")
        .args(["-c", "kill -INT \"$0\"", &pid])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(
        tail.0.wait().unwrap().code(),
        Some(0),
        "Ctrl-C is how it ends"
    );
    assert_eq!(line(&mut out), "");
}

#[tokio::test]
async fn tail_ends_when_nobody_reads_although_nothing_happens() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let (mut tail, mut out) =
        start(audit(&database).args(["tail", "--lines", "1", "--format", "ndjson"]));
    let last: serde_json::Value = serde_json::from_str(&line(&mut out)).unwrap();
    assert_eq!(last["action"], "api.write");
    drop(out);
    assert_eq!(tail.0.wait().unwrap().code(), Some(0));
}
