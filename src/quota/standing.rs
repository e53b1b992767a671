//! Whether a request may go up, by what upstream last told: a value, told what time it is.
//!
//! **Guarantees** (DESIGN §5). Where nothing is left, nothing goes up until the reset but changes; then
//! one request at a time tries, and the rest goes on being refused until upstream has answered it.
//! What a request that was sent earlier is told later changes nothing: answers count in the order in
//! which their requests were sent.
//!
//! After the reset perhaps a single request is free, because the hour slides and its oldest request
//! alone has left it. So a reset opens nothing by itself: the one that tries does, by its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::reading::{Exhausted, Reading, WINDOW};

/// What a request is for; those before others go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A change. Somebody means it, so upstream decides about it and nobody here.
    Change,
    /// A read that somebody waits for.
    #[default]
    Read,
    /// A read that nobody waits for.
    Refresh,
}

/// How much of a quota is known to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Enough, or nobody told.
    Open,
    /// No more than is kept for changes.
    Reserve,
    /// Nothing, until its reset.
    Closed,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It goes up.
    Go,
    /// It goes up, and whoever comes meanwhile is refused: its number.
    Probe(u64),
    /// It is not sent.
    Refuse(Exhausted),
}

/// What an answer said of the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Figures.
    Figures(Reading),
    /// That it is gone.
    Exhausted(Exhausted),
    /// Without figures, what only a request gets that was let in.
    Admitted,
    /// Nothing.
    Nothing,
}

/// What is known of one quota.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    told: Option<Told>,
    probe: Option<u64>,
    probes: u64,
}

#[derive(Clone, Debug)]
struct Told {
    remaining: u64,
    resets_at: Instant,
    message: Option<Arc<str>>,
    /// When the request was sent that was answered so.
    sent: Instant,
    heard: Instant,
}

// Until a probe is answered, come back in a moment.
const MOMENT: Duration = Duration::from_secs(1);

// === impl Standing ===

impl Standing {
    /// How much is left.
    pub(super) fn stance(&self, reserve: u64, now: Instant) -> Stance {
        match &self.told {
            Some(told) if told.remaining == 0 && (told.holds(now) || self.probe.is_some()) => {
                Stance::Closed
            }
            Some(told) if told.holds(now) && told.remaining <= reserve => Stance::Reserve,
            _ => Stance::Open,
        }
    }

    /// What becomes of a request that comes now. Whoever is let through as a probe must tell what it
    /// heard, or [give up](Self::give_up).
    pub(super) fn decide(&mut self, priority: Priority, reserve: u64, now: Instant) -> Decision {
        if priority == Priority::Change {
            return Decision::Go;
        }
        if let Some(told) = &self.told
            && told.remaining == 0
            // An hour after the reset every request of before has left the hour.
            && now < told.resets_at + WINDOW
        {
            let refuse = |resets_in| {
                Decision::Refuse(Exhausted {
                    message: told.message.clone(),
                    resets_in,
                })
            };
            if told.holds(now) {
                return refuse(told.resets_at - now);
            }
            if self.probe.is_some() {
                return refuse(MOMENT);
            }
            self.probes += 1;
            self.probe = Some(self.probes);
            return Decision::Probe(self.probes);
        }
        match (priority, self.stance(reserve, now), &self.told) {
            // Nobody waits for it, and somebody may need what is left.
            (Priority::Refresh, Stance::Reserve, Some(told)) => Decision::Refuse(Exhausted {
                message: None,
                resets_in: told.resets_at - now,
            }),
            _ => Decision::Go,
        }
    }

    /// Takes over what the request that was `sent` then was answered.
    pub(super) fn hear(&mut self, sent: Instant, heard: Heard, now: Instant) {
        let (remaining, resets_at, message) = match heard {
            Heard::Figures(reading) => (reading.remaining, reading.resets_at, None),
            Heard::Exhausted(gone) => (0, now + gone.resets_in, gone.message),
            Heard::Admitted => {
                // It was let in, so what was told before no longer holds.
                let over = |told: &Told| told.remaining == 0 && !told.holds(sent);
                self.told = self.told.take().filter(|told| !over(told));
                return;
            }
            Heard::Nothing => return,
        };
        if self.told.as_ref().is_some_and(|told| told.sent > sent) {
            return;
        }
        // A later refusal may come without words; the ones from before are still upstream's.
        let before = self.told.take().and_then(|told| told.message);
        self.told = Some(Told {
            remaining,
            resets_at,
            message: message.or_else(|| before.filter(|_| remaining == 0)),
            sent,
            heard: now,
        });
    }

