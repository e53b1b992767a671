//! Counts in memory, until somebody [takes](Book::take) them to where they are kept.
//!
//! **Guarantees**: each request is counted once, in the hour in which it came, also when its counter is
//! taken away while it is counted. Counting the same thing again allocates nothing. Bounded: the
//! operations are those of a table, and the labels of one credential and quota are told apart up to
//! [`MOST_TOOLS`] an hour; the others are counted together. What cannot be written down for long is kept up
//! to [`MOST_LEFT_OVER`] different things; what is new beyond that is not counted, and the log says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::caller::Fingerprint;
use crate::domain::usage::{Counts, Pool, Usage, Use};

/// What was counted by counters that are gone, and which hour it is.
#[derive(Debug)]
pub(super) struct Book {
    left_over: Mutex<HashMap<Thing, Counts>>,
    clock: Clock,
    start: Instant,
    /// Milliseconds of the date at `start`, as of the last look at the clock.
    date: AtomicI64,
}

/// What is counted by itself: hour, credential, quota, tool, operation.
type Thing = (Timestamp, String, Pool, String, String);

/// The counters of one credential and quota.
#[derive(Debug)]
pub(super) struct Meters {
    book: Arc<Book>,
    caller: Fingerprint,
    pool: Pool,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// Hours since 1970.
    hour: i64,
    tools: Table<Box<str>, Table<&'static str, Counts>>,
}

/// Bounded, and looked at for each request: of the operations' names and labels nobody can make so many that
/// collide that it would matter.
type Table<K, V> = HashMap<K, V, RandomState>;

/// As many labels are told apart in one hour.
const MOST_TOOLS: usize = 64;

/// As many things wait to be written down.
const MOST_LEFT_OVER: usize = 10_000;

/// What the others are counted under. No label can be this.
const OTHER_TOOLS: &str = "(other)";

const HOUR_MS: i64 = 3_600_000;

// === impl Book ===

