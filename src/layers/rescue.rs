//! The one place where an error, or a panic, becomes an answer (RFC 9457).
//!
//! What is inside may fail in any way: from here on outwards there is always an answer. The source of
//! an error goes to the log, once, under the request's id; the caller reads only what is ours to say.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Answer, EVENT_ID, QUOTA_REMAINING, QUOTA_RESETS_IN, Received, RequestId};
use crate::body::Body;
use crate::error::{Problem, ProxyError};

/// Makes [`Rescue`].
#[derive(Clone, Copy, Debug)]
pub struct RescueLayer;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Rescue<S> {
    inner: S,
}

// === impl RescueLayer ===

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Rescue { inner }
    }
}

// === impl Rescue ===

impl<S> Service<Received> for Rescue<S>
where
    S: Service<Received, Response = Answer, Error = ProxyError>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Rescued<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Nothing inside is ever unready for good; an error shows again in `call`.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, received: Received) -> Self::Future {
        let id = received.origin.request_id.clone();
        // The layers inside hold nothing that one of them could leave half done.
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(received)));
        let (answer, failed) = match called {
            Ok(answer) => (Some(answer), None),
            Err(panic) => (None, Some(panicked(panic.as_ref()))),
        };
        Rescued { answer, failed, id }
    }
}

pin_project! {
    /// An answer that there will be.
    pub struct Rescued<F> {
        // `None` where the call itself panicked.
        #[pin]
        answer: Option<F>,
        failed: Option<ProxyError>,
        id: RequestId,
    }
}

impl<F: Future<Output = Result<Answer, ProxyError>>> Future for Rescued<F> {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.answer.as_pin_mut() {
            Some(answer) => match catch_unwind(AssertUnwindSafe(|| answer.poll(cx))) {
                Ok(polled) => ready!(polled),
                Err(panic) => Err(panicked(panic.as_ref())),
            },
            None => Err(this.failed.take().unwrap_or(ProxyError::Internal)),
        };
        Poll::Ready(Ok(result.unwrap_or_else(|error| {
            log(&error);
            answer_for(&error, this.id)
        })))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ProxyError {
    tracing::error!(panic = message(panic), "A request made the gateway panic");
    ProxyError::Internal
}

/// The answer that tells a caller of `error`.
fn answer_for(error: &ProxyError, id: &RequestId) -> Answer {
    let problem: Problem = error.problem(id.as_str());
    let mut answer = Response::new(Body::full(serde_json::to_vec(&problem).unwrap_or_default()));
    *answer.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(event) = error.event()
        && let Ok(event) = HeaderValue::try_from(event.to_string())
    {
        headers.insert(EVENT_ID, event);
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        // In upstream's own terms too: its clients sleep by these.
        if matches!(error.cause(), ProxyError::QuotaExhausted { .. }) {
            headers.insert(QUOTA_REMAINING, HeaderValue::from(0));
            headers.insert(QUOTA_RESETS_IN, HeaderValue::from(seconds));
        }
    }
    answer
}

fn log(error: &ProxyError) {
    let mut cause = String::new();
    let mut source = error.cause().source();
    while let Some(inner) = source {
        cause.push_str(": ");
        cause.push_str(&inner.to_string());
        source = inner.source();
    }
    match error.cause() {
        // The caller's mistake, or a burst: the line at the request's end is enough.
        ProxyError::BadRequest(_)
        | ProxyError::BodyIncomplete(_)
        | ProxyError::ChangedSince(_)
        | ProxyError::QuotaExhausted { .. }
        | ProxyError::Paced { .. }
        | ProxyError::Overloaded => {}
        ProxyError::ConnectFailed(_) | ProxyError::ConnectionLost(_) | ProxyError::Timeout(_) => {
            tracing::warn!("{error}{cause}");
        }
        ProxyError::AuditUnavailable(_)
        | ProxyError::OutcomeUnrecorded { .. }
        | ProxyError::Recorded { .. }
        | ProxyError::Internal => {
            tracing::error!("{error}{cause}");
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::layers::testing;

    #[tokio::test]
    async fn a_panic_becomes_an_answer_with_the_requests_id() {
        let inner = service_fn(|_: Received| async { panic!("secret detail") });
        let received = testing::received(Request::get("/").body(Body::empty()).unwrap());
        let answer = RescueLayer.layer(inner).oneshot(received).await.unwrap();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains(r#""request_id":"test-request""#) && !body.contains("secret"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn an_overloaded_gateway_says_when_to_come_back() {
        let inner = service_fn(|_: Received| async { Err::<Answer, _>(ProxyError::Overloaded) });
        let received = testing::received(Request::get("/").body(Body::empty()).unwrap());
        let answer = RescueLayer.layer(inner).oneshot(received).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()[RETRY_AFTER], "1");
    }
}
