//! Lets a request go up, or not, by what is left of the quota; and reads on every answer what is left.
//!
//! **Guarantees** (DESIGN §5). In an hour that is known to be closed nothing goes up of that person and
//! quota but changes; everything else is refused at once, with upstream's own words and a countdown. A
//! `429`, and the page that nginx answers in its place, is waited out and asked again once, if the
//! request changes nothing, has no body and its caller's time (`quota.max_wait`) allows it; from then
//! on the token is spaced. What upstream says otherwise passes through unchanged. Whatever goes up is
//! counted when it is sent, once for each time, also where a dead connection makes `upstream` send it again.
//!
//! A change has waited for its turn further out already, in [`pace`](super::pace).
//!
//! Inside `audit`: what is refused here was not sent, and the event says so. Inside `cache`, so that a
//! hit costs no quota; outside `forward`, so that it sees every answer. Nobody's requests (without a
//! credential) pass through: upstream counts them against nobody.

mod errand;
mod heard;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use self::errand::{Errand, Going};
use super::{Answer, Call};
use crate::error::ProxyError;
use crate::metrics::Metrics;
use crate::quota::{Priority, Quota as Policy, Stance};

/// Makes [`Quota`].
#[derive(Clone, Debug)]
pub struct QuotaLayer {
    policy: Policy,
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
    /// Asks `policy` and tells it what was answered.
    #[must_use]
    pub fn new(policy: Policy, metrics: Metrics) -> Self {
        Self { policy, metrics }
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

type Refused = Ready<Result<Answer, ProxyError>>;
type Waiting = BoxFuture<'static, Result<Answer, ProxyError>>;

impl<S> Service<Call> for Quota<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<Either<S::Future, Passing<S::Future, S>>, Either<Refused, Waiting>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let now = Instant::now();
        let Some(errand) = Errand::of(&self.layer, &call, now) else {
            return Either::Left(Either::Left(self.inner.call(call)));
        };
        // A change has had its turn before it came here, in `pace`.
        if errand.priority != Priority::Change && errand.seat.spacing.applies(now) {
            // Who would be refused after the wait is refused before it.
            if errand.seat.stance(now) != Stance::Closed {
                // The service that was polled ready goes with the request; its clone waits here.
                let next = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, next);
                return Either::Right(Either::Right(Box::pin(errand.wait(inner, call))));
            }
        }
        match errand.go(&self.inner, &mut call, now) {
            Ok(going) => Either::Left(Either::Right(Passing {
                answer: self.inner.call(call),
                going: Some(going),
                settling: None,
            })),
            Err(refused) => Either::Right(Either::Left(ready(Err(refused)))),
        }
    }
}

pin_project! {
    /// The answer to a request that went up.
    pub struct Passing<F, S> {
        #[pin]
        answer: F,
        going: Option<Going<S>>,
        settling: Option<Waiting>,
    }
}

impl<F, S> Future for Passing<F, S>
where
    F: Future<Output = Result<Answer, ProxyError>>,
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Send
        + 'static,
{
    type Output = Result<Answer, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(settling) = this.settling {
            return settling.as_mut().poll(cx);
        }
        let result = ready!(this.answer.poll(cx));
        let Some(going) = this.going.take() else {
            return Poll::Ready(result);
        };
        match going.answered(result) {
            Either::Left(result) => Poll::Ready(result),
            // Boxed: seldom, and it waits anyway.
            Either::Right(settle) => this.settling.insert(Box::pin(settle)).as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests;
