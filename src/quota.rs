//! The quota: what is left of it, who spent it, and which requests may still go up.
//!
//! **Guarantees** (DESIGN §5). Upstream counts per person and organization, apart from what is about the
//! person alone. Where its answers say that nothing is left, nothing of that person there goes up until
//! the reset but changes and one request that tries ([`standing`]). A token that was told to slow down is
//! spaced ([`pace`]). Lists are fresh for longer where what is left would not last ([`freshness`]). What was asked, answered and
//! refused is counted by credential, quota, tool and operation, each request once ([`Quota::take`]).
//!
//! The rules are values that are told what time it is; [`Quota`] finds the right one, by one lookup in
//! a bounded table, from which whoever makes up credentials drives out nothing that upstream told
//! ([`accounts`]). Credentials of one person share a quota as soon as it is known that they are one
//! person's, workspaces that of their organization.

mod accounts;
mod book;
mod freshness;
mod pace;
mod reading;
mod seat;
mod standing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use self::accounts::{Accounts, Owner, Who};
use self::book::{Book, Meters};
pub use self::pace::{Pace, SPACED, Spacing};
pub use self::reading::{Exhausted, Reading};
use self::seat::Account;
pub use self::seat::{Pass, Seat};
pub use self::standing::{Heard, Priority, Stance};
use crate::clock::Clock;
use crate::domain::caller::Fingerprint;
use crate::domain::ids::{OrganizationId, UserId, WorkspaceId};
use crate::domain::label::Label;
pub use crate::domain::usage::Pool;
use crate::domain::usage::{Left, Usage, Use};
use crate::live::Live;
use crate::shelf::Shelf;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Live<Settings>,
    seats: Table<(Fingerprint, Pool), Arc<Seat>>,
    accounts: Arc<Accounts>,
    spacings: Shelf<Fingerprint, Spacing>,
    people: Table<Fingerprint, UserId>,
    workspaces: Table<WorkspaceId, OrganizationId>,
    book: Arc<Book>,
}

/// What is set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `quota.reserve`
    pub reserve: u64,
    /// `quota.pace`
    pub pace: Pace,
    /// `quota.max_wait`
    pub max_wait: Duration,
}

/// Who asks for what, for the ledger and the policy.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// With which credential.
    pub caller: Fingerprint,
    /// Against which quota.
    pub pool: Pool,
    /// Which operation.
    pub endpoint: &'static str,
    /// With which tool.
    pub tool: Option<&'a Label>,
}

/// What was counted and told since it was last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What was counted, to be added to what was before.
    pub usage: Vec<Usage>,
    /// What was told last.
    pub left: Vec<Left>,
}

// Of each table; whoever was not heard of for longest makes room.
const MOST: u64 = 10_000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            reserve: 10,
            pace: Pace::default(),
            max_wait: Duration::from_secs(10),
        }
    }
}

// === impl Quota ===

