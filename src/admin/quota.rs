//! `GET /api/quota`: who spent the quota, of the last 24 hours or `?since=TIME`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Admin, auth};

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<String>,
}

const USUAL: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn get(State(admin): State<Admin>, Query(query): Query<Since>) -> Response {
    let since = match query.since.map(|since| since.parse::<Timestamp>()) {
        None => admin.clock.now().checked_sub(USUAL),
        Some(since) => since,
    };
    let Ok(since) = since else {
        return auth::problem(
            StatusCode::BAD_REQUEST,
            "urn:tollgate:bad-request",
            "Bad request",
            "since is a time such as 2026-11-24T16:00:00Z",
        );
    };
    match admin.keeper.report(since).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => auth::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:tollgate:audit-unavailable",
            "Audit unavailable",
            &error.to_string(),
        ),
    }
}
