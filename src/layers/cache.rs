//! Answers reads of lists from the cache, and fills it.
//!
//! **Guarantees** (DESIGN §1.2–1.4). A kept list goes to the exact caller who fetched it, while no change
//! has touched it: as long as it is fresh; a little longer while it is fetched anew; and in place of an
//! error for as long as [`verdict`] allows. A `401` or `403` drops all that its caller has cached, a `404`
//! the list that it is about. Every answer says in `Cache-Status` how it came about.
//!
//! Inside `invalidate`, which closes what a change touches; outside `quota`, so that a hit costs none.
//! A hit parses no JSON, compresses nothing and copies no body.

mod fetch;
mod fill;
mod respond;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::HeaderMap;
use http::header::{ORIGIN, RANGE};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use self::respond::Reader;
use super::{Answer, CACHE_STATUS, Call};
use crate::cache::entry::Entry;
use crate::cache::epochs::Epochs;
use crate::cache::fills::Fills;
use crate::cache::filters::Filters;
use crate::cache::key::CacheKey;
use crate::cache::lists::Lists;
use crate::cache::tags::Tags;
use crate::cache::verdict::{
    Bypass, Detail, Directives, Freshness, Verdict, Why, forwarded, hit, in_place_of_an_error,
    verdict,
};
use crate::clock::Clock;
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::{Endpoint, List};
use crate::domain::label::Label;
use crate::error::ProxyError;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::quota::{Asking, Pool, Quota, Reading, Stance};
use crate::store::KnownGroups;

/// What the layer works with.
#[derive(Clone)]
pub struct CacheLayer {
    /// The lists that are kept; `None` where `cache.enabled` is false.
    pub lists: Option<Lists>,
    /// Which list a tag was given out for.
    pub tags: Tags,
    /// Fetches under way.
    pub fills: Fills,
    /// What may be believed.
    pub epochs: Arc<Epochs>,
    /// What a fetched list told of groups goes here.
    pub known: Arc<dyn KnownGroups>,
    /// For how long lists are given out.
    pub freshness: Live<Freshness>,
    /// Whether filtered lists are cut out of whole ones.
    pub filters: Filters,
    /// What is left of the quota.
    pub quota: Quota,
    /// The largest list that is kept, in bytes.
    pub max_entry_size: usize,
    /// How long a fetch may take from its head to its end.
    pub body_timeout: Duration,
    /// When a list was fetched, for people.
    pub clock: Clock,
    /// Hits and misses.
    pub metrics: Metrics,
}

/// See the [module](self).
#[derive(Clone)]
pub struct Cache<S> {
    layer: Arc<CacheLayer>,
    inner: S,
}

// === impl CacheLayer ===

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cache {
            layer: Arc::new(self.clone()),
            inner,
        }
    }
}

// === impl Cache ===

type Waiting = BoxFuture<'static, Result<Answer, ProxyError>>;

impl<S> Service<Call> for Cache<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Response = Answer;
    type Error = ProxyError;
    // What waits for upstream is boxed, so that a hit need not carry room for it through all the layers.
    type Future = Either<Ready<Result<Answer, ProxyError>>, Waiting>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.layer.consider(&call) {
            Consider::Pass(why) => {
                if matches!(call.endpoint, Endpoint::List(_)) {
                    self.layer.metrics.cache_request(why.metric(false));
                }
                let caller = call.caller.as_ref().map(|caller| caller.fingerprint);
                let epochs = Arc::clone(&self.layer.epochs);
                Either::Right(Box::pin(Passing {
                    answer: self.inner.call(call),
                    epochs,
                    caller,
                    why,
                }))
            }
            Consider::Answer(answer) => Either::Left(ready(Ok(answer))),
            Consider::Refresh(answer, lookup) => {
                let inner = self.inner.clone();
                Arc::clone(&self.layer).refresh(inner, call.again(), lookup);
                Either::Left(ready(Ok(answer)))
            }
            Consider::Fill(lookup) => {
                // The service that was polled ready goes with the fetch; its clone waits here.
                let next = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, next);
                Either::Right(Box::pin(Arc::clone(&self.layer).fill(inner, call, lookup)))
            }
        }
    }
}

/// What becomes of a call.
enum Consider {
    /// It goes upstream as it came.
    Pass(Why),
    /// A kept list answers it.
    Answer(Answer),
    /// A kept list answers it, and is fetched anew for the next.
    Refresh(Answer, Lookup),
    /// A list is fetched for it.
    Fill(Lookup),
}

/// A read of a list that is to be fetched.
struct Lookup {
    directives: Directives,
    key: CacheKey,
    list: List,
    caller: Fingerprint,
    tool: Option<Label>,
    why: Why,
    /// Whether there is an older list that could be given out in its place.
    has_older: bool,
}

// === impl CacheLayer ===

