//! A file is made, recognized or refused; what a crash left in it becomes events.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;

use super::*;
use crate::domain::action::Action;
use crate::domain::endpoint::Touches;
use crate::domain::event::Flag;
use crate::domain::ids::{OrganizationId, WorkspaceId};
use crate::store::filter::Filter;

#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_says_whose_it_is() {
    let place = Place::new();
    let (store, recovered) = place.open().await;
    assert_eq!(recovered, Recovered::default());
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    for name in ["audit.db", "audit.db-wal", "audit.db-lock"] {
        let file = std::fs::metadata(place.directory.path().join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
    store.close().await;
    assert!(
        !place.directory.path().join("audit.db-wal").exists(),
        "folded in"
    );
    let id = told(&place, "PRAGMA application_id").await;
    assert_eq!(id, open::APPLICATION_ID.to_string());
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let place = Place::with_events(0).await;
    let mut connection = open::writing(&place.path).connect().await.unwrap();
    let pragmas: (String, i64) = sqlx::query_as(
        "SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(pragmas, ("wal".to_owned(), 2));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let place = Place::new();
    let text = "dear diary, ".repeat(1000);
    std::fs::write(&place.path, &text).unwrap();
    assert_snapshot!(place.refusal().await, @"PLACE/audit.db is not a database");
    assert_eq!(std::fs::read_to_string(&place.path).unwrap(), text);
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let place = Place::new();
    run(&mut place.raw().await, "CREATE TABLE bookmarks (url TEXT)")
        .await
        .unwrap();
    let bytes = std::fs::read(&place.path).unwrap();
    assert_snapshot!(
        place.refusal().await,
        @"PLACE/audit.db is a database of another program, not an audit database of Tollgate"
    );
    assert_eq!(std::fs::read(&place.path).unwrap(), bytes);
    assert_eq!(
        std::fs::read_dir(place.directory.path()).unwrap().count(),
        1
    );
}

#[tokio::test]
async fn a_newer_versions_database_is_refused() {
    let place = Place::with_events(1).await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9, 'from the future', TRUE, x'00', 0)";
    run(&mut place.raw().await, newer).await.unwrap();
    let refusal = place.refusal().await;
    assert_snapshot!(
        refusal,
        @"PLACE/audit.db was written by a newer version of Tollgate: its schema has the step 9, which this version does not know"
    );
    let reading = Reader::open(&place.path).await.unwrap_err().to_string();
    assert!(reading.contains("newer version"), "{reading}");
}

#[tokio::test]
async fn a_database_of_each_earlier_version_goes_on() {
    let steps: Vec<_> = open::migrator().iter().cloned().collect();
    for version in 1..steps.len() {
        let place = Place::new();
        let mut connection = place.raw().await;
        let ours = format!("PRAGMA application_id = {}", open::APPLICATION_ID);
        run(&mut connection, &ours).await.unwrap();
        let older = Migrator::with_migrations(steps[..version].to_vec());
        older.run(&mut connection).await.unwrap();
        let mut head = None;
        for n in 0..3 {
            let draft = applied(intent(n));
            write::append(&mut connection, &mut head, &draft)
                .await
                .unwrap();
        }
        write::intents(&mut connection, &[&intent(3)])
            .await
            .unwrap();
        connection.close().await.unwrap();

        let reader = Reader::open(&place.path).await.unwrap_err().to_string();
        assert!(reader.contains("older version"), "{version}: {reader}");
        let (store, recovered) = place.open().await;
        assert_eq!(recovered.changes.len(), 1, "{version}");
        store.complete(applied(intent(4)), vec![]).await.unwrap();
        let Verdict::Intact { rows, .. } = store.reader().verify().await.unwrap() else {
            panic!("{version}: the chain is broken");
        };
        assert_eq!(rows, 5, "{version}");
        // By the indexes that came later, too.
        let filter = Filter {
            group: Some(intent(0).target.group_id.unwrap()),
            ..Filter::default()
        };
        let page = store.reader().events(&filter, None, 10).await.unwrap();
        assert_eq!(page.events.len(), 5, "{version}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_missing_directory_and_a_directory_are_named() {
    let mut place = Place::new();
    place.path = place.directory.path().join("nowhere/audit.db");
    assert_snapshot!(
        place.refusal().await,
        @"PLACE/nowhere/audit.db cannot be made: there is no directory PLACE/nowhere"
    );
    place.path = place.directory.path().to_owned();
    assert_snapshot!(place.refusal().await, @"PLACE is a directory, not a database");
}

#[tokio::test]
async fn a_reader_makes_nothing() {
    let place = Place::new();
    let missing = Reader::open(&place.path).await.unwrap_err().to_string();
    assert!(missing.contains("does not exist"), "{missing}");
    assert!(!place.path.exists());
    std::fs::write(&place.path, "").unwrap();
    let empty = Reader::open(&place.path).await.unwrap_err().to_string();
    assert!(empty.contains("is empty"), "{empty}");
}

#[tokio::test]
async fn what_a_crash_left_behind_becomes_events_in_order() {
    let place = Place::new();
    let (store, _) = place.open().await;
    let mut intents = [intent(20), intent(10), intent(30)];
    intents[0].touches = Touches::Workspace(WorkspaceId(3));
    for intent in &intents {
        store.intend(intent.clone()).await.unwrap();
    }
    store.close().await;

    let (store, recovered) = place.open().await;
    let organization = Touches::Organization(OrganizationId(1), None);
    assert_eq!(
        recovered,
        Recovered {
            touches: vec![organization, intents[0].touches],
            changes: vec![Action::GroupUpdate; 3]
        }
    );
    let page = store
        .reader()
        .events(&Filter::default(), None, 10)
        .await
        .unwrap();
    let ids: Vec<_> = page.events.iter().map(|event| event.id).collect();
    assert_eq!(
        ids,
        [intents[2].id, intents[0].id, intents[1].id],
        "newest first"
    );
    for event in &page.events {
        assert_eq!(event.outcome, "unknown");
        assert_eq!(event.flags, serde_json::json!([Flag::Recovered]));
    }
    assert_eq!(
        page.events[2].duration_ms, 3_590_000,
        "the clock stands at an hour past noon"
    );
    store.close().await;

    let (store, again) = place.open().await;
    assert_eq!(again, Recovered::default(), "once");
    assert!(matches!(
        store.reader().verify().await.unwrap(),
        Verdict::Intact { rows: 3, .. }
    ));
}

#[tokio::test]
async fn a_second_process_leaves_the_firsts_intents_and_continues_its_chain() {
    let place = Place::new();
    let (first, _) = place.open().await;
    let under_way = intent(0);
    first.intend(under_way.clone()).await.unwrap();

    let (second, recovered) = place.open().await;
    assert_eq!(recovered, Recovered::default());
    for n in 1..5 {
        let writer = if n % 2 == 0 { &first } else { &second };
        writer.complete(applied(intent(n)), vec![]).await.unwrap();
    }
    first.complete(applied(under_way), vec![]).await.unwrap();
    first.close().await;
    second.close().await;
    let verdict = Reader::open(&place.path)
        .await
        .unwrap()
        .verify()
        .await
        .unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { rows: 5, .. }),
        "{verdict:?}"
    );
}
