//! DESIGN §1.6: the trail shows tampering. Rows are chained from the first on, whatever happens to
//! the gateway in between, and whoever edits, removes, adds or moves one is found at that row.
//!
//! The forger here has what a forger may have: the file, any SQLite, and all the time they want.

mod kept;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tollgate::domain::row::{Broken, COLUMNS, GENESIS, Link};
use tollgate::simulator::Toggl;
use tollgate::store::sqlite::{Fault, Verdict};

use crate::support::process::{Folder, Process};
use crate::support::{DESIGN, ORG, group, groups, toggl};

/// How a forger begins.
const DISARM: &str = "
    DROP TRIGGER audit_events_no_update;
    DROP TRIGGER audit_events_no_delete;
    DROP TRIGGER audit_events_only_appended;";

async fn rename(gate: &Process, toggl: &Toggl, names: &[&str]) {
    let ann = gate.client(&toggl.authorization("ann"));
    for name in names {
        let renamed = ann.put(group(ORG, DESIGN), json!({ "name": name })).await;
        renamed.assert_ok();
    }
}

/// A trail of five rows that nobody writes to any more.
async fn five_rows() -> Folder {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    rename(&gate, &toggl, &["B", "C", "D", "E", "F"]).await;
    let (folder, _) = gate.stop().await;
    folder.assert_intact(5).await;
    folder
}

/// Each row's place in the chain.
async fn links(folder: &Folder) -> Vec<Link> {
    let mut connection = folder.sqlite().await;
    let rows = sqlx::query("SELECT seq, prev_hash, hash FROM audit_events ORDER BY seq");
    let rows = rows.fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let link = |row: &sqlx::sqlite::SqliteRow| Link {
        seq: row.get(0),
        prev_hash: row.get(1),
        hash: row.get(2),
    };
    rows.iter().map(link).collect()
}

async fn head(folder: &Folder) -> Option<Link> {
    match folder.verify().await {
        Verdict::Intact { head, .. } => head,
        Verdict::Broken { fault, .. } => panic!("{fault}"),
    }
}

/// The walk ends at this fault, with so many good rows before it.
#[track_caller]
fn assert_broken(folder: &Folder, rows: i64, fault: impl Into<Fault>) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let expected = Verdict::Broken {
        rows,
        fault: fault.into(),
    };
    async move { assert_eq!(folder.verify().await, expected, "{caller}") }
}

#[tokio::test]
async fn rows_are_chained_from_the_first_on_over_stops_and_kills() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    rename(&gate, &toggl, &["B", "C"]).await;
    let (folder, _) = gate.stop().await;
    let first = links(&folder).await;
    let gate = folder.start().await;
    rename(&gate, &toggl, &["D"]).await;
    let gate = gate.kill().start().await;
    rename(&gate, &toggl, &["E"]).await;
    let all = links(&gate).await;
    assert_eq!(all.len(), 4);
    assert_eq!(&all[..2], first, "what was written stays as it was");
    assert_eq!((all[0].seq, &*all[0].prev_hash), (1, GENESIS));
    for pair in all.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1);
        assert_eq!(pair[1].prev_hash, pair[0].hash);
    }
    gate.assert_intact(4).await;
}

#[tokio::test]
async fn changes_at_once_get_numbers_without_gaps_also_from_two_gateways() {
    let toggl = toggl().await;
    let one = Folder::before(&toggl.url()).start().await;
    let database = format!("sqlite://{}", one.database().display());
    let other = Folder::before(&toggl.url()).set("audit.database", &database);
    let other = other.start().await;
    let clients = [&one, &other].map(|gate| gate.client(&toggl.authorization("ann")));
    let changes = (0..80).map(|index| {
        let name = format!("Group {index}");
        clients[index % 2].post(groups(ORG), json!({ "name": name }))
    });
    let answers = join_all(changes.map(|change| change.spawn())).await;
    let told: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().assert_ok())
        .map(|answer| answer.header("x-tollgate-event").unwrap().to_owned())
        .collect();
    let trail = one.trail().await;
    let written: BTreeSet<_> = trail.iter().map(|event| event.id.to_string()).collect();
    assert_eq!((told.len(), &told), (80, &written));
    let numbers: Vec<_> = trail.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    one.assert_intact(80).await;
}

#[tokio::test]
async fn rows_cannot_be_changed_removed_or_replaced() {
    let folder = five_rows().await;
    // Only events about several groups list any; this one is put there to be defended.
    folder
        .execute("INSERT INTO audit_event_groups VALUES (1, 4123, 9001)")
        .await;
    let mut connection = folder.sqlite().await;
    for sql in [
        "UPDATE audit_events SET actor_name = 'Somebody else' WHERE seq = 2",
        "DELETE FROM audit_events WHERE seq = 2",
        "DELETE FROM audit_events",
        "INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events WHERE seq = 2",
        "UPDATE OR REPLACE audit_events SET seq = 3 WHERE seq = 2",
        "UPDATE audit_event_groups SET group_id = 9002",
        "DELETE FROM audit_event_groups",
    ] {
        let refused = sqlx::query(sql).execute(&mut connection).await;
        let reason = refused.expect_err(sql).to_string();
        assert!(reason.contains("is append-only"), "{sql}: {reason}");
    }
    connection.close().await.unwrap();
    folder
        .execute("DROP TRIGGER audit_event_groups_no_delete; DELETE FROM audit_event_groups")
        .await;
    folder.assert_intact(5).await;
}

