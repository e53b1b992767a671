//! Bounds what is in flight and how long a caller may take to send a body.
//!
//! **Guarantee** (DESIGN §1.8): what is over the limit is refused at once, before any work is done for
//! it, and never queued. A slot is free again when the answer's *body* has ended, so that slow readers
//! count for as long as they read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{Either, Ready, ready as at_once};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Answer, Received};
use crate::error::ProxyError;
use crate::live::Live;
use crate::slots::{Slot, Slots};

/// Makes [`Limit`].
#[derive(Clone, Debug)]
pub struct LimitLayer {
    slots: Slots,
    body_timeout: Live<Duration>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Limit<S> {
    layer: LimitLayer,
    inner: S,
}

// === impl LimitLayer ===

impl LimitLayer {
    /// `max_in_flight` requests at once, and `body_timeout` between two pieces of a caller's body.
    #[must_use]
    pub fn new(max_in_flight: impl Into<Slots>, body_timeout: impl Into<Live<Duration>>) -> Self {
        Self {
            slots: max_in_flight.into(),
            body_timeout: body_timeout.into(),
        }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limit {
            layer: self.clone(),
            inner,
        }
    }
}

// === impl Limit ===

impl<S> Service<Received> for Limit<S>
where
    S: Service<Received, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<Admitted<S::Future>, Ready<Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut received: Received) -> Self::Future {
        let Some(slot) = self.layer.slots.try_take() else {
            return Either::Right(at_once(Err(ProxyError::Overloaded)));
        };
        if !received.request.body().is_end_stream() {
            let timeout = **self.layer.body_timeout.read();
            received.request.body_mut().bound_pauses(timeout);
        }
        Either::Left(Admitted {
            answer: self.inner.call(received),
            slot: Some(slot),
        })
    }
}

pin_project! {
    /// A request that has a slot, until its answer's body takes that over.
    pub struct Admitted<F> {
        #[pin]
        answer: F,
        slot: Option<Slot>,
    }
}

impl<F: Future<Output = Result<Answer, ProxyError>>> Future for Admitted<F> {
    type Output = Result<Answer, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx))?;
        if let Some(slot) = this.slot.take() {
            answer.body_mut().hold(slot);
        }
        Poll::Ready(Ok(answer))
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use tokio_test::{assert_ready_err, assert_ready_ok};
    use tower_test::mock::Spawn;

    use super::*;
    use crate::body::Body;
    use crate::layers::testing;

    fn request() -> Received {
        testing::received(Request::get("/").body(Body::empty()).unwrap())
    }

    #[tokio::test]
    async fn a_slot_is_free_again_when_the_answers_body_has_ended() {
        let (inner, mut upstream) = testing::mock::<Received>();
        let mut service = Spawn::new(LimitLayer::new(1, Duration::from_secs(1)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let first = service.call(request());
        let (_, reply) = upstream.next_request().await.unwrap();
        reply.send_response(Response::new(Body::full("slowly read")));
        let answer = first.await.unwrap();

        assert_ready_ok!(service.poll_ready());
        let mut refused = tokio_test::task::spawn(service.call(request()));
        let error = assert_ready_err!(refused.poll());
        assert!(matches!(error, ProxyError::Overloaded));

        answer.into_body().collect().await.unwrap();
        assert_ready_ok!(service.poll_ready());
        let mut admitted = tokio_test::task::spawn(service.call(request()));
        assert!(admitted.poll().is_pending());
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_or_fails_frees_its_slot() {
        let (inner, mut upstream) = testing::mock::<Received>();
        let mut service = Spawn::new(LimitLayer::new(1, Duration::from_secs(1)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        drop(service.call(request()));
        assert_ready_ok!(service.poll_ready());
        let failing = service.call(request());
        upstream.next_request().await.unwrap();
        let (_, reply) = upstream.next_request().await.unwrap();
        reply.send_error(ProxyError::Internal);
        failing.await.unwrap_err();
        assert_ready_ok!(service.poll_ready());
        assert!(
            tokio_test::task::spawn(service.call(request()))
                .poll()
                .is_pending()
        );
    }
}
