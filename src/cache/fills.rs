//! One fetch for many equal reads at once.
//!
//! **Guarantees** (DESIGN §3). A fetch runs in its own task: the caller who began it may hang up, and
//! the others still get its answer, errors included. It is shared only with reads of the same key *in
//! the same epochs*, so that no read joins a fetch that began before a change it must see; and never
//! after another fetch of that key has ended which ran beside it, because that may have shown something
//! newer. The number of fetches is bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

use super::entry::Entry;
use super::epochs::Snapshot;
use super::key::CacheKey;
use crate::body::Body;
use crate::error::ProxyError;
use crate::slots::Slots;

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Fills {
    /// The newest fetch of each key, for as long as it may be joined.
    running: Arc<Mutex<HashMap<CacheKey, (Snapshot, Fill)>>>,
    slots: Slots,
}

/// What is fetched, and in which epochs.
pub type FillKey = (CacheKey, Snapshot);

/// A fetch under way; each who holds it gets its result.
pub type Fill = Shared<BoxFuture<'static, Result<Arc<Fetched>, ProxyError>>>;

/// What a fetch brought.
#[derive(Debug)]
pub enum Fetched {
    /// A list that is what its endpoint promises.
    List {
        /// The list, ready to be answered with.
        entry: Arc<Entry>,
        /// All of upstream's headers, for the caller who began the fetch.
        headers: HeaderMap,
        /// Whether it was stored.
        stored: bool,
    },
    /// Anything else that fits into memory.
    Other {
        /// Upstream's status.
        status: StatusCode,
        /// All of upstream's headers.
        headers: HeaderMap,
        /// The body, without an encoding that we know.
        body: Bytes,
        /// Whether it is repeated for a while: a refusal.
        stored: bool,
    },
    /// An answer too large to be shared: for who began the fetch. The others fetch their own.
    Stream(Mutex<Option<Response<Body>>>),
}

/// What a read that found no kept list comes to.
#[derive(Debug)]
pub enum Joined<K> {
    /// A fetch.
    Fetch {
        /// Its result is to be waited for.
        fill: Fill,
        /// Whether this read began it.
        began: bool,
    },
    /// Somebody's fetch has just ended, and its list is kept.
    Kept(K),
}

// === impl Fills ===

impl Fills {
    /// At most `most` fetches at once.
    #[must_use]
    pub fn new(most: impl Into<Slots>) -> Self {
        Self {
            running: Arc::default(),
            slots: most.into(),
        }
    }

    /// Whether a fetch for `key` is under way that reads in these epochs may join.
    #[must_use]
    pub fn is_running(&self, key: &CacheKey, state: Snapshot) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(key).is_some_and(|(began, _)| *began == state)
    }

    /// Joins the fetch for `key` that is under way, if there is one and `join` allows; else takes what
    /// `kept` finds; else starts `fetch`, which later reads join.
    ///
    /// `kept` is for the list of a fetch that ended since the caller looked: it is asked when no fetch
    /// is under way, and a fetch stores its list before it is no longer under way.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Overloaded`] when too many are under way.
    pub fn join_or_start<K, F>(
        &self,
        (key, state): FillKey,
        join: bool,
        kept: impl FnOnce() -> Option<K>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Joined<K>, ProxyError>
    where
        F: Future<Output = Result<Arc<Fetched>, ProxyError>> + Send + 'static,
    {
        // Held until the fetch is listed, or two who find nothing would both start one.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if join {
            if let Some((_, fill)) = running.get(&key).filter(|(began, _)| *began == state) {
                return Ok(Joined::Fetch {
                    fill: fill.clone(),
                    began: false,
                });
            }
            if let Some(kept) = kept() {
                return Ok(Joined::Kept(kept));
            }
        }
        let Some(slot) = self.slots.try_take() else {
            return Err(ProxyError::Overloaded);
        };
        let done = Done {
            fills: self.clone(),
            key: key.clone(),
        };
        let (tell, told) = oneshot::channel();
        let told = told.map(|result| result.unwrap_or(Err(ProxyError::Internal)));
        let fill = told.boxed().shared();
        running.insert(key, (state, fill.clone()));
        // Before the task is spawned: a runtime that is stopping drops it at once, and `Done` locks too.
        drop(running);
        let fetch = fetch();
        tokio::spawn(async move {
            // Dropped when the fetch has ended in whatever way, a panic included, and before it is told:
            // whoever hears of the end finds the fetch gone.
            let done = done;
            let result = fetch.await;
            drop(done);
            drop(slot);
            let _ = tell.send(result);
        });
        Ok(Joined::Fetch { fill, began: true })
    }
}

impl fmt::Debug for Fills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fills")
    }
}

/// Takes a fetch off the list of those that may be joined, and with it a newer one of the same key: who was
/// answered by this one may have seen more than that one will show.
struct Done {
    fills: Fills,
    key: CacheKey,
}