    /// Lets another probe try, if `probe` is the one that tries now.
    pub(super) fn give_up(&mut self, probe: u64) {
        self.probe = self.probe.filter(|trying| *trying != probe);
    }

    /// What was told last, unless there is more by now.
    pub(super) fn last(&self, now: Instant) -> Option<Reading> {
        let told = self.told.as_ref().filter(|told| told.holds(now))?;
        Some(Reading {
            remaining: told.remaining,
            resets_at: told.resets_at,
        })
    }

    /// All that was told last: figures, words, and when.
    pub(super) fn told(&self) -> Option<(Reading, Option<Arc<str>>, Instant)> {
        let told = self.told.as_ref()?;
        let reading = Reading {
            remaining: told.remaining,
            resets_at: told.resets_at,
        };
        Some((reading, told.message.clone(), told.heard))
    }

    /// Takes over what `other` knows, if it is newer.
    pub(super) fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.told
            && self
                .told
                .as_ref()
                .is_none_or(|ours| ours.sent < theirs.sent)
        {
            self.told = Some(theirs.clone());
        }
    }

    /// Takes over what was told at `at`, before a restart, unless what is known is newer.
    pub(super) fn restore(&mut self, reading: Reading, message: Option<Arc<str>>, at: Instant) {
        if self.told.as_ref().is_none_or(|known| known.sent < at) {
            self.told = Some(Told {
                remaining: reading.remaining,
                resets_at: reading.resets_at,
                message,
                sent: at,
                heard: at,
            });
        }
    }
}

// === impl Told ===

