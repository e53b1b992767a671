use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::caller::Key;
use crate::store::Trail as _;
use crate::store::suite::{applied, at, intent};

const NEVER: Duration = Duration::from_secs(1_000_000);

/// A clock of seconds after noon that a test sets.
#[derive(Clone, Default)]
struct Seconds(Arc<AtomicI64>);

impl Seconds {
    fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.0);
        Clock::from_fn(move || at(seconds.load(Ordering::SeqCst)))
    }

    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

async fn open(directory: &Path, seconds: &Seconds) -> SqliteStore {
    let path = directory.join("audit.db");
    SqliteStore::open(&path, seconds.clock()).await.unwrap().0
}

fn key() -> SigningKey {
    SigningKey::of(&Key::new(&[1; 32]))
}

async fn start(
    store: &SqliteStore,
    seconds: &Seconds,
    due: Due,
) -> (CancellationToken, JoinHandle<()>) {
    let signer = Signer::new(store.clone(), key(), seconds.clock(), due)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(signer.run(stop)))
}

/// The newest checkpoint, as soon as it is of this row.
async fn signed_at(store: &SqliteStore, seq: i64) -> Checkpoint {
    loop {
        let newest = store.reader().newest_checkpoint().await.unwrap();
        if let Some((_, note)) = newest.filter(|(newest, _)| *newest == seq) {
            return Checkpoint::open(&note, &key().verifier()).unwrap();
        }
        tokio::task::yield_now().await;
    }
}

async fn write(store: &SqliteStore, count: i64) {
    for n in 0..count {
        store.complete(applied(intent(n)), vec![]).await.unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_is_signed_when_there_are_enough_new_events() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Seconds::default();
    let store = open(directory.path(), &seconds).await;
    let due = Due {
        events: 10,
        after: NEVER,
    };
    // The first of all is due at once, if there is a row.
    write(&store, 1).await;
    let (stop, task) = start(&store, &seconds, due).await;
    signed_at(&store, 1).await;
    write(&store, 9).await;
    seconds.set(100);
    write(&store, 1).await;
    let checkpoint = signed_at(&store, 11).await;
    assert_eq!(checkpoint.at, at(100));
    let head = store.reader().head().await.unwrap().unwrap();
    assert_eq!(checkpoint.hash, head.hash);
    let verdict = store.reader().verify().await.unwrap();
    assert_eq!(
        store.reader().extends(&checkpoint, &verdict).await.unwrap(),
        Ok(())
    );
    stop.cancel();
    task.await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_is_due_by_time_is_due_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Seconds::default();
    let due = Due {
        events: 1000,
        after: Duration::from_secs(3600),
    };
    let store = open(directory.path(), &seconds).await;
    write(&store, 2).await;
    let (stop, task) = start(&store, &seconds, due).await;
    signed_at(&store, 2).await;
    write(&store, 1).await;
    stop.cancel();
    task.await.unwrap();

    seconds.set(3599);
    let waiting = Signer::new(store.clone(), key(), seconds.clock(), due)
        .await
        .unwrap();
    assert!(waiting.next > Instant::now(), "not yet");
    seconds.set(3600);
    let (stop, task) = start(&store, &seconds, due).await;
    signed_at(&store, 3).await;
    stop.cancel();
    task.await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_thousand_events_are_enough_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Seconds::default();
    let store = open(directory.path(), &seconds).await;
    write(&store, 1).await;
    let (stop, task) = start(&store, &seconds, Due::default()).await;
    signed_at(&store, 1).await;
    let writes = (1..=1000).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.complete(applied(intent(n)), vec![]).await.unwrap() })
    });
    futures_util::future::join_all(writes.collect::<Vec<_>>()).await;
    signed_at(&store, 1001).await;
    stop.cancel();
    task.await.unwrap();
    let options = SqliteConnectOptions::new().filename(directory.path().join("audit.db"));
    let mut connection = options.connect().await.unwrap();
    let kept: Vec<i64> = sqlx::query_scalar("SELECT seq FROM audit_checkpoints ORDER BY seq")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, [1, 1001]);
    store.close().await;
}

#[tokio::test]
async fn old_events_are_removed_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Seconds::default();
    let store = open(directory.path(), &seconds).await;
    write(&store, 5).await;
    seconds.set(103);
    let stop = CancellationToken::new();
    let keep = Duration::from_secs(100);
    let task = tokio::spawn(prune(store.clone(), keep, seconds.clock(), stop.clone()));
    while store.reader().event_at(3).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    task.await.unwrap();
    let left = store.reader().event_at(4).await.unwrap();
    assert!(left.is_some(), "a hundred seconds old");
    let event = store.reader().event_at(6).await.unwrap().unwrap();
    assert_eq!(event.summary, "removed 3 events, up to row 3");
    assert_eq!(
        (&*event.request.method, &*event.request.path),
        ("CONFIG", "audit.retention")
    );
    store.close().await;
}
