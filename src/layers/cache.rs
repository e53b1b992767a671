//! Answers reads of lists from the cache, and fills it.
//!
//! **Guarantees** (DESIGN §1.2–1.4). A kept list goes to the exact caller who fetched it, while it is
//! fresh and no change has touched it. A `401` or `403` drops all that its caller has cached. Every
//! answer says in `Cache-Status` how it came about.
//!
//! Inside `invalidate`, which closes what a change touches; outside `quota`, so that a hit costs none.
//! Stale lists will be served from here when upstream fails; today an old list is fetched anew.

mod fetch;
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

use self::fetch::Fetch;
use super::{Answer, CACHE_STATUS, Call};
use crate::cache::epochs::Epochs;
use crate::cache::fills::{Fetched, Fills, Joined};
use crate::cache::key::CacheKey;
use crate::cache::lists::Lists;
use crate::cache::tags::Tags;
use crate::cache::verdict::{Bypass, Directives, Verdict, Why, forwarded, verdict};
use crate::clock::Clock;
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::{Endpoint, List};
use crate::error::ProxyError;
use crate::metrics::Metrics;
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
    /// How long a list is fresh.
    pub ttl: Duration,
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

type Filling = BoxFuture<'static, Result<Answer, ProxyError>>;

impl<S> Service<Call> for Cache<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<Passing<S::Future>, Either<Ready<Result<Answer, ProxyError>>, Filling>>;

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
                Either::Left(Passing {
                    answer: self.inner.call(call),
                    epochs,
                    caller,
                    why,
                })
            }
            Consider::Answer(answer) => Either::Right(Either::Left(ready(Ok(answer)))),
            Consider::Fill(lookup) => {
                // The service that was polled ready goes with the fetch; its clone waits here.
                let next = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, next);
                Either::Right(Either::Right(Box::pin(
                    Arc::clone(&self.layer).fill(inner, call, lookup),
                )))
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
    /// A list is fetched for it.
    Fill(Lookup),
}

/// A read of a list that no kept list answers.
struct Lookup {
    directives: Directives,
    key: CacheKey,
    list: List,
    caller: Fingerprint,
    why: Why,
}

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
        match verdict(entry.as_deref(), directives, Instant::now(), self.ttl) {
            Verdict::Hit { ttl } => {
                self.metrics.cache_request("hit");
                // A verdict of a hit is given over an entry.
                let answer = entry.map(|entry| respond::hit(&entry, headers, ttl));
                answer.map_or(
                    Consider::Pass(Why::Bypass(Bypass::NotCached)),
                    Consider::Answer,
                )
            }
            Verdict::Forward(why) => Consider::Fill(Lookup {
                directives,
                key,
                list,
                caller,
                why,
            }),
        }
    }

    async fn fill<S>(
        self: Arc<Self>,
        mut inner: S,
        call: Call,
        lookup: Lookup,
    ) -> Result<Answer, ProxyError>
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
            + Clone
            + Send
            + 'static,
    {
        let Lookup {
            directives,
            key,
            list,
            caller,
            why,
        } = lookup;
        let asked = call.request.headers().clone();
        // Before the fetch begins: a change that lands from here on makes its list one from before.
        let snapshot = self.epochs.snapshot(list, caller);
        let state = self.epochs.state(list, caller);
        // Who wants it newer than what is kept wants it newer than what somebody else began to fetch.
        let join = why != Why::Request;
        let why = if snapshot.is_none() {
            Why::Bypass(Bypass::ChangeInFlight)
        } else {
            why
        };
        let alone = respond::again(&call);
        let fetch = Fetch {
            layer: Arc::clone(&self),
            key: key.clone(),
            list,
            caller,
            snapshot,
        };
        let mut service = inner.clone();
        std::mem::swap(&mut service, &mut inner);
        let kept = || {
            let entry = self.lists.as_ref()?.get(&key)?;
            match verdict(Some(&entry), directives, Instant::now(), self.ttl) {
                Verdict::Hit { ttl } => Some((entry, ttl)),
                Verdict::Forward(_) => None,
            }
        };
        let joined = self
            .fills
            .join_or_start((key.clone(), state), join, kept, || {
                fetch.run(service, call)
            })?;
        let (fill, began) = match joined {
            Joined::Fetch { fill, began } => (fill, began),
            Joined::Kept((entry, ttl)) => {
                self.metrics.cache_request("hit");
                return Ok(respond::hit(&entry, &asked, ttl));
            }
        };
        self.metrics.cache_request(why.metric(!began));
        let fetched = fill.await?;
        if let Fetched::Stream(answer) = &*fetched {
            // Only for who began the fetch: it has the coding that they take, and their cookies.
            let taken = answer
                .lock()
                .ok()
                .filter(|_| began)
                .and_then(|mut answer| answer.take());
            let mut answer = match taken {
                Some(answer) => answer,
                None => {
                    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
                    inner.call(alone).await?
                }
            };
            answer
                .headers_mut()
                .append(CACHE_STATUS, forwarded(why, false, false));
            return Ok(answer);
        }
        Ok(respond::fetched(&fetched, &asked, why, began))
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
