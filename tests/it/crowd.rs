//! DESIGN §1.8 with everybody there at once: those who have connected and are silent, those who send a head byte by
//! byte, and people's tools, which must not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate::cli::demo;
use tollgate::config::Address;

use crate::support::process::{Folder, Process};
use crate::support::{Wire, simulate, soon};

const IDLE: usize = 10_000;
const DRIPS: usize = 300;

/// How long a head may take.
const HEAD: Duration = Duration::from_secs(4);

/// What each of the two ends needs, for the crowd and for what it has besides.
const DESCRIPTORS: u64 = 12_000;

/// Lets this process have as many file descriptors as the system allows; those that it starts have as many.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= DESCRIPTORS,
        "`ulimit -Hn` is {most}: {DESCRIPTORS} are needed"
    );
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}

async fn ask(wire: &mut Wire) {
    wire.write("GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n")
        .await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

/// Connections on which something was asked and answered, and then no more.
async fn idle(gate: &Process) -> Vec<Wire> {
    let connect = |_| async {
        let mut wire = Wire::connect(gate.address()).await;
        ask(&mut wire).await;
        wire
    };
    stream::iter(0..IDLE)
        .map(connect)
        .buffer_unordered(64)
        .collect()
        .await
}

/// Begins a request again and again, and never comes to the end of its head. Gives how long it was listened to each
/// time.
async fn drip(address: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut borne = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut wire = Wire::connect(&address).await;
        let begun = Instant::now();
        let mut drops = tokio::time::interval(Duration::from_millis(200));
        while wire.write_all(b"X").await.is_ok() {
            drops.tick().await;
        }
        borne.push(begun.elapsed());
    }
    borne
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs 12 000 file descriptors"]
async fn a_crowd_that_is_silent_or_slow_takes_nothing_from_those_who_work() {
    raise_limit();
    let toggl = simulate(|options| options.quota = Some(demo::QUOTA)).await;
    let gate = Folder::before(&toggl.url())
        .set("limits.max_connections", "12000")
        .set("limits.header_timeout", &format!("{}s", HEAD.as_secs()))
        .start()
        .await;
    let idle = idle(&gate).await;
    let stop = Arc::<AtomicBool>::default();
    let mut drips = JoinSet::new();
    for _ in 0..DRIPS {
        drips.spawn(drip(gate.address().to_owned(), Arc::clone(&stop)));
    }

    let proxy = Address::Tcp(gate.address().parse().unwrap());
    let played = demo::play_before(&toggl, proxy, &gate.database(), std::io::sink()).await;
    played.unwrap();

    // Those who are silent were left alone, and have only to speak.
    let again = async |mut wire: Wire| ask(&mut wire).await;
    stream::iter(idle).for_each_concurrent(64, again).await;
    stop.store(true, Ordering::Relaxed);
    for borne in soon("each drip is cut", drips.join_all()).await {
        for time in borne {
            // As for whoever was waited for no longer; the rest is for a machine with a lot to do.
            assert!((HEAD..5 * HEAD).contains(&time), "{time:?}");
        }
    }
    let (_, status) = gate.stop().await;
    assert!(status.success());
}
