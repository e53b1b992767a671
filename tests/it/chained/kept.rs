//! What a gateway does for its trail while it serves, and what operators do to it beside that.

use serde_json::{Value, json};
use tollgate::store::sqlite::Verdict;

use super::rename;
use crate::support::process::Folder;
use crate::support::{DESIGN, ORG, eventually, group, groups, toggl};

fn bytes(folder: &Folder) -> Vec<u8> {
    let names = ["", "-wal"].map(|end| format!("{}{end}", folder.database().display()));
    let files = names.map(|name| std::fs::read(name).unwrap_or_default());
    files.concat()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn where_the_trail_ends_is_signed_into_the_log_and_proves_what_comes_after() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    rename(&gate, &toggl, &["B", "C"]).await;
    // None was signed in the last hour, so with its first breath this one does.
    let gate = gate.kill().start().await;
    gate.logged("Signed a checkpoint of the trail at row 2")
        .await;
    let note = gate.log().lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["checkpoint"].as_str()?.to_owned())
    });
    std::fs::write(gate.path().join("note.txt"), note.unwrap()).unwrap();
    rename(&gate, &toggl, &["D"]).await;
    let check = ["audit", "verify", "--checkpoint", "note.txt"];
    let (told, status) = gate.run(&check);
    assert!(
        status.success() && told.contains("all up to row 2"),
        "{told}"
    );

    let (folder, _) = gate.stop().await;
    folder
        .execute("DROP TRIGGER audit_events_no_delete; DELETE FROM audit_events WHERE seq > 1")
        .await;
    folder.assert_intact(1).await;
    let (_, status) = folder.run(&check);
    assert_eq!(status.code(), Some(1), "the chain alone shows nothing");
}

#[tokio::test]
async fn a_person_is_erased_beside_a_gateway_that_goes_on() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    let made = ann.post(
        groups(ORG),
        json!({"name": "Ann Becker's", "users": [7001, 7002]}),
    );
    made.await.assert_ok();
    rename(&gate, &toggl, &["B", "C"]).await;
    // Who she is, is asked for off the change's path.
    eventually("she is known", async || {
        holds(&bytes(&gate), "ann@acme.example").then_some(())
    })
    .await;
    let (told, status) = gate.run(&["audit", "redact", "--user", "7001", "--yes"]);
    assert!(status.success(), "{told}");
    let left = bytes(&gate);
    for text in ["Ann Becker", "ann@acme.example", "\":7001"] {
        assert!(!holds(&left, text), "{text} is left");
    }
    let count = "SELECT count(*) FROM audit_events WHERE actor_user_id = 7001";
    assert_eq!(gate.number(count).await, 0);
    let bob = gate.client(&toggl.authorization("bob"));
    bob.put(group(ORG, DESIGN), json!({"name": "D"}))
        .await
        .assert_ok();
    let verdict = gate.verify().await;
    let Verdict::Intact { rows, redacted, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(rows, 5, "three changes, the redaction and one more change");
    assert_eq!(redacted, 3);
    gate.stop().await;
}

#[tokio::test]
async fn what_is_older_than_audit_retention_goes_when_it_starts() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    rename(&gate, &toggl, &["B", "C"]).await;
    let (folder, _) = gate.stop().await;
    let gate = folder.set("audit.retention", "1ns").start().await;
    gate.logged("older than audit.retention").await;
    let verdict = gate.verify().await;
    assert!(
        matches!(
            verdict,
            Verdict::Intact {
                rows: 1,
                pruned: 2,
                ..
            }
        ),
        "{verdict:?}"
    );
    gate.stop().await;
}
