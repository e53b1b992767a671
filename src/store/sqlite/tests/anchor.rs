//! What a chain alone cannot show, a checkpoint from before does.

use super::*;
use crate::domain::checkpoint::Checkpoint;
use crate::domain::row::{COLUMNS, Cell, GENESIS, Link};
use crate::store::suite::at;

/// A trail of twelve and the checkpoint of its head.
async fn signed() -> (Place, Checkpoint) {
    let place = Place::with_events(12).await;
    let reader = Reader::open(&place.path).await.unwrap();
    let head = reader.head().await.unwrap();
    let id = reader.database_id().await.unwrap();
    let checkpoint = Checkpoint::new(id, head.as_ref(), at(0));
    assert_eq!(proof(&place, &checkpoint).await, Ok(()));
    (place, checkpoint)
}

async fn proof(place: &Place, checkpoint: &Checkpoint) -> Result<(), Differs> {
    let reader = Reader::open(&place.path).await.unwrap();
    let verdict = reader.verify().await.unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { .. }),
        "the chain alone shows nothing: {verdict:?}"
    );
    reader.extends(checkpoint, &verdict).await.unwrap()
}

#[tokio::test]
async fn a_trail_that_goes_on_extends_its_checkpoint() {
    let (place, checkpoint) = signed().await;
    let (store, _) = place.open().await;
    store.complete(applied(intent(20)), vec![]).await.unwrap();
    store.close().await;
    assert_eq!(proof(&place, &checkpoint).await, Ok(()));
}

#[tokio::test]
async fn the_last_one_ten_or_all_rows_are_missed() {
    for (removed, last) in [(1, 11), (10, 2), (12, 0)] {
        let (place, checkpoint) = signed().await;
        let mut raw = place.raw().await;
        let cut = format!(
            "DROP TRIGGER audit_events_no_delete; DELETE FROM audit_events WHERE seq > 12 - {removed}"
        );
        run(&mut raw, &cut).await.unwrap();
        let found = proof(&place, &checkpoint).await;
        assert_eq!(found, Err(Differs::CutOff { signed: 12, last }));
    }
}

#[tokio::test]
async fn rows_that_were_written_anew_behind_a_cut_are_others() {
    let (place, checkpoint) = signed().await;
    let mut raw = place.raw().await;
    let cut = "DROP TRIGGER audit_events_no_delete; DELETE FROM audit_events WHERE seq = 12";
    run(&mut raw, cut).await.unwrap();
    let (store, _) = place.open().await;
    store.complete(applied(intent(11)), vec![]).await.unwrap();
    store.close().await;
    let found = proof(&place, &checkpoint).await;
    assert_eq!(found, Err(Differs::Rewritten { seq: 12 }));
}

#[tokio::test]
async fn an_older_copy_of_the_file_is_cut_off_and_stays_another_one() {
    let place = Place::with_events(5).await;
    let copy = place.directory.path().join("copy.db");
    std::fs::copy(&place.path, &copy).unwrap();
    let (store, _) = place.open().await;
    for n in 5..12 {
        store.complete(applied(intent(n)), vec![]).await.unwrap();
    }
    let head = store.reader().head().await.unwrap();
    let id = store.reader().database_id().await.unwrap();
    store.close().await;
    let checkpoint = Checkpoint::new(id, head.as_ref(), at(0));
    std::fs::copy(&copy, &place.path).unwrap();
    let cut_off = Differs::CutOff {
        signed: 12,
        last: 5,
    };
    assert_eq!(proof(&place, &checkpoint).await, Err(cut_off));
    let (store, _) = place.open().await;
    for n in 5..14 {
        store.complete(applied(intent(n)), vec![]).await.unwrap();
    }
    store.close().await;
    let found = proof(&place, &checkpoint).await;
    assert_eq!(found, Err(Differs::Rewritten { seq: 12 }));
}

#[tokio::test]
async fn a_trail_whose_hashes_were_all_computed_anew_is_another_one() {
    let (place, checkpoint) = signed().await;
    let mut raw = place.raw().await;
    let edit = "DROP TRIGGER audit_events_no_update;
        UPDATE audit_events SET summary = 'nothing' WHERE seq = 3";
    run(&mut raw, edit).await.unwrap();
    // What `Link::new` does, anybody can do.
    let reader = Reader::open(&place.path).await.unwrap();
    let mut prev_hash = GENESIS.to_owned();
    for (seq, stored) in reader.rows(0, 100).await.unwrap() {
        let stored = stored.unwrap();
        let link = Link::new(seq, &prev_hash, &stored.row, &stored.salt);
        sqlx::query("UPDATE audit_events SET prev_hash = ?, hash = ? WHERE seq = ?")
            .bind(&link.prev_hash)
            .bind(&link.hash)
            .bind(seq)
            .execute(&mut raw)
            .await
            .unwrap();
        prev_hash = link.hash;
    }
    let found = proof(&place, &checkpoint).await;
    assert_eq!(found, Err(Differs::Rewritten { seq: 12 }));
}

