//! The API: what scripts and the page's own live updates ask. `GET /openapi.json` describes it, from the
//! same lines that route it.

mod cache;
mod events;
mod export;
mod groups;
mod quota;
mod stream;
mod trail;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::events::{USUAL, Which};
use super::Admin;
use super::access::COOKIE;
use super::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate",
        description = "The audit trail, the cache and the quota of a Tollgate gateway. Times are RFC 3339."
    ),
    modifiers(&Described),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "trail", description = "Who changed what"),
        (name = "groups", description = "Groups as they are and were"),
        (name = "gateway", description = "The cache and the quota"),
    )
)]
struct Document;

struct Described;

// === impl Described ===

impl utoipa::Modify for Described {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let session = ApiKey::Cookie(ApiKeyValue::new(COOKIE));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// The routes, and what describes them.
pub(super) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(events::list))
        .routes(routes!(stream::stream))
        .routes(routes!(export::export))
        .routes(routes!(events::one))
        .routes(routes!(groups::groups))
        .routes(routes!(groups::history))
        .routes(routes!(cache::get, cache::purge))
        .routes(routes!(quota::get))
        .routes(routes!(trail::checkpoint))
}

/// The description of the routes, as an answer.
pub(super) async fn described(
    document: utoipa::openapi::OpenApi,
) -> Json<utoipa::openapi::OpenApi> {
    Json(document)
}

/// The query, or the problem with it.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
pub(super) struct Asked<T>(pub(super) T);

/// The numbers in the path, or the problem with them.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Problem))]
pub(super) struct Named<T>(pub(super) T);

// === impl Problem ===

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}
