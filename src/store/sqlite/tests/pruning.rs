//! Old rows go, and what is left still shows that nothing else went.

use super::*;
use crate::domain::checkpoint::Checkpoint;
use crate::domain::own::{self, Operator};
use crate::domain::row::Broken;
use crate::store::suite::at;

fn event(removal: &Removal) -> Draft {
    let operator = Operator {
        name: Some("root".into()),
        source: crate::domain::event::Source::default(),
        by: "CLI",
        asked: "audit prune".into(),
    };
    own::pruned(
        &operator,
        removal.rows(),
        removal.last,
        &removal.hash,
        at(5000),
    )
}

/// Removes what came before so many seconds after noon.
pub(super) async fn prune(place: &Place, seconds: i64) -> Pruned {
    let (store, _) = place.open().await;
    let pruned = store.prune(at(seconds), event).await.unwrap();
    store.close().await;
    pruned
}

async fn verdict(place: &Place) -> Verdict {
    let reader = Reader::open(&place.path).await.unwrap();
    reader.verify().await.unwrap()
}

async fn intact(place: &Place) -> (i64, i64) {
    match verdict(place).await {
        Verdict::Intact { rows, pruned, .. } => (rows, pruned),
        Verdict::Broken { fault, .. } => panic!("{fault}"),
    }
}

#[tokio::test]
async fn old_rows_go_and_the_rest_verifies() {
    let place = Place::with_events(10).await;
    let removed = prune(&place, 4).await.removed.unwrap();
    assert_eq!((removed.first, removed.last, removed.rows()), (1, 4, 4));
    assert_eq!(intact(&place).await, (7, 4));
    assert_eq!(
        told(
            &place,
            "SELECT min(seq), max(seq), count(*) FROM audit_events"
        )
        .await,
        "5 | 11 | 7"
    );
    let said = "SELECT action, summary, after ->> '$.up_to_seq' FROM audit_events WHERE seq = 11";
    assert_eq!(
        told(&place, said).await,
        "tollgate.prune | removed 4 events, up to row 4 | 4"
    );
    assert_eq!(
        prune(&place, 4).await,
        Pruned::default(),
        "nothing is older"
    );
    // The chain goes on, and so does the next prune, over the event of this one.
    let (store, _) = place.open().await;
    store.complete(applied(intent(20)), vec![]).await.unwrap();
    store.close().await;
    assert_eq!(prune(&place, 6000).await.removed.unwrap().last, 12);
    assert_eq!(intact(&place).await, (1, 12));
    assert_eq!(
        prune(&place, 6000).await,
        Pruned::default(),
        "what says that rows were removed is not removed for its own sake"
    );
}

#[tokio::test]
async fn a_prune_takes_a_prefix_of_the_trail_alone() {
    let place = Place::with_events(0).await;
    let (store, _) = place.open().await;
    // Rows stand in the order of their outcomes: the third request came before the second.
    for seconds in [1, 9, 2, 10] {
        store
            .complete(applied(intent(seconds)), vec![])
            .await
            .unwrap();
    }
    store.close().await;
    assert_eq!(prune(&place, 5).await.removed.unwrap().last, 1);
    assert_eq!(intact(&place).await, (4, 1));
}

#[tokio::test]
async fn an_interrupted_prune_verifies_and_the_next_one_completes_it() {
    let place = Place::with_events(10).await;
    let (store, _) = place.open().await;
    let removal = store.older_than(at(6)).await.unwrap().unwrap();
    store.complete(event(&removal), vec![]).await.unwrap();
    store.close().await;
    assert_eq!(
        intact(&place).await,
        (11, 0),
        "said, and nothing removed yet"
    );
    // Some of them went, in a step of its own.
    let mut raw = place.raw().await;
    let step = "DELETE FROM audit_events WHERE seq <= 2;
        UPDATE audit_hours SET first_seq = 3";
    run(&mut raw, step).await.unwrap();
    assert_eq!(intact(&place).await, (9, 2));
    let pruned = prune(&place, 6).await;
    assert_eq!((pruned.completed, pruned.removed), (4, None));
    assert_eq!(intact(&place).await, (5, 6));
}

