//! How many changes there were in the last thirty days, by day, organization, kind, outcome, person and group.
//!
//! **Guarantees**. No question walks the table: the rows of the window are read once, in the background and a
//! page at a time, and then from the last one on; a question adds what has come since. What a question gets is
//! within the organizations that it names. A person who was erased is erased from here too, before the next
//! answer: what was counted is dropped and read anew. A day that leaves the window is forgotten, and what is
//! kept is [bounded](counts).
//!
//! Days are those of UTC.

mod counts;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::counts::{BOUNDS, Bounds, Counts, Sum};
pub(super) use self::counts::{GroupKey, Kind, Sums, Times, Who};
use crate::clock::Clock;
use crate::domain::caller::Person;
use crate::domain::ids::OrganizationId;
use crate::domain::row::Link;
use crate::store::StoreError;
use crate::store::sqlite::Reader;

/// How many days it looks back over, today included.
pub(super) const DAYS: i32 = 30;

// Some milliseconds of reading.
const PAGE: u32 = 5_000;

// A question reads so many pages itself before it is told that there is more.
const AT_ONCE: usize = 10;

// Seldom enough to be nothing beside the trail's own commits; a question reads by itself what is new.
const EVERY: Duration = Duration::from_secs(5);

// Whose credentials are looked up: of these, the busiest people are made.
const LOOKED_UP: usize = 200;

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Tally(Arc<Inner>);

struct Inner {
    reader: Reader,
    clock: Clock,
    bounds: Bounds,
    /// How many rows are read at once.
    page: u32,
    state: Mutex<State>,
    /// One reads at a time, so that no row is counted twice.
    turn: tokio::sync::Mutex<()>,
    /// That what was counted was dropped, and is to be read anew.
    dropped: Notify,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    /// The last row that was counted; `None` before the first reading.
    last: Option<i64>,
    /// The newest row about erasing that what was counted takes account of.
    erased: i64,
    /// Whether all was read that there was.
    is_whole: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Whether that is all; else it is still being read.
    pub(super) is_whole: bool,
    /// Day by day, the oldest first.
    pub(super) days: Vec<(Date, Sums)>,
    /// The busiest people, and who they are.
    pub(super) people: Vec<(Who, Times)>,
    /// Changes by more people than are kept apart.
    pub(super) other_people: u64,
    /// The groups that were changed most.
    pub(super) groups: Vec<(GroupKey, Times)>,
    /// Changes of more groups than are kept apart.
    pub(super) other_groups: u64,
}

// === impl Tally ===

impl Tally {
    /// Nothing is counted until it [runs](Self::run).
    #[must_use]
    pub fn new(reader: Reader, clock: Clock) -> Self {
        Self::bounded(reader, clock, BOUNDS, PAGE)
    }

    fn bounded(reader: Reader, clock: Clock, bounds: Bounds, page: u32) -> Self {
        Self(Arc::new(Inner {
            reader,
            clock,
            bounds,
            page,
            state: Mutex::new(State::new(bounds)),
            turn: tokio::sync::Mutex::default(),
            dropped: Notify::new(),
        }))
    }

    /// Counts what there is, and then what comes, until `stop`.
    pub async fn run(self, mut heads: watch::Receiver<Option<Link>>, stop: CancellationToken) {
        let mut is_failing = false;
        loop {
            let (started, was_whole) = (Instant::now(), self.state().is_whole);
            let reading = async {
                while self.advance().await? {}
                Ok::<_, StoreError>(())
            };
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = reading => read,
            };
            if let (Err(error), false) = (&read, is_failing) {
                tracing::warn!(%error, "The changes of the last days cannot be counted");
            }
            is_failing = read.is_err();
            if !was_whole && !is_failing {
                let duration_ms = started.elapsed().as_millis();
                tracing::debug!(duration_ms, "Counted the changes of the last {DAYS} days");
            }
            let news = async {
                sleep(EVERY).await;
                // Without a writer, or after an error, there is but the time.
                if !is_failing {
                    let _ = heads.changed().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.dropped.notified() => {}
                () = news => {}
            }
        }
    }

    /// What was counted within some organizations or, with `None`, in all and in none.
    pub(super) async fn told(
        &self,
        within: Option<&[OrganizationId]>,
        most: usize,
    ) -> Result<Told, StoreError> {
        self.forget_the_erased().await?;
        for _ in 0..AT_ONCE {
            // The first reading is another's to do; this is what came since, also from other processes.
            if !self.state().is_whole || !self.advance().await? {
                break;
            }
        }
        let (first, today) = self.window();
        let (sum, is_whole) = {
            let state = self.state();
            (state.counts.sum(first, today, within), state.is_whole)
        };
        let Sum {
            days,
            people,
            other_people,
            groups,
            other_groups,
        } = sum;
        Ok(Told {
            is_whole,
            days,
            people: self.people(people, most).await?,
            other_people,
            groups: self.groups(groups, most).await?,
            other_groups,
        })
    }