impl Quota {
    /// Nothing told, nothing counted. The `clock` says which hour it is.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            settings: settings.into(),
            seats: table(),
            accounts: Arc::default(),
            spacings: Shelf::default(),
            people: table(),
            workspaces: table(),
            book: Arc::new(Book::new(clock)),
        }))
    }

    /// What is set.
    #[must_use]
    pub fn settings(&self) -> Settings {
        **self.0.settings.read()
    }

    /// From now on this is set. Who waits for a turn already waits on.
    pub fn set(&self, settings: Settings) {
        self.0.settings.replace(settings);
    }

    /// Where this credential's requests of that pool are counted and decided about. For several
    /// questions at once; each of the methods below is one of its.
    #[must_use]
    pub fn seat(&self, caller: Fingerprint, pool: Pool) -> Arc<Seat> {
        let key = (caller, pool);
        match self.0.seats.get(&key) {
            Some(seat) => seat,
            None => self.seated(key, || self.make(key)),
        }
    }

    /// How much is left.
    #[must_use]
    pub fn stance(&self, caller: Fingerprint, pool: Pool, now: Instant) -> Stance {
        self.known(caller, pool)
            .map_or(Stance::Open, |seat| seat.stance(now))
    }

    /// How long a list is fresh now: `ttl`, or longer when what is left would not last; at most `most`.
    #[must_use]
    pub fn freshness(
        &self,
        caller: Fingerprint,
        pool: Pool,
        ttl: Duration,
        most: Duration,
        now: Instant,
    ) -> Duration {
        self.known(caller, pool)
            .map_or(ttl, |seat| seat.freshness(ttl, most, now))
    }

    /// A list was answered from the cache; `list` is a hash of its key. Counts it, notes that the list
    /// is in use, and gives the newest reading.
    pub fn answered(&self, asking: &Asking<'_>, list: u64, now: Instant) -> Option<Reading> {
        let seat = self.seat(asking.caller, asking.pool);
        seat.count(asking.tool, asking.endpoint, Use::Cached, 1, now);
        let mut state = seat.state();
        state.habits.asked(list, now);
        state.standing.last(now)
    }

    /// A list is asked of upstream, because its time was over or nobody had asked before: it is in use.
    pub fn renews(&self, asking: &Asking<'_>, list: u64, now: Instant) {
        self.seat(asking.caller, asking.pool).asked(list, now);
    }

    /// A request goes up past the layer that counts them, not for an expired list.
    pub fn sent(&self, asking: &Asking<'_>, now: Instant) {
        let seat = self.seat(asking.caller, asking.pool);
        seat.count(asking.tool, asking.endpoint, Use::Upstream, 1, now);
        seat.spent(now);
    }

    /// The request that was `sent` then reached nobody. Taken off where it was counted, in the hour in
    /// which it went: the next one may have begun.
    pub fn not_sent(&self, asking: &Asking<'_>, sent: Instant) {
        let seat = self.seat(asking.caller, asking.pool);
        seat.count(asking.tool, asking.endpoint, Use::Upstream, -1, sent);
        seat.unspent(sent);
    }

    /// Takes over what the answer to a request that was `sent` then told.
    pub fn note(&self, caller: Fingerprint, pool: Pool, sent: Instant, reading: Reading) {
        let seat = self.seat(caller, pool);
        seat.hear(sent, Heard::Figures(reading), Instant::now());
        seat.keep();
    }

    /// The last reading, unless the quota was filled up again since.
    #[must_use]
    pub fn last(&self, caller: Fingerprint, pool: Pool, now: Instant) -> Option<Reading> {
        self.known(caller, pool)?.last(now)
    }

    /// Whether more than `reserve` requests are left, as far as anybody told.
    #[must_use]
    pub fn affords(&self, caller: Fingerprint, pool: Pool, reserve: u64, now: Instant) -> bool {
        self.last(caller, pool, now)
            .is_none_or(|reading| reading.remaining > reserve)
    }

    /// The credential is this person's, as upstream told.
    pub fn introduce(&self, caller: Fingerprint, person: UserId) {
        if self.0.people.get(&caller) == Some(person) {
            return;
        }
        self.0.people.insert(caller, person);
        self.reseat(|(who, _)| *who == Who::Credential(caller));
    }

    /// The workspace belongs to the organization, as a path or a list told.
    pub fn learn(&self, organization: OrganizationId, workspace: WorkspaceId) {
        if self.0.workspaces.get(&workspace) == Some(organization) {
            return;
        }
        self.0.workspaces.insert(workspace, organization);
        self.reseat(|(_, pool)| *pool == Pool::Workspace(workspace));
    }

    /// What was counted and told since it was last taken. Who cannot write it down gives it
    /// [back](Self::give_back).
    #[must_use]
    pub fn take(&self) -> News {
        let book = &self.0.book;
        book.look();
        self.0.seats.run_pending_tasks();
        let mut news = News {
            usage: book.take(),
            left: Vec::new(),
        };
        for (_, seat) in &self.0.seats {
            news.usage.extend(seat.meters.take());
            news.left.extend(self.unwritten(seat.pool, &seat.account));
        }
        // Others may have taken the seat meanwhile.
        for ((_, pool), account) in self.0.accounts.told() {
            news.left.extend(self.unwritten(pool, &account));
        }
        news
    }

    fn unwritten(&self, pool: Pool, account: &Account) -> Option<Left> {
        let mut state = account.state();
        let (caller, told) = state.unwritten.take().zip(state.standing.told())?;
        drop(state);
        let ((reading, message, at), book) = (told, &self.0.book);
        Some(Left {
            credential_id: caller.to_string(),
            pool,
            remaining: reading.remaining,
            resets_at: book.date(reading.resets_at),
            told_at: book.date(at),
            message: message.map(|message| message.to_string()),
        })
    }

    /// Takes back what could not be written down.
    pub fn give_back(&self, news: News) {
        self.0.book.put_back(news.usage);
        for left in news.left {
            // What was told since is newer, and has its mark already.
            if let Ok(caller) = left.credential_id.parse() {
                let seat = self.seat(caller, left.pool);
                seat.state().unwritten.get_or_insert(caller);
            }
        }
    }

    /// Takes over what was told before a restart. Several rows may be about one quota, as it is known
    /// now; the newest counts, in whichever order they come.
    pub fn restore(&self, caller: Fingerprint, left: &Left) {
        let (now, book) = (Instant::now(), &self.0.book);
        let reading = Reading {
            remaining: left.remaining,
            resets_at: book.instant(left.resets_at),
        };
        if reading.resets_at <= now || reading.resets_at > now + reading::WINDOW {
            return;
        }
        let message = left.message.as_deref().map(Arc::from);
        let told_at = book.moment(left.told_at).min(now);
        let seat = self.seat(caller, left.pool);
        seat.state().standing.restore(reading, message, told_at);
        seat.keep();
    }

    // What nobody asked about costs no place.
    fn known(&self, caller: Fingerprint, pool: Pool) -> Option<Arc<Seat>> {
        let seat = self.0.seats.get(&(caller, pool));
        // Another credential of the person may have been told already.
        seat.or_else(|| {
            let key = self.account_of(caller, pool);
            self.0.accounts.get(&key).map(|_| self.seat(caller, pool))
        })
    }

    fn account_of(&self, caller: Fingerprint, pool: Pool) -> Owner {
        self.known_as((Who::Credential(caller), pool))
    }

    // Whose that is, as far as is known now.
    fn known_as(&self, (who, pool): Owner) -> Owner {
        let who = match who {
            Who::Credential(caller) => self.0.people.get(&caller).map_or(who, Who::Person),
            Who::Person(_) => who,
        };
        let pool = match pool {
            Pool::Workspace(workspace) => match self.0.workspaces.get(&workspace) {
                Some(organization) => Pool::Organization(organization),
                None => pool,
            },
            Pool::Organization(_) | Pool::Me | Pool::Unclear => pool,
        };
        (who, pool)
    }

    fn make(&self, (caller, pool): (Fingerprint, Pool)) -> Seat {
        let Inner {
            settings,
            accounts,
            spacings,
            book,
            ..
        } = &*self.0;
        let (who, pool) = self.account_of(caller, pool);
        let seat = Seat {
            caller,
            who,
            pool,
            account: accounts.get_or_make((who, pool)),
            accounts: Arc::clone(accounts),
            meters: Meters::new(Arc::clone(book), caller, pool),
            settings: settings.clone(),
            spacing: spacings.get_or_make(caller, || Spacing::new(settings.clone())),
        };
        if matches!(who, Who::Person(_)) {
            seat.keep();
        }
        seat
    }

    // Apart from `seat`, so that a test can let something become known while one is made.
    fn seated(&self, key: (Fingerprint, Pool), make: impl FnOnce() -> Seat) -> Arc<Seat> {
        let seat = self.0.seats.get_with(key, || Arc::new(make()));
        // Whoever told meanwhile whose it is looked for seats to move before there was this one.
        self.settled(key, seat)
    }

    // The seat in place of `seat` that belongs to whose it is now. What was told before goes along.
    fn settled(&self, key: (Fingerprint, Pool), mut seat: Arc<Seat>) -> Arc<Seat> {
        // More may become known meanwhile.
        while (seat.who, seat.pool) != self.account_of(key.0, key.1) {
            let before = seat;
            // Of several who find it one replaces it, and the others take that one.
            let make = || Arc::new(self.make(key));
            let is_it = |kept: &Arc<Seat>| Arc::ptr_eq(kept, &before);
            seat = self
                .0
                .seats
                .entry(key)
                .or_insert_with_if(make, is_it)
                .into_value();
            // The table lets go of it at its leisure.
            self.0.book.put_back(before.meters.take());
            self.hand_over((before.who, before.pool), &before.account);
        }
        seat
    }

    // Whose quota it is has become known.
    fn reseat(&self, concerned: impl Fn(&Owner) -> bool) {
        let seats = self.0.seats.iter();
        let old: Vec<_> = seats
            .filter(|(key, _)| concerned(&(Who::Credential(key.0), key.1)))
            .collect();
        for (key, before) in old {
            self.settled(*key, before);
        }
        // Upstream told of it, and nobody has asked of late.
        let told: Vec<_> = self.0.accounts.told().collect();
        for (owner, account) in told.iter().filter(|(owner, _)| concerned(owner)) {
            self.hand_over(*owner, account);
        }
    }

    // What is known of this account belongs to another's, as became known.
    fn hand_over(&self, owner: Owner, account: &Account) {
        let now = self.known_as(owner);
        if now == owner {
            return;
        }
        let heir = self.0.accounts.get_or_make(now);
        // One lock after the other: two of them at once could meet in the other order.
        let mut state = account.state();
        let (standing, unwritten) = (state.standing.clone(), state.unwritten.take());
        drop(state);
        let mut state = heir.state();
        state.standing.merge(&standing);
        state.unwritten = state.unwritten.or(unwritten);
        drop(state);
        if self.0.accounts.give_up(&owner) {
            self.0.accounts.keep(now, &heir);
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::new(Settings::default(), Clock::system())
    }
}

type Table<K, V> = Cache<K, V, RandomState>;

fn table<K, V>() -> Table<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    // Without LRU a newcomer may be turned away in favour of who came often, long ago.
    Cache::builder()
        .max_capacity(MOST)
        .eviction_policy(EvictionPolicy::lru())
        .build_with_hasher(RandomState::default())
}