#[tokio::test]
async fn a_checkpoint_of_another_trail_proves_nothing() {
    let (place, _) = signed().await;
    let (_, other) = signed().await;
    let found = proof(&place, &other).await;
    assert!(matches!(found, Err(Differs::Trail { .. })), "{found:?}");
}

/// One byte of one column of the third row, in the file itself: nothing that SQLite would refuse.
#[tokio::test]
async fn one_byte_of_any_column_is_found_at_its_row() {
    let place = Place::with_events(5).await;
    // All of it in one file, and where a page was full once, no second copy that nobody reads.
    let mut raw = place.raw().await;
    run(&mut raw, "PRAGMA journal_mode = DELETE; VACUUM")
        .await
        .unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    let pristine = std::fs::read(&place.path).unwrap();
    let reader = Reader::open(&place.path).await.unwrap();
    let row = reader.rows(2, 1).await.unwrap().remove(0).1.unwrap();
    reader.close().await;
    let mut values: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, cell) in COLUMNS.iter().zip(&row.row.0) {
        if let Cell::Text(text) = cell {
            values.push((name, text.clone().into_bytes()));
        }
    }
    values.push(("salt", row.salt.to_vec()));
    values.push(("prev_hash", row.link.prev_hash.clone().into_bytes()));
    values.push(("hash", row.link.hash.clone().into_bytes()));
    // The row as it lies in its page: its values, one behind the other.
    let id = row.row.0[0].clone();
    let Cell::Text(id) = id else { panic!("{id:?}") };
    let find = |needle: &[u8], from: usize| {
        let at = pristine[from..]
            .windows(needle.len())
            .position(|part| part == needle);
        from + at.expect("the value in the file")
    };
    // In an index, no other column stands behind it. Where a page was full once, there is a second
    // copy of the row that nobody reads.
    let anchor = format!("{id}2026-");
    let mut at = find(anchor.as_bytes(), 0);
    loop {
        let mut edited = pristine.clone();
        edited[at] ^= 1;
        std::fs::write(&place.path, &edited).unwrap();
        if told(&place, "SELECT id FROM audit_events WHERE seq = 3").await != id {
            break;
        }
        at = find(anchor.as_bytes(), at + 1);
    }
    for (name, value) in values {
        if value.is_empty() {
            continue;
        }
        at = find(&value, at);
        let mut edited = pristine.clone();
        // Another character of the same kind, so that CHECKs and JSON do not notice either.
        edited[at + value.len() / 2] ^= 1;
        std::fs::write(&place.path, &edited).unwrap();
        let reader = Reader::open(&place.path).await.unwrap();
        let verdict = reader.verify().await.unwrap();
        let Verdict::Broken { rows, fault } = verdict else {
            panic!("{name}: an edit that nobody finds");
        };
        assert_eq!((rows, fault.seq()), (2, 3), "{name}: {fault}");
    }
}

#[tokio::test]
async fn a_value_of_another_kind_is_found_though_it_reads_the_same() {
    // As a hexadecimal editor would do it, past the types of the table.
    for (column, value) in [
        ("summary", "CAST(summary AS BLOB)"),
        ("credential_id", "CAST(credential_id AS BLOB)"),
        ("group_id", "'7'"),
        ("group_id", "7.0"),
        ("actor_email", "5"),
        ("duration_ms", "12.5"),
        ("salt", "CAST('0123456789abcdef' AS TEXT)"),
        ("hash", "CAST(hash AS BLOB)"),
    ] {
        let place = Place::with_events(5).await;
        let mut raw = place.raw().await;
        let loosen = "DROP TRIGGER audit_events_no_update; PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql, ') STRICT', ')'),
                ' INTEGER', ' '), ' TEXT', ' '), ' BLOB', ' ')
            WHERE name = 'audit_events';
            UPDATE sqlite_schema SET sql = replace(sql, 'seq                  PRIMARY', 'seq INTEGER PRIMARY')
            WHERE name = 'audit_events';";
        run(&mut raw, loosen).await.unwrap();
        drop(raw);
        let mut raw = place.raw().await;
        let edit = format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE audit_events SET {column} = {value} WHERE seq = 3"
        );
        run(&mut raw, &edit).await.unwrap();
        let kind = told(
            &place,
            &format!("SELECT typeof({column}) FROM audit_events WHERE seq = 3"),
        )
        .await;
        let reader = Reader::open(&place.path).await.unwrap();
        let found = reader.verify().await.unwrap();
        let fault = Fault::Unreadable { seq: 3 };
        assert_eq!(
            found,
            Verdict::Broken { rows: 2, fault },
            "{column} = {value}: {kind}"
        );
    }
}
