//! Accepts connections up to a limit, serves HTTP/1.1 and HTTP/2 with prior knowledge, and drains.
//!
//! **Guarantee**: after the signal to stop no connection is accepted, those that are idle are closed,
//! and what is under way may end for as long as the grace lasts; then it is cut off.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use super::opening::Opening;
use crate::body::Body;

/// What a server bounds.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// The time for a request's head.
    pub header_timeout: Duration,
    /// The time for what is under way, after the signal to stop.
    pub shutdown_grace: Duration,
}

/// A listener and its limits.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: ServerLimits,
}

// After an error that has to do with our own limits (no file descriptors), trying again at once would
// only spin.
const PAUSE: Duration = Duration::from_millis(100);

// === impl Server ===

impl Server {
    /// Serves what comes in on `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, limits: ServerLimits) -> Self {
        Self { listener, limits }
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
        let Self { listener, limits } = self;
        let builder = builder(limits.header_timeout);
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let graceful = GracefulShutdown::new();
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
            let stream = TokioIo::new(Opening::new(stream, limits.header_timeout));
            let connection = builder
                .serve_connection(stream, PerConnection(Mutex::new(serve(peer))))
                .into_owned();
            let connection = graceful.watch(connection);
            let cut = cut.clone();
            tokio::spawn(async move {
                tokio::select! {
                    // A peer that breaks off, or speaks no HTTP, is its own affair.
                    _ = connection => {}
                    () = cut.cancelled() => {}
                }
                drop(slot);
            });
        }
        drop(listener);
        if tokio::time::timeout(limits.shutdown_grace, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("Some answers were cut off: limits.shutdown_grace is over");
        }
        cut.cancel();
    }
}

/// The service of one connection. Its requests are handed to it one after the other, so it is neither cloned
/// for each of them nor waited for.
struct PerConnection<S>(Mutex<S>);

// === impl PerConnection ===

impl<S> hyper::service::Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Oneshot<S, Request<Body>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let request = request.map(Body::from);
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is woken: what is not ready is left to a clone, which waits by itself.
        let mut nobody = Context::from_waker(Waker::noop());
        if service.poll_ready(&mut nobody).is_ready() {
            Either::Left(service.call(request))
        } else {
            Either::Right(service.clone().oneshot(request))
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are written whole; waiting for more only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "A connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
