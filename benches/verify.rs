//! How many rows a second `tollgate audit verify` checks.
//!
//! Two trails are built through the store and walked along, each three times; the fastest is told.
//!
//! - `small`: time entries that people and tools write, events without bodies and without a before and
//!   after. Most of a company's trail is this.
//! - `mix`: the same, but each tenth event changes a group of ten members, with bodies, before and after.
//!
//! ```text
//! cargo bench --bench verify -- 1000000
//! cargo bench --bench verify -- 1000000 mix
//! ```
//!
//! Bytes are those of the columns' values, not of the file with its indexes. On a machine with other
//! work, the time of the processors for a row says more than the rows a second. The trails are kept
//! below `target/`, so that a second run of the same size begins at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate::clock::Clock;
use tollgate::domain::event::Draft;
use tollgate::domain::row::COLUMNS;
use tollgate::store::Trail as _;
use tollgate::store::sqlite::{Reader, SqliteStore, Verdict};

#[path = "support/events.rs"]
mod events;

use self::events::{group_change, time_entry};

const WALKS: usize = 3;

/// What the events of a trail are.
#[derive(Clone, Copy)]
enum Kind {
    Small,
    Mix,
}

// === impl Kind ===

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Mix => "mix",
        }
    }

    fn event(self, n: i64, at: jiff::Timestamp) -> Draft {
        match self {
            Self::Mix if n % 10 == 0 => group_change(n, at),
            Self::Small | Self::Mix => time_entry(n, at),
        }
    }
}

async fn build(path: &Path, kind: Kind, rows: i64) {
    let clock = Clock::system();
    let (store, _) = SqliteStore::open(path, clock.clone())
        .await
        .expect("a store");
    let store = Arc::new(store);
    let mut writes = JoinSet::new();
    for n in 0..rows {
        if writes.len() >= 512 {
            writes.join_next().await;
        }
        let (store, event) = (Arc::clone(&store), kind.event(n, clock.now()));
        writes.spawn(async move { store.complete(event, vec![]).await.expect("a row") });
    }
    writes.join_all().await;
    store.close().await;
}

async fn bytes(path: &Path) -> i64 {
    let lengths = COLUMNS.map(|name| format!("ifnull(octet_length({name}), 0)"));
    let sum = format!("SELECT sum({}) FROM audit_events", lengths.join(" + "));
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.expect("a trail");
    sqlx::query_scalar(AssertSqlSafe(sum))
        .fetch_one(&mut connection)
        .await
        .expect("a sum")
}

// What this process has had of the processors.
fn processors() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time after the start")
}

async fn measure(kind: Kind, rows: i64) {
    let name = kind.name();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("verify-{name}-{rows}.db"));
    if !path.exists() {
        println!("building a trail of {rows} rows, {name}");
        let partial = folder.join(format!("verify-{}.db", std::process::id()));
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", partial.display()));
        }
        build(&partial, kind, rows).await;
        std::fs::rename(&partial, &path).expect("a place for the trail");
    }
    let bytes = bytes(&path).await;
    let reader = Reader::open(&path).await.expect("a trail");
    let (mut wall, mut cpu) = (Duration::MAX, Duration::MAX);
    for _ in 0..WALKS {
        let (start, before) = (Instant::now(), processors());
        let verdict = reader.verify().await.expect("a trail that can be read");
        cpu = cpu.min(processors() - before);
        wall = wall.min(start.elapsed());
        assert!(matches!(verdict, Verdict::Intact { rows: found, .. } if found == rows));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (rows, bytes) = (rows as f64, bytes as f64);
    println!(
        "verify {name}: {rows} rows of {:.0} bytes in {:.2} s: {:.0} rows/s, {:.0} MB/s, {:.2} µs of processor time a row",
        bytes / rows,
        wall.as_secs_f64(),
        rows / wall.as_secs_f64(),
        bytes / wall.as_secs_f64() / 1e6,
        cpu.as_secs_f64() * 1e6 / rows,
    );
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` starts benches too, without a word, to see that they start.
    let number = |word: &String| word.parse::<i64>().ok();
    let Some(rows) = words.iter().find_map(number) else {
        println!("say how many rows to check: COUNT, and small or mix for one kind alone");
        return;
    };
    let kinds = [Kind::Small, Kind::Mix];
    let is_named = |kind: &Kind| words.iter().any(|word| word == kind.name());
    let all = !kinds.iter().any(is_named);
    for kind in kinds {
        if all || is_named(&kind) {
            measure(kind, rows).await;
        }
    }
}
