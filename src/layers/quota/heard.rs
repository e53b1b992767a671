//! What an answer says of the quota and of the rate, by its head; of a `402` by its body as well.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Instant;

use super::super::Answer;
use crate::coding::decoded;
use crate::quota::{Exhausted, Heard, Reading, SPACED};

// Upstream's sentence has some hundred bytes.
const LARGEST_402: usize = 4096;

const PATIENCE: Duration = Duration::from_secs(5);

// The bucket leaks one a second.
const USUAL_WAIT: Duration = Duration::from_secs(1);

// All who were limited at once must not come back at once.
const JITTER_MS: u32 = 500;

/// How long upstream wants to be left alone: a `429`, or the page of a `400` or `429` by which the
/// nginx in front says the same.
pub(super) fn limited(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let is_page = || {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(kind.to_ascii_lowercase().starts_with("text/html"))
    };
    let is_limit = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_REQUEST => is_page().unwrap_or_default(),
        _ => false,
    };
    is_limit.then(|| {
        let told = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let told = told.and_then(|wait| wait.trim().parse().ok());
        let told = told.map_or(USUAL_WAIT, Duration::from_secs);
        // A number that anybody could have written there is added to instants.
        told.clamp(USUAL_WAIT, SPACED) + jitter()
    })
}

/// What the head of any answer but a `402` says.
pub(super) fn head(status: StatusCode, headers: &HeaderMap, now: Instant) -> Heard {
    match Reading::of(headers, now) {
        Some(reading) => Heard::Figures(reading),
        // Whoever failed need not have asked the quota.
        None if status.is_server_error() || limited(status, headers).is_some() => Heard::Nothing,
        None => Heard::Admitted,
    }
}

/// What a `402` says, and the answer as it came: trailers, and whatever takes longer to come, included.
pub(super) async fn payment_required(answer: Answer) -> (Answer, Heard) {
    let (head, body) = answer.into_parts();
    // A few bytes come at once or not at all; who waited for more would hold others up.
    let (read, body) = body.read_ahead(LARGEST_402, PATIENCE).await;
    // Half a sentence is no message.
    let text = read.and_then(|read| decoded(&head.headers, &read, LARGEST_402));
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default());
    let heard = match Exhausted::of(&head.headers, &text) {
        Some(gone) => Heard::Exhausted(gone),
        None => self::head(head.status, &head.headers, Instant::now()),
    };
    (Response::from_parts(head, body), heard)
}

fn jitter() -> Duration {
    // Without random numbers all wait alike, which is no harm to one of them.
    let random = getrandom::u32().unwrap_or_default();
    Duration::from_millis(u64::from(random % JITTER_MS))
}
