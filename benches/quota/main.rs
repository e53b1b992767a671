//! An hour of twenty polling tools and a changing organization, in a minute.
//!
//! ```sh
//! cargo bench --bench quota            # prints the table of the README; a minute
//! cargo bench --bench quota -- tiny    # the first ten minutes of the hour, to see that it plays
//! ```
//!
//! Four people's tools, five each, poll lists of groups every 15 seconds; somebody's tool changes a group
//! every three minutes, and each time a few tools read at once, because a change is what people look at.
//! Toggl's Starter plan lets a person ask 240 times an hour. All times are sixty times shorter here: the
//! simulator's hour is a minute, a cache's minute is a second.
//!
//! The same is played three times, each in front of a simulator of its own: to Toggl itself, through a
//! cache that keeps each credential's lists for a minute ([`plain_cache`]), and through Tollgate with its
//! defaults.
//!
//! - **Upstream calls** are what the simulator was asked, by its own count; beside them, how many of them
//!   one person's credential made at most, who may make 240.
//! - A read is **stale after a write** if it began when a change had been answered, and shows a group of
//!   that change as it was before. A tool whose quota is gone asks on, as most do.
//!
//! It fails unless no `402` reaches a reader through Tollgate, no read there is stale after a write, and
//! Tollgate has the fewest upstream calls.

mod plain_cache;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tollgate::domain::ids::GroupId;
use tollgate::simulator::{Options, Toggl};

use self::plain_cache::PlainCache;
use self::support::{Answer, Server, Tool, groups};

const SECOND: Duration = Duration::from_nanos(1_000_000_000 / 60);
const MINUTE: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60);

/// Requests an hour, for each person: the Starter plan.
const QUOTA: u32 = 240;

const ALL: &str = "/api/v9/organizations/4123/groups";

/// Each tool: whose token it has, how it is called, and which list it polls.
#[rustfmt::skip]
const TOOLS: [(&str, &str, &str); 20] = [
    ("ann", "dashboard", ALL),
    ("ann", "hr-sync", ALL),
    ("ann", "slack-bot", ALL),
    // Parameters that mean nothing here.
    ("ann", "airbyte", "/api/v9/organizations/4123/groups?start_date=2026-01-01&end_date=2026-12-31"),
    ("ann", "tap-toggl", "/api/v9/organizations/4123/workspaces/51001/groups"),
    ("bob", "dashboard", ALL),
    ("bob", "payroll", ALL),
    ("bob", "wallboard", ALL),
    ("bob", "capacity", "/api/v9/organizations/4123/groups?workspace=51001"),
    ("bob", "help-desk", "/api/v9/organizations/4123/groups?name=support"),
    ("cleo", "dashboard", ALL),
    ("cleo", "browser", ALL),
    ("cleo", "standup", ALL),
    ("cleo", "calendar", ALL),
    ("cleo", "reminder", "/api/v9/organizations/4123/workspaces/51001/groups"),
    ("dan", "dashboard", ALL),
    ("dan", "launcher", ALL),
    ("dan", "widget", ALL),
    ("dan", "timesheet", ALL),
    ("dan", "reminder", "/api/v9/organizations/4123/workspaces/51001/groups"),
];

/// Who changes groups, with a tool that polls nothing.
const CHANGER: &str = "bob";

/// By which way the tools ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Direct,
    PlainCache,
    Tollgate,
}

/// What came of an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    reads: u64,
    refused: u64,
    stale: u64,
    /// Answered neither with a list nor with `402`.
    failed: u64,
    changes: u64,
    changes_refused: u64,
    upstream_calls: u64,
    /// By whoever made most of them.
    by_one_person: u64,
}

