//! The outermost of the admin side: what holds for every answer, whoever made it.
//!
//! **Guarantees**: every answer has a request id and a line in the log; nobody may frame, sniff or keep it;
//! a page runs no script and loads nothing but our own files. A problem is told with the request's id.

use std::error::Error;

use axum::Json;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response as Answer, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::problem::Problem;
use super::{Admin, page};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

// No inline script or style, nothing from elsewhere; forms go to us alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ON_EVERY_ANSWER: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With none at all, browsers would hide from us too where a form comes from.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// A request's id, for what records it.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

pub(super) async fn edge(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = id_of(request.headers().get(&REQUEST_ID));
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let is_read = accepts_page(request.headers()) && !request.uri().path().starts_with("/api/");
    // The route, never the path: what somebody has put there by mistake is not for the log.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut answer = next.run(request).await;
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        if let Some(error) = problem.cause.as_deref().map(|error| error as &dyn Error) {
            tracing::warn!(
                request_id = id,
                error,
                "The admin side could not use the audit database"
            );
        }
        answer = told(problem, answer, &id, is_read);
    }
    let headers = answer.headers_mut();
    for (name, value) in ON_EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let status = answer.status().as_u16();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let route = route.as_ref().map_or("nothing here", MatchedPath::as_str);
    tracing::debug!(
        request_id = id, %method, route, status, duration_ms,
        "The admin side answered {method} {route} with {status}"
    );
    answer
}

// A caller's own id if it is well-formed, as on the proxy's side.
fn id_of(sent: Option<&HeaderValue>) -> String {
    let fits = |text: &&str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (1..=128).contains(&text.len()) && text.bytes().all(known)
    };
    sent.and_then(|value| value.to_str().ok())
        .filter(fits)
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// Sheds load, so that what people and scripts ask here never takes the memory that the proxy needs. Whether the
/// gateway lives and is ready is told at all times.
pub(super) async fn shed(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    match admin.slots.requests.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => {
            Problem::overloaded("too many requests are under way; try again", 1).into_response()
        }
    }
}

/// Whether the answer is for people to read.
pub(super) fn accepts_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("text/html"))
    })
}

fn told(mut problem: Problem, bare: Answer<Body>, id: &str, is_read: bool) -> Response {
    problem.request_id = Some(id.to_owned());
    let mut answer = if is_read {
        (problem.status(), page::problem(&problem)).into_response()
    } else {
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (problem.status(), kind, Json(problem)).into_response()
    };
    let kept = [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW];
    for (name, value) in bare.headers() {
        if kept.contains(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}