impl Drop for Done {
    fn drop(&mut self) {
        let running = self.fills.running.lock();
        let mut running = running.unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::epochs::Epochs;
    use crate::domain::action::Outcome;
    use crate::domain::endpoint::{List, Touches};
    use crate::domain::ids::OrganizationId;
    use crate::layers::testing;

    const LIST: List = List::Organization(OrganizationId(1));

    fn key(epochs: &Epochs) -> FillKey {
        let caller = testing::get("ann", "/").caller.unwrap().fingerprint;
        (
            CacheKey::new(caller, LIST, None).unwrap(),
            epochs.state(LIST, caller),
        )
    }

    fn start<F>(
        fills: &Fills,
        key: FillKey,
        join: bool,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Fill, bool), ProxyError>
    where
        F: Future<Output = Result<Arc<Fetched>, ProxyError>> + Send + 'static,
    {
        match fills.join_or_start(key, join, || None::<()>, fetch)? {
            Joined::Fetch { fill, began } => Ok((fill, began)),
            Joined::Kept(()) => panic!("nothing is kept"),
        }
    }

    #[tokio::test]
    async fn what_a_fetch_that_just_ended_has_stored_is_taken() {
        let fills = Fills::new(1);
        let epochs = Epochs::with_grace(std::time::Duration::ZERO);
        let kept = || Some("kept");
        let joined = fills.join_or_start(key(&epochs), true, kept, || async { panic!("a fetch") });
        assert!(matches!(joined, Ok(Joined::Kept("kept"))));
        // Who wants it new takes nothing that is kept.
        let joined = fills.join_or_start(key(&epochs), false, kept, || async { Ok(other()) });
        assert!(matches!(joined, Ok(Joined::Fetch { began: true, .. })));
    }

    fn other() -> Arc<Fetched> {
        Arc::new(Fetched::Other {
            status: StatusCode::FORBIDDEN,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            stored: false,
        })
    }

    #[tokio::test]
    async fn fifty_equal_reads_share_one_fetch_although_the_first_hangs_up() {
        let fills = Fills::new(1);
        let epochs = Epochs::with_grace(std::time::Duration::ZERO);
        let (answer, answered) = oneshot::channel();
        let fetch = || async move { answered.await.unwrap_or(Err(ProxyError::Internal)) };
        let (first, began) = start(&fills, key(&epochs), true, fetch).unwrap();
        assert!(began);
        let joined: Vec<_> = (1..50)
            .map(|_| {
                start(&fills, key(&epochs), true, || async {
                    panic!("a second fetch")
                })
                .unwrap()
            })
            .collect();
        drop(first);
        answer.send(Ok(other())).unwrap();
        for (fill, began) in joined {
            assert!(!began);
            assert!(matches!(*fill.await.unwrap(), Fetched::Other { .. }));
        }
    }

    #[tokio::test]
    async fn a_fetch_from_before_a_change_is_not_joined() {
        let fills = Fills::new(2);
        let epochs = Epochs::with_grace(std::time::Duration::ZERO);
        let (_old, _) = start(&fills, key(&epochs), true, std::future::pending).unwrap();
        epochs
            .close(Touches::Organization(OrganizationId(1), None))
            .land(Outcome::Applied);
        let (_new, began) = start(&fills, key(&epochs), true, std::future::pending).unwrap();
        assert!(began);
    }

    #[tokio::test]
    async fn when_one_of_two_fetches_has_ended_the_other_is_not_joined() {
        for newer_ends_first in [true, false] {
            let fills = Fills::new(3);
            let epochs = Epochs::with_grace(std::time::Duration::ZERO);
            let ends = || async { Ok(other()) };
            let (running, ended) = if newer_ends_first {
                let (older, _) = start(&fills, key(&epochs), true, std::future::pending).unwrap();
                (older, start(&fills, key(&epochs), false, ends).unwrap().0)
            } else {
                let (older, _) = start(&fills, key(&epochs), true, ends).unwrap();
                epochs.close(Touches::Everything).land(Outcome::Applied);
                let (newer, _) = start(&fills, key(&epochs), true, std::future::pending).unwrap();
                (newer, older)
            };
            ended.await.unwrap();
            let (_next, began) = start(&fills, key(&epochs), true, std::future::pending).unwrap();
            assert!(began);
            drop(running);
        }
    }

    #[tokio::test]
    async fn an_ended_fetch_is_joined_by_nobody_and_errors_go_to_all() {
        let fills = Fills::new(1);
        let epochs = Epochs::with_grace(std::time::Duration::ZERO);
        let (fill, _) = start(&fills, key(&epochs), true, || async {
            Err(ProxyError::lost("reset"))
        })
        .unwrap();
        let twin = fill.clone();
        assert!(matches!(fill.await, Err(ProxyError::ConnectionLost(_))));
        assert!(matches!(twin.await, Err(ProxyError::ConnectionLost(_))));
        let (panicking, began) = start(&fills, key(&epochs), true, || async {
            panic!("on purpose")
        })
        .unwrap();
        assert!(began);
        assert!(matches!(panicking.await, Err(ProxyError::Internal)));
        let (_, began) = start(&fills, key(&epochs), true, || async { Ok(other()) }).unwrap();
        assert!(began);
    }

    #[tokio::test]
    async fn too_many_fetches_are_refused() {
        let fills = Fills::new(1);
        let epochs = Epochs::with_grace(std::time::Duration::ZERO);
        let _first = start(&fills, key(&epochs), true, std::future::pending).unwrap();
        let second = start(&fills, key(&epochs), false, std::future::pending);
        assert!(matches!(second, Err(ProxyError::Overloaded)));
    }
}
