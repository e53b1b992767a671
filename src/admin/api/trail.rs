//! `GET /api/checkpoint`: an anchor for the trail, to be kept elsewhere.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;

/// The newest signed checkpoint: a signed note of where the trail ended.
#[utoipa::path(
    get,
    path = "/api/checkpoint",
    tag = "trail",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn checkpoint(
    State(admin): State<Admin>,
    principal: Principal,
) -> Result<Response, Problem> {
    // It tells how many rows there are, of all organizations.
    principal.may_see_all()?;
    match admin.reader.newest_checkpoint().await? {
        Some((_, note)) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            Ok((kind, note).into_response())
        }
        None => Err(Problem::not_found(
            "no checkpoint was signed yet; one is, an hour after the first event or after a thousand",
        )),
    }
}
