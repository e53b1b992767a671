//! How long a list is fresh, so that what is left of the quota lasts to its reset.
//!
//! **Guarantee**: pure, and it does not swing. A list that is in use costs one request each time it
//! expires. Asked whether one is over, at a moment when `spendable` requests may be spent until the
//! reset: one would be spent now, and what is left then has to last, so the time is
//! `lists × resets_in / (spendable − 1)`. Then the next answer is the same time again, because what is
//! left and the time to the reset shrink alike. What else is spent is measured apart from what expiring
//! lists cost: otherwise a longer time would look like a lower need, and shorten itself.
//!
//! `docs/quota.md` shows it in a picture.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::reading::Reading;

/// What the time is computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    /// Requests left.
    pub(super) remaining: u64,
    /// Requests kept for changes.
    pub(super) reserve: u64,
    /// Until there are more.
    pub(super) resets_in: Duration,
    /// Lists that somebody asks for.
    pub(super) lists: usize,
    /// Requests a second that go up for anything else.
    pub(super) others: f64,
}

/// What an account's requests were for, of late.
#[derive(Debug, Default)]
pub(super) struct Habits {
    // By what is a hash already.
    lists: HashMap<u64, Instant, RandomState>,
    others: VecDeque<(Instant, u32)>,
    // What was computed last, from what, and when.
    last: Option<(Instant, Duration, Duration, Duration)>,
}

// A list that nobody asked for in so long is not in use, however long it is fresh.
const IN_USE: Duration = Duration::from_secs(300);

// A rate over less would jump with each request, one over more would not notice that a tool stopped.
const SPAN: Duration = Duration::from_secs(600);

// One number a minute is enough for a rate over ten.
const STEP: Duration = Duration::from_secs(60);

// As many lists of one account are told apart; nobody has as many groups and workspaces.
const MOST_LISTS: usize = 1024;

// A hit must not walk through all lists: what was computed holds for a moment.
const HOLDS: Duration = Duration::from_secs(1);

// === impl Need ===

impl Need {
    /// How long a list is fresh: `ttl`, or as much longer as it takes, up to `most`.
    pub(super) fn freshness(&self, ttl: Duration, most: Duration) -> Duration {
        let most = most.max(ttl);
        let seconds = self.resets_in.as_secs_f64();
        // Counts of requests are far below what a float holds exactly.
        let (left, lists) = (
            self.remaining.saturating_sub(self.reserve) as f64,
            self.lists as f64,
        );
        let spendable = left - self.others * seconds;
        if spendable >= lists && spendable > 0.0 && self.resets_in <= ttl {
            // One for each, and the next one is due when there are more again.
            return ttl;
        }
        let afterwards = spendable - 1.0;
        if afterwards <= 0.0 {
            return most;
        }
        let needed = lists * seconds / afterwards;
        Duration::try_from_secs_f64(needed).map_or(most, |needed| needed.clamp(ttl, most))
    }
}

// === impl Habits ===

impl Habits {
    /// Somebody asked for this list.
    pub(super) fn asked(&mut self, list: u64, now: Instant) {
        if let Some(last) = self.lists.get_mut(&list) {
            *last = now.max(*last);
            return;
        }
        if self.lists.len() >= MOST_LISTS {
            let window = self.window();
            self.lists.retain(|_, last| *last + window > now);
        }
        if self.lists.len() < MOST_LISTS {
            self.lists.insert(list, now);
        }
    }

    /// A request went up for something else than an expired list.
    pub(super) fn spent(&mut self, now: Instant) {
        match self.others.back_mut() {
            Some((since, count)) if *since + STEP > now => *count += 1,
            _ => self.others.push_back((now, 1)),
        }
        self.forget(now);
    }

    /// What was `spent` then was not: it reached nobody.
    pub(super) fn unspent(&mut self, spent: Instant) {
        let mut steps = self.others.iter_mut().rev();
        if let Some((_, count)) = steps.find(|(since, _)| *since <= spent) {
            *count = count.saturating_sub(1);
        }
    }

    /// How long a list is fresh now, by what was told last.
    pub(super) fn freshness(
        &mut self,
        reading: Option<Reading>,
        reserve: u64,
        ttl: Duration,
        most: Duration,
        now: Instant,
    ) -> Duration {
        // Nobody said that there is a quota, or it was filled up since.
        let Some(reading) = reading else {
            return ttl;
        };
        if let Some((at, of, within, last)) = self.last
            && (of, within) == (ttl, most)
            && now < at + HOLDS
        {
            return last;
        }
        let need = Need {
            remaining: reading.remaining,
            reserve,
            resets_in: reading.resets_at.saturating_duration_since(now),
            lists: self.lists_in_use(now),
            others: self.others(now),
        };
        let freshness = need.freshness(ttl, most);
        self.last = Some((now, ttl, most, freshness));
        freshness
    }

    /// What was told now counts at once.
    pub(super) fn reconsider(&mut self) {
        // The time itself stays: it says how long a list may be unasked for and be in use.
        if let Some((at, ..)) = &mut self.last {
            *at = at.checked_sub(HOLDS).unwrap_or(*at);
        }
    }

    fn lists_in_use(&self, now: Instant) -> usize {
        let window = self.window();
        let in_use = self.lists.values().filter(|last| **last + window > now);
        in_use.count()
    }

