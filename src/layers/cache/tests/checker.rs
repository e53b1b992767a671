//! DESIGN §1.3, searched for a breach: hundreds of thousands of reads beside changes, upstream slow, broken,
//! or late, and nobody choosing the interleaving.
//!
//! **What is proved.** Over every seed, no read breaks the promise as [`history`] words it, and more than half
//! of the reads are hits, since a cache that never answers keeps every promise. And for each [`Safeguard`]:
//! without it, the same search finds the breach that it is there for.
//!
//! A seed is a schedule: the layers run on one thread over an upstream of their own, on a paused clock that
//! jumps to the next timer, so a seed that fails fails again. `CHECKER_SEEDS` says how many are played; the
//! checks of the repository play enough for a million reads.

mod history;
mod random;
mod upstream;
mod workload;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::history::{Breach, Change, History, Moment, Read};
use self::workload::play;
use crate::cache::epochs::Safeguard;

/// What some seeds came to.
#[derive(Default)]
struct Tally {
    reads: usize,
    hits: usize,
    changes: usize,
    broken: Vec<String>,
}

#[test]
fn no_read_goes_back_behind_a_change() {
    let seeds = std::env::var("CHECKER_SEEDS").map_or(100, |seeds| seeds.parse().unwrap());
    let next = AtomicU64::new(0);
    let some = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return tally;
            }
            let run = play(seed, None);
            tally.reads += run.history.reads.len();
            tally.changes += run.history.changes.len();
            tally.hits += run.hits;
            let violations = run.history.violations();
            let seen = violations.first();
            tally
                .broken
                .extend(seen.map(|one| format!("seed {seed}: {one}")));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tallies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let tallies = threads.into_iter().map(|thread| thread.join().unwrap());
        tallies.collect::<Vec<_>>()
    });
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let (reads, hits, changes) = (
        sum(|tally| tally.reads),
        sum(|tally| tally.hits),
        sum(|tally| tally.changes),
    );
    let broken: Vec<_> = tallies.iter().flat_map(|tally| &tally.broken).collect();
    println!("{seeds} seeds: {reads} reads, {hits} of them hits, beside {changes} changes");
    assert!(
        broken.is_empty(),
        "{} seeds: {:#?}",
        broken.len(),
        broken.first()
    );
    assert!(
        hits * 2 > reads,
        "{hits} hits of {reads} reads prove little"
    );
}

/// Plays until the breach is found that `safeguard` is there for.
#[track_caller]
fn is_found(safeguard: Safeguard, breach: Breach) {
    const MOST: u64 = 150;
    let found = (0..MOST).find(|seed| {
        let violations = play(*seed, Some(safeguard)).history.violations();
        violations
            .iter()
            .any(|violation| violation.breach == breach)
    });
    assert!(
        found.is_some(),
        "{MOST} seeds without {safeguard:?} are all well"
    );
    println!(
        "without {safeguard:?}: {breach:?} by seed {}",
        found.unwrap()
    );
}

#[test]
fn believing_a_list_as_of_its_end_loses_a_change() {
    is_found(Safeguard::EpochAtStart, Breach::Missed);
}

#[test]
fn giving_out_what_is_kept_whatever_has_changed_loses_a_change() {
    is_found(Safeguard::EpochAtEnd, Breach::Missed);
}

#[test]
fn giving_out_what_is_kept_in_a_flight_goes_back_behind_it() {
    is_found(Safeguard::InFlightBar, Breach::InFlight);
    is_found(Safeguard::InFlightBar, Breach::Behind);
}

#[test]
fn opening_at_once_after_no_outcome_loses_what_was_applied_late() {
    is_found(Safeguard::Grace, Breach::MissedLate);
}

#[test]
fn joining_a_fetch_from_before_a_change_loses_it() {
    is_found(Safeguard::JoinsWithinAnEpoch, Breach::Missed);
}

#[test]
fn joining_a_fetch_from_within_a_grace_loses_what_was_applied_late() {
    is_found(Safeguard::JoinsWithinAGrace, Breach::MissedLate);
}

#[test]
fn giving_out_an_older_list_that_was_looked_at_before_loses_a_change() {
    is_found(Safeguard::AsksAgain, Breach::Missed);
}

// === the checker itself ===

fn at(tick: u64) -> Moment {
    Moment {
        tick,
        at: Duration::from_millis(tick),
    }
}

fn read(began: u64, ended: u64, shows: u64) -> Read {
    Read {
        register: 1,
        key: 1,
        began: at(began),
        ended: at(ended),
        shows,
        kept: false,
    }
}

fn change(sent: u64, answered: u64, number: Option<u64>) -> Change {
    Change {
        register: 1,
        number,
        sent: at(sent),
        answered: at(answered),
        unknown: false,
        late: false,
    }
}

#[track_caller]
fn found(reads: &[Read], change: Change, exact: bool) -> Vec<Breach> {
    let history = History {
        reads: reads.to_vec(),
        changes: vec![change],
        grace: Duration::from_millis(100),
        exact,
    };
    let violations = history.violations().into_iter();
    violations.map(|violation| violation.breach).collect()
}

#[test]
fn what_keeps_the_promise_is_no_breach() {
    let applied = change(10, 20, Some(2));
    let before_or_beside = [
        read(1, 30, 1),
        read(9, 13, 1),
        read(11, 12, 2),
        read(21, 22, 2),
    ];
    assert_eq!(found(&before_or_beside, applied, true), []);
    let refused = change(10, 20, None);
    assert_eq!(found(&[read(21, 22, 1)], refused, true), []);
    let of_another = Read {
        register: 2,
        ..read(21, 22, 1)
    };
    assert_eq!(found(&[of_another], applied, true), []);
}

#[test]
fn each_breach_is_seen() {
    let applied = change(10, 20, Some(2));
    assert_eq!(found(&[read(21, 22, 1)], applied, true), [Breach::Missed]);
    let seen_before = [read(11, 12, 2), read(13, 14, 1)];
    assert_eq!(found(&seen_before, applied, true), [Breach::Back]);
    let kept = |began, ended, shows| Read {
        key: 2,
        kept: true,
        ..read(began, ended, shows)
    };
    let in_flight = [read(11, 12, 2), kept(13, 14, 1)];
    let both = [Breach::Behind, Breach::InFlight];
    assert_eq!(found(&in_flight, applied, true), both);
    assert_eq!(found(&in_flight, applied, false), [Breach::Behind]);
    // What is kept is given out when it is, and not when it was asked for.
    assert_eq!(found(&[kept(1, 30, 1)], applied, true), [Breach::Missed]);
    assert_eq!(found(&[kept(1, 30, 1)], applied, false), []);

    let unknown = Change {
        unknown: true,
        late: true,
        ..applied
    };
    assert_eq!(found(&[read(119, 125, 1)], unknown, true), []);
    assert_eq!(
        found(&[read(120, 125, 1)], unknown, true),
        [Breach::MissedLate]
    );
    assert_eq!(found(&[kept(21, 22, 2)], unknown, true), [Breach::InFlight]);
    assert_eq!(found(&[kept(21, 120, 2)], unknown, true), []);
}
