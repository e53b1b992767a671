//! The groups: of every organization that is known, and of one as they are or stood.
//!
//! **Guarantee**: whoever has a token for some organizations sees the names and numbers of those alone.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Place};
use super::moment::At;
use super::people;
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::api::{Asked, Named};
use crate::admin::problem::Problem;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::replay::{Facts, State as Stood};
use crate::store::sqlite::Known;

// So many groups are on a page: each is looked for by itself, in a hundred steps along indexes.
const PAGE: usize = 200;

// So many members are named beside a group; its own page names all.
const NAMED: usize = 12;

/// The organizations, with their groups. One alone is gone to at once.
pub(super) async fn organizations(
    State(admin): State<Admin>,
    principal: Principal,
) -> Result<Response, Problem> {
    let mut known = admin.reader.known_organizations().await?;
    if let Some(mine) = &principal.organizations {
        known.retain(|known| mine.contains(&known.organization));
        // Theirs are no secret to them, also those nothing is known of yet.
        for organization in mine.iter() {
            if !known
                .iter()
                .any(|known| known.organization == *organization)
            {
                known.push(Known {
                    organization: *organization,
                    groups: 0,
                    first: Vec::new(),
                });
            }
        }
        known.sort_by_key(|known| known.organization);
    }
    if let [one] = known.as_slice() {
        return Ok(Redirect::to(&path(one.organization)).into_response());
    }
    let body = html! {
        h1 { "Groups" }
        @if known.is_empty() { (none_yet()) }
        ul.organizations {
            @for known in &known { li.panel { (of_one(known)) } }
        }
    };
    Ok(layout::page(&principal, Place::Groups, "Groups", &body).into_response())
}

fn of_one(known: &Known) -> Markup {
    let more = known.groups - known.first.len();
    html! {
        h2 {
            a href=(path(known.organization)) { "Organization " (known.organization) }
            " " span.badge { (counted(known.groups, "group", "groups")) }
        }
        @if known.first.is_empty() {
            p.hint { "None is known now. " a href=(changes(known.organization)) { "Its changes" } }
        } @else {
            ul.names {
                @for (group, name) in &known.first {
                    li { a href=(layout::group_path(known.organization, *group)) { (name) } }
                }
                @if more > 0 { li.hint { "and " (more) " more" } }
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    at: Option<String>,
    /// The groups behind this one, by number.
    after: Option<GroupId>,
}

/// The groups of an organization.
pub(super) async fn groups(
    State(admin): State<Admin>,
    principal: Principal,
    Named(organization): Named<OrganizationId>,
    Asked(when): Asked<When>,
) -> Result<Markup, Problem> {
    principal.may_see(organization)?;
    let at = At::of(when.at.as_deref(), admin.clock.now())?;
    let (groups, is_more) = admin
        .reader
        .groups_behind(organization, at.time, when.after, PAGE)
        .await?;
    let groups: Vec<(GroupId, Facts)> = groups
        .into_iter()
        .filter_map(|(id, state)| match state {
            Stood::Present(facts) => Some((id, facts)),
            Stood::Absent | Stood::Unknown => None,
        })
        .collect();
    let title = format!("Groups of organization {organization}");
    let body = html! {
        h1 { (title) }
        p.links {
            a href="/groups" { "All organizations" }
            a href=(changes(organization)) { "Changes of this organization" }
        }
        (at.form(&path(organization), None))
        @if groups.is_empty() && when.after.is_some() {
            p.empty { "There are no more groups." }
        } @else if groups.is_empty() && at.is_now() {
            (none_yet())
        } @else if groups.is_empty() {
            p.empty { "No group is known to have been there at this moment: choose a later one." }
        } @else {
            table.table.groups {
                caption {
                    (counted(groups.len(), "group", "groups"))
                    @match when.after {
                        Some(last) => { " with numbers above " (last) }
                        None if is_more => { ", those with the lowest numbers" }
                        None => {}
                    }
                    ", as of " (at.said())
                }
                thead { tr {
                    th scope="col" { "Group" }
                    th.number scope="col" { "Members" }
                    th scope="col" { "Who" }
                    th scope="col" { "Workspaces" }
                } }
                tbody {
                    @for (id, facts) in &groups { (row(organization, *id, facts, at)) }
                }
            }
            @if let Some((last, _)) = groups.last().filter(|_| is_more) {
                @let last = last.to_string();
                @let time = at.query();
                @let mut behind = vec![("after", last.as_str())];
                @let () = behind.extend(time.as_deref().map(|time| ("at", time)));
                p.pager { a rel="next" href=(layout::link(&path(organization), &behind)) { "More groups" } }
            }
        }
    };
    Ok(layout::page(&principal, Place::Groups, &title, &body))
}

fn row(organization: OrganizationId, id: GroupId, facts: &Facts, at: At) -> Markup {
    let name = facts.name.clone().unwrap_or_else(|| format!("Group {id}"));
    let mut path = layout::group_path(organization, id);
    if let Some(at) = at.query() {
        path = layout::link(&path, &[("at", &at)]);
    }
    html! {
        tr {
            th scope="row" { a href=(path) { (name) } " " span.hint { (id) } }
            @match &facts.users {
                None => {
                    td.number { span title="Nobody told" { "?" } }
                    td.hint { "not known" }
                }
                Some(users) => {
                    td.number { (users.len()) }
                    td {
                        ul.names {
                            @for member in users.iter().take(NAMED) { li { (people::member(member)) } }
                            @if users.len() > NAMED { li.hint { "and " (users.len() - NAMED) " more" } }
                        }
                    }
                }
            }
            td { (workspaces(facts)) }
        }
    }
}

/// The workspaces of a group.
pub(super) fn workspaces(facts: &Facts) -> Markup {
    html! {
        @match facts.workspaces.as_deref() {
            None => span.hint { "not known" },
            Some([]) => span.hint { "none" },
            Some(ids) => ul.names { @for id in ids { li { (id) } } },
        }
    }
}

fn none_yet() -> Markup {
    html! {
        p.empty {
            "No groups are known yet: they are, once a list or a change has passed the gateway. Point a tool at \
             it, and read a list of groups."
        }
    }
}

/// `1 group`, `2 groups`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Where the groups of an organization are.
pub(super) fn path(organization: OrganizationId) -> String {
    format!("/organizations/{organization}/groups")
}

fn changes(organization: OrganizationId) -> String {
    layout::link("/", &[("org", &organization.to_string())])
}
