//! Reads on every answer what is left of the quota.
//!
//! Inside `cache`, so that a hit costs no quota; outside `forward`, so that it sees every answer. This
//! is where requests will be held back when the quota is gone; today it takes notes and shows them as
//! a metric.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{Answer, Call};
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::Endpoint;
use crate::error::ProxyError;
use crate::metrics::Metrics;
use crate::quota::{Pool, Reading, Readings};

/// Makes [`Quota`].
#[derive(Clone, Debug)]
pub struct QuotaLayer {
    readings: Readings,
    metrics: Metrics,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Quota<S> {
    layer: QuotaLayer,
    inner: S,
}

// === impl QuotaLayer ===

impl QuotaLayer {
    /// Keeps what it reads in `readings`.
    #[must_use]
    pub fn new(readings: Readings, metrics: Metrics) -> Self {
        Self { readings, metrics }
    }
}

impl<S> Layer<S> for QuotaLayer {
    type Service = Quota<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Quota {
            layer: self.clone(),
            inner,
        }
    }
}

// === impl Quota ===

impl<S> Service<Call> for Quota<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let pool = match call.endpoint {
            Endpoint::List(list) => Pool::of(list.organization()),
            Endpoint::Change(change) => Pool::of(change.ids.organization),
            Endpoint::Me => Pool::Me,
            Endpoint::Read => Pool::Unclear,
        };
        let caller = call.caller.as_ref().map(|caller| caller.fingerprint);
        let layer = self.layer.clone();
        ResponseFuture {
            answer: self.inner.call(call),
            layer,
            caller,
            pool,
        }
    }
}

pin_project! {
    /// The answer of [`Quota`].
    pub struct ResponseFuture<F> {
        #[pin]
        answer: F,
        layer: QuotaLayer,
        caller: Option<Fingerprint>,
        pool: Pool,
    }
}

impl<F: Future<Output = Result<Answer, ProxyError>>> Future for ResponseFuture<F> {
    type Output = Result<Answer, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        if let Some(caller) = *this.caller
            && let Some(reading) = Reading::of(answer.headers(), Instant::now())
        {
            this.layer.readings.note(caller, *this.pool, reading);
            // Only of organizations that upstream knows: anybody can make up a number.
            if answer.status().is_success() {
                let organization = match *this.pool {
                    Pool::Organization(organization) => Some(organization),
                    Pool::Me | Pool::Unclear => None,
                };
                this.layer
                    .metrics
                    .quota_remaining(organization, reading.remaining);
            }
        }
        Poll::Ready(Ok(answer))
    }
}
