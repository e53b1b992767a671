//! What was read and changed at the same time, and whether the reads keep the promise. Pure.
//!
//! A *register* is something that is changed from one number to the next and never back, and whose number
//! a list shows: in the tests a group that is renamed. **Promised** (DESIGN §1.3) is
//!
//! | breach | of what |
//! |---|---|
//! | [`Missed`](Breach::Missed) | who begins to read after a change was answered sees it, whatever the answer was, if upstream had applied it by then |
//! | [`MissedLate`](Breach::MissedLate) | a change without an outcome that upstream applied later is seen by who begins to read when the grace is over |
//! | [`Back`](Breach::Back) | who begins to read a list after somebody with the same credential has read it sees no less |
//! | [`Behind`](Breach::Behind) | and from the cache nobody sees less than anybody has seen of the organization before |
//! | [`InFlight`](Breach::InFlight) | nothing comes from the cache while a change is under way, nor in the grace |
//!
//! What is read while a change is under way, before its answer, may show it or not: two lists that are
//! fetched at that time may differ, and only a list that is not kept does.
//!
//! No test of the crate alone: the tests over real sockets include this file too, so it knows nothing of ours.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// When something happened: in which order, and after how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) tick: u64,
    pub(crate) at: Duration,
}

/// A register's number, as somebody read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) register: usize,
    /// One for each credential and list.
    pub(crate) key: usize,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) shows: u64,
    /// Whether it came from the cache, rather than from a fetch.
    pub(crate) kept: bool,
}

/// A change that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) register: usize,
    /// What it changed the register to; `None` if upstream never applied it.
    pub(crate) number: Option<u64>,
    pub(crate) sent: Moment,
    /// When its caller had the answer, or gave up waiting.
    pub(crate) answered: Moment,
    /// Whether the answer left open what had become of it.
    pub(crate) unknown: bool,
    /// Whether upstream applied it after that.
    pub(crate) late: bool,
}

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) reads: Vec<Read>,
    pub(crate) changes: Vec<Change>,
    /// For how long a change without an outcome may be applied late.
    pub(crate) grace: Duration,
    /// Whether the moments are the gateway's own. Then what is kept is held against the moment at which
    /// it was given out, and not only against the one at which it was asked for.
    pub(crate) exact: bool,
}

/// How the promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    Missed,
    MissedLate,
    Back,
    Behind,
    InFlight,
}

/// A read that breaks the promise.
#[derive(Clone, Copy)]
pub(crate) struct Violation {
    pub(crate) breach: Breach,
    pub(crate) read: Read,
    /// What it should have shown at least; nothing for [`Breach::InFlight`].
    pub(crate) least: u64,
}

// === impl Violation ===

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            breach,
            read,
            least,
        } = self;
        write!(f, "{breach:?}: it should show {least} at least: {read:?}")
    }
}

// === impl History ===

impl History {
    /// The reads that break the promise.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let reads = by(&self.reads, |read| read.register);
        let changes = by(&self.changes, |change| change.register);
        let none = Vec::new();
        let mut violations = Vec::new();
        for (register, reads) in &reads {
            let changes = changes.get(register).unwrap_or(&none);
            violations.extend(self.of_register(reads, changes));
        }
        violations
    }

    fn of_register(&self, reads: &[&Read], changes: &[&Change]) -> Vec<Violation> {
        let due = |late: bool, from: &dyn Fn(&Change) -> u64| {
            let changes = changes.iter().filter(|change| change.late == late);
            Floor::of(changes.filter_map(|change| Some((from(change), change.number?))))
        };
        let answered = due(false, &|change| change.answered.tick);
        let applied_late = due(true, &|change| nanos(change.answered.at + self.grace));
        let seen =
            |reads: &[&Read]| Floor::of(reads.iter().map(|read| (read.ended.tick, read.shows)));
        let by_anybody = seen(reads);
        let by_key: HashMap<_, _> = by(reads.iter().copied(), |read| read.key)
            .into_iter()
            .map(|(key, reads)| (key, seen(&reads)))
            .collect();

        let mut violations = Vec::new();
        for read in reads {
            let asked = if self.exact && read.kept {
                read.ended
            } else {
                read.began
            };
            let behind = if read.kept {
                by_anybody.before(asked.tick)
            } else {
                0
            };
            let floors = [
                (Breach::Missed, answered.before(asked.tick)),
                (Breach::MissedLate, applied_late.before(nanos(asked.at) + 1)),
                (Breach::Back, by_key[&read.key].before(read.began.tick)),
                (Breach::Behind, behind),
            ];
            let broken = floors.into_iter().filter(|(_, least)| read.shows < *least);
            let in_flight = self.is_in_flight(read, changes);
            let broken = broken.chain(in_flight.then_some((Breach::InFlight, 0)));
            violations.extend(broken.map(|(breach, least)| Violation {
                breach,
                read: **read,
                least,
            }));
        }
        violations
    }

    fn is_in_flight(&self, read: &Read, changes: &[&Change]) -> bool {
        let within = |change: &&Change| {
            let is_open = read.ended.tick > change.answered.tick;
            let is_over = read.ended.at >= change.answered.at + self.grace;
            read.ended.tick > change.sent.tick && !(is_open && (is_over || !change.unknown))
        };
        self.exact && read.kept && changes.iter().any(within)
    }
}

/// What has to be shown from when on.
struct Floor(Vec<(u64, u64)>);

// === impl Floor ===

impl Floor {
    fn of(points: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut points: Vec<_> = points.collect();
        points.sort_unstable();
        let mut most = 0;
        for (_, least) in &mut points {
            most = most.max(*least);
            *least = most;
        }
        Self(points)
    }

    /// The most of what came before `moment`.
    fn before(&self, moment: u64) -> u64 {
        let later = self.0.partition_point(|(from, _)| *from < moment);
        later.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

fn by<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    what: impl Fn(&T) -> usize,
) -> HashMap<usize, Vec<&'a T>> {
    let mut groups: HashMap<_, Vec<_>> = HashMap::new();
    for one in all {
        groups.entry(what(one)).or_default().push(one);
    }
    groups
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).expect("a test of less than centuries")
}
