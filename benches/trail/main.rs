//! How fast the trail is written, asked and streamed out, on a file of its own.
//!
//! ```sh
//! cargo bench --bench trail -- write            # events a second, durable: alone, and 64 at once
//! cargo bench --bench trail -- list 1000000     # a page behind each filter, and groups at a time: p50 and p99
//! cargo bench --bench trail -- combine 1000000  # a page behind every combination of filters: the slowest
//! cargo bench --bench trail -- export 1000000   # rows a second
//! cargo bench --bench trail -- tiny             # all of them once, to see that they run
//! ```
//!
//! `TRAIL_FOLDER` names where the file is made, which is removed at the end; `TRAIL_DATABASE` names a file
//! that was made before, or is made and then stays. Ten million events take some 18 GB.

#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/trail.rs"]
mod trail;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::Instant;
use tollgate::domain::action::Action;
use tollgate::domain::ids::{GroupId, OrganizationId};
use tollgate::store::filter::{Cursor, Filter};
use tollgate::store::sqlite::Reader;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["write"] => write(32_000).await,
        ["list", count] => list(count.parse()?, 200).await,
        ["combine", count] => combine(count.parse()?, 20).await,
        ["export", count] => export(count.parse()?).await,
        ["tiny"] => {
            write(64).await?;
            list(1_000, 1).await?;
            combine(1_000, 1).await?;
            export(1_000).await
        }
        _ => {
            println!("say what to measure: write, list COUNT, combine COUNT, export COUNT or tiny");
            Ok(())
        }
    }
}

// === write ===

/// So many events by 64 at once, and a sixteenth of them one at a time.
async fn write(count: u32) -> anyhow::Result<()> {
    for at_once in [1, 64] {
        let folder = folder()?;
        let count = if at_once == 1 { count / 16 } else { count };
        let rate = trail::events_a_second(&folder.path().join("trail.db"), at_once, count).await?;
        println!(
            "{at_once:>3} at once: {rate:>7.0} events/s, each an intent and an event that were on disk ({:.0} µs an event)",
            1e6 / rate * f64::from(at_once),
        );
    }
    println!(
        "fsync alone: {:.0}/s, a page of 4 KiB appended each time",
        disk::fsyncs(folder()?.path())?
    );
    Ok(())
}

// === list ===

