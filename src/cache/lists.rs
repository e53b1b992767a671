//! The lists that are kept, bounded in bytes.
//!
//! What is asked of it is decided elsewhere: whether a list may be believed by [`Epochs`], whether it
//! is fresh by [`verdict`](super::verdict). An outdated list is simply not found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::entry::Entry;
use super::epochs::Epochs;
#[cfg(test)]
use super::epochs::Safeguard;
use super::key::CacheKey;
use crate::domain::action::Outcome;
use crate::domain::endpoint::Touches;
use crate::domain::ids::OrganizationId;
use crate::live::Live;
use crate::metrics::Metrics;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub struct Lists {
    entries: Cache<CacheKey, Arc<Entry>, RandomState>,
    epochs: Arc<Epochs>,
    longest: Live<Duration>,
}

/// How long a list is kept that comes in now.
#[derive(Debug)]
struct Longest(Live<Duration>);

/// What is kept of one organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which; `None` for lists whose address says a workspace alone.
    pub organization: Option<OrganizationId>,
    /// How many lists.
    pub entries: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

// === impl Lists ===

impl Lists {
    /// At most `max_size` bytes, none older than `longest`, whatever becomes of it.
    #[must_use]
    pub fn new(max_size: u64, longest: Duration, epochs: Arc<Epochs>, metrics: &Metrics) -> Self {
        let longest = Live::from(longest);
        let size = metrics.cache_evictions("size");
        let expired = metrics.cache_evictions("expired");
        let entries = Cache::builder()
            // moka evicts by this number.
            .weigher(|key: &CacheKey, entry: &Arc<Entry>| {
                u32::try_from(key.weight() + entry.weight()).unwrap_or(u32::MAX)
            })
            .max_capacity(max_size)
            .expire_after(Longest(longest.clone()))
            .eviction_listener(move |_, _, cause| match cause {
                RemovalCause::Size => drop(size.inc()),
                RemovalCause::Expired => drop(expired.inc()),
                // What a newer one replaced, and what upstream said is gone.
                RemovalCause::Explicit | RemovalCause::Replaced => {}
            })
            // A key begins with what is as good as random, and is seeded besides.
            .build_with_hasher(RandomState::default());
        let lists = Self {
            entries,
            epochs,
            longest,
        };
        let told = lists.clone();
        metrics.sample_with(move |metrics| {
            told.settle();
            metrics.cache_holds(told.count(), told.weight());
        });
        lists
    }

    /// The list under `key`, if nothing has outdated it since its fetch began.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.entries
            .get(key)
            .filter(|entry| self.is_admitted(entry))
    }

    /// From now on none that comes in is kept for longer than `longest`. Those that are there stay for as long as was
    /// said when they came.
    pub fn keep_for(&self, longest: Duration) {
        self.longest.replace(longest);
    }

    /// Forgets the list under `key`: upstream said that it is not there.
    pub fn remove(&self, key: &CacheKey) {
        self.entries.invalidate(key);
    }

    /// How many lists are kept; a moment behind what was just stored, unless [settled](Self::settle).
    #[must_use]
    pub fn count(&self) -> u64 {
        self.entries.entry_count()
    }

    /// How many bytes they take; as far behind as [`count`](Self::count).
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.entries.weighted_size()
    }

    /// What is kept, by organization. Looks at each list: for people, not for the way of a request.
    #[must_use]
    pub fn by_organization(&self) -> Vec<Kept> {
        let mut kept: BTreeMap<Option<OrganizationId>, (u64, u64)> = BTreeMap::new();
        for (key, entry) in &self.entries {
            let (entries, bytes) = kept.entry(key.list.organization()).or_default();
            *entries += 1;
            *bytes += (key.weight() + entry.weight()) as u64;
        }
        let kept = kept
            .into_iter()
            .map(|(organization, (entries, bytes))| Kept {
                organization,
                entries,
                bytes,
            });
        kept.collect()
    }

    /// Drops what is kept of an organization, with all whose address does not say which it is of; or
    /// everything. A fetch that is under way is not kept either.
    pub fn purge(&self, organization: Option<OrganizationId>) {
        let touched = match organization {
            Some(organization) => Touches::Organization(organization, None),
            None => Touches::Everything,
        };
        self.epochs.close(touched).land(Outcome::Applied);
        let is_of = |key: &CacheKey| match (organization, key.list.organization()) {
            (Some(purged), Some(of)) => purged == of,
            _ => true,
        };
        for (key, _) in self.entries.iter().filter(|(key, _)| is_of(key)) {
            self.entries.invalidate(&*key);
        }
    }

    /// Makes room now, where lists would else be removed in the next moments.
    pub fn settle(&self) {
        self.entries.run_pending_tasks();
    }

    /// The last list that was kept under `key`, to be given to nobody: a change may have outdated it.
    #[must_use]
    pub fn last(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    fn is_admitted(&self, entry: &Entry) -> bool {
        let Some(snapshot) = &entry.snapshot else {
            return false;
        };
        // A refusal shows nothing that the next one could take back.
        if entry.is_list() {
            self.epochs.admits(snapshot)
        } else {
            self.epochs.admits_of_anybody(snapshot)
        }
    }

    /// Keeps a list; tells whether it may be kept.
    pub fn insert(&self, key: CacheKey, entry: Arc<Entry>) -> bool {
        #[cfg(test)]
        let entry = self.believed_as_of_now(&key, entry);
        let admitted = self.is_admitted(&entry);
        if admitted {
            // Of two fetches the one that began later shows the later state, whichever ends first.
            let newer = |kept: &Arc<Entry>| kept.fetched > entry.fetched && self.is_admitted(kept);
            self.entries.entry(key).and_upsert_with(|kept| {
                match kept.map(moka::Entry::into_value) {
                    Some(kept) if newer(&kept) => kept,
                    Some(_) | None => Arc::clone(&entry),
                }
            });
        }
        admitted
    }

    #[cfg(test)]
    fn believed_as_of_now(&self, key: &CacheKey, mut entry: Arc<Entry>) -> Arc<Entry> {
        if self.epochs.lacks(Safeguard::EpochAtStart) {
            let snapshot = self.epochs.snapshot(key.list, key.caller);
            entry = Arc::new(Entry {
                snapshot,
                ..Entry::clone(&entry)
            });
        }
        entry
    }

    /// What is kept under `key`, whatever has happened since.
    #[cfg(test)]
    pub(crate) fn get_unasked(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        let entry = self.entries.get(key)?;
        self.epochs.lacks(Safeguard::AsksAgain).then_some(entry)
    }
}