impl Told {
    // The quota was not filled up since.
    fn holds(&self, now: Instant) -> bool {
        now < self.resets_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 10;

    struct Hour {
        standing: Standing,
        start: Instant,
    }

    impl Hour {
        fn new() -> Self {
            Self {
                standing: Standing::default(),
                start: Instant::now(),
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn read(&mut self, second: u64) -> Decision {
            let now = self.at(second);
            self.standing.decide(Priority::Read, RESERVE, now)
        }

        fn told(&mut self, sent: u64, remaining: u64, resets_at: u64, now: u64) {
            let reading = Reading {
                remaining,
                resets_at: self.at(resets_at),
            };
            let (sent, now) = (self.at(sent), self.at(now));
            self.standing.hear(sent, Heard::Figures(reading), now);
        }

        fn gone(&mut self, sent: u64, seconds: u64, now: u64) {
            let gone = Exhausted {
                message: Some("hourly limit".into()),
                resets_in: Duration::from_secs(seconds),
            };
            let (sent, now) = (self.at(sent), self.at(now));
            self.standing.hear(sent, Heard::Exhausted(gone), now);
        }

        fn stance(&self, second: u64) -> Stance {
            self.standing.stance(RESERVE, self.at(second))
        }
    }

    fn refused(decision: &Decision) -> u64 {
        match decision {
            Decision::Refuse(gone) => gone.resets_in.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_refused_that_nobody_told_of() {
        let mut hour = Hour::new();
        assert_eq!(hour.stance(0), Stance::Open);
        assert_eq!(hour.read(0), Decision::Go);
        hour.told(0, 11, 3600, 1);
        assert_eq!(hour.stance(1), Stance::Open);
        hour.told(2, 10, 3600, 3);
        assert_eq!(hour.stance(3), Stance::Reserve);
        assert_eq!(
            hour.read(3),
            Decision::Go,
            "a read that nothing stale answers"
        );
        assert_eq!(hour.stance(3600), Stance::Open, "filled up again");
    }

    #[test]
    fn in_a_closed_hour_only_changes_go_up() {
        let mut hour = Hour::new();
        hour.gone(0, 600, 1);
        for second in 1..601 {
            assert_eq!(hour.stance(second), Stance::Closed);
            let decision = hour.read(second);
            assert_eq!(refused(&decision), 601 - second, "a countdown");
            let Decision::Refuse(gone) = decision else {
                panic!()
            };
            assert_eq!(gone.message.as_deref(), Some("hourly limit"));
            let now = hour.at(second);
            let change = hour.standing.decide(Priority::Change, RESERVE, now);
            assert_eq!(change, Decision::Go);
        }
    }

    #[test]
    fn after_the_reset_one_tries_and_its_answer_decides() {
        let mut hour = Hour::new();
        hour.gone(0, 600, 0);
        let Decision::Probe(probe) = hour.read(600) else {
            panic!()
        };
        for _ in 0..100 {
            assert_eq!(refused(&hour.read(601)), 1);
        }
        assert_eq!(hour.stance(601), Stance::Closed);
        hour.gone(600, 300, 602);
        hour.standing.give_up(probe);
        assert_eq!(refused(&hour.read(603)), 299, "closed once more");
        let Decision::Probe(probe) = hour.read(902) else {
            panic!()
        };
        hour.told(902, 2, 4000, 903);
        hour.standing.give_up(probe);
        assert_eq!(hour.read(904), Decision::Go);
        assert_eq!(hour.stance(904), Stance::Reserve);
    }

    #[test]
    fn a_probe_that_comes_to_nothing_makes_room_for_the_next_and_only_once() {
        let mut hour = Hour::new();
        hour.gone(0, 600, 0);
        let Decision::Probe(first) = hour.read(600) else {
            panic!()
        };
        hour.standing.give_up(first);
        let Decision::Probe(second) = hour.read(601) else {
            panic!()
        };
        hour.standing.give_up(first);
        assert_eq!(refused(&hour.read(602)), 1, "{second} still tries");
    }

    #[test]
    fn an_answer_without_figures_opens_only_what_was_to_be_tried() {
        let mut hour = Hour::new();
        hour.gone(0, 600, 0);
        let (early, late, now) = (hour.at(10), hour.at(600), hour.at(601));
        hour.standing.hear(early, Heard::Admitted, now);
        assert!(matches!(hour.read(601), Decision::Probe(1)));
        hour.standing.hear(late, Heard::Nothing, now);
        hour.standing.give_up(1);
        assert!(matches!(hour.read(601), Decision::Probe(2)));
        hour.standing.hear(late, Heard::Admitted, now);
        assert_eq!(hour.read(601), Decision::Go);
    }

    #[test]
    fn an_hour_after_the_reset_nobody_needs_to_try() {
        let mut hour = Hour::new();
        hour.gone(0, 600, 0);
        assert_eq!(hour.read(600 + 3600), Decision::Go);
        assert_eq!(hour.read(600 + 3600), Decision::Go);
    }

    #[test]
    fn what_an_older_request_is_told_late_changes_nothing() {
        let mut hour = Hour::new();
        hour.gone(5, 600, 6);
        hour.told(4, 20, 3600, 7);
        assert_eq!(hour.stance(7), Stance::Closed, "not opened again");
        hour.told(8, 20, 3600, 9);
        assert_eq!(hour.stance(9), Stance::Open, "a change was let in later");
        hour.gone(7, 600, 10);
        assert_eq!(hour.stance(10), Stance::Open, "nor closed");
    }

    #[test]
    fn what_nobody_waits_for_leaves_the_reserve_alone() {
        let mut hour = Hour::new();
        hour.told(0, 10, 60, 0);
        let now = hour.at(1);
        let refresh = hour.standing.decide(Priority::Refresh, RESERVE, now);
        assert_eq!(refused(&refresh), 59);
        hour.told(2, 11, 60, 2);
        let now = hour.at(3);
        let refresh = hour.standing.decide(Priority::Refresh, RESERVE, now);
        assert_eq!(refresh, Decision::Go);
    }
}
