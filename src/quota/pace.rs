//! Spaces the requests of a token, after upstream said that they come too fast.
//!
//! **Guarantees** (CONTRACT §2, `quota.pace`). While a token is spaced, its requests go up at most once
//! a second: changes before reads, reads before refreshes, each in the order in which they came. Who
//! would wait longer than `quota.max_wait` is told so at once, and by then nothing was sent. Whoever
//! leaves the line, by whatever way, leaves no gap in it.
//!
//! Upstream's bucket leaks about one request a second for each token, so a slower pace would waste
//! what it allows.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Settings;
use super::standing::Priority;
use crate::live::Live;

/// When a token is spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// For a minute after upstream answered 429.
    #[default]
    AfterLimit,
    /// At any time.
    Always,
    /// Never.
    Never,
}

/// The requests of one token that wait for their turn.
#[derive(Debug)]
pub struct Spacing {
    settings: Live<Settings>,
    line: Mutex<Line>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Line {
    spaced_until: Option<Instant>,
    /// When the next one may go.
    next: Option<Instant>,
    waiting: BTreeSet<Ticket>,
    tickets: u64,
}

/// A place in the line: by priority, then by who came first.
type Ticket = (Priority, u64);

#[derive(Debug, PartialEq, Eq)]
enum Joined {
    Free,
    Waits(Ticket),
    TooLong(Duration),
}

/// From one request to the next.
pub(super) const GAP: Duration = Duration::from_secs(1);

/// How long a token is spaced after a 429; longer than that it is left alone by no answer.
pub const SPACED: Duration = Duration::from_secs(60);

// === impl Spacing ===

impl Spacing {
    pub(super) fn new(settings: Live<Settings>) -> Self {
        Self {
            settings,
            line: Mutex::default(),
            moved: Notify::new(),
        }
    }

    /// Whether a request that comes now would have to ask for its turn.
    #[must_use]
    pub fn applies(&self, now: Instant) -> bool {
        self.line().is_spaced(self.settings.read().pace, now)
    }

    /// Upstream said that requests come too fast, and that the next one shall wait for so long; it
    /// waits for no more than [`SPACED`].
    pub fn limited(&self, wait: Duration, now: Instant) {
        if self.settings.read().pace != Pace::Never {
            self.line().limited(wait, now);
        }
    }