#[tokio::test]
async fn rows_that_no_prune_speaks_of_cannot_go() {
    let place = Place::with_events(10).await;
    prune(&place, 4).await;
    let mut raw = place.raw().await;
    let refused = run(&mut raw, "DELETE FROM audit_events WHERE seq = 5").await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("append-only"), "{reason}");
    run(
        &mut raw,
        "DROP TRIGGER audit_events_no_delete; DELETE FROM audit_events WHERE seq <= 5",
    )
    .await
    .unwrap();
    let gap = Broken::Gap {
        expected: 1,
        found: 6,
    };
    let fault = Fault::Chain(gap);
    assert_eq!(
        fault.to_string(),
        "rows 1 to 5 are missing: the next row there is 6"
    );
    assert_eq!(verdict(&place).await, Verdict::Broken { rows: 0, fault });
}

#[tokio::test]
async fn other_rows_cannot_stand_where_the_pruned_ones_ended() {
    let place = Place::with_events(10).await;
    let (store, _) = place.open().await;
    let removal = store.older_than(at(4)).await.unwrap().unwrap();
    let lie = Removal {
        hash: "ab".repeat(32),
        ..removal
    };
    store.complete(event(&lie), vec![]).await.unwrap();
    store.close().await;
    let fault = Fault::Pruned { seq: 4, event: 11 };
    let found = Verdict::Broken { rows: 3, fault };
    assert_eq!(verdict(&place).await, found, "while the row is there");
    let mut raw = place.raw().await;
    run(&mut raw, "DELETE FROM audit_events WHERE seq <= 4")
        .await
        .unwrap();
    let fault = Fault::Pruned { seq: 4, event: 11 };
    assert_eq!(verdict(&place).await, Verdict::Broken { rows: 0, fault });
}

#[tokio::test]
async fn many_rows_go_while_others_write() {
    let place = Place::with_events(0).await;
    let (store, _) = place.open().await;
    let write = |range: std::ops::Range<i64>| {
        let writes = range.map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.complete(applied(intent(n)), vec![]).await })
        });
        futures_util::future::join_all(writes.collect::<Vec<_>>())
    };
    for written in write(0..1200).await {
        written.unwrap().unwrap();
    }
    let pruning = store.prune(at(4000), event);
    let (pruned, written) = tokio::join!(pruning, write(5000..5200));
    assert_eq!(pruned.unwrap().removed.unwrap().last, 1200);
    for written in written {
        written.unwrap().unwrap();
    }
    store.close().await;
    assert_eq!(intact(&place).await, (201, 1200));
    assert_eq!(
        told(
            &place,
            "SELECT min(first_seq), max(last_seq) FROM audit_hours"
        )
        .await,
        "1201 | 1401"
    );
}

#[tokio::test]
async fn a_checkpoint_from_before_is_checked_as_far_as_it_goes() {
    let place = Place::with_events(10).await;
    let reader = Reader::open(&place.path).await.unwrap();
    let id = reader.database_id().await.unwrap();
    let mut checkpoints = Vec::new();
    for seq in 1..=10 {
        checkpoints.push(Checkpoint {
            database: id.clone(),
            seq,
            hash: reader.hash_of(seq).await.unwrap().unwrap(),
            at: at(0),
        });
    }
    prune(&place, 2).await;
    prune(&place, 4).await;
    let reader = Reader::open(&place.path).await.unwrap();
    let verdict = reader.verify().await.unwrap();
    for checkpoint in checkpoints {
        let seq = checkpoint.seq;
        let proof = reader.extends(&checkpoint, &verdict).await.unwrap();
        // Of the second row the event of the first prune tells, of the fourth the row behind it.
        let expected = match seq {
            1 | 3 => Err(Differs::Gone { seq, pruned: 4 }),
            _ => Ok(()),
        };
        assert_eq!(proof, expected, "{seq}");
        if proof.is_ok() {
            let other = Checkpoint {
                hash: "ab".repeat(32),
                ..checkpoint
            };
            let proof = reader.extends(&other, &verdict).await.unwrap();
            assert_eq!(proof, Err(Differs::Rewritten { seq }));
        }
    }
}