impl Book {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            left_over: Mutex::default(),
            start: Instant::now(),
            date: AtomicI64::new(clock.now().as_millisecond()),
            clock,
        }
    }

    /// Looks at the clock again: it may have been set since.
    pub(super) fn look(&self) {
        let since = millis(self.start.elapsed());
        let date = self.clock.now().as_millisecond().saturating_sub(since);
        self.date.store(date, Ordering::Relaxed);
    }

    /// The date at `at`.
    pub(super) fn date(&self, at: Instant) -> Timestamp {
        Timestamp::from_millisecond(self.date_ms(at)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When that date is, no earlier than the start.
    pub(super) fn instant(&self, date: Timestamp) -> Instant {
        let ms = date.as_millisecond() - self.date.load(Ordering::Relaxed);
        self.start + std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// When that date was or is, also before the start; as early as the system can tell.
    pub(super) fn moment(&self, date: Timestamp) -> Instant {
        let date_ms = self.date.load(Ordering::Relaxed);
        let ms = date_ms.saturating_sub(date.as_millisecond());
        match u64::try_from(ms) {
            Ok(before) => {
                let before = std::time::Duration::from_millis(before);
                self.start.checked_sub(before).unwrap_or(self.start)
            }
            Err(_) => self.instant(date),
        }
    }

    /// All that counters left behind.
    pub(super) fn take(&self) -> Vec<Usage> {
        let left = std::mem::take(&mut *self.left_over());
        let usage = |((hour, credential_id, pool, tool, endpoint), counts)| Usage {
            hour,
            credential_id,
            pool,
            tool,
            endpoint,
            counts,
        };
        left.into_iter().map(usage).collect()
    }

    /// Takes them back, to be taken again.
    pub(super) fn put_back(&self, usage: Vec<Usage>) {
        let mut left = self.left_over();
        let mut lost = 0_usize;
        for one in usage {
            let thing = (
                one.hour,
                one.credential_id,
                one.pool,
                one.tool,
                one.endpoint,
            );
            if left.len() >= MOST_LEFT_OVER && !left.contains_key(&thing) {
                lost += 1;
                continue;
            }
            let counts = left.entry(thing).or_default();
            *counts = counts.plus(one.counts);
        }
        if lost > 0 {
            tracing::warn!(
                "{lost} counts of the quota are lost: they could not be written down for too long"
            );
        }
    }

    fn date_ms(&self, at: Instant) -> i64 {
        let date = self.date.load(Ordering::Relaxed);
        match at.checked_duration_since(self.start) {
            Some(since) => date.saturating_add(millis(since)),
            None => date.saturating_sub(millis(self.start - at)),
        }
    }

    fn left_over(&self) -> MutexGuard<'_, HashMap<Thing, Counts>> {
        self.left_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

// === impl Meters ===

impl Meters {
    pub(super) fn new(book: Arc<Book>, caller: Fingerprint, pool: Pool) -> Self {
        Self {
            book,
            caller,
            pool,
            counted: Mutex::default(),
        }
    }

    /// Counts `count` more of what `tool` asked for at `now`.
    pub(super) fn count(
        &self,
        tool: &str,
        endpoint: &'static str,
        of: Use,
        count: i64,
        now: Instant,
    ) {
        let hour = self.book.date_ms(now).div_euclid(HOUR_MS);
        let mut counted = self.counted();
        if counted.hour != hour {
            let past = self.drain(&mut counted);
            self.book.put_back(past);
            counted.tools.clear();
            counted.hour = hour;
        }
        let tools = &mut counted.tools;
        if let Some(endpoints) = tools.get_mut(tool) {
            endpoints.entry(endpoint).or_default().add(of, count);
            return;
        }
        let tool = match tools.len() < MOST_TOOLS {
            true => tool,
            false => OTHER_TOOLS,
        };
        let endpoints = tools.entry(tool.into()).or_default();
        endpoints.entry(endpoint).or_default().add(of, count);
    }

    /// What was counted since it was last taken.
    pub(super) fn take(&self) -> Vec<Usage> {
        let mut counted = self.counted();
        self.drain(&mut counted)
    }

    // The places stay, so that the next one of the kind allocates nothing.
    fn drain(&self, counted: &mut Counted) -> Vec<Usage> {
        let hour = Timestamp::from_second(counted.hour.saturating_mul(3600)).unwrap_or_default();
        let mut taken = Vec::new();
        for (tool, endpoints) in &mut counted.tools {
            for (endpoint, counts) in endpoints {
                let counts = std::mem::take(counts);
                if counts != Counts::default() {
                    taken.push(Usage {
                        hour,
                        credential_id: self.caller.to_string(),
                        pool: self.pool,
                        tool: tool.to_string(),
                        endpoint: (*endpoint).to_owned(),
                        counts,
                    });
                }
            }
        }
        taken
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        let left = self.take();
        if !left.is_empty() {
            self.book.put_back(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::quota::testing::ann;

    const LIST: &str = "GET /organizations/{organization_id}/groups";

    #[tokio::test]
    async fn what_waits_to_be_written_down_does_not_grow_with_each_try() {
        let book = Arc::new(Book::new(Clock::from_fn(|| Timestamp::UNIX_EPOCH)));
        let meters = Meters::new(Arc::clone(&book), ann(), Pool::Me);
        for _ in 0..100 {
            meters.count("", LIST, Use::Cached, 1, Instant::now());
            book.put_back(meters.take());
            let again = book.take();
            book.put_back(again);
        }
        let left = book.take();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].counts.cached, 100);
    }

    fn told(mut usage: Vec<Usage>) -> Vec<String> {
        usage.sort_by(|a, b| (a.hour, &a.tool).cmp(&(b.hour, &b.tool)));
        let line = |usage: &Usage| {
            let Counts {
                upstream, cached, ..
            } = usage.counts;
            format!("{} {:?} {upstream}/{cached}", usage.hour, usage.tool)
        };
        usage.iter().map(line).collect()
    }

    fn book(date: &str) -> Arc<Book> {
        let date: Timestamp = date.parse().unwrap();
        let start = Instant::now();
        let passed = move || jiff::SignedDuration::try_from(start.elapsed()).unwrap();
        Arc::new(Book::new(Clock::from_fn(move || date + passed())))
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_is_counted_in_its_hour() {
        let book = book("2026-11-24T16:59:59Z");
        let meters = Meters::new(Arc::clone(&book), ann(), Pool::Me);
        let count = |tool, of| meters.count(tool, LIST, of, 1, Instant::now());
        count("", Use::Upstream);
        count("hr-sync", Use::Cached);
        count("hr-sync", Use::Cached);
        advance(Duration::from_secs(1)).await;
        count("hr-sync", Use::Upstream);
        assert_eq!(
            told(book.take()),
            [
                r#"2026-11-24T16:00:00Z "" 1/0"#,
                r#"2026-11-24T16:00:00Z "hr-sync" 0/2"#
            ]
        );
        assert_eq!(
            told(meters.take()),
            [r#"2026-11-24T17:00:00Z "hr-sync" 1/0"#]
        );
        assert!(meters.take().is_empty(), "once");
        count("hr-sync", Use::Upstream);
        drop(meters);
        assert_eq!(
            told(book.take()),
            [r#"2026-11-24T17:00:00Z "hr-sync" 1/0"#],
            "what a counter held is left behind"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn labels_that_somebody_makes_up_are_counted_together() {
        let meters = Meters::new(book("2026-11-24T16:00:00Z"), ann(), Pool::Me);
        for number in 0..1000 {
            let tool = number.to_string();
            meters.count(&tool, LIST, Use::Upstream, 1, Instant::now());
        }
        let usage = meters.take();
        assert_eq!(usage.len(), MOST_TOOLS + 1);
        let other = usage.iter().find(|usage| usage.tool == OTHER_TOOLS);
        assert_eq!(other.unwrap().counts.upstream, 1000 - 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_is_told_of_an_instant_and_back() {
        let book = book("2026-11-24T16:00:00Z");
        advance(Duration::from_secs(90)).await;
        let now = Instant::now();
        assert_eq!(book.date(now).to_string(), "2026-11-24T16:01:30Z");
        assert_eq!(book.instant(book.date(now)), now);
        book.look();
        assert_eq!(book.date(now).to_string(), "2026-11-24T16:01:30Z");
    }
}
