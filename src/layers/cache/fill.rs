//! Lists that have to be fetched: waited for, or only begun.
//!
//! **Guarantees** (DESIGN §3). Equal reads share a fetch, errors included. Where an older list may be
//! given out, it is when upstream fails, and also when it is slow: who asked has it after [`PATIENCE`], and
//! the fetch goes on. Whether it may is asked at that moment and not before, so that no change which landed
//! meanwhile is undone in anybody's eyes.

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::time::{Duration, Instant, timeout};
use tower::Service;

use super::fetch::Fetch;
use super::respond::{self, Reader};
use super::{Answer, CACHE_STATUS, CacheLayer, Call, Lookup, refuses};
use crate::cache::fills::{Fetched, Joined};
use crate::cache::verdict::{
    Bypass, Detail, Verdict, Why, forwarded, hit, in_place_of_an_error, instead, verdict,
};
use crate::error::ProxyError;
use crate::quota::{Pool, Stance};

/// Slow is worse than down: so long somebody waits who could have an older list.
const PATIENCE: Duration = Duration::from_secs(1);

type Told = Result<Arc<Fetched>, ProxyError>;

// === impl CacheLayer ===

impl CacheLayer {
    /// Fetches a list that nobody waits for.
    pub(super) fn refresh<S>(self: Arc<Self>, inner: S, call: Call, lookup: Lookup)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Send + 'static,
    {
        let state = self.epochs.state(lookup.list, lookup.caller);
        let key = lookup.key.clone();
        let fetch = self.fetch(&lookup);
        // One that is under way will do; and who finds too many under way has lost nothing.
        let begun = self.fills.join_or_start(
            (key, state),
            true,
            || self.kept(&lookup).map(|_| ()),
            || fetch.run(inner, call),
        );
        drop(begun);
    }

    /// Answers with a list that is fetched, or with what may be given out in its place.
    pub(super) async fn fill<S>(
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
        let reader = Reader::of(&call.request);
        let fetch = self.fetch(&lookup);
        let state = self.epochs.state(lookup.list, lookup.caller);
        // Who wants it newer than what is kept wants it newer than what somebody else began to fetch.
        let join = lookup.why != Why::Request;
        let why = if fetch.snapshot.is_none() {
            Why::Bypass(Bypass::ChangeInFlight)
        } else {
            lookup.why
        };
        let alone = respond::again(&call);
        let mut service = inner.clone();
        std::mem::swap(&mut service, &mut inner);
        let joined = self.fills.join_or_start(
            (lookup.key.clone(), state),
            join,
            || self.kept(&lookup),
            || fetch.run(service, call),
        );
        let (told, began) = match joined {
            Ok(Joined::Kept(answer)) => {
                self.metrics.cache_request("hit");
                return Ok(answer(&reader));
            }
            Ok(Joined::Fetch { fill, began }) if lookup.has_older => {
                match timeout(PATIENCE, fill.clone()).await {
                    Ok(told) => (told, began),
                    Err(_) => match self.instead(&lookup, &reader, None, Detail::Slow) {
                        Some(answer) => return Ok(answer),
                        None => (fill.await, began),
                    },
                }
            }
            Ok(Joined::Fetch { fill, began }) => {
                self.metrics.cache_request(why.metric(!began));
                (fill.await, began)
            }
            Err(error) => (Err(error), true),
        };
        if lookup.has_older {
            if let Some((status, detail)) = self.failure(&lookup, &told)
                && let Some(answer) = self.instead(&lookup, &reader, status, detail)
            {
                return Ok(answer);
            }
            self.metrics.cache_request(why.metric(!began));
        }
        let fetched = told?;
        let Fetched::Stream(answer) = &*fetched else {
            return Ok(respond::fetched(&fetched, &reader, why, began));
        };
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
                let answer = inner.call(alone).await?;
                if refuses(&answer) {
                    self.epochs.revoke(lookup.caller);
                }
                answer
            }
        };
        answer
            .headers_mut()
            .append(CACHE_STATUS, forwarded(why, false, false));
        Ok(answer)
    }

    fn fetch(self: &Arc<Self>, lookup: &Lookup) -> Fetch {
        Fetch {
            layer: Arc::clone(self),
            key: lookup.key.clone(),
            list: lookup.list,
            caller: lookup.caller,
            // Before the fetch begins: a change that lands from here on makes its list one from before.
            snapshot: self.epochs.snapshot(lookup.list, lookup.caller),
        }
    }

    // The answer of a list that was stored since it was looked for.
    fn kept(&self, lookup: &Lookup) -> Option<impl FnOnce(&Reader) -> Answer + use<>> {
        let entry = self.lists.as_ref()?.get(&lookup.key)?;
        let now = Instant::now();
        let reading = self.reading(lookup.caller, lookup.list, now);
        match verdict(Some(&entry), lookup.directives, now, &self.freshness) {
            Verdict::Hit { ttl } => {
                Some(move |reader: &Reader| respond::kept(&entry, reader, reading, hit(ttl, None)))
            }
            Verdict::Revalidate { .. } | Verdict::Forward(_) => None,
        }
    }

    // The older list, if there is one that nothing has outdated up to now, and it may still be given out.
    fn instead(
        &self,
        lookup: &Lookup,
        reader: &Reader,
        status: Option<StatusCode>,
        detail: Detail,
    ) -> Option<Answer> {
        let lists = self.lists.as_ref()?;
        let entry = lists.get(&lookup.key);
        #[cfg(test)]
        let entry = entry.or_else(|| lists.get_unasked(&lookup.key));
        let entry = entry?;
        let (now, directives) = (Instant::now(), lookup.directives);
        let ttl = in_place_of_an_error(&entry, directives, now, &self.freshness)?;
        self.metrics.cache_request(detail.metric());
        let reading = self.reading(lookup.caller, lookup.list, now);
        let status = match detail {
            // It was refused here.
            Detail::Quota => hit(ttl, Some(detail)),
            _ => instead(lookup.why, status, ttl, detail),
        };
        Some(respond::kept(&entry, reader, reading, status))
    }

    // Whether upstream failed, as opposed to having answered that there is nothing to read; what it answered,
    // and how that is called.
    fn failure(&self, lookup: &Lookup, told: &Told) -> Option<(Option<StatusCode>, Detail)> {
        let fetched = match told {
            Ok(fetched) => fetched,
            Err(ProxyError::QuotaExhausted { .. }) => return Some((None, Detail::Quota)),
            Err(_) => return Some((None, Detail::StaleIfError)),
        };
        let (status, headers) = match &**fetched {
            Fetched::List { .. } | Fetched::Stream(_) => return None,
            Fetched::Other {
                status, headers, ..
            } => (*status, headers),
        };
        let is_html = || {
            let kind = headers.get(CONTENT_TYPE);
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
        };
        let pool = Pool::of(lookup.list.organization());
        let failed = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            // The load balancer's, which knows no list and no group.
            StatusCode::BAD_REQUEST => is_html(),
            // Unless it is about the plan.
            StatusCode::PAYMENT_REQUIRED => {
                let stance = self
                    .quota
                    .stance(lookup.caller, pool, self.reserve, Instant::now());
                stance == Stance::Closed
            }
            status => status.is_server_error(),
        };
        failed.then_some((Some(status), Detail::StaleIfError))
    }
}
