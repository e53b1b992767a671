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
    /// More requests are in flight than `limits.max_in_flight` allows. Nothing was sent.
    #[error("too many requests are in flight; try again in a moment")]
    Overloaded,
    /// The quota is gone, and upstream would refuse the request. Nothing was sent.
    #[error("{message}")]
    QuotaExhausted {
        /// What upstream said when it refused the last one.
        message: Arc<str>,
        /// When there will be more.
        resets_in: Duration,
    },
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
            retry_after: matches!(self, Self::Overloaded).then_some(1),
        }
    }

    /// What a change that ended like this has come to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::ConnectFailed(_)
            | Self::AuditUnavailable(_)
            | Self::Overloaded
            | Self::ChangedSince(_)
            | Self::QuotaExhausted { .. }
            | Self::BadRequest(_)
            | Self::BodyIncomplete(_) => Outcome::NotSent,
            Self::Recorded { error, .. } => error.outcome(),
            Self::ConnectionLost(_)
            | Self::Timeout(_)
            | Self::OutcomeUnrecorded { .. }
            | Self::Internal => Outcome::Unknown,
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
