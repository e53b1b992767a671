//! Why a caller gets our answer in place of upstream's, and what that answer is.
//!
//! Each error says what it means for a change: whether it was sent, and so whether the caller may
//! repeat it. What a stranger may read is in `#[error]`; the source is
//! for the log.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::body::BoxError;
use crate::domain::action::Outcome;
use crate::domain::ids::EventId;
use crate::store::StoreError;

/// See the [module](self). Cheap to clone, because all who wait for one fetch get the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyError {
    /// No connection to upstream could be made. Nothing was sent.
    #[error("upstream could not be reached")]
    ConnectFailed(#[source] Arc<BoxError>),
    /// The connection died before the whole answer was there. Upstream may have acted.
    #[error("the connection to upstream was lost before its answer was complete")]
    ConnectionLost(#[source] Arc<BoxError>),
    /// No answer within `upstream.request_timeout`. Upstream may have acted, or may still.
    #[error("upstream did not answer within {}", crate::config::units::format_duration(*.0))]
    Timeout(Duration),
    /// The intent could not be written. The change was *not* sent, so the caller may repeat it.
    #[error("the change was not sent, because it could not be recorded")]
    AuditUnavailable(#[source] StoreError),
    /// The change was sent, and its outcome could not be written. The caller must not repeat it blindly.
    #[error(
        "the change was sent and upstream answered {upstream}, but the outcome could not be recorded; \
         read the group before you repeat it"
    )]
    OutcomeUnrecorded {
        /// What upstream answered.
        upstream: StatusCode,
        /// Why it could not be written.
        source: StoreError,
    },
    /// The list that the caller's `If-Match` names has changed since, or cannot be asked for. Nothing was
    /// sent.
    #[error("{0}; nothing was sent: read it again, then decide")]
    ChangedSince(&'static str),
    /// Upstream said not long ago that nothing is left of the caller's quota. Nothing was sent.
    #[error("{message} Toggl said so before and was not asked again; there is more in {}", in_words(*.resets_in))]
    QuotaExhausted {
        /// What upstream said.
        message: Arc<str>,
        /// When there is more.
        resets_in: Duration,
    },
    /// The caller's requests are spaced, and this one would have waited too long. Nothing was sent.
    #[error(
        "Toggl takes one request a second of a token, and others are waiting; nothing was sent: \
         try again in {}",
        in_words(*.retry_after)
    )]
    Paced {
        /// When its turn would have been.
        retry_after: Duration,
    },
    /// More requests are in flight than `limits.max_in_flight` allows. Nothing was sent.
    #[error("too many requests are in flight; try again in a moment")]
    Overloaded,
    /// The request is not one that may be passed on. Nothing was sent.
    #[error("{0}")]
    BadRequest(String),
    /// The caller's body was cut off, or came too slowly. Nothing was sent.
    #[error("the request's body did not arrive whole in time")]
    BodyIncomplete(#[source] Arc<BoxError>),
    /// Any of the others, of a change whose event is in the trail.
    #[error("{error}")]
    Recorded {
        /// The event.
        event: EventId,
        /// What went wrong.
        error: Box<ProxyError>,
    },
    /// Something here is broken. What that means for a change stands in the trail.
    #[error("something went wrong in the gateway; its log has the details under this request id")]
    Internal,
}

/// An answer that Tollgate makes itself, RFC 9457.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// What kind of problem: `urn:tollgate:…`.
    pub r#type: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The status, once more.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The request's id, as in the log.
    pub request_id: String,
    /// Seconds after which to try again; sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

// === impl ProxyError ===

