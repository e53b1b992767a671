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
use super::{Answer, CACHE_STATUS, CacheLayer, Call, Lookup, asking, refuses};
use crate::cache::entry::Entry;
use crate::cache::fills::{Fetched, Joined};
use crate::cache::filters::Filter;
use crate::cache::key::CacheKey;
use crate::cache::verdict::{
    Bypass, Detail, Verdict, Why, forwarded, hit, in_place_of_an_error, instead, verdict,
};
use crate::error::ProxyError;
use crate::quota::{Pool, Priority, Stance};

/// Slow is worse than down: so long somebody waits who could have an older list.
const PATIENCE: Duration = Duration::from_secs(1);

type Told = Result<Arc<Fetched>, ProxyError>;

// === impl CacheLayer ===

impl CacheLayer {
    /// Fetches a list that nobody waits for, or the whole one that it is cut out of; or cuts it anew, where
    /// that has been fetched since.
    pub(super) fn refresh<S>(self: Arc<Self>, inner: S, mut call: Call, mut lookup: Lookup)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Send + 'static,
    {
        if self.is_renewed(&lookup, call.request.uri().query()) {
            return;
        }
        let asked = lookup.key.clone();
        if let Some(whole) = self.whole_of(&lookup) {
            call = respond::of_list(&call, whole.list);
            lookup = whole;
            // It failed a moment ago, for another that is cut out of it or for itself.
            if self.rests(&lookup.key) {
                return self.rest(&asked);
            }
        }
        call.origin.priority = Priority::Refresh;
        let state = self.epochs.state(lookup.list, lookup.caller);
        let key = lookup.key.clone();
        let fetch = self.fetch(&lookup);
        // Each read would else begin another, for as long as upstream fails.
        let rest = {
            let (layer, key) = (Arc::clone(&self), lookup.key.clone());
            move |told: &Told| {
                if !matches!(told.as_deref(), Ok(Fetched::List { .. })) {
                    layer.rest(&key);
                    layer.rest(&asked);
                }
            }
        };
        // One that is under way will do; and who finds too many under way has lost nothing.
        let begun = self.fills.join_or_start(
            (key, state),
            true,
            || self.kept(&lookup).map(|_| ()),
            || async move {
                let told = fetch.run(inner, call).await;
                rest(&told);
                told
            },
        );
        drop(begun);
    }

    // Whether a filtered list needs no fetch any more: one of it, or of the whole one, is under way, or was and
    // is what it is cut out of now. Each read until then comes here, so it reads nothing for the former.
    fn is_renewed(&self, lookup: &Lookup, query: Option<&str>) -> bool {
        if !self.filters.answer() {
            return false;
        }
        let Some((_, whole)) = Filter::of(&lookup.key) else {
            return false;
        };
        let is_under_way = |key: &CacheKey| {
            let state = self.epochs.state(key.list, key.caller);
            self.fills.is_running(key, state)
        };
        is_under_way(&lookup.key) || is_under_way(&whole) || self.cut(lookup, query).is_some()
    }

    fn rests(&self, key: &CacheKey) -> bool {
        let entry = self.lists.as_ref().and_then(|lists| lists.get(key));
        entry.is_some_and(|entry| entry.rests(Instant::now()))
    }