    /// Returns when it is this request's turn, and whether it had to wait. It may wait until `latest`.
    ///
    /// # Errors
    ///
    /// How long it would have had to wait, when that is longer. Then its turn is somebody else's.
    pub async fn turn(&self, priority: Priority, latest: Instant) -> Result<bool, Duration> {
        let now = Instant::now();
        let ticket = match self
            .line()
            .join(self.settings.read().pace, priority, latest, now)
        {
            Joined::Free => return Ok(false),
            Joined::TooLong(wait) => return Err(wait),
            Joined::Waits(ticket) => ticket,
        };
        let place = Place {
            spacing: self,
            ticket,
        };
        loop {
            // Made before the line is looked at: what moves in between is not missed.
            let moved = self.moved.notified();
            let now = Instant::now();
            let next = match self.line().take(ticket, now) {
                None => return Ok(true),
                Some(next) => next,
            };
            if now >= latest {
                drop(place);
                return Err(next.saturating_duration_since(now).max(GAP));
            }
            tokio::select! {
                () = sleep_until(next.min(latest)) => {}
                () = moved => {}
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing panics while it is held.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits. Gone, their place is free.
struct Place<'a> {
    spacing: &'a Spacing,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.spacing.line().waiting.remove(&self.ticket);
        self.spacing.moved.notify_waiters();
    }
}

// === impl Line ===

impl Line {
    // Who waits already is not overtaken because the minute is over.
    fn is_spaced(&self, pace: Pace, now: Instant) -> bool {
        match pace {
            Pace::Never => false,
            Pace::Always => true,
            Pace::AfterLimit => {
                !self.waiting.is_empty() || self.spaced_until.is_some_and(|until| now < until)
            }
        }
    }

    fn limited(&mut self, wait: Duration, now: Instant) {
        // Not beyond the minute: what an answer says must not lock its token, changes included, for
        // longer than the spacing lasts that comes of it.
        self.spaced_until = Some(now + SPACED);
        let next = now + wait.clamp(GAP, SPACED);
        self.next = Some(self.next.map_or(next, |known| known.max(next)));
    }

    fn join(&mut self, pace: Pace, priority: Priority, latest: Instant, now: Instant) -> Joined {
        if !self.is_spaced(pace, now) {
            return Joined::Free;
        }
        let next = self.next.filter(|next| *next > now).unwrap_or(now);
        if self.waiting.is_empty() && next == now {
            self.next = Some(now + GAP);
            return Joined::Free;
        }
        let ticket = (priority, self.tickets);
        let turn = self.turn_of(ticket, next);
        if turn > latest {
            return Joined::TooLong(turn - now);
        }
        self.tickets += 1;
        self.waiting.insert(ticket);
        Joined::Waits(ticket)
    }

    // `None`: it may go, and its place is free. Else when to look again.
    fn take(&mut self, ticket: Ticket, now: Instant) -> Option<Instant> {
        let next = self.next.filter(|next| *next > now);
        let is_first = self.waiting.first() == Some(&ticket);
        if let (None, true) = (next, is_first) {
            self.waiting.remove(&ticket);
            self.next = Some(now + GAP);
            return None;
        }
        Some(self.turn_of(ticket, next.unwrap_or(now)))
    }

    fn turn_of(&self, ticket: Ticket, next: Instant) -> Instant {
        let ahead = self.waiting.range(..ticket).count();
        next + GAP * u32::try_from(ahead).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    fn spacing(pace: Pace) -> Spacing {
        let settings = Settings {
            pace,
            ..Settings::default()
        };
        Spacing::new(settings.into())
    }

    const MAX_WAIT: Duration = Duration::from_secs(10);

    fn latest() -> Instant {
        Instant::now() + MAX_WAIT
    }

    fn spaced() -> Arc<Spacing> {
        let spacing = Arc::new(spacing(Pace::AfterLimit));
        spacing.limited(GAP, Instant::now());
        spacing
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_spaced_for_a_minute_after_a_429_and_not_before() {
        let spacing = spacing(Pace::AfterLimit);
        let start = Instant::now();
        assert!(!spacing.applies(start));
        assert_eq!(spacing.turn(Priority::Read, latest()).await, Ok(false));
        spacing.limited(GAP, start);
        assert!(spacing.applies(start + SPACED - Duration::from_millis(1)));
        assert!(!spacing.applies(start + SPACED));
        assert_eq!(spacing.turn(Priority::Read, latest()).await, Ok(true));
        assert_eq!(start.elapsed(), GAP);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_stops_a_token_for_longer_than_its_minute() {
        for pace in [Pace::AfterLimit, Pace::Always] {
            let spacing = spacing(pace);
            spacing.limited(Duration::MAX, Instant::now());
            let change = spacing.turn(Priority::Change, latest());
            assert_eq!(change.now_or_never(), Some(Err(SPACED)));
            advance(SPACED).await;
            let read = spacing.turn(Priority::Read, latest());
            assert_eq!(read.now_or_never(), Some(Ok(false)));
            spacing.limited(GAP, Instant::now());
            let start = Instant::now();
            assert_eq!(spacing.turn(Priority::Read, latest()).await, Ok(true));
            assert_eq!(start.elapsed(), GAP, "nothing is left of the longer wait");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn always_means_from_the_start_and_never_means_never() {
        let start = Instant::now();
        let always = spacing(Pace::Always);
        assert_eq!(always.turn(Priority::Read, latest()).await, Ok(false));
        assert_eq!(always.turn(Priority::Read, latest()).await, Ok(true));
        assert_eq!(start.elapsed(), GAP);
        let never = spacing(Pace::Never);
        never.limited(SPACED, start);
        assert_eq!(never.turn(Priority::Read, latest()).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_go_before_reads_and_reads_before_refreshes_a_second_apart() {
        let spacing = spaced();
        let start = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, priority) in [
            ("refresh", Priority::Refresh),
            ("read 1", Priority::Read),
            ("read 2", Priority::Read),
            ("change 1", Priority::Change),
            ("change 2", Priority::Change),
        ] {
            let (spacing, order) = (Arc::clone(&spacing), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                spacing.turn(priority, latest()).await.unwrap();
                let second = start.elapsed().as_secs();
                order.lock().unwrap().push((second, name));
            }));
            tokio::task::yield_now().await;
        }
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            [
                (1, "change 1"),
                (2, "change 2"),
                (3, "read 1"),
                (4, "read 2"),
                (5, "refresh")
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told_at_once() {
        let spacing = spaced();
        let mut waiting = Vec::new();
        for _ in 0..10 {
            let mut turn = Box::pin(spacing.turn(Priority::Read, latest()));
            assert_eq!(turn.as_mut().now_or_never(), None);
            waiting.push(turn);
        }
        let read = spacing.turn(Priority::Read, latest());
        assert_eq!(
            read.now_or_never(),
            Some(Err(Duration::from_secs(11))),
            "the eleventh second"
        );
        let change = spacing.turn(Priority::Change, latest());
        assert_eq!(change.now_or_never(), None, "it would be the first");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_overtaken_for_too_long_gives_up_unsent() {
        let spacing = spaced();
        let start = Instant::now();
        let read = {
            let spacing = Arc::clone(&spacing);
            tokio::spawn(async move { spacing.turn(Priority::Read, latest()).await })
        };
        tokio::task::yield_now().await;
        for _ in 0..10 {
            let waited = spacing.turn(Priority::Change, latest()).await;
            assert_eq!(waited, Ok(true));
        }
        assert!(read.await.unwrap().is_err());
        assert_eq!(start.elapsed(), MAX_WAIT);
        assert!(spacing.line().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_makes_room_for_the_next() {
        let spacing = spaced();
        let start = Instant::now();
        let mut first = Box::pin(spacing.turn(Priority::Read, latest()));
        assert_eq!(first.as_mut().now_or_never(), None);
        let second = {
            let spacing = Arc::clone(&spacing);
            tokio::spawn(async move { spacing.turn(Priority::Read, latest()).await })
        };
        tokio::task::yield_now().await;
        advance(Duration::from_millis(500)).await;
        drop(first);
        second.await.unwrap().unwrap();
        assert_eq!(start.elapsed(), GAP, "in the place of the first");
    }
}