impl CacheLayer {
    fn consider(&self, call: &Call) -> Consider {
        let Endpoint::List(list) = call.endpoint else {
            let why = match call.endpoint {
                Endpoint::Change(_) => Why::Method,
                Endpoint::List(_) | Endpoint::Me(_) | Endpoint::Read(_) => {
                    Why::Bypass(Bypass::NotCached)
                }
            };
            return Consider::Pass(why);
        };
        let Some(caller) = call.caller.as_ref().map(|caller| caller.fingerprint) else {
            return Consider::Pass(Why::Bypass(Bypass::NoCredential));
        };
        let headers = call.request.headers();
        let directives = Directives::of(headers);
        let key = CacheKey::new(caller, list, call.request.uri().query());
        let (Some(lists), Some(key)) = (&self.lists, key) else {
            return Consider::Pass(Why::Bypass(Bypass::NotCached));
        };
        // A browser is answered by its origin, which a kept list would not name.
        if directives.no_store || headers.contains_key(RANGE) || headers.contains_key(ORIGIN) {
            return Consider::Pass(Why::Bypass(Bypass::NotCached));
        }
        let entry = lists.get(&key);
        let now = Instant::now();
        let freshness = **self.freshness.read();
        let verdict = verdict(entry.as_deref(), directives, now, &freshness);
        let lookup = |key, why, has_older| Lookup {
            directives,
            key,
            list,
            caller,
            tool: call.origin.tool.clone(),
            why,
            has_older,
        };
        let Some(entry) = entry else {
            // Nothing else is decided over nothing.
            let why = match verdict {
                Verdict::Forward(why) => why,
                Verdict::Hit { .. } | Verdict::Revalidate { .. } => Why::UriMiss,
            };
            return Consider::Fill(lookup(key, why, false));
        };
        let answer = |key: &CacheKey, ttl, detail: Option<Detail>| {
            self.metrics
                .cache_request(detail.map_or("hit", Detail::metric));
            let reading = self.answered(key, call.origin.tool.as_ref(), now);
            let status = match detail {
                None => entry.told_ttl.or_make(ttl, |ttl| hit(ttl, None)),
                detail => hit(ttl, detail),
            };
            respond::kept(&entry, &Reader::of(&call.request), reading, status, now)
        };
        match verdict {
            Verdict::Hit { ttl } => Consider::Answer(answer(&key, ttl, None)),
            Verdict::Revalidate { ttl } if self.spares(caller, list, Why::Stale, &entry, now) => {
                Consider::Answer(answer(&key, ttl, Some(Detail::Quota)))
            }
            Verdict::Revalidate { ttl } if entry.rests(now) => {
                Consider::Answer(answer(&key, ttl, Some(Detail::StaleIfError)))
            }
            Verdict::Revalidate { ttl } => {
                let answer = answer(&key, ttl, Some(Detail::Revalidating));
                Consider::Refresh(answer, lookup(key, Why::Stale, true))
            }
            Verdict::Forward(why) => {
                match in_place_of_an_error(&entry, directives, now, &freshness) {
                    Some(ttl) if self.spares(caller, list, why, &entry, now) => {
                        Consider::Answer(answer(&key, ttl, Some(Detail::Quota)))
                    }
                    older => Consider::Fill(lookup(key, why, older.is_some())),
                }
            }
        }
    }

    // Whether a list is rather given out as it is than fetched anew, which would cost a request.
    fn spares(
        &self,
        caller: Fingerprint,
        list: List,
        why: Why,
        entry: &Entry,
        now: Instant,
    ) -> bool {
        let pool = Pool::of_list(list);
        match self.quota.stance(caller, pool, now) {
            Stance::Reserve | Stance::Closed => true,
            Stance::Open => {
                // What is left has to last until there is more; but who asks for a newer list than there is
                // gets one while there is enough.
                let Freshness { ttl, if_error, .. } = **self.freshness.read();
                let lasts = || self.quota.freshness(caller, pool, ttl, ttl + if_error, now);
                let age = entry.age(now);
                why == Why::Stale && age >= ttl && age < lasts()
            }
        }
    }

    // A list is answered from here: counts that, and tells what is left of the quota. Clients sleep when they
    // read that nothing is, and who is answered from here need not.
    fn answered(&self, key: &CacheKey, tool: Option<&Label>, now: Instant) -> Option<Reading> {
        let reading = self.quota.answered(&asking(key, tool), key.digest(), now);
        reading.filter(|reading| reading.remaining > 0)
    }
}

fn asking<'a>(key: &CacheKey, tool: Option<&'a Label>) -> Asking<'a> {
    Asking {
        caller: key.caller,
        pool: Pool::of_list(key.list),
        endpoint: Endpoint::List(key.list).name(),
        tool,
    }
}

pin_project! {
    /// An answer that passes the cache by.
    pub struct Passing<F> {
        #[pin]
        answer: F,
        epochs: Arc<Epochs>,
        caller: Option<Fingerprint>,
        why: Why,
    }
}

impl<F: Future<Output = Result<Answer, ProxyError>>> Future for Passing<F> {
    type Output = Result<Answer, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx))?;
        if let Some(caller) = *this.caller
            && refuses(&answer)
        {
            this.epochs.revoke(caller);
        }
        append_status(answer.headers_mut(), *this.why);
        Poll::Ready(Ok(answer))
    }
}

fn append_status(headers: &mut HeaderMap, why: Why) {
    headers.append(CACHE_STATUS, forwarded(why, false, false));
}

// Upstream does not accept this credential, or no longer for all that it may have cached.
fn refuses(answer: &Answer) -> bool {
    matches!(
        answer.status(),
        http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN
    )
}

#[cfg(test)]
mod tests;