async fn list(count: i64, times: usize) -> anyhow::Result<()> {
    let trail = Trail::of(count).await?;
    let reader = Reader::open(&trail.path).await?;
    // Half-way through what was invented, and a day before its end.
    let time = |seq: i64| Timestamp::from_second(1_700_000_000 + seq * 6);
    let (middle, day) = (time(count / 2)?, time(count - 14_400)?);
    let all = Filter::default();
    let organization = |id| Some(OrganizationId(id));
    let text = |text: &str| Some(text.to_owned());
    let about_groups: Vec<String> = Action::ALL
        .into_iter()
        .filter(|action| action.touches_groups())
        .map(|action| action.to_string())
        .collect();
    let cases: Vec<(&str, Filter)> = vec![
        ("no filter", all.clone()),
        (
            "--org 1",
            Filter {
                organization: organization(1),
                ..all.clone()
            },
        ),
        (
            "--org 7",
            Filter {
                organization: organization(7),
                ..all.clone()
            },
        ),
        (
            "--group 1000",
            Filter {
                group: Some(GroupId(1000)),
                ..all.clone()
            },
        ),
        (
            "--actor (name)",
            Filter {
                actor: text("Person 7123"),
                ..all.clone()
            },
        ),
        (
            "--actor (half of all)",
            Filter {
                actor: text("Person 7000"),
                ..all.clone()
            },
        ),
        (
            "--actor (user number)",
            Filter {
                actor: text("7123"),
                ..all.clone()
            },
        ),
        (
            "--actor (credential, half of all)",
            Filter {
                actor: text("3ce7d456"),
                ..all.clone()
            },
        ),
        (
            "--action group.delete",
            Filter {
                actions: vec!["group.delete".to_owned()],
                ..all.clone()
            },
        ),
        (
            "--outcome unknown",
            Filter {
                outcome: text("unknown"),
                ..all.clone()
            },
        ),
        (
            "--outcome applied",
            Filter {
                outcome: text("applied"),
                ..all.clone()
            },
        ),
        (
            "--since, a day",
            Filter {
                since: Some(day),
                ..all.clone()
            },
        ),
        (
            "--until, half of all",
            Filter {
                until: Some(middle),
                ..all.clone()
            },
        ),
        (
            "--org 7 --outcome rejected",
            Filter {
                organization: organization(7),
                outcome: text("rejected"),
                ..all.clone()
            },
        ),
        (
            "--group 1000 --org 2: never meet",
            Filter {
                group: Some(GroupId(1000)),
                organization: organization(2),
                ..all.clone()
            },
        ),
        (
            "--actor (half of all) --outcome rejected: never meet",
            Filter {
                actor: text("Person 7000"),
                outcome: text("rejected"),
                ..all.clone()
            },
        ),
        (
            "--actor (half of all) --org 2: never meet",
            Filter {
                actor: text("Person 7000"),
                organization: organization(2),
                ..all.clone()
            },
        ),
        (
            "--actor (half of all) --group 7036: never meet",
            Filter {
                actor: text("Person 7000"),
                group: Some(GroupId(7036)),
                ..all.clone()
            },
        ),
        (
            "--actor (name) --group 1000: never meet",
            Filter {
                actor: text("Person 7123"),
                group: Some(GroupId(1000)),
                ..all.clone()
            },
        ),
        (
            "--action group.observed --outcome partial",
            Filter {
                actions: vec!["group.observed".to_owned()],
                outcome: text("partial"),
                ..all.clone()
            },
        ),
        (
            "--org 1 --action group.delete --outcome unknown",
            Filter {
                organization: organization(1),
                actions: vec!["group.delete".to_owned()],
                outcome: text("unknown"),
                ..all.clone()
            },
        ),
        (
            "--org 7 --outcome rejected --until, half of all",
            Filter {
                organization: organization(7),
                outcome: text("rejected"),
                until: Some(middle),
                ..all.clone()
            },
        ),
        (
            "--group 1000 --actor (name) --since, a day",
            Filter {
                group: Some(GroupId(1000)),
                actor: text("Person 7123"),
                since: Some(day),
                ..all.clone()
            },
        ),
        (
            "the page as it opens",
            Filter {
                actions: about_groups.clone(),
                ..all.clone()
            },
        ),
        (
            "the same, for a token of three organizations",
            Filter {
                within: Some([1, 7, 9].map(OrganizationId).to_vec()),
                actions: about_groups.clone(),
                ..all.clone()
            },
        ),
        (
            "the same, of a person",
            Filter {
                within: Some([1, 7, 9].map(OrganizationId).to_vec()),
                actor: text("Person 7123"),
                actions: about_groups,
                ..all.clone()
            },
        ),
        (
            "a text that is in none",
            Filter {
                text: text("nowhere to be found"),
                ..all
            },
        ),
    ];
    println!(
        "{:<54} {:>6} {:>9} {:>9} {:>9}",
        "a page of 50", "found", "first", "p50", "p99"
    );
    for (name, filter) in cases {
        print(name, pages(&reader, &filter, times).await?);
    }
    let groups = async |time| {
        let page = reader.groups_behind(OrganizationId(1), time, None, 200);
        Ok(page.await?.0.len())
    };
    let one = async |time| {
        let (organization, group) = (OrganizationId(1), GroupId(1000));
        reader.group_at(organization, group, time).await?;
        let all = Filter::default();
        let (joined, _) = reader.joined(organization, group, &all, time).await?;
        Ok(joined.len())
    };
    for (when, time) in [("now", time(count)?), ("half-way", middle)] {
        let name = format!("200 groups of organization 1, {when}");
        print(&name, timed(times, async || groups(time).await).await?);
        let name = format!("who is in group 1000, and by whom, {when}");
        print(&name, timed(times, async || one(time).await).await?);
    }
    Ok(())
}

fn print(name: &str, (found, mut took): (usize, Vec<Duration>)) {
    let first = took[0];
    took.sort();
    println!(
        "{name:<54} {found:>6} {:>9} {:>9} {:>9}",
        milliseconds(first),
        milliseconds(took[took.len() / 2]),
        milliseconds(took[took.len() * 99 / 100]),
    );
}

/// How many events the newest page has, and how long it took, each time.
async fn pages(
    reader: &Reader,
    filter: &Filter,
    times: usize,
) -> anyhow::Result<(usize, Vec<Duration>)> {
    let page = async || {
        Ok(reader
            .next_events(filter, Cursor::NEWEST, 50)
            .await?
            .events
            .len())
    };
    timed(times, page).await
}

/// What it finds, and how long it took, each time.
async fn timed(
    times: usize,
    ask: impl AsyncFn() -> anyhow::Result<usize>,
) -> anyhow::Result<(usize, Vec<Duration>)> {
    let mut took = Vec::with_capacity(times);
    let mut found = 0;
    for _ in 0..times {
        let started = Instant::now();
        found = ask().await?;
        took.push(started.elapsed());
    }
    Ok((found, took))
}

// === combine ===