impl ProxyError {
    /// The answer to the request with this id.
    #[must_use]
    pub fn problem(&self, request_id: &str) -> Problem {
        let (r#type, title, status) = match self {
            Self::ConnectFailed(_) | Self::ConnectionLost(_) => (
                "urn:tollgate:upstream-unreachable",
                "Upstream unreachable",
                StatusCode::BAD_GATEWAY,
            ),
            Self::Timeout(_) => (
                "urn:tollgate:upstream-timeout",
                "Upstream timeout",
                StatusCode::GATEWAY_TIMEOUT,
            ),
            Self::AuditUnavailable(_) | Self::OutcomeUnrecorded { .. } => (
                "urn:tollgate:audit-unavailable",
                "Audit unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Overloaded => (
                "urn:tollgate:overloaded",
                "Overloaded",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::QuotaExhausted { .. } => (
                "urn:tollgate:quota-exhausted",
                "Quota exhausted",
                StatusCode::PAYMENT_REQUIRED,
            ),
            Self::Paced { .. } => (
                "urn:tollgate:paced",
                "Paced",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::ChangedSince(_) => (
                "urn:tollgate:changed-since",
                "Changed since",
                StatusCode::PRECONDITION_FAILED,
            ),
            Self::BadRequest(_) | Self::BodyIncomplete(_) => (
                "urn:tollgate:bad-request",
                "Bad request",
                StatusCode::BAD_REQUEST,
            ),
            Self::Recorded { error, .. } => return error.problem(request_id),
            Self::Internal => (
                "about:blank",
                "Internal Server Error",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        };
        Problem {
            r#type,
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            request_id: request_id.to_owned(),
            retry_after: self.retry_after(),
        }
    }

    // In whole seconds, rounded up: who comes back then must not be too early.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Overloaded => Some(1),
            Self::QuotaExhausted { resets_in, .. } => Some(whole_seconds(*resets_in)),
            Self::Paced { retry_after } => Some(whole_seconds(*retry_after)),
            _ => None,
        }
    }

    /// What a change that ended like this has come to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::ConnectFailed(_)
            | Self::AuditUnavailable(_)
            | Self::QuotaExhausted { .. }
            | Self::Paced { .. }
            | Self::Overloaded
            | Self::ChangedSince(_)
            | Self::BadRequest(_)
            | Self::BodyIncomplete(_) => Outcome::NotSent,
            Self::Recorded { error, .. } => error.outcome(),
            Self::ConnectionLost(_)
            | Self::Timeout(_)
            | Self::OutcomeUnrecorded { .. }
            | Self::Internal => Outcome::Unknown,
        }
    }

    /// What went wrong, whether or not it is in the trail.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::Recorded { error, .. } => error.cause(),
            other => other,
        }
    }

    /// The event of the change that ended like this, if it is in the trail.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        match self {
            Self::Recorded { event, .. } => Some(*event),
            _ => None,
        }
    }

    /// Wraps what went wrong with a connection.
    pub fn lost(source: impl Into<BoxError>) -> Self {
        Self::ConnectionLost(Arc::new(source.into()))
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    seconds.max(1)
}

/// `26 minutes and 3 seconds`
fn in_words(duration: Duration) -> String {
    let seconds = whole_seconds(duration);
    let of = |count: u64, unit: &str| match count {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    };
    match (seconds / 60, seconds % 60) {
        (0, seconds) => of(seconds, "second"),
        (minutes, 0) => of(minutes, "minute"),
        (minutes, seconds) => format!("{} and {}", of(minutes, "minute"), of(seconds, "second")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_is_told_in_words_and_never_too_short() {
        for (millis, words) in [
            (0, "1 second"),
            (1001, "2 seconds"),
            (60_000, "1 minute"),
            (61_000, "1 minute and 1 second"),
            (1_563_000, "26 minutes and 3 seconds"),
            (3_600_000, "60 minutes"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn what_the_quota_refuses_was_not_sent_and_says_when_to_come_back() {
        let gone = ProxyError::QuotaExhausted {
            message: "You have hit your hourly limit.".into(),
            resets_in: Duration::from_millis(90_500),
        };
        let problem = gone.problem("r");
        assert_eq!((problem.status, problem.retry_after), (402, Some(91)));
        assert_eq!(
            problem.detail,
            "You have hit your hourly limit. Toggl said so before and was not asked again; \
             there is more in 1 minute and 31 seconds"
        );
        let paced = ProxyError::Paced {
            retry_after: Duration::from_secs(11),
        };
        let problem = paced.problem("r");
        assert_eq!((problem.status, problem.retry_after), (503, Some(11)));
        for error in [gone, paced] {
            assert_eq!(error.outcome(), Outcome::NotSent);
        }
    }
}