    // Counts a page; whether there may be more.
    async fn advance(&self) -> Result<bool, StoreError> {
        self.forget_the_erased().await?;
        let Inner {
            reader, turn, page, ..
        } = &*self.0;
        let _turn = turn.lock().await;
        let (first, _) = self.window();
        let last = self.state().last;
        let (last, erased) = match last {
            Some(last) => (last, None),
            None => {
                let extent = reader.extent(&first.to_string()).await?;
                (extent.after, Some(extent.erased))
            }
        };
        let rows = reader.counted(last, *page).await?;
        let mut state = self.state();
        state.erased = erased.unwrap_or(state.erased);
        rows.iter().for_each(|row| state.counts.add(row));
        // Afterwards: what was late is of a day that has left already.
        state.counts.forget_before(first);
        state.last = Some(rows.last().map_or(last, |row| row.seq));
        let may_be_more = rows.len() == *page as usize;
        state.is_whole |= !may_be_more;
        Ok(may_be_more)
    }

    // Drops what was counted, if rows were changed or removed since they were read.
    async fn forget_the_erased(&self) -> Result<(), StoreError> {
        let Inner {
            reader,
            turn,
            dropped,
            bounds,
            ..
        } = &*self.0;
        let _turn = turn.lock().await;
        let erased = reader.erased().await?;
        let mut state = self.state();
        if state.last.is_some() && erased > state.erased {
            *state = State::new(*bounds);
            dropped.notify_one();
        }
        Ok(())
    }

    // The busiest: several credentials of one person are one by what is known now.
    async fn people(
        &self,
        people: HashMap<Who, Times>,
        most: usize,
    ) -> Result<Vec<(Who, Times)>, StoreError> {
        let busiest = busiest(people, LOOKED_UP);
        let credentials: Vec<String> = busiest
            .iter()
            .filter_map(|(who, _)| match who {
                Who::Credential(id) => Some(id.to_string()),
                Who::User(_) => None,
            })
            .collect();
        let known = self.0.reader.behind(&credentials).await?;
        let mut merged: HashMap<Who, Times> = HashMap::new();
        for (who, times) in busiest {
            let person = match who {
                Who::Credential(id) => known.get(&id.to_string()),
                Who::User(_) => None,
            };
            let known = person.and_then(|person| person.user_id).map(Who::User);
            // What a row has may be no more than an address.
            let told = |of: fn(&Person) -> Option<&String>| person.and_then(of).map(String::as_str);
            let name = told(|person| person.name.as_ref())
                .or(times.name.as_deref())
                .or(told(|person| person.email.as_ref()));
            let all = merged.entry(known.unwrap_or(who)).or_default();
            all.plus(times.count, name);
        }
        Ok(self::busiest(merged, most))
    }

    async fn groups(
        &self,
        groups: HashMap<GroupKey, Times>,
        most: usize,
    ) -> Result<Vec<(GroupKey, Times)>, StoreError> {
        let mut busiest = busiest(groups, most);
        let nameless = busiest.iter().filter(|(_, times)| times.name.is_none());
        let nameless: Vec<_> = nameless
            .filter_map(|((organization, group), _)| Some(((*organization)?, *group)))
            .collect();
        let mut names = self.0.reader.group_names(&nameless).await?;
        for ((_, group), times) in busiest.iter_mut().filter(|(_, times)| times.name.is_none()) {
            times.name = names.remove(group).map(String::into_boxed_str);
        }
        Ok(busiest)
    }

    // The first day and today.
    fn window(&self) -> (Date, Date) {
        let today = TimeZone::UTC.to_datetime(self.0.clock.now()).date();
        (today.saturating_sub((DAYS - 1).days()), today)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts that a panic left half-way are off by one at most.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tally")
    }
}

// === impl State ===

impl State {
    fn new(bounds: Bounds) -> Self {
        Self {
            counts: Counts::new(bounds),
            last: None,
            erased: 0,
            is_whole: false,
        }
    }
}

// The most frequent first, and always in the same order.
fn busiest<K: Copy + Ord>(all: HashMap<K, Times>, most: usize) -> Vec<(K, Times)> {
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_unstable_by_key(|(key, times)| (Reverse(times.count), *key));
    all.truncate(most);
    all
}
