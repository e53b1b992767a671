//! What the cache takes of memory, beside what it says that it takes: `cache.max_size` is to hold.
//!
//!     cargo bench --bench memory
//!     cargo bench --bench memory -- tiny   # a mebibyte of each, to see that it runs
//!
//! Fills 256 MiB with lists of one size and then goes on to fill, twice as much again, so that each new
//! list has another make room. Each size in a process of its own, because what was freed may not have been
//! given back. Ends with 1 where the process grew by more than a tenth beyond what the cache says.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;
use tollgate::cache::entry::Entry;
use tollgate::cache::epochs::Epochs;
use tollgate::cache::key::CacheKey;
use tollgate::cache::lists::Lists;
use tollgate::domain::caller::{Credential, Key};
use tollgate::domain::endpoint::List;
use tollgate::domain::ids::OrganizationId;
use tollgate::metrics::Metrics;

const MAX_SIZE: u64 = 256 << 20;
const LIST: List = List::Organization(OrganizationId(1));

/// What a list is like, as a number of groups.
const SIZES: [(&str, usize); 4] = [
    ("refusal", 0),
    ("0.5 KB", 2),
    ("2.5 KB", 11),
    ("72 KB", 320),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let size = |name: &str| SIZES.iter().find(|(known, _)| *known == name);
    if let Some((_, groups)) = arguments.iter().find_map(|name| size(name)) {
        measure(*groups, MAX_SIZE);
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "tiny") {
        for (_, groups) in SIZES {
            measure(groups, 1 << 20);
        }
        return ExitCode::SUCCESS;
    }
    // `cargo test` runs this too, and there is nothing to be tested.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    println!("| lists of | lists kept | the cache says | the process grew by | ratio |");
    println!("|---|---|---|---|---|");
    let mut all = true;
    for (name, _) in SIZES {
        let this = std::env::current_exe().expect("a program knows itself");
        let child = Command::new(this)
            .arg(name)
            .output()
            .expect("it runs again");
        let text = String::from_utf8_lossy(&child.stdout);
        let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        let [kept, says, grew] = numbers[..] else {
            eprintln!("{name}: {}", String::from_utf8_lossy(&child.stderr));
            return ExitCode::FAILURE;
        };
        let ratio = grew / says;
        all &= ratio < 1.1;
        let mebi = f64::from(1 << 20);
        let (says, grew) = (says / mebi, grew / mebi);
        println!("| {name} | {kept} | {says:.1} MiB | {grew:.1} MiB | {ratio:.2} |");
    }
    if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure(groups: usize, max_size: u64) {
    let key = Key::new(&[1; 32]);
    let epochs = Epochs::with_grace(Duration::ZERO);
    let metrics = Metrics::new();
    let hour = Duration::from_secs(3600);
    let lists = Lists::new(max_size, hour, Arc::clone(&epochs), &metrics);
    let before = resident();
    let (mut filled, mut number) = (0, 0_u64);
    while filled < 3 * max_size {
        let caller = key.fingerprint(&credential(number));
        let body = body(groups, number);
        let status = if groups == 0 {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        let snapshot = epochs.snapshot(LIST, caller);
        let entry = Entry::new(snapshot, Instant::now(), status, &answer(), body.as_bytes());
        filled += entry.weight() as u64;
        let key = CacheKey::new(caller, LIST, None).expect("no query");
        lists.insert(key, Arc::new(entry));
        number += 1;
    }
    lists.settle();
    let grew = resident().saturating_sub(before);
    println!("{} {} {grew}", lists.count(), lists.weight());
}

// As upstream's answers are, in the headers too.
fn answer() -> HeaderMap {
    let headers = [
        (
            "cache-control",
            "no-cache, private, no-store, must-revalidate, max-stale=0, post-check=0, pre-check=0",
        ),
        ("content-type", "application/json; charset=utf-8"),
        ("server", "nginx"),
        ("via", "1.1 google"),
        ("via", "2 tollgate"),
        ("x-service-level", "GREEN"),
    ];
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        // The values of answers are allocated one by one, too.
        let value = HeaderValue::from_str(value).expect("plain text");
        all.append(name, value);
    }
    all
}

fn credential(number: u64) -> Credential {
    let mut headers = HeaderMap::new();
    let value = format!("Basic {number}");
    headers.insert("authorization", value.parse().expect("plain text"));
    Credential::of(&headers).expect("a credential")
}

fn body(groups: usize, number: u64) -> String {
    let group = |index: usize| {
        format!(
            r#"{{"group_id":{},"name":"Group {index} of {number}","at":"2026-11-24T12:00:00Z","permissions":null,"users":[{{"user_id":{},"name":"Person {index}","inactive":false,"joined":true}}],"workspaces":[{number}]}}"#,
            index * 7919,
            index as u64 * 31 + number,
        )
    };
    let all: Vec<String> = (0..groups).map(group).collect();
    format!("[{}]", all.join(","))
}

// Bytes of memory that the process has, as the kernel counts them.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    1024 * number.expect("a number of kB")
}
