//! Lets a change of a spaced token wait for its turn, before anything closes for it.
//!
//! **Guarantee** (CONTRACT §2, `quota.pace`): a change goes up when the token's line says so, ahead of the
//! token's reads. Until then it was not sent, so it closes no list; who would wait for longer than
//! `quota.max_wait` is refused unsent.
//!
//! Inside `audit`: the event of a change that is refused here says `not_sent`. Outside `invalidate`, or a
//! change that only waits would keep its organization's lists from everybody for as long. Reads wait
//! inside the cache, in `quota`, since a hit waits for nothing; they cost one match on the endpoint here.

use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{Answer, Call};
use crate::domain::endpoint::Endpoint;
use crate::domain::usage::{Pool, Use};
use crate::error::ProxyError;
use crate::metrics::Metrics;
use crate::quota::{Priority, Quota as Policy};

/// Makes [`Pace`].
#[derive(Clone, Debug)]
pub struct PaceLayer {
    policy: Policy,
    metrics: Metrics,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Pace<S> {
    layer: PaceLayer,
    inner: S,
}

// === impl PaceLayer ===

impl PaceLayer {
    /// Asks `policy`, which the reads' layer asks too, whose turn it is.
    #[must_use]
    pub fn new(policy: Policy, metrics: Metrics) -> Self {
        Self { policy, metrics }
    }
}

impl<S> Layer<S> for PaceLayer {
    type Service = Pace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Pace {
            layer: self.clone(),
            inner,
        }
    }
}

// === impl Pace ===

impl<S> Service<Call> for Pace<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (Endpoint::Change(_), Some(caller)) = (&call.endpoint, &call.caller) else {
            return Either::Left(self.inner.call(call));
        };
        let now = Instant::now();
        let pool = Pool::of_endpoint(&call.endpoint);
        let seat = self.layer.policy.seat(caller.fingerprint, pool);
        if !seat.spacing.applies(now) {
            return Either::Left(self.inner.call(call));
        }
        // The service that was polled ready goes with the change; its clone waits here.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let metrics = self.layer.metrics.clone();
        let latest = now + self.layer.policy.settings().max_wait;
        Either::Right(Box::pin(async move {
            match seat.spacing.turn(Priority::Change, latest).await {
                Ok(true) => metrics.quota_paced("waited"),
                Ok(false) => {}
                Err(retry_after) => {
                    metrics.quota_paced("refused");
                    let (tool, name) = (call.origin.tool.as_ref(), call.endpoint.name());
                    seat.count(tool, name, Use::Refused, 1, Instant::now());
                    return Err(ProxyError::Paced { retry_after });
                }
            }
            inner.call(call).await
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Response;
    use tokio::time::advance;
    use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
    use tower_test::mock::{Handle, Spawn};

    use super::*;
    use crate::body::Body;
    use crate::cache::epochs::Epochs;
    use crate::domain::action::Outcome;
    use crate::domain::endpoint::List;
    use crate::domain::ids::OrganizationId;
    use crate::layers::invalidate::{Invalidate, InvalidateLayer};
    use crate::layers::testing;

    const GAP: Duration = Duration::from_secs(1);

    struct Stack {
        epochs: Arc<Epochs>,
        policy: Policy,
        service: Spawn<Pace<Invalidate<testing::Inner<Call>>>>,
        upstream: Handle<Call, Answer>,
    }

    impl Stack {
        fn new() -> Self {
            let (epochs, policy) = (Epochs::with_grace(GAP), Policy::default());
            let (inner, upstream) = testing::inner();
            let inner = InvalidateLayer::new(Arc::clone(&epochs)).layer(inner);
            let layer = PaceLayer::new(policy.clone(), Metrics::new());
            Self {
                epochs,
                policy,
                service: Spawn::new(layer.layer(inner)),
                upstream,
            }
        }

        /// Upstream said that Ann's requests come too fast.
        fn limited(&self, wait: Duration) {
            let caller = testing::rename_group(1).caller.unwrap();
            let seat = self.policy.seat(caller.fingerprint, Pool::Unclear);
            seat.spacing.limited(wait, Instant::now());
        }

        fn ask(
            &mut self,
            call: Call,
        ) -> task::Spawn<<Pace<Invalidate<testing::Inner<Call>>> as Service<Call>>::Future>
        {
            assert_ready_ok!(self.service.poll_ready());
            task::spawn(self.service.get_mut().call(call))
        }

        fn is_open(&self) -> bool {
            let caller = testing::rename_group(1).caller.unwrap();
            let list = List::Organization(OrganizationId(1));
            self.epochs.snapshot(list, caller.fingerprint).is_some()
        }

        fn assert_idle(&mut self) {
            let mut request = task::spawn(self.upstream.next_request());
            assert_pending!(request.poll());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_waits_for_its_turn_has_closed_nothing_yet() {
        let mut stack = Stack::new();
        stack.limited(GAP);
        let mut change = stack.ask(testing::rename_group(1));
        assert_pending!(change.poll());
        assert!(stack.is_open());
        stack.assert_idle();
        advance(GAP).await;
        assert_pending!(change.poll());
        assert!(!stack.is_open(), "now it is sent");
        let (_, reply) = stack.upstream.next_request().await.unwrap();
        reply.send_response(Response::new(Body::empty()));
        assert_ready_ok!(change.poll());
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_refused_unsent_and_counted() {
        let mut stack = Stack::new();
        stack.limited(Duration::from_secs(30));
        let error = assert_ready_err!(stack.ask(testing::rename_group(1)).poll());
        assert!(matches!(error, ProxyError::Paced { .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert!(stack.is_open());
        stack.assert_idle();
        assert_eq!(stack.policy.take().usage[0].counts.refused, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_leaves_the_line_was_not_sent_and_makes_room() {
        let mut stack = Stack::new();
        stack.limited(GAP);
        let mut first = stack.ask(testing::rename_group(1));
        assert_pending!(first.poll());
        let mut second = stack.ask(testing::rename_group(2));
        assert_pending!(second.poll());
        drop(first);
        advance(GAP).await;
        assert_pending!(second.poll());
        assert!(stack.is_open());
        let (call, _) = stack.upstream.next_request().await.unwrap();
        assert!(call.request.uri().path().contains("organizations/2"));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_and_what_no_line_applies_to_go_through_at_once() {
        let mut stack = Stack::new();
        let mut change = stack.ask(testing::rename_group(1));
        assert_pending!(change.poll());
        stack.upstream.next_request().await.unwrap();
        stack.limited(GAP);
        let mut read = stack.ask(testing::get("ann", "/api/v9/organizations/1/groups"));
        assert_pending!(read.poll());
        stack.upstream.next_request().await.unwrap();
    }

    #[tokio::test]
    async fn it_is_ready_when_what_is_inside_is() {
        let mut stack = Stack::new();
        stack.upstream.allow(0);
        assert_pending!(stack.service.poll_ready());
        stack.upstream.allow(1);
        assert_ready_ok!(stack.service.poll_ready());
    }
}