// Values that are frequent, rare, and never meet, of each filter.
async fn combine(count: i64, times: usize) -> anyhow::Result<()> {
    let trail = Trail::of(count).await?;
    let reader = Reader::open(&trail.path).await?;
    let time = |seq: i64| Timestamp::from_second(1_700_000_000 + seq * 6);
    let (middle, day) = (time(count / 2)?, time(count - 14_400)?);
    type Set = Box<dyn Fn(&mut Filter)>;
    let organization = |id| -> (String, Set) {
        let set = move |filter: &mut Filter| filter.organization = Some(OrganizationId(id));
        (format!("--org {id}"), Box::new(set))
    };
    let group = |id| -> (String, Set) {
        let set = move |filter: &mut Filter| filter.group = Some(GroupId(id));
        (format!("--group {id}"), Box::new(set))
    };
    let actor = |actor: &'static str| -> (String, Set) {
        let set = move |filter: &mut Filter| filter.actor = Some(actor.to_owned());
        (format!("--actor '{actor}'"), Box::new(set))
    };
    let action = |action: &'static str| -> (String, Set) {
        let set = move |filter: &mut Filter| filter.actions = vec![action.to_owned()];
        (format!("--action {action}"), Box::new(set))
    };
    let outcome = |outcome: &'static str| -> (String, Set) {
        let set = move |filter: &mut Filter| filter.outcome = Some(outcome.to_owned());
        (format!("--outcome {outcome}"), Box::new(set))
    };
    let since = move |filter: &mut Filter| filter.since = Some(day);
    let until = move |filter: &mut Filter| filter.until = Some(middle);
    let filters: [(&str, Vec<(String, Set)>); 6] = [
        ("org", [1, 2].map(organization).into()),
        ("group", [1000, 7036].map(group).into()),
        (
            "actor",
            ["Person 7000", "Person 7123", "7123", "3ce7d456"]
                .map(actor)
                .into(),
        ),
        (
            "action",
            ["group.patch", "membership.change", "group.observed"]
                .map(action)
                .into(),
        ),
        (
            "outcome",
            ["applied", "rejected", "partial"].map(outcome).into(),
        ),
        (
            "time",
            vec![
                ("--since, a day".to_owned(), Box::new(since)),
                ("--until, half".to_owned(), Box::new(until)),
            ],
        ),
    ];
    println!(
        "{:<40} {:>5} {:>9} {:>9}  the one with the slowest p50",
        "combined", "of", "p50", "p99"
    );
    for mask in 1..1_u32 << filters.len() {
        let used: Vec<_> = (filters.iter().enumerate())
            .filter(|(place, _)| mask >> place & 1 == 1)
            .map(|(_, filter)| filter)
            .collect();
        let mut combined = vec![(String::new(), Filter::default())];
        for (_, values) in &used {
            combined = (combined.iter())
                .flat_map(|(name, filter)| {
                    values.iter().map(move |(added, set)| {
                        let mut filter = filter.clone();
                        set(&mut filter);
                        (format!("{name} {added}"), filter)
                    })
                })
                .collect();
        }
        let (mut slowest, mut name, mut all) = (Duration::ZERO, "", Vec::new());
        for (words, filter) in &combined {
            let (_, mut took) = pages(&reader, filter, times).await?;
            all.extend_from_slice(&took);
            took.sort();
            if took[took.len() / 2] > slowest {
                (slowest, name) = (took[took.len() / 2], words);
            }
        }
        all.sort();
        let names: Vec<_> = used.iter().map(|(name, _)| *name).collect();
        println!(
            "{:<40} {:>5} {:>9} {:>9} {name}",
            names.join(" + "),
            combined.len(),
            milliseconds(slowest),
            milliseconds(all[all.len() * 99 / 100]),
        );
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

// === export ===

async fn export(count: i64) -> anyhow::Result<()> {
    let trail = Trail::of(count).await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate"));
    for format in ["ndjson", "csv"] {
        let started = Instant::now();
        let status = std::process::Command::new(binary)
            .args(["audit", "export", "--format", format, "--database"])
            .arg(&trail.path)
            .stdout(std::process::Stdio::null())
            .status()?;
        if !status.success() {
            bail!("the export ended with {status}");
        }
        let took = started.elapsed().as_secs_f64();
        println!(
            "{format:>6}: {:>8.0} rows/s ({count} rows in {took:.1} s)",
            count as f64 / took
        );
    }
    Ok(())
}

// === a trail to ask ===

struct Trail {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl Trail {
    async fn of(count: i64) -> anyhow::Result<Self> {
        let (path, folder) = match std::env::var_os("TRAIL_DATABASE") {
            Some(path) => (PathBuf::from(path), None),
            None => {
                let folder = folder()?;
                (folder.path().join("trail.db"), Some(folder))
            }
        };
        if !path.exists() {
            let started = Instant::now();
            trail::invent(&path, count).await?;
            println!(
                "{count} events invented in {:.0} s",
                started.elapsed().as_secs_f64()
            );
        }
        let trail = Self {
            path,
            _folder: folder,
        };
        Ok(trail)
    }
}

fn folder() -> anyhow::Result<TempDir> {
    let folder = match std::env::var_os("TRAIL_FOLDER") {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    folder.context("no folder for the trail")
}