/// What the tools of one access have in common.
struct Office {
    toggl: Toggl,
    base: String,
    labels: bool,
    starts: Instant,
    ends: Instant,
    tally: Mutex<Tally>,
    /// When each group last changed, by the changes that were answered.
    changed: Mutex<BTreeMap<GroupId, Timestamp>>,
    /// Says that a change was answered.
    news: watch::Sender<()>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` starts benches too, without `--bench`, to see that they start.
    if !std::env::args().any(|word| word == "--bench") {
        println!("cargo bench --bench quota plays an hour in a minute");
        return Ok(());
    }
    let is_tiny = std::env::args().any(|word| word == "tiny");
    let played = if is_tiny { 10 * MINUTE } else { HOUR };
    let (direct, plain, tollgate) = tokio::try_join!(
        play(Access::Direct, played),
        play(Access::PlainCache, played),
        play(Access::Tollgate, played)
    )?;
    println!(
        "| access | upstream calls | by one person | reads | of them `402` | stale after a write | changes refused |"
    );
    println!("|---|---|---|---|---|---|---|");
    println!("| direct | {direct} |");
    println!("| a cache with a time to live | {plain} |");
    println!("| Tollgate | {tollgate} |");

    let failed = direct.failed + plain.failed + tollgate.failed;
    ensure!(failed == 0, "{failed} reads failed otherwise");
    let Tally { refused, stale, .. } = tollgate;
    ensure!(refused == 0, "Tollgate gave a reader 402, {refused} times");
    ensure!(stale == 0, "Tollgate contradicted a change, {stale} times");
    let fewest = direct.upstream_calls.min(plain.upstream_calls);
    ensure!(
        tollgate.upstream_calls < fewest,
        "Tollgate does not have the fewest upstream calls"
    );
    Ok(())
}

/// Plays so much of an hour.
async fn play(access: Access, played: Duration) -> anyhow::Result<Tally> {
    let toggl = Toggl::start(Options {
        quota: Some(QUOTA),
        window: HOUR,
        latency: SECOND * 15 / 100,
        ..Options::default()
    })
    .await?;
    let (mut plain, mut tollgate) = (None, None);
    let base = match access {
        Access::Direct => toggl.url(),
        Access::PlainCache => {
            let cache = PlainCache::before(toggl.url(), MINUTE).await?;
            plain.insert(cache).url.clone()
        }
        Access::Tollgate => {
            let config = include_str!("tollgate.toml");
            let server = Server::tollgate(config, toggl.addr(), &[]).await?;
            format!("http://{}", tollgate.insert(server).address)
        }
    };
    let starts = Instant::now() + Duration::from_millis(100);
    let office = Arc::new(Office {
        toggl,
        base,
        labels: access == Access::Tollgate,
        starts,
        ends: starts + played,
        tally: Mutex::default(),
        changed: Mutex::default(),
        news: watch::Sender::new(()),
    });
    let mut work = JoinSet::new();
    for index in 0..TOOLS.len() {
        work.spawn(Arc::clone(&office).poll(index));
    }
    work.spawn(Arc::clone(&office).change_now_and_then());
    while let Some(done) = work.join_next().await {
        done??;
    }
    let mut tally = *office.tally();
    tally.upstream_calls = office.toggl.received();
    tally.by_one_person = office.by_one_person();
    Ok(tally)
}

// === impl Tally ===

/// A row of the table, but for its name.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} | {} | {} | {} | {} | {} of {}",
            self.upstream_calls,
            self.by_one_person,
            self.reads,
            self.refused,
            self.stale,
            self.changes_refused,
            self.changes,
        )
    }
}

// === impl Office ===

impl Office {
    /// One tool's hour.
    async fn poll(self: Arc<Self>, index: usize) -> anyhow::Result<()> {
        let (person, label, list) = TOOLS[index];
        let tool = self.tool(person, label)?;
        let every = 15 * SECOND;
        // They did not all start at the same moment.
        let phase = every * u32::try_from(index)? / u32::try_from(TOOLS.len())?;
        let mut ticks = interval_at(self.starts + phase, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut news = self.news.subscribe();
        loop {
            tokio::select! {
                () = sleep_until(self.ends) => return Ok(()),
                _ = ticks.tick() => {}
                // Somebody looks whether it worked.
                _ = news.changed(), if label == "dashboard" => {}
            }
            self.read(&tool, list).await?;
        }
    }

    async fn read(&self, tool: &Tool, list: &str) -> anyhow::Result<()> {
        let must_show = self.changed().clone();
        let answer = tool.get(list).await?;
        let mut tally = self.tally();
        tally.reads += 1;
        match answer.status() {
            StatusCode::OK => tally.stale += u64::from(is_older(&answer, &must_show)),
            StatusCode::PAYMENT_REQUIRED => tally.refused += 1,
            _ => tally.failed += 1,
        }
        Ok(())
    }

    /// Somebody's tool, which renames groups and moves Eve, whose tools are not among ours.
    async fn change_now_and_then(self: Arc<Self>) -> anyhow::Result<()> {
        let tool = self.tool(CHANGER, "people-admin")?;
        let mut next = self.starts + MINUTE;
        for number in 0.. {
            if next >= self.ends {
                break;
            }
            sleep_until(next).await;
            next += 3 * MINUTE;
            let eve = |op| json!([{ "op": op, "path": "/users", "value": [7005] }]);
            let named = |name| json!({ "name": format!("{name} {number}") });
            let (method, id, body) = match number % 4 {
                0 => (Method::PUT, GroupId(9001), named("Design")),
                1 => (Method::PATCH, GroupId(9004), eve("remove")),
                2 => (Method::PUT, GroupId(9002), named("Engineering")),
                _ => (Method::PATCH, GroupId(9004), eve("add")),
            };
            let target = format!("{ALL}/{id}");
            let answer = tool.send(method, &target, body.to_string()).await?;
            self.tally().changes += 1;
            match (answer.status(), self.toggl.group(id)) {
                (StatusCode::OK, Some(group)) => {
                    self.changed().insert(id, group.at);
                    self.news.send_replace(());
                }
                _ => self.tally().changes_refused += 1,
            }
        }
        Ok(())
    }

    fn tool(&self, person: &str, label: &str) -> anyhow::Result<Tool> {
        let base = match self.labels {
            true => format!("{}/~{label}", self.base),
            false => self.base.clone(),
        };
        Tool::of(base).authorized(&self.toggl.authorization(person))
    }

    fn by_one_person(&self) -> u64 {
        self.toggl.log(|log| {
            let mut calls = BTreeMap::<_, u64>::new();
            for request in log.requests() {
                *calls.entry(request.header("authorization")).or_default() += 1;
            }
            calls.into_values().max().unwrap_or_default()
        })
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, BTreeMap<GroupId, Timestamp>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a group stands in the list as it was before a change that the list had to show. Every change
/// gives its group a later `at`, and none takes a group out of somebody's list.
fn is_older(answer: &Answer, must_show: &BTreeMap<GroupId, Timestamp>) -> bool {
    groups(answer).iter().any(|group| {
        let id = group["group_id"].as_i64().map(GroupId);
        let at = group["at"].as_str().and_then(|at| at.parse().ok());
        let newest = id.and_then(|id| must_show.get(&id));
        newest.is_some_and(|newest| at.is_none_or(|at: Timestamp| at < *newest))
    })
}