    fn rest(&self, key: &CacheKey) {
        if let Some(entry) = self.lists.as_ref().and_then(|lists| lists.get(key)) {
            entry.rest_until(Instant::now() + PATIENCE);
        }
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
        let query = call.request.uri().query().map(Box::<str>::from);
        let cut = |why| self.answer_cut(&lookup, &reader, query.as_deref(), why);
        if let Some(answer) = cut(None) {
            return Ok(answer);
        }
        if let Some(whole) = self.whole_of(&lookup) {
            let call = respond::of_list(&call, whole.list);
            self.bring(inner.clone(), call, &whole).await;
            // Else it failed, or it is doubtful now: then the list is fetched as it was asked for.
            if let Some(answer) = cut(Some(lookup.why)) {
                return Ok(answer);
            }
        }
        let fetch = self.fetch(&lookup);
        let state = self.epochs.state(lookup.list, lookup.caller);
        // Who wants it newer than what is kept wants it newer than what somebody else began to fetch.
        let join = lookup.why != Why::Request;
        let why = if fetch.snapshot.is_none() {
            Why::Bypass(Bypass::ChangeInFlight)
        } else {
            lookup.why
        };
        let asking = asking(&lookup.key, lookup.tool.as_ref());
        self.quota
            .renews(&asking, lookup.key.digest(), Instant::now());
        let alone = call.again();
        let mut service = inner.clone();
        std::mem::swap(&mut service, &mut inner);
        let joined = self.fills.join_or_start(
            (lookup.key.clone(), state),
            join,
            || self.kept(&lookup),
            || fetch.run(service, call),
        );
        let (told, began) = match joined {
            Ok(Joined::Kept((entry, ttl))) => {
                self.metrics.cache_request("hit");
                let tool = lookup.tool.as_ref();
                let now = Instant::now();
                let reading = self.answered(&lookup.key, tool, now);
                let status = hit(ttl, None);
                return Ok(respond::kept(&entry, &reader, reading, status, now));
            }
            Ok(Joined::Fetch { fill, began }) => {
                if !lookup.has_older {
                    self.metrics.cache_request(why.metric(!began));
                }
                // Who wants it new waits for it.
                if !lookup.has_older || lookup.why == Why::Request {
                    (fill.await, began)
                } else {
                    match timeout(PATIENCE, fill.clone()).await {
                        Ok(told) => (told, began),
                        Err(_) => match self.instead(&lookup, &reader, None, Detail::Slow) {
                            Some(answer) => return Ok(answer),
                            None => (fill.await, began),
                        },
                    }
                }
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
        if !began {
            // Somebody else's request paid for it.
            self.answered(&lookup.key, lookup.tool.as_ref(), Instant::now());
        }
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

    // The whole list that a filtered one can be cut out of, where its caller reads that too: one fetch is
    // enough for both, and for whatever else is cut out of it. What was kept of it last, however old, tells
    // whether there is a doubt.
    fn whole_of(&self, lookup: &Lookup) -> Option<Lookup> {
        if !self.filters.answer() || lookup.why == Why::Request {
            return None;
        }
        let (filter, key) = Filter::of(&lookup.key)?;
        let lists = self.lists.as_ref()?;
        let last = lists.last(&key)?;
        // What was cut out of this very one was beyond doubt. Reading it again at each read would cost more
        // than the read.
        let kept = lists.last(&lookup.key);
        if !kept.is_some_and(|kept| kept.is_cut_of(&last)) {
            filter.cut(&last.identity.body)?;
        }
        Some(Lookup {
            list: key.list,
            key,
            tool: lookup.tool.clone(),
            ..*lookup
        })
    }

    // Waits for a list that is kept when it comes; for no longer than there is another to be given out.
    async fn bring<S>(self: &Arc<Self>, inner: S, call: Call, lookup: &Lookup)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Send + 'static,
    {
        let state = self.epochs.state(lookup.list, lookup.caller);
        let fetch = self.fetch(lookup);
        let asking = asking(&lookup.key, lookup.tool.as_ref());
        self.quota
            .renews(&asking, lookup.key.digest(), Instant::now());
        let joined = self.fills.join_or_start(
            (lookup.key.clone(), state),
            true,
            || self.kept(lookup),
            || fetch.run(inner, call),
        );
        if let Ok(Joined::Fetch { fill, .. }) = joined {
            if lookup.has_older {
                let _late = timeout(PATIENCE, fill).await;
            } else {
                let _told = fill.await;
            }
        }
    }

    // The answer of a filtered list that a fresh whole one tells; `why` the whole one was fetched for it, if
    // it was.
    fn answer_cut(
        &self,
        lookup: &Lookup,
        reader: &Reader,
        query: Option<&str>,
        why: Option<Why>,
    ) -> Option<Answer> {
        let (entry, ttl) = self.cut(lookup, query)?;
        self.metrics.cache_request(Detail::Filtered.metric());
        let now = Instant::now();
        let reading = self.answered(&lookup.key, lookup.tool.as_ref(), now);
        let status = match why {
            None => hit(ttl, Some(Detail::Filtered)),
            Some(why) => forwarded(why, true, false),
        };
        Some(respond::kept(&entry, reader, reading, status, now))
    }

    // A filtered list out of a fresh whole one, kept like any other, and for how long it is fresh.
    fn cut(&self, lookup: &Lookup, query: Option<&str>) -> Option<(Arc<Entry>, i64)> {
        if !self.filters.answer() {
            return None;
        }
        let lists = self.lists.as_ref()?;
        let (filter, whole) = Filter::of(&lookup.key)?;
        // What upstream refused, it alone may allow.
        if lists.last(&lookup.key).is_some_and(|last| !last.is_list()) {
            return None;
        }
        let whole = lists.get(&whole)?;
        let now = Instant::now();
        let Verdict::Hit { ttl } =
            verdict(Some(&whole), lookup.directives, now, &self.freshness.read())
        else {
            return None;
        };
        let entry = Arc::new(whole.cut(&filter.cut(&whole.identity.body)?));
        self.tags
            .note(lookup.caller, &entry.identity.etag, lookup.list, query);
        lists
            .insert(lookup.key.clone(), Arc::clone(&entry))
            .then_some((entry, ttl))
    }

    // A list that was stored since it was looked for, and for how long it is fresh.
    fn kept(&self, lookup: &Lookup) -> Option<(Arc<Entry>, i64)> {
        let entry = self.lists.as_ref()?.get(&lookup.key)?;
        let now = Instant::now();
        match verdict(Some(&entry), lookup.directives, now, &self.freshness.read()) {
            Verdict::Hit { ttl } => Some((entry, ttl)),
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
        let ttl = in_place_of_an_error(&entry, directives, now, &self.freshness.read())?;
        self.metrics.cache_request(detail.metric());
        let reading = self.answered(&lookup.key, lookup.tool.as_ref(), now);
        let status = match detail {
            // It was refused here.
            Detail::Quota => hit(ttl, Some(detail)),
            _ => instead(lookup.why, status, ttl, detail),
        };
        Some(respond::kept(&entry, reader, reading, status, now))
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
        let pool = Pool::of_list(lookup.list);
        let failed = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            // The load balancer's, which knows no list and no group.
            StatusCode::BAD_REQUEST => is_html(),
            // Unless it is about the plan.
            StatusCode::PAYMENT_REQUIRED => {
                let stance = self.quota.stance(lookup.caller, pool, Instant::now());
                stance == Stance::Closed
            }
            status => status.is_server_error(),
        };
        failed.then_some((Some(status), Detail::StaleIfError))
    }
}
