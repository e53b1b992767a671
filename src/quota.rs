//! What is left of the quota, as far as upstream's answers told.
//!
//! Upstream counts per person and organization, apart from what is about the person alone, and says on
//! its answers what is left. Kept here per credential and [`Pool`], in memory, in a bounded table: after a restart the next answer tells
//! again.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use moka::sync::Cache;
use tokio::time::Instant;

use crate::domain::caller::Fingerprint;
use crate::domain::ids::OrganizationId;

/// How many requests are left.
pub const REMAINING: HeaderName = HeaderName::from_static("x-toggl-quota-remaining");

/// In how many seconds there will be more.
pub const RESETS_IN: HeaderName = HeaderName::from_static("x-toggl-quota-resets-in");

/// How much is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Enough, as far as anybody told.
    Open,
    /// What is left is for changes.
    Reserve,
    /// Nothing.
    Closed,
}

/// What one answer told of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Requests left in this hour.
    pub remaining: u64,
    /// When there will be more.
    pub resets_at: Instant,
}

/// What upstream counts a request against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// The person's requests in an organization.
    Organization(OrganizationId),
    /// The person's requests about themselves.
    Me,
    /// The request does not say.
    Unclear,
}

/// The last reading of each credential and pool.
#[derive(Clone, Debug)]
pub struct Readings(Cache<(Fingerprint, Pool), Reading>);

// An hour is upstream's window: an older reading says nothing.
const WINDOW: Duration = Duration::from_secs(3600);
const MOST: u64 = 10_000;

// === impl Reading ===

impl Reading {
    /// Reads `X-Toggl-Quota-Remaining` and `X-Toggl-Quota-Resets-In`; `None` unless both are there.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Instant) -> Option<Self> {
        let number =
            |name: HeaderName| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let resets_in = Duration::from_secs(number(RESETS_IN)?).min(WINDOW);
        Some(Self {
            remaining: number(REMAINING)?,
            resets_at: now + resets_in,
        })
    }
}

// === impl Pool ===

impl Pool {
    /// The pool of requests in `organization`, if they say which.
    #[must_use]
    pub fn of(organization: Option<OrganizationId>) -> Self {
        organization.map_or(Self::Unclear, Self::Organization)
    }
}

// === impl Readings ===

impl Readings {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MOST)
                .time_to_live(WINDOW)
                .build(),
        )
    }

    /// Takes over what an answer told.
    pub fn note(&self, caller: Fingerprint, pool: Pool, reading: Reading) {
        self.0.insert((caller, pool), reading);
    }

    /// The last reading, unless the quota was filled up again since.
    #[must_use]
    pub fn last(&self, caller: Fingerprint, pool: Pool, now: Instant) -> Option<Reading> {
        self.0
            .get(&(caller, pool))
            .filter(|reading| reading.resets_at > now)
    }

    /// How much is left.
    #[must_use]
    pub fn stance(&self, caller: Fingerprint, pool: Pool, reserve: u64, now: Instant) -> Stance {
        match self.last(caller, pool, now) {
            Some(reading) if reading.remaining == 0 => Stance::Closed,
            Some(reading) if reading.remaining <= reserve => Stance::Reserve,
            Some(_) | None => Stance::Open,
        }
    }

    /// Whether more than `reserve` requests are left, as far as anybody told.
    #[must_use]
    pub fn affords(&self, caller: Fingerprint, pool: Pool, reserve: u64, now: Instant) -> bool {
        self.last(caller, pool, now)
            .is_none_or(|reading| reading.remaining > reserve)
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::{Credential, Key};

    fn headers(remaining: &str, resets_in: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-toggl-quota-remaining", remaining.parse().unwrap());
        headers.insert("x-toggl-quota-resets-in", resets_in.parse().unwrap());
        headers.insert("authorization", "Basic x".parse().unwrap());
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_ends_when_the_quota_is_filled_up_again() {
        let now = Instant::now();
        let reading = Reading::of(&headers("7", "60"), now).unwrap();
        assert_eq!(reading.remaining, 7);
        assert_eq!(Reading::of(&headers("seven", "60"), now), None);
        let caller = Key::new(&[1; 32]).fingerprint(&Credential::of(&headers("1", "1")).unwrap());
        let readings = Readings::new();
        let (pool, later) = (Pool::Me, now + Duration::from_secs(60));
        readings.note(caller, pool, reading);
        assert_eq!(
            readings.last(caller, pool, later - Duration::from_secs(1)),
            Some(reading)
        );
        assert_eq!(readings.last(caller, pool, later), None);
        assert_eq!(readings.last(caller, Pool::Unclear, now), None);
        assert!(readings.affords(caller, pool, 6, now));
        assert!(!readings.affords(caller, pool, 7, now));
        assert!(readings.affords(caller, pool, 7, later), "filled up again");
    }
}
