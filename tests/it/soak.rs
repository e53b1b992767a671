//! For a while everything happens at once: tools read and change, upstream and the disk fail and recover. After
//! it no event is missing and nothing has grown. For longer than in the run of all tests:
//!
//! ```sh
//! SOAK_SECONDS=3600 cargo test --release --test it soak -- --ignored --nocapture
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::{Instant, interval, timeout_at};
use tollgate::simulator::{Match, Toggl};

use crate::support::process::{Folder, Process};
use crate::support::{ORG, eventually, group, groups, toggl};

/// In which the tools work; it takes a few more until all is quiet.
const SECONDS: u64 = 30;
/// Which all work at once.
const TOOLS: usize = 16;
/// As long is one fault, and as long is the time without one.
const TURN: Duration = Duration::from_millis(250);

const FULL: &str = "CREATE TRIGGER full_intents BEFORE INSERT ON audit_intents
    BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;
    CREATE TRIGGER full_events BEFORE INSERT ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
const ROOM: &str = "DROP TRIGGER IF EXISTS full_intents; DROP TRIGGER IF EXISTS full_events";

/// The changes that were asked for, by the request's id, and whether their answer named an event.
type Told = Mutex<BTreeMap<String, bool>>;

/// What the process holds: bytes of memory that are its own, and files that are open.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    files: usize,
}

fn held(gate: &Process) -> Held {
    let files = std::fs::read_dir(format!("/proc/{}/fd", gate.pid()));
    Held {
        bytes: gate.memory(),
        files: files.expect("its files").count(),
    }
}

/// Reads and changes until the end, whatever it is told.
async fn work(tool: usize, gate: &Process, toggl: &Toggl, told: &Told, end: &AtomicBool) {
    let client = gate.client(&toggl.authorization("ann"));
    let name = format!("Soak {tool}");
    let made = toggl.create_group(ORG, &name);
    for round in 0.. {
        if end.load(Ordering::Relaxed) {
            return;
        }
        let reads = [
            "/api/v9/me".to_owned(),
            groups(ORG),
            format!("{}?name=x", groups(ORG)),
        ];
        let _ = client.get(&reads[round % reads.len()]).attempt().await;
        if round % 4 == 0 {
            let id = format!("soak-{tool}-{round}");
            let change = client.put(
                group(ORG, made),
                json!({ "name": format!("{name} {round}") }),
            );
            let answer = change.header("x-request-id", &id).attempt().await;
            let named = answer.is_ok_and(|reply| reply.header("x-tollgate-event").is_some());
            told.lock().unwrap().insert(id, named);
        }
    }
}

/// One fault after the other, each for a while and then none.
async fn trouble(gate: &Process, toggl: &Toggl, end: &AtomicBool, faults: &AtomicUsize) {
    let mut turn = interval(TURN);
    for number in 0.. {
        turn.tick().await;
        let any = || toggl.every(Match::any());
        let mut held = None;
        match number % 9 {
            0 => any().reset_before_apply(),
            1 => any().reset_after_apply(),
            2 => any().truncated_body(),
            3 => any().status(StatusCode::BAD_GATEWAY),
            4 => any().html_page(),
            5 => any().bad_json(),
            6 => held = Some(any().hang()),
            7 => held = Some(any().hang_after_read()),
            _ => gate.execute(FULL).await,
        }
        turn.tick().await;
        toggl.clear_faults();
        if let Some(held) = held {
            held.release();
        }
        gate.execute(ROOM).await;
        faults.fetch_add(1, Ordering::Relaxed);
        if end.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs half a minute"]
async fn through_faults_of_all_kinds_no_event_is_lost_and_nothing_grows() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().expect("a number"));
    let toggl = Arc::new(toggl().await);
    let gate = Folder::before(&toggl.url())
        .set("upstream.request_timeout", "1s")
        .set("identity.lookup", "false")
        .set("cache.ttl", "1s")
        .set("quota.pace", "off")
        .set("log.filter", "error,tollgate::cli=info,tollgate::app=info")
        .start()
        .await;
    let gate = Arc::new(gate);
    let (told, end) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
    let faults = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for tool in 0..TOOLS {
        let (gate, toggl) = (Arc::clone(&gate), Arc::clone(&toggl));
        let (told, end) = (Arc::clone(&told), Arc::clone(&end));
        tasks.spawn(async move { work(tool, &gate, &toggl, &told, &end).await });
    }
    {
        let (gate, toggl) = (Arc::clone(&gate), Arc::clone(&toggl));
        let (end, faults) = (Arc::clone(&end), Arc::clone(&faults));
        tasks.spawn(async move { trouble(&gate, &toggl, &end, &faults).await });
    }
    // What is filled once (pools, caches, the store's pages) is full after the first half.
    let started = Instant::now();
    let mut until = async |end: Instant| {
        if let Ok(Some(ended)) = timeout_at(end, tasks.join_next()).await {
            ended.unwrap();
            panic!("somebody has ended before their time");
        }
    };
    until(started + Duration::from_secs(seconds) / 2).await;
    let half = self::held(&gate);
    until(started + Duration::from_secs(seconds)).await;
    let whole = self::held(&gate);
    end.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let none =
        async || (gate.number("SELECT count(*) FROM audit_intents").await == 0).then_some(());
    eventually("every change has come to its end", none).await;

    let trail = gate.trail().await;
    let events: BTreeMap<_, _> = trail
        .iter()
        .filter_map(|event| Some((event.source.request_id.clone()?, event)))
        .collect();
    let applied = toggl.applied();
    let applied: BTreeSet<String> = (applied.iter())
        .map(|change| {
            change.request.headers["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for id in &applied {
        let outcome = &*events[id].outcome;
        assert!(["applied", "unknown"].contains(&outcome), "{id}: {outcome}");
    }
    let told = std::mem::take(&mut *told.lock().unwrap());
    for (id, named) in &told {
        assert!(
            !named || events.contains_key(id),
            "{id} was told of its event"
        );
    }
    gate.assert_intact(trail.len()).await;
    println!(
        "{} changes, {} of them applied, {} events, {} faults; {half:?}, then {whole:?}",
        told.len(),
        applied.len(),
        trail.len(),
        faults.load(Ordering::Relaxed),
    );
    assert!(faults.load(Ordering::Relaxed) >= 9 && applied.len() > 9);
    assert!(
        whole.files <= half.files + TOOLS,
        "{half:?}, then {whole:?}"
    );
    assert!(
        whole.bytes <= half.bytes * 5 / 4 + (4 << 20),
        "{half:?}, then {whole:?}"
    );
}
