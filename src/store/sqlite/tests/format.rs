//! `docs/audit-format.md` says to a stranger what is hashed. Here a stranger tries.

use std::process::Command;

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/audit-format.md");
const SCRIPT: &str = include_str!("../../../../tests/verify.py");

#[test]
fn the_document_holds_the_script_as_it_is() {
    let script = format!("```python\n{SCRIPT}```\n");
    assert!(DOCUMENT.contains(&script));
}

#[test]
fn the_document_names_the_columns() {
    use crate::domain::row::{COLUMNS, PERSONAL};

    for names in [[&["seq"], &COLUMNS[..]].concat(), PERSONAL.to_vec()] {
        let words: Vec<_> = DOCUMENT.split_whitespace().collect();
        let listed = words.windows(names.len()).any(|window| window == names);
        assert!(listed, "{names:?}");
    }
}

/// Whether the script is content, and what it prints.
fn checked(place: &Place) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(&place.path)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[ignore = "needs python3"]
#[tokio::test]
async fn a_stranger_comes_to_the_same_hash_and_finds_the_same_row() {
    let place = Place::new();
    let (store, _) = place.open().await;
    for name in [
        "\u{0}\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}\"\\/",
        "Jürgen 👩‍🎨 \u{2028}\u{fffd}\u{10ffff}",
        "",
    ] {
        let mut draft = applied(intent(0));
        draft.intent.id = crate::domain::ids::EventId::new();
        draft.intent.target.group_name = Some(name.to_owned());
        draft.intent.actor.name = Some(name.to_owned());
        draft.intent.actor.user_id = Some(UserId(-5));
        draft.duration_ms = 9_007_199_254_740_991;
        store.complete(draft, vec![]).await.unwrap();
    }
    store.close().await;
    let verdict = Reader::open(&place.path)
        .await
        .unwrap()
        .verify()
        .await
        .unwrap();
    let Verdict::Intact {
        head: Some(head), ..
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(checked(&place), (true, format!("3 {}\n", head.hash)));

    let edit = "DROP TRIGGER audit_events_no_update;
        UPDATE audit_events SET actor_name = 'Eve' WHERE seq = 2";
    run(&mut place.raw().await, edit).await.unwrap();
    let broken = (false, "the trail is broken at row 2\n".to_owned());
    assert_eq!(checked(&place), broken);
}

#[ignore = "needs python3"]
#[tokio::test]
async fn a_stranger_verifies_what_was_pruned_and_redacted_and_finds_what_was_forged() {
    let place = Place::with_events(6).await;
    let (store, _) = place.open().await;
    let operator = crate::domain::own::Operator {
        name: Some("root".into()),
        source: crate::domain::event::Source::default(),
        by: "CLI",
        asked: "audit".into(),
    };
    let now = crate::store::suite::at(5000);
    for user in [UserId(5), UserId(5)] {
        let mut again = applied(intent(7));
        again.intent.actor.user_id = Some(user);
        store.complete(again, vec![]).await.unwrap();
        let mentions = store.reader().mentions(user).await.unwrap();
        let event = |rows, digest: String| {
            crate::domain::own::redacted(&operator, i64::try_from(rows).unwrap(), &digest, now)
        };
        store.redact(mentions, event).await.unwrap();
    }
    let before = crate::store::suite::at(3);
    let event = |removal: &Removal| {
        let rows = removal.rows();
        crate::domain::own::pruned(&operator, rows, removal.last, &removal.hash, now)
    };
    store.prune(before, event).await.unwrap();
    store.close().await;
    let reader = Reader::open(&place.path).await.unwrap();
    let verdict = reader.verify().await.unwrap();
    let Verdict::Intact {
        head: Some(head),
        pruned: 3,
        redacted: 5,
        ..
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(checked(&place), (true, format!("11 {}\n", head.hash)));

    let guards = "DROP TRIGGER audit_events_no_update; DROP TRIGGER audit_events_no_delete;
        DROP TRIGGER audit_redactions_no_update;";
    run(&mut place.raw().await, guards).await.unwrap();
    for (edit, undo, row) in [
        (
            "summary = summary || '!'",
            "summary = rtrim(summary, '!')",
            5,
        ),
        ("group_id = 8", "group_id = 7", 4),
    ] {
        let update = |set: &str| format!("UPDATE audit_events SET {set} WHERE seq = {row}");
        run(&mut place.raw().await, &update(edit)).await.unwrap();
        let broken = format!("the trail is broken at row {row}\n");
        assert_eq!(checked(&place), (false, broken), "{edit}");
        run(&mut place.raw().await, &update(undo)).await.unwrap();
        assert!(checked(&place).0, "{undo}");
    }
    let cut = "DELETE FROM audit_events WHERE seq = 4";
    run(&mut place.raw().await, cut).await.unwrap();
    assert!(!checked(&place).0, "row 4 was not pruned");
}
