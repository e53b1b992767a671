//! How many requests somebody has left: the sliding hour and the leaky bucket. How long an hour is, is told
//! too: a bench plays one in a minute.
//!
//! **Guarantee**: pure. Both are values that are told what time it is and return a verdict; who
//! answers `402` or `429` for it is [`state`](super::state). So a test moves time by adding to an
//! instant, and nothing here waits.
//!
//! A request about the user (`/me…`) is counted by itself, every other by person **and**
//! organization, as upstream does. An hour costs at most `limit` instants per counter.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::{OrganizationId, UserId};

/// What a request is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    /// Requests of a person about themselves.
    Me(UserId),
    /// Requests of a person in an organization.
    Organization(UserId, OrganizationId),
}

/// What the counter says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether the request may go on.
    pub(super) admitted: bool,
    /// How many more would be admitted now.
    pub(super) remaining: usize,
    /// When the oldest request that still counts stops counting.
    pub(super) resets_in: Duration,
}

/// The requests of the last hour.
#[derive(Debug, Default)]
pub(super) struct Window {
    taken: VecDeque<Instant>,
}

/// A bucket that every request pours one drop into, and that leaks one a second.
#[derive(Debug)]
pub(super) struct Bucket {
    level: f64,
    at: Instant,
}

// === impl Counter ===

impl Counter {
    /// The sentence in the `402` that says which quota is gone.
    pub(super) fn message(self, limit: usize, resets_in: Duration) -> String {
        let seconds = whole_seconds(resets_in);
        match self {
            Self::Me(_) => format!(
                "You have hit your hourly limit of {limit} user-specific API requests. \
                 The quota will reset in {seconds} seconds."
            ),
            Self::Organization(_, organization) => format!(
                "You have hit your hourly limit of {limit} API requests for organization \
                 {organization}. The quota will reset in {seconds} seconds."
            ),
        }
    }
}

// === impl Window ===

impl Window {
    /// Counts a request that came at `now`, unless `limit` others came in the `hour` before.
    pub(super) fn take(&mut self, now: Instant, limit: usize, hour: Duration) -> Verdict {
        while self
            .taken
            .front()
            .is_some_and(|at| now.duration_since(*at) >= hour)
        {
            self.taken.pop_front();
        }
        let admitted = self.taken.len() < limit;
        if admitted {
            self.taken.push_back(now);
        }
        let oldest = self.taken.front().copied().unwrap_or(now);
        Verdict {
            admitted,
            remaining: limit.saturating_sub(self.taken.len()),
            resets_in: hour.saturating_sub(now.duration_since(oldest)),
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// An empty one.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            level: 0.0,
            at: now,
        }
    }

    /// Pours one drop in, and says whether it fitted into a bucket for `burst` drops.
    pub(super) fn pour(&mut self, now: Instant, burst: u32) -> bool {
        let leaked = now.duration_since(self.at).as_secs_f64();
        self.level = (self.level - leaked).max(0.0);
        self.at = now;
        let fits = self.level + 1.0 <= f64::from(burst);
        if fits {
            self.level += 1.0;
        }
        fits
    }
}

/// Rounded up: a client that sleeps for that long must not come back too early.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_request_counts_for_an_hour_and_not_longer() {
        let start = Instant::now();
        let mut window = Window::default();
        let mut take = |after| window.take(start + after, 2, HOUR);
        assert_eq!(take(Duration::ZERO).remaining, 1);
        assert_eq!(take(Duration::from_secs(600)).remaining, 0);

        let refused = take(Duration::from_secs(3599));
        assert!(!refused.admitted);
        assert_eq!(refused.resets_in, Duration::from_secs(1));

        let admitted = take(HOUR);
        assert!(admitted.admitted, "the first has left the hour");
        assert_eq!(admitted.remaining, 0, "the second has not");
        assert_eq!(admitted.resets_in, Duration::from_secs(600));
    }

    #[test]
    fn a_refused_request_does_not_keep_the_quota_closed() {
        let start = Instant::now();
        let mut window = Window::default();
        let mut take = |after| window.take(start + after, 1, HOUR);
        take(Duration::ZERO);
        for second in 1..3600 {
            assert!(!take(Duration::from_secs(second)).admitted);
        }
        assert!(take(HOUR).admitted);
    }

    #[test]
    fn the_bucket_takes_a_burst_and_then_one_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!(bucket.pour(start, 2) && bucket.pour(start, 2));
        assert!(!bucket.pour(start + Duration::from_millis(999), 2));
        assert!(bucket.pour(start + Duration::from_millis(1000), 2));
        assert!(!bucket.pour(start + Duration::from_millis(1000), 2));
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(1)), 1);
    }
}
