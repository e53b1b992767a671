//! The groups of an organization, as they stood at a time, and the life of one.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::{Events, row, time};
use super::{Asked, Named};
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::problem::Problem;
use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::life;
use crate::domain::replay::{Standing, State as Stood};
use crate::store::filter::{Cursor, Filter};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    /// As they stood then: `2d`, `3h`, `2026-11-24` or `2026-11-24T16:00:00Z`; now if nothing is said.
    at: Option<String>,
    /// Where to go on: the `next` of the page before. Ask for the same time, which the page before tells.
    cursor: Option<String>,
    /// At most this many; 1000 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Some groups of an organization at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Groups {
    /// Which organization.
    organization_id: OrganizationId,
    /// When.
    at: Timestamp,
    /// Its groups, by number. What nobody told is null.
    groups: Vec<Standing>,
    /// What to ask the next page with; nothing after the last.
    next: Option<String>,
}

/// The groups of an organization as they stood at a time.
#[utoipa::path(
    get,
    path = "/api/organizations/{organization}/groups",
    tag = "groups",
    params(("organization" = i64, Path), When),
    responses(
        (status = 200, body = Groups),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn groups(
    State(admin): State<Admin>,
    principal: Principal,
    Named(organization): Named<OrganizationId>,
    Asked(when): Asked<When>,
) -> Result<Json<Groups>, Problem> {
    principal.may_see(organization)?;
    let now = admin.clock.now();
    let at = time("at", when.at.as_deref(), now)?.unwrap_or(now);
    let last = row(&when.cursor)?.map(GroupId);
    let limit = most(when.limit)?;
    let (groups, is_more) = admin
        .reader
        .groups_behind(organization, at, last, limit as usize)
        .await?;
    let last = groups.last().filter(|_| is_more);
    let next = last.map(|(id, _)| id.to_string());
    let groups = groups.into_iter().filter_map(|(id, state)| match state {
        Stood::Present(facts) => Some(Standing::of(id, facts)),
        Stood::Absent | Stood::Unknown => None,
    });
    Ok(Json(Groups {
        organization_id: organization,
        at,
        groups: groups.collect(),
        next,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Where to go on: the `next` of the page before.
    cursor: Option<String>,
    /// At most this many; 1000 if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

const MOST: u32 = 1000;

/// How many of them.
fn most(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(MOST) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Problem::bad_request(format!("limit: from 1 to {MOST}"))),
    }
}

/// The life of one group, oldest first. Of an event about several groups, the part about this one.
#[utoipa::path(
    get,
    path = "/api/organizations/{organization}/groups/{group}/history",
    tag = "groups",
    params(("organization" = i64, Path), ("group" = i64, Path), Part),
    responses(
        (status = 200, body = Events),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn history(
    State(admin): State<Admin>,
    principal: Principal,
    Named((organization, group)): Named<(OrganizationId, GroupId)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Events>, Problem> {
    principal.may_see(organization)?;
    let limit = most(part.limit)?;
    let cursor = row(&part.cursor)?.map_or(Cursor::OLDEST, Cursor::After);
    let filter = Filter {
        within: principal.within(),
        group: Some(group),
        ..Filter::default()
    };
    let page = admin.reader.next_events(&filter, cursor, limit).await?;
    // An event by a workspace's path may not know the organization; a group has one alone.
    let is_ours = |event: &Event| {
        let known = event.target.organization_id;
        known.is_none_or(|known| known == organization)
    };
    let events = page.events.into_iter().filter(is_ours);
    Ok(Json(Events {
        events: events.map(|event| life::part(event, group)).collect(),
        next: page.next.map(|seq| seq.to_string()),
    }))
}
