//! One span a request, one line in the log at its end, and its place in the metrics.
//!
//! Outermost: also what a limit refuses or a panic ends has its id, its span and its line. The line is
//! written when the answer's *body* has ended, and says whether it did or was cut off. It holds no
//! credential, body or personal data; codes in the path stand as keyed hashes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Span};

use super::{Answer, CACHE_STATUS, EVENT_ID, Inbound, Origin, REQUEST_ID, Received, RequestId};
use crate::body::{Body, End, OnEnd};
use crate::clock::Clock;
use crate::domain::caller::Key;
use crate::domain::{endpoint, redact};
use crate::metrics::{Metrics, Way};
use crate::quota::Priority;
use crate::traces::{self, Served, Traces};

/// Makes [`Observe`].
#[derive(Clone, Debug)]
pub struct ObserveLayer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    key: Key,
    clock: Clock,
    metrics: Metrics,
    traces: Traces,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Observe<S> {
    shared: Arc<Shared>,
    inner: S,
}

// === impl ObserveLayer ===

impl ObserveLayer {
    /// Hides codes with `key`, dates with `clock`, counts in `metrics`, begins spans of `traces`.
    #[must_use]
    pub fn new(key: Key, clock: Clock, metrics: Metrics, traces: Traces) -> Self {
        Self(Arc::new(Shared {
            key,
            clock,
            metrics,
            traces,
        }))
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe {
            shared: Arc::clone(&self.0),
            inner,
        }
    }
}

// === impl Observe ===

impl<S> Service<Inbound> for Observe<S>
where
    S: Service<Received, Response = Answer, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut inbound: Inbound) -> Self::Future {
        // Not taken apart: what is large is moved as seldom as can be, here and in the layers inside.
        let Inbound {
            peer,
            ref mut request,
        } = inbound;
        let (peer, started) = (peer.ip(), Instant::now());
        let received_at = self.shared.clock.now();
        let request_id = RequestId::of(request.headers().get(REQUEST_ID), received_at);
        let origin = Origin {
            request_id: request_id.clone(),
            peer,
            client: peer,
            received_at,
            started,
            tool: None,
            on_behalf_of: None,
            priority: Priority::Read,
        };
        let span = tracing::info_span!("request", %request_id);
        let watched = Box::new(Watched {
            shared: Arc::clone(&self.shared),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started,
            served: self.shared.traces.serve(request).map(Box::new),
            request_id,
            span: span.clone(),
            answered: None,
        });
        watched.shared.metrics.request_started();
        let entered = span.enter();
        let answer = self.inner.call(Received {
            request: inbound.request,
            origin,
        });
        drop(entered);
        Observed {
            answer: answer.instrument(span),
            ongoing: Ongoing(Some(watched)),
        }
    }
}

pin_project! {
    /// An answer whose body will be watched.
    pub struct Observed<F> {
        #[pin]
        answer: Instrumented<F>,
        // From the call on: the metric is taken back also if nobody ever polls this.
        ongoing: Ongoing,
    }
}

impl<F: Future<Output = Result<Answer, Infallible>>> Future for Observed<F> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut answer = ready!(this.answer.as_mut().poll(cx))?;
        let Some(mut watched) = this.ongoing.0.take() else {
            return Poll::Ready(Ok(answer));
        };
        let answered = Answered::of(&answer);
        watched.shared.metrics.request_answered(
            &watched.method,
            answered.status,
            answered.way,
            watched.started.elapsed(),
        );
        watched.answered = Some(answered);
        answer
            .headers_mut()
            .insert(REQUEST_ID, watched.request_id.header());
        answer.body_mut().tell_end(watched);
        Poll::Ready(Ok(answer))
    }
}

fn is_logged() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    headers.get_all(name).iter().next_back()
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

// What our own `Cache-Status` says, in one word. By its beginning first, which is looked at sooner.
fn way(cache: Option<&HeaderValue>) -> Way {
    let cache = cache.and_then(|cache| str::from_utf8(cache.as_bytes()).ok());
    let Some(cache) = cache.and_then(|cache| cache.strip_prefix("tollgate; ")) else {
        return Way::Own;
    };
    if let Some(left) = cache.strip_prefix("hit; ttl=") {
        return if left.starts_with('-') {
            Way::Stale
        } else {
            Way::Hit
        };
    }
    if cache.starts_with("fwd=method") {
        return Way::Change;
    }
    if cache.starts_with("fwd=bypass") {
        return if cache.ends_with("not-cached") {
            Way::Pass
        } else {
            Way::Bypass
        };
    }
    // Of what was asked of upstream, only an answer from the cache has a time that is left.
    if cache.contains("; ttl=") {
        Way::Stale
    } else {
        Way::Miss
    }
}

