//! From a path to the endpoint that it means.
//!
//! **Guarantee**: as forgiving as a service can be. A segment is percent-decoded, an empty one left
//! out, a slash at the end ignored, so a proxy that reads a path more strictly than this can be
//! caught doing so. `HEAD` is `GET` without the body. What the service has and the simulator does not
//! model is answered as if it had been done: a `GET` with an empty list or object, anything else with
//! `"OK"`; it alters nothing. A path outside the four services is `404`.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::answer::Reply;
use super::quota::Counter;
use super::visit::{Outcome, Visit, number};
use super::world::World;
use super::{accounts, entries, groups, memberships, patches, project_groups};
use crate::domain::ids::{OrganizationId, UserId, WorkspaceId};

/// A path's segments, decoded.
#[derive(Debug)]
pub(super) struct Segments(Vec<String>);

// === impl Segments ===

impl Segments {
    /// Takes a path apart.
    pub(super) fn of(path: &str) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Self(
            segments
                .map(|raw| percent_decode_str(raw).decode_utf8_lossy().into_owned())
                .collect(),
        )
    }

    /// Whether one of the services lives there.
    pub(super) fn is_served(&self) -> bool {
        matches!(
            self.texts().as_slice(),
            ["api", "v9", ..]
                | ["reports", "api", "v3", ..]
                | ["insights", "api", "v1", ..]
                | ["webhooks", "api", "v1", ..]
        )
    }

    /// What a person's request counts against: their own, or the organization's that it is about. A
    /// request about neither counts against the first organization that they are in.
    pub(super) fn counter(&self, world: &World, user: UserId) -> Counter {
        let texts = self.texts();
        let of_workspace = |id: &str| {
            let id: WorkspaceId = id.parse().ok()?;
            world
                .workspaces
                .get(&id)
                .map(|workspace| workspace.organization)
        };
        let named = match texts.as_slice() {
            ["api", "v9", "me", ..] => return Counter::Me(user),
            ["api", "v9", "organizations", id, ..] => id.parse().ok(),
            ["api", "v9", "workspaces", id, ..] => of_workspace(id),
            [_, "api", _, "workspace", id, ..] => of_workspace(id),
            _ => None,
        };
        let first = || {
            world
                .memberships
                .keys()
                .find(|(_, member)| *member == user)
                .map(|key| key.0)
        };
        Counter::Organization(user, named.or_else(first).unwrap_or(OrganizationId(0)))
    }

    fn texts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// Does what the request asks for, if its endpoint is modelled and allows it.
pub(super) fn route(visit: &mut Visit<'_>, segments: &Segments) -> Outcome {
    let texts = segments.texts();
    let method = match visit.request.method {
        Method::HEAD => "GET",
        ref method => method.as_str(),
    }
    .to_owned();
    match texts.as_slice() {
        ["api", "v9", "organizations", rest @ ..] => organizations(visit, &method, rest),
        ["api", "v9", "workspaces", rest @ ..] => workspaces(visit, &method, rest),
        ["api", "v9", rest @ ..] => others(visit, &method, rest),
        ["reports", "api", "v3", "workspace", w, rest @ ..] if method == "POST" => {
            entries::report(visit, number(w)?, rest)
        }
        rest => unmodelled(&method, rest),
    }
}

fn organizations(visit: &mut Visit<'_>, method: &str, rest: &[&str]) -> Outcome {
    match (method, rest) {
        ("GET", []) => accounts::my_organizations(visit),
        ("POST", ["invitations", code, "accept"]) => memberships::accept(visit, code),
        ("GET", [o]) => accounts::organization(visit, number(o)?),
        ("GET", [o, "groups"]) => groups::list(visit, number(o)?),
        ("POST", [o, "groups"]) => groups::create(visit, number(o)?),
        ("PUT", [o, "groups", g]) => groups::update(visit, number(o)?, number(g)?),
        ("DELETE", [o, "groups", g]) => groups::delete(visit, number(o)?, number(g)?),
        ("PATCH", [o, "groups", g]) => patches::apply(visit, number(o)?, number(g)?),
        ("GET", [o, "users"] | [o, "users", "detailed"]) => {
            accounts::organization_users(visit, number(o)?)
        }
        ("PATCH", [o, "users"]) => memberships::remove_organization_users(visit, number(o)?),
        ("DELETE", [o, "users", "leave"]) => memberships::leave(visit, number(o)?),
        ("PUT", [o, "users", id]) => {
            memberships::edit_organization_user(visit, number(o)?, number(id)?)
        }
        ("POST", [o, "invitations"]) => memberships::invite(visit, number(o)?),
        ("POST", [o, "workspaces"]) => accounts::create_workspace(visit, number(o)?),
        ("GET", [o, "workspaces", w, "groups"]) => {
            groups::list_of_workspace(visit, number(o)?, number(w)?)
        }
        ("GET", [_, "workspaces", w, "workspace_users"]) => {
            accounts::workspace_users(visit, number(w)?)
        }
        ("PATCH", [o, "workspaces", w, "workspace_users"]) => {
            memberships::remove_workspace_users(visit, number(o)?, number(w)?)
        }
        ("PUT", [o, "workspaces", w, "assignments"]) => {
            memberships::assign(visit, number(o)?, number(w)?)
        }
        _ => unmodelled(method, rest),
    }
}

