//! `GET /api/quota`: who spent the quota.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Asked;
use super::events::time;
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::domain::endpoint::List;
use crate::domain::spending::Report;
use crate::domain::usage::Counts;
use crate::store::StoreError;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// From this time on: `7d`, `2026-11-24` or `2026-11-24T16:00:00Z`; 24 hours if nothing is said. Thirty
    /// days are kept.
    since: Option<String>,
}

const USUAL: SignedDuration = SignedDuration::from_hours(24);

/// Who spent the quota: by person and organization, hour by hour, by tool and endpoint; what is left, and when
/// it will be gone.
#[utoipa::path(
    get,
    path = "/api/quota",
    operation_id = "get_quota",
    tag = "gateway",
    params(Since),
    responses(
        (status = 200, body = Report),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(admin): State<Admin>,
    principal: Principal,
    Asked(asked): Asked<Since>,
) -> Result<Json<Report>, Problem> {
    let now = admin.clock.now();
    let since = time("since", asked.since.as_deref(), now)?;
    let since = since.unwrap_or_else(|| day_before(now));
    Ok(Json(admin.spent(&principal, since).await?))
}

fn day_before(now: Timestamp) -> Timestamp {
    now.checked_sub(USUAL).unwrap_or(Timestamp::MIN)
}

// === impl Admin ===

impl Admin {
    /// Who spent the quota, as far as `principal` may see it. What is not of one organization for sure is for
    /// those alone who may see all.
    pub(in crate::admin) async fn spent(
        &self,
        principal: &Principal,
        since: Timestamp,
    ) -> Result<Report, StoreError> {
        let mut report = self.keeper.report(since).await?;
        if let Some(mine) = &principal.organizations {
            report.people.retain(|spending| {
                let organization = spending.organization_id;
                organization.is_some_and(|organization| mine.contains(&organization))
            });
        }
        Ok(report)
    }

    /// The reads of lists alone of the last 24 hours: what the cache is for.
    pub(super) async fn day_of_lists(&self, principal: &Principal) -> Result<Counts, StoreError> {
        let report = self.spent(principal, day_before(self.clock.now())).await?;
        let hours = report.people.iter().flat_map(|spending| &spending.hours);
        let lists = hours.filter(|hour| List::NAMES.contains(&hour.endpoint.as_str()));
        Ok(lists.fold(Counts::default(), |sum, hour| sum.plus(hour.counts)))
    }
}
