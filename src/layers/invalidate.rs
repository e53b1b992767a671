//! Closes the cache for what a change touches, for as long as the change is in flight.
//!
//! **Guarantee** (DESIGN §1.3): once a change was answered, no read gets a list from before it, not
//! even from a fetch that was under way. So what it touches closes *before* it goes out and opens when
//! the outcome is known; without one it stays closed for the grace of [`Epochs`].
//!
//! Inside `audit`: a change refused there changes nothing. Outside `cache`: its fills ask the same
//! [`Epochs`]. A read costs one match on the endpoint and no allocation.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use tower::{Layer, Service};

use super::{Answer, Call};
use crate::cache::epochs::Epochs;
use crate::domain::action::Outcome;
use crate::domain::endpoint::{Endpoint, Touches};
use crate::error::ProxyError;

/// Makes [`Invalidate`].
#[derive(Clone, Debug)]
pub struct InvalidateLayer {
    epochs: Arc<Epochs>,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Invalidate<S> {
    epochs: Arc<Epochs>,
    inner: S,
}

// === impl InvalidateLayer ===

impl InvalidateLayer {
    /// Closes in these `epochs`, which the cache asks too.
    #[must_use]
    pub fn new(epochs: Arc<Epochs>) -> Self {
        Self { epochs }
    }
}

impl<S> Layer<S> for InvalidateLayer {
    type Service = Invalidate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Invalidate {
            epochs: Arc::clone(&self.epochs),
            inner,
        }
    }
}

// === impl Invalidate ===

impl<S> Service<Call> for Invalidate<S>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send + 'static>,
{
    type Response = Answer;
    type Error = ProxyError;
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, ProxyError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Endpoint::Change(change) = call.endpoint else {
            return Either::Left(self.inner.call(call));
        };
        // Before `inner.call`, not in the future below: the inner service may send without being
        // polled, and a fill in between would store the old list under the new epoch.
        let flight = self.epochs.close(if change.renews {
            // It changes no list; but who still has the old credential is to read none.
            Touches::Everything
        } else {
            change.touches
        });
        let answer = self.inner.call(call);
        Either::Right(Box::pin(async move {
            let result = answer.await;
            flight.land(outcome(&result));
            result // dropped before it gets here, the flight lands as `Unknown`
        }))
    }
}

fn outcome(result: &Result<Answer, ProxyError>) -> Outcome {
    match result {
        Ok(answer) => Outcome::of_status(answer.status()),
        Err(error) => error.outcome(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, Response, StatusCode};
    use serde_json::json;
    use tokio::task::yield_now;
    use tokio::time::advance;
    use tokio_test::assert_ready_ok;
    use tower_test::mock::Spawn;

    use super::*;
    use crate::body::Body;
    use crate::cache::epochs::Snapshot;
    use crate::domain::endpoint::List;
    use crate::domain::ids::OrganizationId;
    use crate::layers::testing;

    const GRACE: Duration = Duration::from_secs(60);

    fn snapshot(epochs: &Epochs) -> Option<Snapshot> {
        let caller = testing::get("ann", "/").caller.unwrap();
        epochs.snapshot(List::Organization(OrganizationId(1)), caller.fingerprint)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_nobody_awaits_keeps_its_lists_closed_for_the_grace() {
        let epochs = Epochs::with_grace(GRACE);
        let (inner, _upstream) = testing::inner();
        let mut service = Spawn::new(InvalidateLayer::new(Arc::clone(&epochs)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let answer = service.call(testing::rename_group(1));
        assert!(
            snapshot(&epochs).is_none(),
            "closed before anything is awaited"
        );
        drop(answer);
        advance(GRACE - Duration::from_millis(1)).await;
        assert!(snapshot(&epochs).is_none());
        advance(Duration::from_millis(1)).await;
        yield_now().await;
        assert!(snapshot(&epochs).is_some());
    }

    #[tokio::test]
    async fn the_outcome_decides_what_becomes_of_older_lists() {
        for (status, survives) in [
            (200, false),
            (303, false),
            (400, true),
            (403, true),
            (429, true),
        ] {
            let epochs = Epochs::with_grace(GRACE);
            let before = snapshot(&epochs).unwrap();
            let (inner, mut upstream) = testing::inner();
            let mut service = Spawn::new(InvalidateLayer::new(Arc::clone(&epochs)).layer(inner));
            assert_ready_ok!(service.poll_ready());
            let answer = service.call(testing::rename_group(1));
            let (_, reply) = upstream.next_request().await.unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            reply.send_response(response);
            answer.await.unwrap();
            assert_eq!(epochs.admits(&before), survives, "{status}");
        }
    }

    #[tokio::test]
    async fn a_new_token_outdates_what_was_read_with_the_old_one() {
        let epochs = Epochs::with_grace(GRACE);
        let before = snapshot(&epochs).unwrap();
        let (inner, mut upstream) = testing::inner();
        let mut service = Spawn::new(InvalidateLayer::new(Arc::clone(&epochs)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let path = "/api/v9/me/reset_token";
        let reset = testing::change("ann", Method::POST, path, &json!({}));
        let answer = service.call(reset);
        let (_, reply) = upstream.next_request().await.unwrap();
        reply.send_response(Response::new(Body::empty()));
        answer.await.unwrap();
        assert!(!epochs.admits(&before));
    }

    #[tokio::test]
    async fn a_lost_connection_keeps_closed_and_one_never_made_opens() {
        let lost = ProxyError::lost("reset");
        let never = ProxyError::ConnectFailed(Arc::new("refused".into()));
        for (error, open) in [(lost, false), (never, true)] {
            let epochs = Epochs::with_grace(GRACE);
            let (inner, mut upstream) = testing::inner();
            let mut service = Spawn::new(InvalidateLayer::new(Arc::clone(&epochs)).layer(inner));
            assert_ready_ok!(service.poll_ready());
            let answer = service.call(testing::rename_group(1));
            upstream.next_request().await.unwrap().1.send_error(error);
            answer.await.unwrap_err();
            assert_eq!(snapshot(&epochs).is_some(), open);
        }
    }

    #[tokio::test]
    async fn a_read_closes_nothing() {
        let epochs = Epochs::with_grace(GRACE);
        let (inner, _upstream) = testing::inner();
        let mut service = Spawn::new(InvalidateLayer::new(Arc::clone(&epochs)).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let _answer = service.call(testing::get("ann", "/api/v9/organizations/1/groups"));
        assert!(snapshot(&epochs).is_some());
    }
}
