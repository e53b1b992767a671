//! `GET /api/cache` and `DELETE /api/cache`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Asked;
use crate::admin::Admin;
use crate::admin::access::{Administrator, Principal, Source};
use crate::admin::problem::Problem;
use crate::cache::lists::Kept;
use crate::domain::ids::OrganizationId;
use crate::domain::own;
use crate::domain::usage::Counts;
use crate::store::StoreError;

/// What is cached.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cached {
    /// Whether anything is kept at all.
    enabled: bool,
    /// How many lists.
    entries: u64,
    /// How many bytes of memory they take.
    bytes: u64,
    /// Of the reads of lists of the last 24 hours, the share that was answered from the cache: 0 to 1;
    /// nothing if there were none.
    hit_ratio: Option<f64>,
    /// The same by organization, as far as a list's address says which it is.
    organizations: Vec<OfOrganization>,
}

/// What is cached of one organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfOrganization {
    /// Which; nothing for lists by a workspace's address.
    organization_id: Option<OrganizationId>,
    /// How many lists.
    entries: u64,
    /// How many bytes of memory they take.
    bytes: u64,
}

/// What is cached.
#[utoipa::path(
    get,
    path = "/api/cache",
    operation_id = "get_cache",
    tag = "gateway",
    responses(
        (status = 200, body = Cached),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(admin): State<Admin>,
    principal: Principal,
) -> Result<Json<Cached>, Problem> {
    let kept = admin.lists.as_ref().map(|lists| lists.by_organization());
    let seen = |kept: &Kept| match (&principal.organizations, kept.organization) {
        (None, _) => true,
        (Some(mine), Some(organization)) => mine.contains(&organization),
        (Some(_), None) => false,
    };
    let organizations: Vec<_> = kept
        .into_iter()
        .flatten()
        .filter(seen)
        .map(|kept| OfOrganization {
            organization_id: kept.organization,
            entries: kept.entries,
            bytes: kept.bytes,
        })
        .collect();
    let counts = admin.day_of_lists(&principal).await?;
    Ok(Json(Cached {
        enabled: admin.lists.is_some(),
        entries: organizations.iter().map(|kept| kept.entries).sum(),
        bytes: organizations.iter().map(|kept| kept.bytes).sum(),
        hit_ratio: hit_ratio(counts),
        organizations,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "a share, for people")]
fn hit_ratio(counts: Counts) -> Option<f64> {
    let all = counts.cached + counts.upstream;
    (all > 0).then(|| counts.cached as f64 / all as f64)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    /// Only of this organization; all if nothing is said.
    organization_id: Option<OrganizationId>,
}

/// Drops cached lists: the next read of each is fetched. Recorded in the trail.
#[utoipa::path(
    delete,
    path = "/api/cache",
    operation_id = "purge_cache",
    tag = "gateway",
    params(Purge),
    responses(
        (status = 204, description = "They are gone"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn purge(
    State(admin): State<Admin>,
    Administrator(principal): Administrator,
    source: Source,
    Asked(purge): Asked<Purge>,
) -> Result<StatusCode, Problem> {
    match purge.organization_id {
        Some(organization) => principal.may_see(organization)?,
        None => principal.may_see_all()?,
    }
    // The row first: what cannot be recorded is not done.
    let asked = match purge.organization_id {
        Some(organization) => format!("/api/cache?organization_id={organization}"),
        None => "/api/cache".to_owned(),
    };
    let operator = source.operator(&principal, "DELETE", &asked);
    let draft = own::purged(&operator, purge.organization_id, admin.clock.now());
    let tasks = admin.tasks.clone();
    // By itself: what is recorded is done, also if whoever asked has hung up meanwhile.
    let purging = tasks.spawn(async move {
        admin.trail.complete(draft, vec![]).await?;
        if let Some(lists) = &admin.lists {
            lists.purge(purge.organization_id);
        }
        Ok::<_, StoreError>(())
    });
    purging.await.map_err(|_| StoreError::Closed)??;
    Ok(StatusCode::NO_CONTENT)
}
