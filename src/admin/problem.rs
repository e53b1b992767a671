//! What went wrong, in the form of RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// An answer that says why there is no other. [`edge`](super::edge) writes it out, because it knows the
/// request's id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// What it is in this case, and what to do about it.
    detail: String,
    /// The request's id, as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    #[serde(skip)]
    retry_after: Option<u64>,
    /// What the log has besides. In a box, because most problems have none.
    #[serde(skip)]
    pub(super) cause: Option<Box<StoreError>>,
}

// === impl Problem ===

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            request_id: None,
            retry_after: None,
            cause: None,
        }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:tollgate:bad-request",
            "Bad request",
            detail,
        )
    }

    /// Nobody said who they are, or nobody knows them.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "urn:tollgate:unauthorized",
            "Unauthorized",
            detail,
        )
    }

    /// Whoever it is may not do this.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:tollgate:forbidden",
            "Forbidden",
            detail,
        )
    }

    /// There is no such thing, or nothing that this token may see.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "about:blank", "Not found", detail)
    }

    /// The thing is there, and this cannot be done with it.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "about:blank",
            "Method not allowed",
            "see /openapi.json for what can be done here",
        )
    }

    /// Too many at once, or too often.
    pub(super) fn overloaded(detail: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:tollgate:overloaded",
                "Overloaded",
                detail,
            )
        }
    }

    /// Too many wrong tokens.
    pub(super) fn too_many_attempts(retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "urn:tollgate:too-many-attempts",
                "Too many attempts",
                "too many wrong tokens came from this address; try again in a minute",
            )
        }
    }

    /// The status that it goes out with.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The kind in words.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// What it is in this case.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = self.status().into_response();
        let headers = answer.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self {
            // It may name the database's file, which is none of a reader's business.
            cause: Some(Box::new(error)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:tollgate:audit-unavailable",
                "Audit unavailable",
                "the audit database cannot be used; the gateway's log says why, with this request's id",
            )
        }
    }
}
