//! Keeps what the quota was spent on, so that it can be told tomorrow and by another process.
//!
//! **Guarantees** (DESIGN §5). What was counted is written within seconds, in one small batch that shares
//! the store's next commit; when it cannot be written it is kept in memory and written later, and
//! nothing is added up twice. A stop writes the rest. A gateway that starts again knows who is whom, and
//! which hours are closed. What is older than thirty days goes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::caller::Fingerprint;
use crate::domain::spending::{self, Report};
use crate::quota::{News, Quota};
use crate::store::{Expenses, Spent, StoreError};

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    quota: Quota,
    store: Arc<dyn Expenses>,
    clock: Clock,
    /// One writes at a time: whoever reads afterwards reads all of it. When old rows were last removed.
    writing: Mutex<Option<Timestamp>>,
}

// Seldom enough to be nothing beside the trail's own commits; a report writes by itself first.
const EVERY: Duration = Duration::from_secs(5);

// The writer is held for some milliseconds by so many.
const BATCH: usize = 500;

const KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);

const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);

// === impl Keeper ===

impl Keeper {
    /// Keeps what `quota` counts in `store`.
    #[must_use]
    pub fn new(quota: Quota, store: Arc<dyn Expenses>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            quota,
            store,
            clock,
            writing: Mutex::default(),
        }))
    }

    /// Tells the quota what was known before a restart.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn restore(&self) -> Result<(), StoreError> {
        let Inner {
            quota,
            store,
            clock,
            ..
        } = &*self.0;
        // No counts: those are in the store, and a new process counts from nothing.
        let ledger = store.standings(clock.now()).await?;
        for (workspace, organization) in ledger.workspaces {
            quota.learn(organization, workspace);
        }
        let of = |id: &str| id.parse::<Fingerprint>().ok();
        for (id, person) in &ledger.people {
            if let (Some(caller), Some(user)) = (of(id), person.user_id) {
                quota.introduce(caller, user);
            }
        }
        for left in &ledger.left {
            if let Some(caller) = of(&left.credential_id) {
                quota.restore(caller, left);
            }
        }
        Ok(())
    }

    /// Writes what was counted every few seconds, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            let written = self.flush().await;
            // Once, when it begins: what changes are refused for is told by whoever refuses them.
            if let (Err(error), false) = (&written, failing) {
                tracing::warn!(%error, "What the quota was spent on cannot be written, and is kept in memory");
            }
            failing = written.is_err();
        }
    }

    /// Writes what was counted until now.
    ///
    /// # Errors
    ///
    /// When it cannot be written. It is then still there, for the next time.
    pub async fn flush(&self) -> Result<(), StoreError> {
        // Who asks for a report may hang up in the middle: what was taken would be lost with them. The
        // last flush of a stop waits for this one, by the lock.
        let keeper = self.clone();
        let writing = tokio::spawn(async move { keeper.write().await });
        writing.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn write(&self) -> Result<(), StoreError> {
        let Inner {
            quota,
            store,
            clock,
            writing,
        } = &*self.0;
        let mut forgot_at = writing.lock().await;
        let now = clock.now();
        let due = forgot_at.is_none_or(|at| now.duration_since(at) >= FORGET_EVERY);
        let forget_before = now.checked_sub(KEEP).ok().filter(|_| due);
        let News {
            mut usage,
            mut left,
        } = quota.take();
        if usage.is_empty() && left.is_empty() && forget_before.is_none() {
            return Ok(());
        }
        let mut forget_before = forget_before;
        loop {
            let rest = usage.split_off(usage.len().min(BATCH));
            let spent = Spent {
                usage: usage.clone(),
                left: left.clone(),
                forget_before: forget_before.take(),
            };
            if let Err(error) = store.spend(spent).await {
                usage.extend(rest);
                quota.give_back(News { usage, left });
                return Err(error);
            }
            left.clear();
            if due {
                *forgot_at = Some(now);
            }
            usage = rest;
            if usage.is_empty() {
                return Ok(());
            }
        }
    }

    /// Who spent the quota in the hours since, up to this moment; also what cannot be written at present.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn report(&self, since: Timestamp) -> Result<Report, StoreError> {
        let written = self.flush().await;
        let Inner {
            quota,
            store,
            clock,
            writing,
        } = &*self.0;
        let now = clock.now();
        let from = spending::from(since, now);
        if written.is_ok() {
            return Ok(store.ledger(from).await?.report(since, now));
        }
        // Nobody writes meanwhile: else it would be in memory here and in the store there.
        let _writing = writing.lock().await;
        let mut ledger = store.ledger(from).await?;
        let news = quota.take();
        ledger.usage.extend(news.usage.iter().cloned());
        ledger.left.extend(news.left.iter().cloned());
        quota.give_back(news);
        Ok(ledger.report(since, now))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::domain::caller::Person;
    use crate::domain::ids::{OrganizationId, UserId};
    use crate::domain::usage::{Counts, Pool, Usage};
    use crate::quota::testing::{ann, bob};
    use crate::quota::{Asking, Reading, Stance};
    use crate::store::Identities as _;
    use crate::store::memory::MemoryStore;

    const ORG: Pool = Pool::Organization(OrganizationId(1));

    fn now() -> Timestamp {
        "2026-11-24T16:30:00Z".parse().unwrap()
    }

    fn keeper(store: &MemoryStore) -> (Keeper, Quota) {
        let clock = Clock::from_fn(now);
        let quota = Quota::new(crate::quota::Settings::default(), clock.clone());
        let store = Arc::new(store.clone());
        (Keeper::new(quota.clone(), store, clock), quota)
    }

    fn hit(quota: &Quota) {
        let asking = Asking {
            caller: ann(),
            pool: ORG,
            endpoint: "GET /organizations/{organization_id}/groups",
            tool: None,
        };
        quota.answered(&asking, 1, Instant::now());
    }

    async fn cached(keeper: &Keeper) -> i64 {
        let report = keeper.report(now()).await.unwrap();
        report.people.iter().map(|one| one.total.cached).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_is_written_later_and_once() {
        let store = MemoryStore::new();
        let (keeper, quota) = keeper(&store);
        hit(&quota);
        let sent = Instant::now();
        let gone = Reading {
            remaining: 0,
            resets_at: sent + Duration::from_secs(600),
        };
        quota.note(ann(), ORG, sent, gone);
        store.fail(true);
        keeper.flush().await.unwrap_err();
        for _ in 0..2 {
            let report = keeper.report(now()).await.unwrap();
            let [one] = &report.people[..] else {
                panic!("{report:#?}")
            };
            assert_eq!((one.total.cached, one.remaining), (1, Some(0)));
        }
        store.fail(false);
        hit(&quota);
        assert_eq!(cached(&keeper).await, 2);
        assert_eq!(cached(&keeper).await, 2);
        let left = store.ledger(now()).await.unwrap().left;
        assert_eq!(left.len(), 1, "in a closed hour nobody would tell it again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_up_in_the_middle_of_a_report_loses_no_count() {
        let store = MemoryStore::new();
        let slow = Slow(store.clone());
        let clock = Clock::from_fn(now);
        let quota = Quota::new(crate::quota::Settings::default(), clock.clone());
        let keeper = Keeper::new(quota.clone(), Arc::new(slow), clock);
        hit(&quota);
        let report = tokio::time::timeout(Duration::from_millis(1), keeper.report(now()));
        report.await.unwrap_err();
        assert_eq!(cached(&keeper).await, 1);
    }

    /// Takes a second to write.
    struct Slow(MemoryStore);

    #[async_trait::async_trait]
    impl Expenses for Slow {
        async fn spend(&self, spent: Spent) -> Result<(), StoreError> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.0.spend(spent).await
        }

        async fn ledger(&self, since: Timestamp) -> Result<spending::Ledger, StoreError> {
            self.0.ledger(since).await
        }

        async fn standings(&self, by: Timestamp) -> Result<spending::Ledger, StoreError> {
            self.0.standings(by).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_starts_again_knows_who_is_whom_and_what_is_closed() {
        let store = MemoryStore::new();
        let (keeper, quota) = keeper(&store);
        let sent = Instant::now();
        let gone = Reading {
            remaining: 0,
            resets_at: sent + Duration::from_secs(600),
        };
        quota.note(ann(), ORG, sent, gone);
        hit(&quota);
        keeper.flush().await.unwrap();
        let person = Person {
            user_id: Some(UserId(5)),
            ..Person::default()
        };
        for caller in [ann(), bob()] {
            let id = caller.to_string();
            store.remember(&id, &person, now()).await.unwrap();
        }

        let (keeper, quota) = self::keeper(&store);
        keeper.restore().await.unwrap();
        for caller in [ann(), bob()] {
            let stance = quota.stance(caller, ORG, Instant::now());
            assert_eq!(stance, Stance::Closed, "both are the same person's");
        }
        hit(&quota);
        assert_eq!(cached(&keeper).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_thirty_days_goes() {
        let store = MemoryStore::new();
        let usage = |days: i64| Usage {
            hour: now() - SignedDuration::from_hours(days * 24),
            credential_id: ann().to_string(),
            pool: ORG,
            tool: String::new(),
            endpoint: "GET /me".to_owned(),
            counts: Counts {
                cached: 1,
                ..Counts::default()
            },
        };
        let spent = Spent {
            usage: vec![usage(29), usage(31)],
            ..Spent::default()
        };
        store.spend(spent).await.unwrap();
        let (keeper, _) = keeper(&store);
        keeper.flush().await.unwrap();
        let ledger = store.ledger(Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(ledger.usage, [usage(29)]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_written_every_few_seconds_until_the_stop() {
        let store = MemoryStore::new();
        let (keeper, quota) = keeper(&store);
        let stop = CancellationToken::new();
        let running = tokio::spawn(keeper.run(stop.clone()));
        tokio::time::sleep(Duration::from_millis(1)).await;
        hit(&quota);
        tokio::time::sleep(EVERY).await;
        let ledger = store.ledger(now()).await.unwrap();
        assert_eq!(ledger.usage.len(), 1);
        stop.cancel();
        running.await.unwrap();
    }
}