/// What the head of an answer says.
struct Answered {
    status: StatusCode,
    way: Way,
    cache: Option<HeaderValue>,
    event: Option<HeaderValue>,
    /// How long the body is to be, where more than its reader could cut it off.
    length: Option<u64>,
}

impl Answered {
    fn of(answer: &Answer) -> Self {
        let headers = answer.headers();
        let cache = last(headers, &CACHE_STATUS);
        let way = way(cache);
        // An error that is told has one too.
        let may_have_event = matches!(way, Way::Change | Way::Own);
        let event = may_have_event.then(|| last(headers, &EVENT_ID)).flatten();
        let length = || text(last(headers, &CONTENT_LENGTH))?.parse().ok();
        Self {
            status: answer.status(),
            way,
            // For the log alone.
            cache: cache.filter(|_| is_logged()).cloned(),
            event: event.cloned(),
            length: if answer.body().is_whole() {
                None
            } else {
                length()
            },
        }
    }
}

/// A request that is being watched.
struct Watched {
    shared: Arc<Shared>,
    method: Method,
    uri: Uri,
    started: Instant,
    // In a box: without a collector there is none, and it is large.
    served: Option<Box<Served>>,
    request_id: RequestId,
    span: Span,
    /// `None` until there is an answer.
    answered: Option<Answered>,
}

impl OnEnd for Watched {
    fn ended(mut self: Box<Self>, mut end: End) {
        let Some(answered) = self.answered.take() else {
            return;
        };
        // What was announced is out: a server asks a body for no more than that.
        end.complete |= answered.length == Some(end.bytes);
        let span = std::mem::replace(&mut self.span, Span::none());
        let _entered = span.enter();
        self.tell(&answered, end);
    }
}

impl Watched {
    // Without a label, which says which tool it is and not what it asks for; that stands in the trail.
    fn path(&self) -> &str {
        let path = self.uri.path();
        let labelled = path.strip_prefix("/~");
        match labelled.and_then(|labelled| labelled.find('/').map(|end| &labelled[end..])) {
            Some(rest) => rest,
            None => path,
        }
    }

    fn tell(mut self: Box<Self>, answered: &Answered, end: End) {
        self.shared.metrics.request_ended();
        let is_logged = is_logged();
        let served = self.served.take();
        if !is_logged && served.is_none() {
            return;
        }
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let path = redact::path(&self.shared.key, &self.method, self.path());
        if is_logged {
            let trace_id = served.as_ref().map(|served| served.trace_id());
            let (method, status) = (&self.method, answered.status.as_u16());
            let (cache, event) = (text(answered.cache.as_ref()), text(answered.event.as_ref()));
            let cut = if end.complete { "" } else { ", cut off" };
            tracing::info!(
                %method, path = %path, status, duration_ms, bytes = end.bytes, complete = end.complete, cache, event,
                trace_id = trace_id.as_deref(),
                "{method} {path} answered {status} in {duration_ms} ms{cut}"
            );
        }
        self.trace(served, Some(answered), &path, end.complete);
    }

    fn given_up(mut self: Box<Self>) {
        self.shared.metrics.request_ended();
        let served = self.served.take();
        let path = redact::path(&self.shared.key, &self.method, self.path());
        let method = &self.method;
        let trace_id = served.as_ref().map(|served| served.trace_id());
        tracing::info!(
            %method, path = %path, trace_id = trace_id.as_deref(),
            "{method} {path} was given up by its caller before there was an answer"
        );
        self.trace(served, None, &path, false);
    }

    fn trace(
        &self,
        served: Option<Box<Served>>,
        answered: Option<&Answered>,
        path: &str,
        complete: bool,
    ) {
        let Some(served) = served else { return };
        served.ended(traces::Outcome {
            method: &self.method,
            path,
            route: endpoint::route(&self.method, self.path()),
            request_id: self.request_id.as_str(),
            status: answered.map(|answered| answered.status),
            cache: answered.map_or(Way::Own, |answered| answered.way).as_str(),
            event: answered.and_then(|answered| text(answered.event.as_ref())),
            complete,
        });
    }
}

