//! Accepts connections up to a limit, serves HTTP/1.1 and HTTP/2 on them, and drains.
//!
//! **Guarantees**: after the signal to stop no connection is accepted, those that are idle are closed,
//! what is under way may end for as long as the grace lasts, and so may what somebody has [just](drain) connected
//! for; then it is cut off. With a certificate nothing
//! is served without TLS; whoever does not get to the end of its handshake is cut off after the time for a head,
//! and nobody else waits for them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready as at_once};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either as Secured;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use super::certificate::Certificate;
use super::drain;
use super::framing::is_ambiguous;
use super::listener::{Listener, Stream};
use super::patience::{Patience, Requests, Times, UnderWay};
use super::protocol::Protocols;
use crate::body::{Body, BoxError};
use crate::live::Live;
use crate::slots::{Slot, Slots};

/// How long a server waits.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// The time for a request's head, and for a TLS handshake before it.
    pub header_timeout: Duration,
    /// The longest pause in taking an answer.
    pub body_timeout: Duration,
    /// The time for what is under way, after the signal to stop.
    pub shutdown_grace: Duration,
}

/// A listener and its limits.
#[derive(Debug)]
pub struct Server {
    listener: Arc<Listener>,
    /// Connections at once; further ones wait in the kernel's queue.
    connections: Slots,
    limits: Live<ServerLimits>,
    certificate: Option<Certificate>,
}

// Longer than clients keep a connection that they mean to use again, so that most are closed by them.
const IDLE: Duration = Duration::from_secs(120);

// After an error that has to do with our own limits (no file descriptors), trying again at once would
// only spin.
const PAUSE: Duration = Duration::from_millis(100);

// === impl Server ===

impl Server {
    /// Serves what comes in on `listener`, so many `connections` at once.
    #[must_use]
    pub fn new(
        listener: Arc<Listener>,
        connections: impl Into<Slots>,
        limits: impl Into<Live<ServerLimits>>,
    ) -> Self {
        Self {
            listener,
            connections: connections.into(),
            limits: limits.into(),
            certificate: None,
        }
    }

    /// Speaks TLS, if there is a certificate; but not on a Unix socket, which nobody else reads along.
    #[must_use]
    pub fn secured(mut self, certificate: Option<Certificate>) -> Self {
        self.certificate = certificate.filter(|_| self.listener.is_tcp());
        self
    }

    /// Serves each connection with what `serve` makes for its peer, until `stop`; then drains.
    pub async fn run<S>(self, serve: impl Fn(SocketAddr) -> S, stop: CancellationToken)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let Self {
            listener,
            connections: slots,
            limits,
            certificate,
        } = self;
        let protocols = Arc::new(Protocols::new());
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            let Some((stream, peer, slot)) = accepted else {
                continue;
            };
            let service = serve(peer);
            // A connection keeps to those with which it began.
            let times = Times::of(&limits.read());
            let certificate = certificate.clone();
            let protocols = Arc::clone(&protocols);
            let (stop, cut) = (stop.clone(), cut.clone());
            connections.spawn(async move {
                let (_slot, since) = (slot, Instant::now());
                let stream = match certificate {
                    None => Some(Secured::Left(stream)),
                    Some(certificate) => {
                        // On the heap: a connection without TLS is no larger for it.
                        let shaking = Box::pin(shake_hands(certificate, stream, times.head, peer));
                        let shaken = tokio::select! {
                            shaken = shaking => shaken,
                            () = Box::pin(drain::silence(&stop, since)) => None,
                        };
                        shaken.map(|stream| Secured::Right(Box::new(stream)))
                    }
                };
                let Some(stream) = stream else { return };
                let requests: Arc<Requests> = Arc::default();
                let stream = Patience::new(stream, Arc::clone(&requests), times);
                let service = PerConnection {
                    service: Mutex::new(service),
                    requests: Arc::clone(&requests),
                };
                let connection = protocols.serve(stream, service, &requests, &stop, &cut, since);
                connection.await;
            });
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(limits.read().shutdown_grace, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!("Some answers were cut off: limits.shutdown_grace is over");
        }
        cut.cancel();
    }
}

// === impl Times ===

impl Times {
    fn of(limits: &ServerLimits) -> Self {
        Self {
            head: limits.header_timeout,
            idle: IDLE,
            stall: limits.body_timeout,
        }
    }
}

/// The service of one connection. Its requests are handed to it one after the other, so it is neither cloned
/// for each of them nor waited for.
struct PerConnection<S> {
    service: Mutex<S>,
    requests: Arc<Requests>,
}

// === impl PerConnection ===

impl<S> hyper::service::Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Answering>;
    type Error = Infallible;
    // What waits is on the heap: it is large, seldom, and no other answer need carry room for it.
    type Future = Answered<Either<Either<S::Future, Waiting<S>>, Refused>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = Some(self.requests.begin());
        let is_ambiguous = is_ambiguous(&request, &self.requests.head);
        self.requests.head.forget();
        if is_ambiguous {
            let answer = Either::Right(at_once(Ok(refusal())));
            return Answered { answer, under_way };
        }
        let request = request.map(Body::from);
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is woken: what is not ready is left to a clone, which waits by itself.
        let mut nobody = Context::from_waker(Waker::noop());
        let answer = if service.poll_ready(&mut nobody).is_ready() {
            Either::Left(service.call(request))
        } else {
            Either::Right(Box::pin(service.clone().oneshot(request)))
        };
        let answer = Either::Left(answer);
        Answered { answer, under_way }
    }
}

type Waiting<S> = Pin<Box<Oneshot<S, Request<Body>>>>;

type Refused = Ready<Result<Response<Body>, Infallible>>;

// As the library refuses what it cannot read: with no more words, and nothing else is read from there.
fn refusal() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

pin_project! {
    /// An answer whose body says when it is over.
    struct Answered<F> {
        #[pin]
        answer: F,
        under_way: Option<UnderWay>,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Answered<F> {
    type Output = Result<Response<Answering>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        let _under_way = this.under_way.take();
        Poll::Ready(Ok(answer.map(|body| Answering { body, _under_way })))
    }
}

pin_project! {
    /// The body of an answer, with its request until it is dropped.
    struct Answering {
        #[pin]
        body: Body,
        _under_way: Option<UnderWay>,
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn accept(listener: &Listener, slots: &Slots) -> Option<(Stream, SocketAddr, Slot)> {
    let changed = slots.changed();
    let slot = slots.take().await;
    let accepted = tokio::select! {
        accepted = listener.accept() => accepted,
        // There may be one too few now: it is taken anew.
        () = changed => return None,
    };
    match accepted {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(%error, "A connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

async fn shake_hands(
    certificate: Certificate,
    stream: Stream,
    limit: Duration,
    peer: SocketAddr,
) -> Option<TlsStream<Stream>> {
    let shaken = tokio::time::timeout(limit, certificate.acceptor().accept(stream)).await;
    // Not more than `debug`: anybody can make us write it.
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "A TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "A TLS handshake took longer than limits.header_timeout");
            None
        }
    }
}