fn workspaces(visit: &mut Visit<'_>, method: &str, rest: &[&str]) -> Outcome {
    match (method, rest) {
        ("GET", []) => accounts::my_workspaces(visit),
        ("GET", [w]) => accounts::workspace(visit, number(w)?),
        ("PUT", [w]) => accounts::update_workspace(visit, number(w)?),
        ("GET", [w, "groups"]) => groups::old_list(visit, number(w)?),
        ("POST", [w, "groups"]) => groups::old_create(visit, number(w)?),
        ("PUT", [w, "groups", g]) => groups::old_update(visit, number(w)?, number(g)?),
        ("DELETE", [w, "groups", g]) => groups::old_delete(visit, number(w)?, number(g)?),
        ("GET", [w, "project_groups"]) => project_groups::list(visit, number(w)?),
        ("POST", [w, "project_groups"]) => project_groups::add(visit, number(w)?),
        ("DELETE", [w, "project_groups", id]) => {
            project_groups::remove(visit, number(w)?, number(id)?)
        }
        ("GET", [w, "projects"]) => accounts::projects(visit, number(w)?),
        ("GET", [w, "users" | "workspace_users"]) => accounts::workspace_users(visit, number(w)?),
        ("PUT", [w, "users", id]) => memberships::edit_user(visit, number(w)?, number(id)?),
        ("PUT", [w, "workspace_users", id]) => {
            memberships::edit_workspace_user(visit, number(w)?, number(id)?)
        }
        ("DELETE", [w, "workspace_users", id]) => {
            memberships::remove_workspace_user(visit, number(w)?, number(id)?)
        }
        ("POST", [w, "time_entries"]) => entries::create(visit, Some(number(w)?)),
        ("PUT", [_, "time_entries", id]) => entries::update(visit, number(id)?),
        ("PATCH", [_, "time_entries", id, "stop"]) => entries::stop(visit, number(id)?),
        ("DELETE", [_, "time_entries", id]) => entries::delete(visit, number(id)?),
        _ => unmodelled(method, rest),
    }
}

fn others(visit: &mut Visit<'_>, method: &str, rest: &[&str]) -> Outcome {
    match (method, rest) {
        ("GET", ["me"]) => accounts::me(visit),
        ("PUT", ["me"]) => accounts::update_me(visit),
        ("POST", ["me", "reset_token"]) => accounts::reset_token(visit),
        ("GET", ["me", "organizations"]) => accounts::my_organizations(visit),
        ("GET", ["me", "workspaces"]) => accounts::my_workspaces(visit),
        ("GET", ["me", "time_entries"]) => entries::mine(visit),
        ("GET", ["me", "time_entries", "current"]) => entries::current(visit),
        ("POST", ["me", "time_entries"]) => entries::create(visit, None),
        ("POST", ["users", _, "roles"]) => memberships::roles(visit),
        _ => unmodelled(method, rest),
    }
}

/// An answer for what the service has and the simulator has not.
fn unmodelled(method: &str, rest: &[&str]) -> Outcome {
    let is_number = |text: &&str| text.parse::<i64>().is_ok();
    Ok(match method {
        "GET" if rest.last().is_some_and(is_number) => Reply::json(&json!({})),
        "GET" => Reply::json(&json!([])),
        "OPTIONS" => Reply::text(StatusCode::NO_CONTENT, ""),
        _ => Reply::json(&Value::from("OK")),
    })
}
