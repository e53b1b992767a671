//! The admin side, on a listener of its own: the page, the API, health, readiness and metrics.
//!
//! **Guarantee**: all but `/healthz`, `/readyz`, the login and what its form is made of (and `/metrics` with
//! `admin.public_metrics`) needs a token or a session ([`access`]), also what does not exist.

mod access;
mod api;
mod edge;
mod login;
mod page;
mod problem;
mod readiness;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::RequestBodyTimeoutLayer;

pub use self::access::{Access, Principal, Token, Tokens};
use self::problem::Problem;
pub use self::readiness::{Readiness, Watched};
pub use self::tally::Tally;
use crate::cache::lists::Lists;
use crate::clock::Clock;
use crate::domain::ids::OrganizationId;
use crate::domain::row::Link;
use crate::ledger::Keeper;
use crate::metrics::Metrics;
use crate::store::Trail;
use crate::store::sqlite::Reader;

/// What the admin side shows, and to whom. Cloning shares it.
#[derive(Clone)]
pub struct Admin {
    /// Who may see it.
    pub access: Access,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether `/metrics` needs no token.
    pub public_metrics: bool,
    /// Whether changes can be recorded.
    pub readiness: Readiness,
    /// The trail, to be read.
    pub reader: Reader,
    /// The trail, for what is done here.
    pub trail: Arc<dyn Trail>,
    /// The last row that was written.
    pub heads: watch::Receiver<Option<Link>>,
    /// The cache, if there is one.
    pub lists: Option<Lists>,
    /// Who spent the quota.
    pub keeper: Keeper,
    /// How much was changed of late.
    pub tally: Tally,
    /// What time it is.
    pub clock: Clock,
    /// How much may be under way.
    pub slots: Slots,
    /// What has to end before the process does.
    pub tasks: TaskTracker,
    /// When to end.
    pub stop: CancellationToken,
}

/// How much may be under way at once of what lasts.
#[derive(Clone, Debug)]
pub struct Slots {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            // People, scripts and a scraper; of each an answer's head is in the making.
            requests: Arc::new(Semaphore::new(128)),
            streams: Arc::new(Semaphore::new(64)),
            // Each has a connection to the database now and then, of the few there are.
            exports: Arc::new(Semaphore::new(2)),
        }
    }
}

/// The admin side as a service.
pub fn router(admin: Admin) -> Router {
    let closed = closed(admin.public_metrics)
        // Also around what does not exist: who has no token does not learn what does.
        .fallback(|| async { Problem::not_found("there is nothing here") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(from_fn_with_state(admin.clone(), access::require));
    let open = open(admin.public_metrics)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() });
    open.merge(closed)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
        .layer(from_fn_with_state(admin.clone(), edge::shed))
        .layer(from_fn(edge::edge))
        .with_state(admin)
}

/// The largest body of a request, in bytes: a filled-in login form.
const LARGEST_BODY: usize = 16 << 10;

/// The longest pause within a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

// What everybody may have.
fn open(public_metrics: bool) -> Router<Admin> {
    let open = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/login", get(login::form).post(login::log_in))
        .merge(page::assets());
    if public_metrics {
        open.route("/metrics", get(all_metrics))
    } else {
        open
    }
}

// What takes a token or a session.
fn closed(public_metrics: bool) -> Router<Admin> {
    let (api, document) = api::router().split_for_parts();
    let closed = api
        .merge(page::router())
        .route(
            "/openapi.json",
            get(move || api::described(document.clone())),
        )
        .route("/logout", post(login::log_out));
    if public_metrics {
        closed
    } else {
        closed.route("/metrics", get(metrics))
    }
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

async fn metrics(State(admin): State<Admin>, principal: Principal) -> Response {
    metrics_of(admin, principal.organizations).await
}

async fn all_metrics(State(admin): State<Admin>) -> Response {
    metrics_of(admin, None).await
}

// What is counted of these organizations alone, or all of it.
async fn metrics_of(admin: Admin, organizations: Option<Arc<[OrganizationId]>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // A row written at most once a second tells more than the last change does, which may be hours ago.
    admin.metrics.ready(admin.readiness.report().await.ready);
    // It reads files.
    match tokio::task::spawn_blocking(move || match organizations {
        Some(mine) => admin.metrics.text_of(&mine),
        None => admin.metrics.text(),
    })
    .await
    {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