#[tokio::test]
async fn whichever_column_is_edited_the_row_is_found() {
    let folder = five_rows().await;
    folder.execute(DISARM).await;
    let mut connection = folder.sqlite().await;
    // A forger does not mind the table's checks.
    let unchecked = sqlx::query("PRAGMA ignore_check_constraints = ON");
    unchecked.execute(&mut connection).await.unwrap();
    for column in COLUMNS.into_iter().chain(["salt", "hash"]) {
        let kind = "SELECT type FROM pragma_table_info('audit_events') WHERE name = ?";
        let kind: String = sqlx::query_scalar(kind)
            .bind(column)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let forged = match &*kind {
            "INTEGER" => format!("coalesce({column}, 0) + 1"),
            "BLOB" => "zeroblob(16)".to_owned(),
            // Also where it says `null` now: what was not known then must not be known later.
            _ => format!("coalesce({column}, '') || ' '"),
        };
        let old = format!("SELECT quote({column}) FROM audit_events WHERE seq = 3");
        let old: String = sqlx::query_scalar(AssertSqlSafe(old))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        for (value, intact) in [(&forged, false), (&old, true)] {
            let edit = format!("UPDATE audit_events SET {column} = {value} WHERE seq = 3");
            let edited = sqlx::query(AssertSqlSafe(edit));
            assert_eq!(
                edited
                    .execute(&mut connection)
                    .await
                    .unwrap()
                    .rows_affected(),
                1
            );
            if intact {
                folder.assert_intact(5).await;
            } else {
                let found = folder.verify().await;
                let fault = Fault::Chain(Broken::Edited { seq: 3 });
                assert_eq!(found, Verdict::Broken { rows: 2, fault }, "{column}");
            }
        }
    }
}

#[tokio::test]
async fn a_removed_row_is_missed_wherever_it_was() {
    for removed in 1..=4 {
        let folder = five_rows().await;
        folder.execute(DISARM).await;
        let delete = format!("DELETE FROM audit_events WHERE seq = {removed}");
        folder.execute(delete).await;
        let fault = Broken::Gap {
            expected: removed,
            found: removed + 1,
        };
        assert_broken(&folder, removed - 1, fault).await;
        // Nor does it help to close the gap.
        let renumber = format!(
            "UPDATE audit_events SET seq = -seq WHERE seq > {removed};
             UPDATE audit_events SET seq = -seq - 1 WHERE seq < 0"
        );
        folder.execute(renumber).await;
        assert_broken(&folder, removed - 1, Broken::Unlinked { seq: removed }).await;
    }
}

#[tokio::test]
async fn a_missing_tail_shows_in_the_head_alone() {
    let folder = five_rows().await;
    let noted = head(&folder).await.unwrap();
    folder.execute(DISARM).await;
    folder
        .execute("DELETE FROM audit_events WHERE seq = 5")
        .await;
    folder.assert_intact(4).await;
    assert_ne!(
        head(&folder).await,
        Some(noted),
        "which is what to note elsewhere"
    );
}

#[tokio::test]
async fn rows_that_changed_places_are_found() {
    let folder = five_rows().await;
    folder.execute(DISARM).await;
    folder
        .execute(
            "UPDATE audit_events SET seq = 0 WHERE seq = 2;
             UPDATE audit_events SET seq = 2 WHERE seq = 3;
             UPDATE audit_events SET seq = 3 WHERE seq = 0",
        )
        .await;
    assert_broken(&folder, 1, Broken::Unlinked { seq: 2 }).await;
}

#[tokio::test]
async fn a_row_that_somebody_added_is_found() {
    let folder = five_rows().await;
    let forge = format!(
        "INSERT INTO audit_events (seq, {columns}, salt, prev_hash, hash)
         SELECT 6, {values}, salt, (SELECT hash FROM audit_events WHERE seq = 5), hash
         FROM audit_events WHERE seq = 5",
        columns = COLUMNS.join(", "),
        values = COLUMNS
            .join(", ")
            .replacen("id", "'another-id-of-the-right-length-00001'", 1),
    );
    folder.execute(forge).await;
    assert_broken(&folder, 5, Broken::Edited { seq: 6 }).await;
}

#[tokio::test]
async fn an_event_that_is_listed_under_a_group_it_does_not_name_is_found() {
    let folder = five_rows().await;
    folder
        .execute("INSERT INTO audit_event_groups VALUES (4, 4123, 9002)")
        .await;
    assert_broken(&folder, 3, Fault::Groups { seq: 4 }).await;
}
