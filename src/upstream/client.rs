//! Sends one request and waits for the head of its answer.
//!
//! **Guarantee**: an error says whether upstream may have seen the request ([`ProxyError::outcome`]).
//! A [`Repeatable`] request is sent once more if its connection died under it, as connections do that were idle
//! for too long; a change never is. A body that stops coming is cut off after `upstream.request_timeout`.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::connect::{connector, in_time};
use super::health::Health;
use super::pool::Pool;
use crate::body::Body;
use crate::error::ProxyError;
use crate::metrics::Metrics;
use crate::repeatable::Repeatable;
use crate::traces::Traces;

/// See the [module](self). Cloning shares the pool.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    request_timeout: Duration,
    metrics: Metrics,
    traces: Traces,
    health: Health,
}

type Answered = Result<Response<Body>, ProxyError>;

const KEEP_ALIVE: Duration = Duration::from_secs(10);

// === impl Upstream ===

impl Upstream {
    /// A pool without connections yet, and a span of `traces` for each request that is sent.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub fn new(
        connect_timeout: Duration,
        request_timeout: Duration,
        ca_file: Option<&Path>,
        metrics: Metrics,
        traces: Traces,
    ) -> anyhow::Result<Self> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // A connection that died silently would else swallow every request until TCP gives up.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE / 2)
            .http2_keep_alive_while_idle(true);
        // Half of the time, so that a read can be made again in the other half.
        let connector = connector(connect_timeout, request_timeout / 2, ca_file)?;
        Ok(Self(Arc::new(Inner {
            pool: Pool::new(builder, in_time(connector, connect_timeout)),
            request_timeout,
            metrics,
            traces,
            health: Health::default(),
        })))
    }

    /// Whether it is reached.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health.clone()
    }
}

// === impl Inner ===

impl Inner {
    // What is sent is sent at once, so that no future carries a request along.
    fn send(self: Arc<Self>, mut request: Request<Body>) -> impl Future<Output = Answered> {
        let repeatable = request.extensions_mut().remove::<Repeatable>();
        let first = Arc::clone(&self).send_once(request, 0);
        async move {
            let result = first.await;
            let again = match (&result, repeatable) {
                (Err(ProxyError::ConnectionLost(_)), Some(repeatable)) => repeatable.again(),
                _ => None,
            };
            match again {
                Some(again) => self.send_once(again, 1).await,
                None => result,
            }
        }
    }

    fn timed(&self, body: Incoming) -> Body {
        let mut body = Body::from(body);
        body.bound_pauses(self.request_timeout);
        body
    }

    fn send_once(
        self: Arc<Self>,
        mut request: Request<Body>,
        sent_before: i64,
    ) -> impl Future<Output = Answered> {
        // In a box: without a collector there is none, and it is large.
        let span = self.traces.call(&mut request, sent_before).map(Box::new);
        let started = Instant::now();
        let pool = self.pool.current();
        let answer = timeout_at(started + self.request_timeout, pool.client.request(request));
        async move {
            let result = match answer.await {
                Ok(Ok(answer)) => Ok(answer.map(|body| self.timed(body))),
                Ok(Err(error)) if error.is_connect() => {
                    Err(ProxyError::ConnectFailed(Arc::new(error.into())))
                }
                Ok(Err(error)) => {
                    self.pool.failed(&pool, &error);
                    Err(ProxyError::lost(error))
                }
                Err(_) => Err(ProxyError::Timeout(self.request_timeout)),
            };
            self.metrics.upstream_answered(
                result.as_ref().ok().map(Response::status),
                started.elapsed(),
            );
            self.health.heard(result.is_ok());
            if let Some(span) = span {
                span.ended(result.as_ref().map(Response::status).map_err(kind));
            }
            result
        }
    }
}

// What traces call an error.
fn kind(error: &ProxyError) -> &'static str {
    match error {
        ProxyError::ConnectFailed(_) => "connect",
        ProxyError::Timeout(_) => "timeout",
        _ => "connection_lost",
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(Arc::clone(&self.0).send(request))
    }
}
