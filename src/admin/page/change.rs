//! The page of one change: what it was before and after, the request and its answer, and whether the row is
//! still what was written.

use axum::extract::State;
use maud::{Markup, html};
use serde_json::Value;

use super::difference::{changes_of, element, sentence};
use super::layout::{self, Place, group_path, link, time, who};
use super::rows::outcome;
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::api::Named;
use crate::admin::problem::Problem;
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::event::{Event, Relation, RelationKind};
use crate::domain::group::{Group, Member};
use crate::store::sqlite::Proof;

/// `GET /events/{id}`.
pub(super) async fn change(
    State(admin): State<Admin>,
    principal: Principal,
    Named(id): Named<String>,
) -> Result<Markup, Problem> {
    let event = admin.event(&principal, &id).await?;
    let proof = admin.reader.proof(event.seq).await?;
    let body = html! {
        p.path { a href="/" { "Changes" } " / " (event.seq) }
        h1 {
            @if let Some(name) = &event.target.group_name { (name) ": " }
            (sentence(&event))
        }
        p.lead {
            (who(&event)) ", " (time(&event.occurred_at, true)) " " (outcome(&event))
            @if let Some(proof) = proof { " " (verified(proof)) }
        }
        (sides(&event))
        div.columns {
            (panel("Who", &[
                ("name", event.actor.name.clone()),
                ("address", event.actor.email.clone()),
                ("user", event.actor.user_id.map(|id| id.to_string())),
                ("tool", event.actor.tool.clone()),
                ("on behalf of", event.actor.on_behalf_of.clone()),
                ("credential", event.actor.credential_id.clone()),
                ("from", event.source.ip.clone()),
                ("user agent", event.source.user_agent.clone()),
            ]))
            (panel("Where", &[
                ("organization", event.target.organization_id.map(|id| id.to_string())),
                ("workspace", event.target.workspace_id.map(|id| id.to_string())),
                ("group", event.target.group_id.map(|id| id.to_string())),
                ("group's name", event.target.group_name.clone()),
                ("project", event.target.project_id.map(|id| id.to_string())),
                ("project group", event.target.project_group_id.map(|id| id.to_string())),
            ]))
            (panel("Request and answer", &[
                ("kind", Some(event.action.clone())),
                ("request", Some(request(&event))),
                ("status", event.response.status.map(|status| status.to_string())),
                ("received", Some(event.occurred_at.clone())),
                ("outcome known", Some(event.completed_at.clone())),
                ("took", Some(format!("{} ms", event.duration_ms))),
                ("request id", event.source.request_id.clone()),
                ("upstream's id", event.response.upstream_request_id.clone()),
                ("body", event.request.body_digest.clone()),
            ]))
        }
        (flags(&event))
        (relations(&event))
        (text("Request body", event.request.body.as_deref()))
        (text("Answer", event.response.body.as_deref()))
        section.panel {
            h2 { "In the chain" }
            dl {
                dt { "row" } dd { (event.seq) }
                dt { "id" } dd { code { (event.id) } }
                dt { "hash" } dd { code { (event.hash) } }
            }
        }
        p.links {
            @if let (Some(organization), Some(group)) = (event.target.organization_id, event.target.group_id) {
                a href=(group_path(organization, group)) { "The group's life" }
            }
            @if let Some(found) = layout::found_by(&event.actor) {
                a href=(link("/", &[("actor", &found), ("all", "1")])) { "All by this person" }
            }
            a href=(format!("/api/events/{}", event.id)) { "As JSON" }
        }
    };
    let title = format!("Change {}", event.seq);
    Ok(layout::page(&principal, Place::Changes, &title, &body))
}

fn request(event: &Event) -> String {
    let request = &event.request;
    match &request.query {
        Some(query) => format!("{} {}?{query}", request.method, request.path),
        None => format!("{} {}", request.method, request.path),
    }
}

fn verified(proof: Proof) -> Markup {
    let (class, word, why) = match proof {
        Proof::Intact => (
            "badge good",
            "verified",
            "The row fits its hash, and its neighbours link to it. `tollgate audit verify` checks the whole chain.",
        ),
        Proof::Redacted => (
            "badge warn",
            "redacted",
            "A person was erased from this row, as an event of the trail says.",
        ),
        Proof::Broken => (
            "badge bad",
            "altered",
            "This row is not what was written. Run `tollgate audit verify`.",
        ),
    };
    html! { span class=(class) title=(why) { (word) } }
}

// === before and after ===

fn sides(event: &Event) -> Markup {
    let (before, after) = (read(&event.before), read(&event.after));
    let changes = changes_of(event);
    if before.is_none() && after.is_none() {
        return listed(&changes);
    }
    html! {
        div.sides {
            section.panel {
                h2 { "Before" }
                (side(before.as_ref(), &changes, Kind::Removed, event.action == "group.create"))
            }
            section.panel {
                h2 { "After" }
                (side(after.as_ref(), &changes, Kind::Added, event.action == "group.delete"))
            }
        }
    }
}

fn read(state: &Option<Value>) -> Option<Group> {
    state.as_ref().and_then(Group::read)
}

