//! Commits are shared, and one that fails takes no other with it.

use super::*;
use crate::store::Trouble;

/// How many commits the write-ahead log holds: frames that say how large the database is after them.
/// The format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>
fn commits(place: &Place) -> usize {
    let log = std::fs::read(place.directory.path().join("audit.db-wal")).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = 24 + usize::try_from(number(8)).unwrap();
    (32..log.len())
        .step_by(frame)
        // A frame of an earlier round has another salt.
        .filter(|&at| at + frame <= log.len() && number(at + 8) == number(16))
        .filter(|&at| number(at + 4) != 0)
        .count()
}

#[tokio::test]
async fn sixty_four_changes_at_once_share_their_commits() {
    let place = Place::with_events(0).await;
    let (store, _) = place.open().await;
    // Who reads an old state keeps the log from being begun anew, so that all commits are in it.
    let mut old = place.raw().await;
    run(&mut old, "BEGIN; SELECT count(*) FROM audit_events")
        .await
        .unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let intent = intent(n);
                store.intend(intent.clone()).await.unwrap();
                store.complete(applied(intent), vec![]).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let commits = commits(&place);
    assert!(commits <= 32, "{commits} commits for 128 rows");
    assert!(commits >= 2, "an event comes after its intent is on disk");
    let verdict = store.reader().verify().await.unwrap();
    assert!(
        matches!(verdict, Verdict::Intact { rows: 64, .. }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn one_that_cannot_be_written_takes_no_other_with_it() {
    let place = Place::with_events(0).await;
    let (store, _) = place.open().await;
    let twice = applied(intent(0));
    let writes = [applied(intent(1)), twice.clone(), twice, applied(intent(2))];
    let results = writes.map(|draft| {
        let store = store.clone();
        tokio::spawn(async move { store.complete(draft, vec![]).await.is_ok() })
    });
    let mut written = Vec::new();
    for result in results {
        written.push(result.await.unwrap());
    }
    assert_eq!(written, [true, true, false, true]);
    assert_eq!(
        told(&place, "SELECT count(*), max(seq) FROM audit_events").await,
        "3 | 3"
    );
}

/// A store whose own connection was set up so that writes fail.
async fn with_pragma(place: &Place, key: &'static str, value: String) -> SqliteStore {
    let options = open::writing(&place.path).pragma(key, value);
    let (store, _) = place.open().await;
    let presence = presence::Presence::at(&place.path).unwrap();
    SqliteStore {
        sender: Writer::start(options.connect().await.unwrap(), presence),
        ..store
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_chain_goes_on_when_there_is_space() {
    let place = Place::with_events(1).await;
    let mut raw = place.raw().await;
    let filler = "CREATE TABLE filler (content BLOB); INSERT INTO filler VALUES (zeroblob(400000))";
    run(&mut raw, filler).await.unwrap();
    let pages: i64 = told(&place, "PRAGMA page_count").await.parse().unwrap();
    let store = with_pragma(&place, "max_page_count", pages.to_string()).await;

    let mut recorded = 1;
    let error = loop {
        match store.complete(applied(intent(recorded)), vec![]).await {
            Ok(()) => recorded += 1,
            Err(error) => break error,
        }
        assert!(recorded < 1000, "never full");
    };
    assert!(format!("{error:?}").contains("full"), "{error:?}");
    store
        .complete(applied(intent(0)), vec![])
        .await
        .unwrap_err();

    run(&mut raw, "DROP TABLE filler").await.unwrap();
    store.check().await.unwrap();
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    let verdict = store.reader().verify().await.unwrap();
    let Verdict::Intact { rows, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(rows, recorded + 1);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_an_error_and_not_ready() {
    let place = Place::with_events(1).await;
    let store = with_pragma(&place, "query_only", "ON".into()).await;
    store.intend(intent(1)).await.unwrap_err();
    store
        .complete(applied(intent(2)), vec![])
        .await
        .unwrap_err();
    store.check().await.unwrap_err();
    assert_eq!(told(&place, "SELECT count(*) FROM audit_events").await, "1");
}

#[tokio::test]
async fn a_file_that_was_removed_is_noticed() {
    let place = Place::with_events(1).await;
    let (store, _) = place.open().await;
    store.check().await.unwrap();
    std::fs::remove_file(&place.path).unwrap();
    let gone = store.check().await.unwrap_err().to_string();
    assert!(gone.contains("is gone"), "{gone}");
    std::fs::write(&place.path, "").unwrap();
    let replaced = store.check().await.unwrap_err().to_string();
    assert!(replaced.contains("was replaced"), "{replaced}");
}

#[tokio::test]
async fn what_was_queued_before_a_close_is_written_and_what_comes_after_is_refused() {
    let place = Place::with_events(0).await;
    let (store, _) = place.open().await;
    let queued = {
        let store = store.clone();
        tokio::spawn(async move { store.complete(applied(intent(0)), vec![]).await })
    };
    tokio::task::yield_now().await; // lets it queue
    store.close().await;
    queued.await.unwrap().unwrap();
    let refused = store
        .complete(applied(intent(1)), vec![])
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused:?}");
    let refused = KnownGroups::group(&store, GroupId(7), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused:?}");
    assert_eq!(told(&place, "SELECT count(*) FROM audit_events").await, "1");
}

#[tokio::test]
async fn what_sqlite_refuses_is_told_by_what_somebody_has_to_see_to() {
    let place = Place::new();
    let (store, _) = place.open().await;
    store.close().await;
    let connect = async || {
        let options = SqliteConnectOptions::new().filename(&place.path);
        let options = options.busy_timeout(std::time::Duration::ZERO);
        options.connect().await.unwrap()
    };
    let trouble = async |connection: &mut SqliteConnection, statement: &'static str| {
        let refused = sqlx::raw_sql(statement).execute(connection).await;
        StoreError::from(refused.unwrap_err()).trouble()
    };
    let fill = "CREATE TABLE large AS SELECT zeroblob(1000000)";

    let mut full = connect().await;
    sqlx::raw_sql("PRAGMA max_page_count = 1")
        .execute(&mut full)
        .await
        .unwrap();
    assert_eq!(trouble(&mut full, fill).await, Trouble::DiskFull);

    let mut reading = connect().await;
    sqlx::raw_sql("PRAGMA query_only = 1")
        .execute(&mut reading)
        .await
        .unwrap();
    assert_eq!(trouble(&mut reading, fill).await, Trouble::NotWritable);

    let (mut holder, mut other) = (connect().await, connect().await);
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    assert_eq!(trouble(&mut other, fill).await, Trouble::Locked);
}