    // A list that is fresh for long is asked for by its users no less; but a single one may ask once a
    // freshness.
    fn window(&self) -> Duration {
        let last = self.last.map_or(Duration::ZERO, |(.., last)| last);
        IN_USE.max(last.saturating_mul(2))
    }

    fn others(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let count: u32 = self.others.iter().map(|(_, count)| count).sum();
        f64::from(count) / SPAN.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        while self
            .others
            .front()
            .is_some_and(|(since, _)| *since + SPAN <= now)
        {
            self.others.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);
    const MOST: Duration = Duration::from_secs(3660);

    fn need(remaining: u64, resets_in: u64, lists: usize) -> Need {
        Need {
            remaining,
            reserve: 10,
            resets_in: Duration::from_secs(resets_in),
            lists,
            others: 0.0,
        }
    }

    fn seconds(need: Need) -> u64 {
        need.freshness(TTL, MOST).as_secs()
    }

    #[test]
    fn with_enough_left_a_list_is_fresh_for_its_ttl() {
        assert_eq!(seconds(need(240, 3600, 3)), 60);
        assert_eq!(seconds(need(11, 60, 1)), 60);
        assert_eq!(seconds(need(240, 3600, 0)), 60);
    }

    #[test]
    fn with_too_little_it_is_fresh_as_long_as_it_takes() {
        assert_eq!(
            seconds(need(30, 3600, 3)),
            568,
            "of 20 requests one now, 19 for an hour"
        );
        let others = Need {
            others: 10.0 / 3600.0,
            ..need(30, 3600, 3)
        };
        assert_eq!(seconds(others), 1200, "10 of the 20 go elsewhere");
    }

    #[test]
    fn with_nothing_to_spend_it_is_as_old_as_it_may_be() {
        assert_eq!(seconds(need(10, 3600, 1)), 3660);
        assert_eq!(seconds(need(0, 3600, 0)), 3660);
        assert_eq!(seconds(need(11, 3600, 50)), 3660, "bounded");
        assert_eq!(need(0, 60, 1).freshness(TTL, Duration::ZERO), TTL);
    }

    // An hour of three lists that are asked for all the time, on Free: the quota lasts, and the time
    // neither swings nor drifts.
    #[test]
    fn what_is_left_lasts_to_the_reset_without_swinging() {
        let start = Instant::now();
        let mut habits = Habits::default();
        let resets_at = start + Duration::from_secs(3600);
        let (mut remaining, mut fetched) = (30_u64, [None::<Instant>; 3]);
        let mut gaps = Vec::new();
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            for (list, at) in fetched.iter_mut().enumerate() {
                let reading = Reading {
                    remaining,
                    resets_at,
                };
                habits.asked(list as u64, now);
                let fresh = habits.freshness(Some(reading), 10, TTL, MOST, now);
                if at.is_none_or(|at| now >= at + fresh) {
                    gaps.extend(at.map(|at| (now - at).as_secs()));
                    *at = Some(now);
                    remaining -= 1;
                    habits.reconsider();
                }
            }
        }
        assert!((10..=11).contains(&remaining), "{remaining} left");
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least >= 550 && *most <= 650, "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_nobody_asks_for_needs_nothing() {
        let mut habits = Habits::default();
        let now = Instant::now();
        for list in 0..40 {
            habits.asked(list, now);
        }
        assert_eq!(habits.lists_in_use(now), 40);
        let later = now + IN_USE;
        habits.asked(0, later);
        assert_eq!(habits.lists_in_use(later), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_bounded_and_those_in_use_stay() {
        let mut habits = Habits::default();
        let now = Instant::now();
        for list in 0..5000 {
            habits.asked(list, now);
        }
        assert_eq!(habits.lists.len(), MOST_LISTS);
        habits.asked(9999, now + IN_USE);
        assert_eq!(habits.lists_in_use(now + IN_USE), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_reached_nobody_was_not_spent() {
        let mut habits = Habits::default();
        let start = Instant::now();
        habits.unspent(start);
        for minute in 0..2 {
            habits.spent(start + STEP * minute);
        }
        habits.unspent(start);
        habits.unspent(start);
        assert_eq!(habits.others, [(start, 0), (start + STEP, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_is_spent_is_a_rate_over_ten_minutes() {
        let mut habits = Habits::default();
        let start = Instant::now();
        for minute in 0..60 {
            habits.spent(start + STEP * minute);
        }
        let now = start + STEP * 59;
        assert!((habits.others(now) - 10.0 / 600.0).abs() < 1e-9);
        assert!(habits.others(now + SPAN) < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_computed_holds_for_a_moment_or_until_something_is_told() {
        let mut habits = Habits::default();
        let now = Instant::now();
        habits.asked(1, now);
        let reading = |remaining| {
            Some(Reading {
                remaining,
                resets_at: now + Duration::from_secs(3600),
            })
        };
        let of = |habits: &mut Habits, remaining| {
            habits
                .freshness(reading(remaining), 10, TTL, MOST, now)
                .as_secs()
        };
        assert_eq!(of(&mut habits, 12), 3600);
        assert_eq!(of(&mut habits, 20), 3600, "for a moment");
        habits.reconsider();
        assert_eq!(of(&mut habits, 20), 400);
        assert_eq!(habits.freshness(None, 10, TTL, MOST, now), TTL);
    }
}
