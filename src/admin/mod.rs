//! The admin side, on a listener of its own: health, readiness and metrics.
//!
//! **Guarantee**: all but `/healthz` and `/readyz` (and `/metrics` with `admin.public_metrics`) needs
//! the bearer token, also what does not exist. The page and the API will stand beside them.

mod auth;
mod quota;
mod readiness;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use self::auth::Token;
pub use self::readiness::{Readiness, Watched};
use crate::clock::Clock;
use crate::ledger::Keeper;
use crate::metrics::Metrics;

/// What the admin side shows.
#[derive(Clone)]
pub struct Admin {
    /// Who may see it.
    pub token: Token,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether `/metrics` needs no token.
    pub public_metrics: bool,
    /// Whether changes can be recorded.
    pub readiness: Readiness,
    /// Who spent the quota.
    pub keeper: Keeper,
    /// What time it is.
    pub clock: Clock,
}

/// The routes.
pub fn router(admin: Admin) -> Router {
    let open = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    let metrics = Router::new().route("/metrics", get(metrics));
    let (open, closed) = if admin.public_metrics {
        (open.merge(metrics), Router::new())
    } else {
        (open, metrics)
    };
    let closed = closed.route("/api/quota", get(quota::get));
    let token = admin.token.clone();
    // The fallback too: who has no token does not learn what there is.
    let closed = closed
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(token, auth::require));
    open.merge(closed).with_state(admin)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let report = admin.readiness.report().await;
    let status = match report.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    // Over several lines: it is read where somebody has run curl.
    let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    let kind = (header::CONTENT_TYPE, "application/json");
    (status, [kind], text).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // A row written at most once a second tells more than the last change does, which may be hours ago.
    admin.metrics.ready(admin.readiness.report().await.ready);
    // It reads files.
    match tokio::task::spawn_blocking(move || admin.metrics.text()).await {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn not_found() -> Response {
    auth::problem(
        StatusCode::NOT_FOUND,
        "about:blank",
        "Not Found",
        "there is nothing here",
    )
}