// One side; what the other one lacks is marked.
fn side(group: Option<&Group>, changes: &[Change], marked: Kind, absent: bool) -> Markup {
    let Some(group) = group else {
        let why = if absent {
            "There was no such group."
        } else {
            "Nobody told."
        };
        return html! { p.hint { (why) } };
    };
    let renamed = changes.iter().any(|change| change.field == Field::Name);
    let is_marked = |field, id: i64| {
        changes
            .iter()
            .any(|change| change.field == field && change.change == marked && change.id == Some(id))
    };
    html! {
        dl {
            dt { "name" }
            dd { (mark(&group.name, renamed.then_some(marked))) }
            dt { "members" }
            dd {
                (set(group.users.as_deref(), |member: &Member| {
                    let name = match &member.name {
                        Some(name) => format!("{name} ({})", member.id),
                        None => format!("user {}", member.id),
                    };
                    (name, is_marked(Field::Users, member.id.0))
                }, marked))
            }
            dt { "workspaces" }
            dd {
                (set(group.workspaces.as_deref(), |id| {
                    (id.to_string(), is_marked(Field::Workspaces, id.0))
                }, marked))
            }
            @if let Some(permissions) = group.permissions.as_ref().filter(|value| !value.is_null() && **value != "") {
                dt { "permissions" }
                dd { code { (permissions) } }
            }
        }
    }
}

fn set<T>(elements: Option<&[T]>, shown: impl Fn(&T) -> (String, bool), marked: Kind) -> Markup {
    let Some(elements) = elements else {
        return html! { span.hint { "not told" } };
    };
    html! {
        @if elements.is_empty() { span.hint { "none" } }
        ul.plain {
            @for (text, is_marked) in elements.iter().map(shown) {
                li { (mark(&text, is_marked.then_some(marked))) }
            }
        }
    }
}

fn mark(text: &str, marked: Option<Kind>) -> Markup {
    html! {
        @match marked {
            Some(Kind::Added) => ins { (text) },
            Some(Kind::Removed) => del { (text) },
            _ => (text),
        }
    }
}

// Of events about several groups, or about none that was told of: each difference on a line.
fn listed(changes: &[Change]) -> Markup {
    if changes.is_empty() {
        return html! {};
    }
    html! {
        section.panel {
            h2 { "Differences" }
            ul.plain {
                @for change in changes {
                    li {
                        @if let Some(id) = change.group_id {
                            (change.group_name.clone().unwrap_or_else(|| format!("group {id}"))) ": "
                        }
                        (difference(change))
                    }
                }
            }
        }
    }
}

fn difference(change: &Change) -> Markup {
    let json = |value: &Option<Value>| value.as_ref().map_or("?".to_owned(), Value::to_string);
    let field = match change.field {
        Field::Group => "group",
        Field::Name => "name",
        Field::Users => "member",
        Field::Workspaces => "workspace",
        Field::Project => "project",
        Field::Permissions => "permissions",
    };
    html! {
        (field) " "
        @match change.change {
            Kind::Created => ins { (json(&change.to)) },
            Kind::Deleted => del { (json(&change.from)) },
            Kind::Set => { del { (json(&change.from)) } " to " ins { (json(&change.to)) } }
            Kind::Added => ins { (element(change)) },
            Kind::Removed => del { (element(change)) },
        }
    }
}

// === the rest ===

fn panel(title: &str, fields: &[(&str, Option<String>)]) -> Markup {
    let told = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    html! {
        section.panel {
            h2 { (title) }
            dl { @for (name, value) in told { dt { (name) } dd { (value) } } }
        }
    }
}

fn text(title: &str, text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            details.panel { summary { (title) } pre tabindex="0" { (text) } }
        }
    }
}

fn flags(event: &Event) -> Markup {
    let flags: Vec<String> = serde_json::from_value(event.flags.clone()).unwrap_or_default();
    html! {
        @if !flags.is_empty() {
            section.panel {
                h2 { "To know" }
                ul { @for flag in &flags { li { code { (flag) } " " (meaning(flag)) } } }
            }
        }
    }
}

// Later versions know more flags.
fn meaning(flag: &str) -> &'static str {
    match flag {
        "before-unknown" => "What the group was like before was not known.",
        "after-assumed" => {
            "What the group is like after it is what was asked for; upstream's answer did not show it."
        }
        "body-too-large" => "The request's body was too large to be kept.",
        "answer-incomplete" => "The answer was cut off, or too large to be kept.",
        "body-unread" => "The request's body could not be read for sure; its text is kept.",
        "method-override" => {
            "A header named another method than the request's own; it is the one that counts."
        }
        "changed-since" => "It was not sent: the list that it was made from has changed since.",
        "caller-left" => "The caller had hung up before the answer was there.",
        "recovered" => {
            "The gateway stopped before the outcome was known; the row was written at the next start."
        }
        "intent-missing" => {
            "The store could not be written when it was sent, which the configuration allowed."
        }
        _ => "",
    }
}

fn relations(event: &Event) -> Markup {
    let relations: Vec<Relation> =
        serde_json::from_value(event.relations.clone()).unwrap_or_default();
    html! {
        @if !relations.is_empty() {
            section.panel {
                h2 { "Related" }
                ul {
                    @for relation in &relations {
                        li {
                            (match relation.kind {
                                RelationKind::Settles => "It tells what became of ",
                                RelationKind::Reverts => "It takes back ",
                                RelationKind::Overwrote => "It undid, knowingly or not, ",
                                RelationKind::Retries => "It is the same request once more as ",
                            })
                            a href=(format!("/events/{}", relation.id)) { "another change" }
                        }
                    }
                }
            }
        }
    }
}