/// A request without an answer yet.
struct Ongoing(Option<Box<Watched>>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        if let Some(watched) = self.0.take() {
            watched.given_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::cache::verdict::{Bypass, Detail, Why, forwarded, hit, instead};

    fn layer(metrics: &Metrics) -> ObserveLayer {
        ObserveLayer::new(
            Key::new(&[1; 32]),
            Clock::system(),
            metrics.clone(),
            Traces::default(),
        )
    }

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), 4567);

    fn inbound() -> Inbound {
        Inbound {
            peer: PEER,
            request: Request::get("/").body(Body::empty()).unwrap(),
        }
    }

    async fn id_of(sent: Option<&str>) -> String {
        let inner = service_fn(|received: Received| async move {
            assert_eq!(received.origin.peer, PEER.ip());
            let answer = Response::builder().header("x-request-id", "upstreams");
            Ok::<Answer, Infallible>(answer.body(Body::empty()).unwrap())
        });
        let mut inbound = inbound();
        if let Some(sent) = sent {
            inbound
                .request
                .headers_mut()
                .insert(REQUEST_ID, sent.parse().unwrap());
        }
        let answer = layer(&Metrics::new())
            .layer(inner)
            .oneshot(inbound)
            .await
            .unwrap();
        let ids: Vec<_> = answer.headers().get_all(REQUEST_ID).iter().collect();
        assert_eq!(ids.len(), 1);
        ids[0].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_request_keeps_a_well_formed_id_and_gets_one_else() {
        assert_eq!(id_of(Some("job-17.a_b:c")).await, "job-17.a_b:c");
        for odd in [
            None,
            Some(""),
            Some("a b"),
            Some("<script>"),
            Some(&*"x".repeat(129)),
        ] {
            let id = id_of(odd).await;
            assert_eq!(
                uuid::Uuid::parse_str(&id).unwrap().get_version_num(),
                7,
                "{odd:?}"
            );
        }
    }

    #[test]
    fn each_cache_status_is_one_way_of_answering() {
        let says = |status: HeaderValue| way(Some(&status));
        assert_eq!(says(hit(42, None)), Way::Hit);
        assert_eq!(says(hit(0, Some(Detail::Filtered))), Way::Hit);
        assert_eq!(says(hit(-1, Some(Detail::Revalidating))), Way::Stale);
        let failed = Some(StatusCode::SERVICE_UNAVAILABLE);
        let stale = |ttl| instead(Why::Request, failed, ttl, Detail::StaleIfError);
        assert_eq!((says(stale(-7)), says(stale(7))), (Way::Stale, Way::Stale));
        for why in [Why::UriMiss, Why::Stale, Why::Request] {
            for (stored, collapsed) in [(true, false), (false, true), (false, false)] {
                assert_eq!(says(forwarded(why, stored, collapsed)), Way::Miss);
            }
        }
        let bypass = |why| says(forwarded(Why::Bypass(why), false, false));
        assert_eq!(bypass(Bypass::NoCredential), Way::Bypass);
        assert_eq!(bypass(Bypass::ChangeInFlight), Way::Bypass);
        assert_eq!(bypass(Bypass::NotCached), Way::Pass);
        assert_eq!(says(forwarded(Why::Method, false, false)), Way::Change);
        assert_eq!(way(None), Way::Own);
        for others in ["", "cdn; hit", "tollgate"] {
            assert_eq!(says(HeaderValue::from_static(others)), Way::Own);
        }
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_its_body_has_ended() {
        let metrics = Metrics::new();
        let inner = service_fn(|_: Received| async {
            Ok::<Answer, Infallible>(Response::new(Body::full("x")))
        });
        let mut service = layer(&metrics).layer(inner);
        let in_flight = |count| {
            assert!(
                metrics
                    .text()
                    .contains(&format!("tollgate_in_flight_requests {count}\n"))
            )
        };
        let answer = service
            .ready()
            .await
            .unwrap()
            .call(inbound())
            .await
            .unwrap();
        in_flight(1);
        answer.into_body().collect().await.unwrap();
        in_flight(0);
        drop(service.call(inbound()));
        in_flight(0);
        assert!(
            metrics
                .text()
                .contains(r#"tollgate_requests_total{method="GET",status="200"} 1"#)
        );
    }
}
