//! One credential and one quota: where a request asks whether it may go up, and where it is counted.
//!
//! Credentials of one person share what upstream counts together ([`Account`]), and are counted apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::accounts::{Accounts, Who};
use super::book::Meters;
use super::freshness::Habits;
use super::pace::Spacing;
use super::reading::{Exhausted, Reading};
use super::standing::{Decision, Heard, Priority, Stance, Standing};
use crate::domain::caller::Fingerprint;
use crate::domain::label::Label;
use crate::domain::usage::{Pool, Use};
use crate::live::Live;

/// See the [module](self).
#[derive(Debug)]
pub struct Seat {
    pub(super) caller: Fingerprint,
    /// The quota, with its organization if that is known.
    pub(super) pool: Pool,
    pub(super) who: Who,
    pub(super) account: Arc<Account>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) meters: Meters,
    pub(super) settings: Live<Settings>,
    /// Where the token's requests wait for their turn.
    pub spacing: Arc<Spacing>,
}

/// What upstream counts together: one person's requests of one pool.
#[derive(Debug, Default)]
pub(super) struct Account(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) standing: Standing,
    pub(super) habits: Habits,
    /// Whose credential was told what nobody has written down yet.
    pub(super) unwritten: Option<Fingerprint>,
}

/// A request that goes up. Tell what it [heard](Self::heard); dropped without it, another may try.
#[derive(Debug)]
#[must_use = "dropped, it says that nothing was heard"]
pub struct Pass {
    seat: Arc<Seat>,
    probe: Option<u64>,
    sent: Instant,
}

// === impl Seat ===

impl Seat {
    /// Lets a request go up at `now`, or not.
    ///
    /// # Errors
    ///
    /// That the quota is known to be gone, and for how long.
    pub fn admit(self: &Arc<Self>, priority: Priority, now: Instant) -> Result<Pass, Exhausted> {
        let probe = match self.decide(priority, now) {
            Decision::Go => None,
            Decision::Probe(number) => Some(number),
            Decision::Refuse(gone) => return Err(gone),
        };
        Ok(Pass {
            seat: Arc::clone(self),
            probe,
            sent: now,
        })
    }

    /// Counts `count` more.
    pub fn count(
        &self,
        tool: Option<&Label>,
        endpoint: &'static str,
        of: Use,
        count: i64,
        now: Instant,
    ) {
        let tool = tool.map_or("", AsRef::as_ref);
        self.meters.count(tool, endpoint, of, count, now);
    }

    /// A request goes up that is not for an expired list.
    pub fn spent(&self, now: Instant) {
        self.state().habits.spent(now);
    }

    /// What was [`spent`](Self::spent) then reached nobody.
    pub fn unspent(&self, spent: Instant) {
        self.state().habits.unspent(spent);
    }

    /// The quota, with its organization if that is known.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.pool
    }

    /// How much is left.
    #[must_use]
    pub fn stance(&self, now: Instant) -> Stance {
        match self.is_one_quota() {
            true => self
                .state()
                .standing
                .stance(self.settings.read().reserve, now),
            false => Stance::Open,
        }
    }

    /// What was told last, unless there is more by now.
    #[must_use]
    pub fn last(&self, now: Instant) -> Option<Reading> {
        self.state().standing.last(now)
    }

    /// How long a list is fresh now: `ttl`, or longer when what is left would not last; at most `most`.
    #[must_use]
    pub fn freshness(&self, ttl: Duration, most: Duration, now: Instant) -> Duration {
        let mut state = self.state();
        let reading = state.standing.last(now);
        state
            .habits
            .freshness(reading, self.settings.read().reserve, ttl, most, now)
    }

    /// Somebody asked for this list.
    pub fn asked(&self, list: u64, now: Instant) {
        self.state().habits.asked(list, now);
    }

    /// Keeps what is known of the quota, whoever else comes: there is one, as upstream told.
    pub fn keep(&self) {
        self.accounts.keep((self.who, self.pool), &self.account);
    }

    fn decide(&self, priority: Priority, now: Instant) -> Decision {
        match self.is_one_quota() {
            true => self
                .state()
                .standing
                .decide(priority, self.settings.read().reserve, now),
            false => Decision::Go,
        }
    }

    // What does not say which organization it is about may be about any: what upstream told of one of
    // them closes no other. Its figures are shown, and nothing follows from them.
    fn is_one_quota(&self) -> bool {
        self.pool != Pool::Unclear
    }

    pub(super) fn hear(&self, sent: Instant, heard: Heard, now: Instant) {
        if heard == Heard::Nothing {
            return;
        }
        let mut state = self.state();
        state.standing.hear(sent, heard, now);
        state.habits.reconsider();
        state.unwritten = Some(self.caller);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.account.state()
    }
}

// === impl Account ===

impl Account {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pass ===

impl Pass {
    /// When the request was let up.
    #[must_use]
    pub fn sent(&self) -> Instant {
        self.sent
    }

    /// Takes over what the answer said.
    pub fn heard(self, heard: Heard, now: Instant) {
        self.seat.hear(self.sent, heard, now);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(probe) = self.probe {
            self.seat.state().standing.give_up(probe);
        }
    }
}