// === impl Longest ===

#[expect(
    clippy::disallowed_types,
    reason = "moka says it so, and nobody reads it"
)]
impl Expiry<CacheKey, Arc<Entry>> for Longest {
    fn expire_after_create(
        &self,
        _: &CacheKey,
        _: &Arc<Entry>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(**self.0.read())
    }

    // As if it had come in: by default the time of the one before would go on.
    fn expire_after_update(
        &self,
        _: &CacheKey,
        _: &Arc<Entry>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(**self.0.read())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use tokio::time::Instant;

    use super::*;
    use crate::domain::endpoint::List;
    use crate::layers::testing;

    const LIST: List = List::Organization(OrganizationId(1));

    #[tokio::test]
    async fn an_outdated_list_is_not_found_and_one_from_a_closed_time_not_kept() {
        let epochs = Epochs::with_grace(Duration::ZERO);
        let lists = Lists::new(
            1 << 20,
            Duration::from_secs(60),
            Arc::clone(&epochs),
            &Metrics::new(),
        );
        let caller = testing::get("ann", "/").caller.unwrap().fingerprint;
        let key = CacheKey::new(caller, LIST, None).unwrap();
        let entry = |snapshot| {
            Arc::new(Entry::new(
                snapshot,
                Instant::now(),
                StatusCode::OK,
                &HeaderMap::new(),
                b"[]",
            ))
        };

        assert!(lists.insert(key.clone(), entry(epochs.snapshot(LIST, caller))));
        assert!(lists.get(&key).is_some());
        let flight = epochs.close(Touches::Organization(OrganizationId(1), None));
        assert!(lists.get(&key).is_none(), "in flight");
        assert!(!lists.insert(key.clone(), entry(epochs.snapshot(LIST, caller))));
        flight.land(Outcome::Rejected);
        assert!(lists.get(&key).is_some(), "nothing changed");
        epochs.close(Touches::Everything).land(Outcome::Applied);
        assert!(lists.get(&key).is_none());
    }

    #[tokio::test]
    async fn what_is_kept_stays_below_its_bound_whatever_comes() {
        const MOST: u64 = 1 << 20;
        let epochs = Epochs::with_grace(Duration::ZERO);
        let hour = Duration::from_secs(3600);
        let metrics = Metrics::new();
        let lists = Lists::new(MOST, hour, Arc::clone(&epochs), &metrics);
        let mut came = 0;
        for number in 0..2000_usize {
            let caller = testing::get(&number.to_string(), "/").caller.unwrap();
            let key = CacheKey::new(caller.fingerprint, LIST, None).unwrap();
            let body = vec![b' '; number * 7919 % 50_000];
            let entry = Entry::new(
                epochs.snapshot(LIST, caller.fingerprint),
                Instant::now(),
                StatusCode::OK,
                &HeaderMap::new(),
                &body,
            );
            came += entry.weight() as u64;
            lists.insert(key, Arc::new(entry));
            lists.settle();
            assert!(lists.weight() <= MOST, "{} bytes", lists.weight());
        }
        assert!(came > 20 * MOST && lists.weight() > MOST / 2);
        let (kept, bytes) = (lists.count(), lists.weight());
        let text = metrics.text();
        for line in [
            format!("tollgate_cache_entries {kept}"),
            format!("tollgate_cache_bytes {bytes}"),
            format!(
                "tollgate_cache_evictions_total{{cause=\"size\"}} {}",
                2000 - kept
            ),
            "tollgate_cache_evictions_total{cause=\"expired\"} 0".to_owned(),
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_began_earlier_does_not_replace_a_later_one() {
        let epochs = Epochs::with_grace(Duration::ZERO);
        let lists = Lists::new(
            1 << 20,
            Duration::from_secs(60),
            Arc::clone(&epochs),
            &Metrics::new(),
        );
        let caller = testing::get("ann", "/").caller.unwrap().fingerprint;
        let key = CacheKey::new(caller, LIST, None).unwrap();
        let entry = |body: &[u8]| {
            let snapshot = epochs.snapshot(LIST, caller);
            Arc::new(Entry::new(
                snapshot,
                Instant::now(),
                StatusCode::OK,
                &HeaderMap::new(),
                body,
            ))
        };
        let earlier = entry(b"earlier");
        tokio::time::advance(Duration::from_millis(1)).await;
        lists.insert(key.clone(), entry(b"later"));
        lists.insert(key.clone(), earlier);
        assert_eq!(lists.get(&key).unwrap().identity.body, "later");
    }
}
