//! One group: who is in it, at any moment, who put them there, and all that happened to it.
//!
//! **Guarantee**: it costs a few rows and one page, however many events the group has. Whoever has a token for
//! some organizations sees what is of this one for sure.

mod members;
mod timeline;

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use self::timeline::Timeline;
use super::groups;
use super::layout::{self, Place};
use super::moment::At;
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::api::{Asked, Named};
use crate::admin::problem::Problem;
use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::life;
use crate::domain::replay::{Facts, State as Stood};
use crate::store::filter::{Cursor, Filter};

const PAGE: u32 = 30;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    at: Option<String>,
    before: Option<i64>,
}

/// One group.
pub(super) async fn group(
    State(admin): State<Admin>,
    principal: Principal,
    Named((organization, group)): Named<(OrganizationId, GroupId)>,
    Asked(shown): Asked<Shown>,
) -> Result<Markup, Problem> {
    principal.may_see(organization)?;
    let now = admin.clock.now();
    let at = At::of(shown.at.as_deref(), now)?;
    let filter = of_group(&principal, organization, group);
    let state = admin.reader.group_at(organization, group, at.time).await?;
    let page = admin.reader.events(&filter, shown.before, PAGE).await?;
    // An event by a workspace's path may not know the organization; a group has one alone.
    let is_ours = |event: &Event| {
        let known = event.target.organization_id;
        known.is_none_or(|known| known == organization)
    };
    let events: Vec<_> = page
        .events
        .into_iter()
        .filter(is_ours)
        .map(|event| life::part(event, group))
        .collect();
    if events.is_empty() && shown.before.is_none() && state == Stood::Unknown {
        return Err(Problem::not_found(format!(
            "nothing is known of a group {group} of organization {organization}"
        )));
    }
    let name = match &state {
        Stood::Present(Facts { name, .. }) => name.clone(),
        Stood::Absent | Stood::Unknown => None,
    };
    let told = || {
        events
            .iter()
            .find_map(|event| event.target.group_name.clone())
    };
    let name = name
        .or_else(told)
        .unwrap_or_else(|| format!("Group {group}"));
    let members = match &state {
        Stood::Present(facts) => {
            let joined = admin
                .reader
                .joined(organization, group, &filter, at.time)
                .await?;
            present(facts, &joined)
        }
        Stood::Absent => html! {
            p.empty { "It did not exist at this moment: choose another one, or a step of its timeline." }
        },
        Stood::Unknown => html! {
            p.empty { "Nobody knows how it was at this moment: choose a later one." }
        },
    };
    let timeline = Timeline {
        path: layout::group_path(organization, group),
        at,
        is_first: shown.before.is_none(),
        events,
        next: page.next,
    };
    let first = admin.reader.next_events(&filter, Cursor::OLDEST, 1).await?;
    let first = first.events.first();
    let first = first.and_then(|event| event.occurred_at.parse::<Timestamp>().ok());
    let body = html! {
        p.links {
            a href=(groups::path(organization)) { "Groups of organization " (organization) }
            a href=(layout::link("/", &[("org", &organization.to_string()), ("group", &group.to_string())])) {
                "Its changes, to be filtered"
            }
        }
        h1 { (name) " " span.hint { "group " (group) } }
        (at.form(&timeline.path, first))
        p.as-of aria-live="polite" { "As of " (at.said()) }
        (members)
        (timeline.shown())
    };
    Ok(layout::page(&principal, Place::Groups, &name, &body))
}

fn present(facts: &Facts, joined: &(Vec<crate::store::sqlite::Joined>, bool)) -> Markup {
    html! {
        section.panel aria-labelledby="members" {
            h2 #members {
                "Members "
                @if let Some(users) = &facts.users { span.badge { (users.len()) } }
            }
            @match facts.users.as_deref() {
                None => p.hint { "Nobody told who was in it." },
                Some([]) => p.empty { "Nobody was in it." },
                Some(users) => (members::table(users, joined)),
            }
            h2 { "Workspaces" }
            (groups::workspaces(facts))
        }
    }
}

// What is of no organization that is known is for those alone who may see all.
fn of_group(principal: &Principal, organization: OrganizationId, group: GroupId) -> Filter {
    let within = principal.within();
    Filter {
        organization: within.is_some().then_some(organization),
        within,
        group: Some(group),
        ..Filter::default()
    }
}
