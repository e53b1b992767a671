//! What is said of one row, without a walk along the trail.

use super::redaction::{ANN, place as with_ann, redact};
use super::*;
use crate::domain::row::Link;

/// What is said of the row after somebody with the file in hand ran `sql`.
async fn proof_after(place: &Place, sql: &str, seq: i64) -> Proof {
    let mut raw = place.raw().await;
    let disarm = "DROP TRIGGER audit_events_no_update; DROP TRIGGER audit_redactions_no_update;
        DROP TRIGGER audit_redactions_no_delete;";
    run(&mut raw, &format!("{disarm}{sql}")).await.unwrap();
    proof(place, seq).await
}

async fn proof(place: &Place, seq: i64) -> Proof {
    let reader = Reader::open(&place.path).await.unwrap();
    reader.proof(seq).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_row_is_intact_until_it_is_edited() {
    let place = Place::with_events(3).await;
    for seq in 1..=3 {
        assert_eq!(proof(&place, seq).await, Proof::Intact, "{seq}");
    }
    let reader = Reader::open(&place.path).await.unwrap();
    assert_eq!(reader.proof(4).await.unwrap(), None);
    let edit = "UPDATE audit_events SET summary = 'nothing' WHERE seq = 2";
    assert_eq!(proof_after(&place, edit, 2).await, Proof::Broken);
    assert_eq!(proof(&place, 1).await, Proof::Intact);
}

#[tokio::test]
async fn a_row_that_was_linked_anew_does_not_fit_its_neighbours() {
    let place = Place::with_events(3).await;
    let mut raw = place.raw().await;
    let row = sqlx::query(query::AT.as_str())
        .bind(2)
        .fetch_one(&mut raw)
        .await
        .unwrap();
    let stored = reader::stored(&row).unwrap();
    // Its hash is right for what stands there, as a forger can have it.
    let forged = Link::new(2, &"ab".repeat(32), &stored.row, &stored.salt);
    let edit = format!(
        "UPDATE audit_events SET prev_hash = '{}', hash = '{}' WHERE seq = 2",
        forged.prev_hash, forged.hash
    );
    assert_eq!(proof_after(&place, &edit, 2).await, Proof::Broken);
    assert_eq!(proof(&place, 1).await, Proof::Broken, "the row behind it");
    assert_eq!(proof(&place, 3).await, Proof::Broken, "the row before it");
}

#[tokio::test]
async fn a_redacted_row_is_what_the_redaction_left() {
    let place = with_ann().await;
    redact(&place, ANN).await.unwrap();
    redact(&place, UserId(7_000_006)).await.unwrap();
    for seq in 1..=4 {
        assert_eq!(proof(&place, seq).await, Proof::Redacted, "{seq}");
    }
    assert_eq!(proof(&place, 5).await, Proof::Intact);
    assert_eq!(proof(&place, 6).await, Proof::Intact, "the event itself");
}

#[tokio::test]
async fn an_edit_after_a_redaction_is_none() {
    for edit in [
        "UPDATE audit_events SET summary = 'x' WHERE seq = 3",
        "UPDATE audit_events SET group_id = 8 WHERE seq = 3",
        // What the row is checked with, of this row and of another one.
        "UPDATE audit_redactions SET content_hash = printf('%064d', 1) WHERE seq = 3",
        "UPDATE audit_redactions SET commitments = '{}' WHERE seq = 3",
        "DELETE FROM audit_redactions WHERE seq = 4",
        // The event that vouches for it.
        "UPDATE audit_events SET after = json_set(after, '$.digest', 'ab') WHERE seq = 6",
        "UPDATE audit_events SET summary = 'x' WHERE seq = 6",
        "UPDATE audit_events SET action = 'api.write' WHERE seq = 6",
    ] {
        let place = with_ann().await;
        redact(&place, ANN).await.unwrap();
        assert_eq!(proof_after(&place, edit, 3).await, Proof::Broken, "{edit}");
    }
}

#[tokio::test]
async fn an_edit_with_an_entry_of_its_own_is_no_redaction() {
    for event in [3, 2, 9] {
        let place = Place::with_events(3).await;
        let edit = format!(
            "UPDATE audit_events SET summary = 'x' WHERE seq = 2;
             INSERT INTO audit_redactions VALUES ({event}, 2, '{{}}', printf('%064d', 1))"
        );
        let said = proof_after(&place, &edit, 2).await;
        assert_eq!(said, Proof::Broken, "{event}");
    }
}

#[tokio::test]
async fn the_first_row_that_a_prune_left_is_intact() {
    let place = Place::with_events(3).await;
    super::pruning::prune(&place, 1).await;
    assert_eq!(told(&place, "SELECT min(seq) FROM audit_events").await, "2");
    assert_eq!(proof(&place, 2).await, Proof::Intact);
    assert_eq!(proof(&place, 3).await, Proof::Intact);
}
