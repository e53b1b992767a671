//! Whoever changes the trail is refused, or found.

use super::*;
use crate::domain::diff::{Change, Kind};
use crate::domain::row::Broken;

/// What `verify` says after somebody with the file in hand ran `sql` on a trail of five.
async fn verdict_after(sql: &str) -> Verdict {
    let place = Place::with_events(5).await;
    let mut raw = place.raw().await;
    let triggers: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    for trigger in triggers {
        run(&mut raw, &format!("DROP TRIGGER {trigger}"))
            .await
            .unwrap();
    }
    run(&mut raw, sql).await.unwrap();
    Reader::open(&place.path)
        .await
        .unwrap()
        .verify()
        .await
        .unwrap()
}

fn broken(rows: i64, fault: Broken) -> Verdict {
    Verdict::Broken {
        rows,
        fault: Fault::Chain(fault),
    }
}

#[tokio::test]
async fn an_untouched_trail_is_intact() {
    let Verdict::Intact { rows, head, .. } = verdict_after("").await else {
        panic!("broken");
    };
    assert_eq!((rows, head.unwrap().seq), (5, 5));
}

#[tokio::test]
async fn an_empty_trail_is_intact() {
    let place = Place::with_events(0).await;
    let reader = Reader::open(&place.path).await.unwrap();
    let intact = Verdict::Intact {
        rows: 0,
        head: None,
        pruned: 0,
        redacted: 0,
    };
    assert_eq!(reader.verify().await.unwrap(), intact);
}

#[tokio::test]
async fn an_edited_row_is_found() {
    for edit in [
        "actor_email = 'eve@acme.example'",
        "summary = 'nothing'",
        "group_id = 8",
        "group_id = NULL",
        "salt = randomblob(16)",
        "format = 1",
        "format = 3",
        "query = ''",
    ] {
        let verdict = verdict_after(&format!("UPDATE audit_events SET {edit} WHERE seq = 3")).await;
        assert_eq!(verdict, broken(2, Broken::Edited { seq: 3 }), "{edit}");
    }
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_found() {
    let shorten = "PRAGMA ignore_check_constraints = ON;
        UPDATE audit_events SET salt = x'00' WHERE seq = 3";
    let fault = Fault::Unreadable { seq: 3 };
    assert_eq!(
        verdict_after(shorten).await,
        Verdict::Broken { rows: 2, fault }
    );
}

#[tokio::test]
async fn a_removed_row_is_found() {
    let verdict = verdict_after("DELETE FROM audit_events WHERE seq = 3").await;
    let gap = Broken::Gap {
        expected: 3,
        found: 4,
    };
    assert_eq!(verdict, broken(2, gap));

    let verdict = verdict_after("DELETE FROM audit_events WHERE seq = 1").await;
    let gap = Broken::Gap {
        expected: 1,
        found: 2,
    };
    assert_eq!(verdict, broken(0, gap));
}

#[tokio::test]
async fn rows_that_close_a_gap_are_found() {
    let close_up = "DELETE FROM audit_events WHERE seq = 3;
        UPDATE audit_events SET seq = seq - 1 WHERE seq > 3";
    let verdict = verdict_after(close_up).await;
    assert_eq!(verdict, broken(2, Broken::Unlinked { seq: 3 }));
}

#[tokio::test]
async fn rows_that_changed_places_are_found() {
    let swap = "UPDATE audit_events SET seq = 99 WHERE seq = 2;
        UPDATE audit_events SET seq = 2 WHERE seq = 3;
        UPDATE audit_events SET seq = 3 WHERE seq = 99";
    let verdict = verdict_after(swap).await;
    assert_eq!(verdict, broken(1, Broken::Unlinked { seq: 2 }));
}

#[tokio::test]
async fn a_wrong_list_of_groups_is_found() {
    let listed = "INSERT INTO audit_event_groups VALUES (4, 1, 8)";
    let found_by =
        "INSERT INTO audit_several VALUES (4, 8, '[null,null,null,null]', 1, 'a', 'applied')";
    for sql in [listed, found_by] {
        let verdict = verdict_after(sql).await;
        let fault = Fault::Groups { seq: 4 };
        assert_eq!(verdict, Verdict::Broken { rows: 3, fault }, "{sql}");
    }
}

#[tokio::test]
async fn an_event_about_several_groups_that_is_kept_from_filters_is_found() {
    for hide in [
        "DELETE FROM audit_several WHERE group_id = 9",
        "UPDATE audit_several SET who = '[\"Eve\",null,null,null]' WHERE group_id = 9",
        "UPDATE audit_several SET outcome = 'rejected' WHERE group_id = 9",
    ] {
        let place = Place::new();
        let (store, _) = place.open().await;
        let mut several = applied(intent(0));
        several.intent.target.group_id = None;
        several.changes = [7, 9]
            .map(|id| Change {
                group_id: Some(GroupId(id)),
                ..Change::member(Kind::Added, UserId(6), None)
            })
            .to_vec();
        store.complete(several, vec![]).await.unwrap();
        store.close().await;
        let verify = async || {
            let reader = Reader::open(&place.path).await.unwrap();
            reader.verify().await.unwrap()
        };
        assert!(matches!(verify().await, Verdict::Intact { rows: 1, .. }));
        run(&mut place.raw().await, hide).await.unwrap();
        let fault = Fault::Groups { seq: 1 };
        assert_eq!(verify().await, Verdict::Broken { rows: 0, fault }, "{hide}");
    }
}

#[tokio::test]
async fn the_trail_cannot_be_changed_by_accident() {
    let place = Place::with_events(2).await;
    let mut raw = place.raw().await;
    let copy = |seq: &str, id: &str, conflict: &str| {
        format!(
            "CREATE TEMP TABLE copy AS SELECT * FROM audit_events WHERE seq = 2;
             UPDATE temp.copy SET seq = {seq}, id = {id}, prev_hash = hash;
             INSERT {conflict} INTO audit_events SELECT * FROM temp.copy;"
        )
    };
    let cases = [
        (
            "UPDATE audit_events SET summary = ''".to_owned(),
            "never changed",
        ),
        (
            "DELETE FROM audit_events WHERE seq = 2".to_owned(),
            "never deleted",
        ),
        (copy("2", "id", "OR REPLACE"), "follows the last one"),
        (copy("3", "id", "OR REPLACE"), "an id of its own"),
        (copy("4", "hex(randomblob(18))", ""), "follows the last one"),
        (
            "INSERT INTO audit_event_groups VALUES (2, 1, 7);
          DELETE FROM audit_event_groups"
                .to_owned(),
            "never deleted",
        ),
        (
            "UPDATE audit_event_groups SET group_id = 8".to_owned(),
            "never changed",
        ),
    ];
    for (sql, why) in cases {
        run(&mut raw, "DROP TABLE IF EXISTS temp.copy")
            .await
            .unwrap();
        let error = run(&mut raw, &sql).await.unwrap_err().to_string();
        assert!(
            error.contains("append-only") && error.contains(why),
            "{sql}: {error}"
        );
    }
    run(&mut raw, "DROP TABLE IF EXISTS temp.copy")
        .await
        .unwrap();
    run(&mut raw, &copy("3", "hex(randomblob(18))", ""))
        .await
        .unwrap();
}
