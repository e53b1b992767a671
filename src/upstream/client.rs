//! Sends one request and waits for the head of its answer.
//!
//! **Guarantee**: an error says whether upstream may have seen the request ([`ProxyError::outcome`]).
//! A [`Repeatable`] request without a body is sent once more if its connection died under it, as
//! connections do that were idle for too long, and its [`OnResend`] is told; a change never is. A body that stops coming is cut off
//! after `upstream.request_timeout`.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};
use tower::Service;
use tower_http::timeout::TimeoutBody;

use super::connect::connector;
use super::health::Health;
use super::pool::Pool;
use crate::body::Body;
use crate::error::ProxyError;
use crate::metrics::Metrics;
use crate::repeatable::{OnResend, Repeatable};
use crate::traces::Traces;

/// See the [module](self). Cloning shares the pool.
#[derive(Clone, Debug)]
pub struct Upstream {
    pool: Pool,
    request_timeout: Duration,
    metrics: Metrics,
    traces: Traces,
    health: Health,
}

const KEEP_ALIVE: Duration = Duration::from_secs(10);

// === impl Upstream ===

impl Upstream {
    /// A pool without connections yet.
    ///
    /// # Errors
    ///
    /// When the certificates to trust cannot be read.
    pub fn new(
        connect_timeout: Duration,
        request_timeout: Duration,
        ca_file: Option<&Path>,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // A connection that died silently would else swallow every request until TCP gives up.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE / 2)
            .http2_keep_alive_while_idle(true);
        Ok(Self {
            pool: Pool::new(builder, connector(connect_timeout, ca_file)?),
            request_timeout,
            metrics,
            traces: Traces::default(),
            health: Health::default(),
        })
    }

    /// The same, with a span of `traces` for each request that is sent.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Whether it is reached.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, ProxyError> {
        let again = again(&request);
        match (self.send_once(request, 0).await, again) {
            (Err(ProxyError::ConnectionLost(_)), Some((again, on_resend))) => {
                if let Some(on_resend) = on_resend {
                    on_resend.tell();
                }
                self.send_once(again, 1).await
            }
            (result, _) => result,
        }
    }

    fn timed(&self, body: Incoming) -> Body {
        if body.is_end_stream() {
            return Body::from(body);
        }
        Body::boxed(TimeoutBody::new(self.request_timeout, body))
    }

    async fn send_once(
        &self,
        mut request: Request<Body>,
        sent_before: i64,
    ) -> Result<Response<Body>, ProxyError> {
        let span = self.traces.call(&mut request, sent_before);
        let started = Instant::now();
        let pool = self.pool.current();
        let result = match timeout(self.request_timeout, pool.client.request(request)).await {
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

// What traces call an error.
fn kind(error: &ProxyError) -> &'static str {
    match error {
        ProxyError::ConnectFailed(_) => "connect",
        ProxyError::Timeout(_) => "timeout",
        _ => "connection_lost",
    }
}

// The same request once more, if it may be sent twice, and who is told then.
fn again(request: &Request<Body>) -> Option<(Request<Body>, Option<OnResend>)> {
    let repeatable = request.extensions().get::<Repeatable>().is_some();
    (repeatable && request.body().is_end_stream()).then(|| {
        let mut again = Request::new(Body::empty());
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        (again, request.extensions().get().cloned())
    })
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, ProxyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
