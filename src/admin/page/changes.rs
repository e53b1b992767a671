//! The page of all changes: newest first, a line each, filtered by what stands in the address.

use axum::extract::State;
use axum::response::IntoResponse;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Place, link};
use super::rows::row;
use crate::admin::Admin;
use crate::admin::access::Principal;
use crate::admin::api::{Asked, USUAL, Which};
use crate::admin::problem::Problem;
use crate::domain::action::{Action, Outcome};
use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};

/// What stands in the address of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    org: String,
    /// A number or a name.
    group: String,
    actor: String,
    action: String,
    outcome: String,
    since: String,
    until: String,
    q: String,
    /// `1`: also what has nothing to do with groups.
    all: String,
    cursor: String,
    /// Of the live rows: those after this one.
    after: String,
}

/// As many rows a look at what is new brings at once, the oldest of the new ones first.
const LIVE: u32 = 200;

/// Up to which row a look went, and whether there is more behind it.
const AFTER: &str = "x-after";
const MORE: &str = "x-more";

// === impl View ===

impl View {
    // The fields that make the view, with their names in the address.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("org", &self.org),
            ("group", &self.group),
            ("actor", &self.actor),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("since", &self.since),
            ("until", &self.until),
            ("q", &self.q),
            ("all", &self.all),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name, value.trim()));
        fields.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The kinds of events: those that are asked for, or those that are about groups.
    fn actions(&self) -> String {
        let asked = self.action.trim();
        if !asked.is_empty() || !self.all.is_empty() {
            return asked.to_owned();
        }
        let all = Action::ALL
            .into_iter()
            .filter(|action| action.touches_groups());
        all.map(Action::as_str).collect::<Vec<_>>().join(",")
    }

    /// As the API asks for the same.
    fn which(&self, group: Option<GroupId>) -> Result<Which, Problem> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let org = text(self.org.trim()).map(|org| org.parse::<OrganizationId>());
        let org = org
            .transpose()
            .map_err(|_| Problem::bad_request("organization: write its number, such as 4123"))?;
        Ok(Which {
            org,
            group,
            actor: text(&self.actor),
            action: text(&self.actions()),
            outcome: text(&self.outcome),
            since: text(&self.since),
            until: text(&self.until),
            q: text(&self.q),
            cursor: text(&self.cursor),
            ..Which::default()
        })
    }

    /// Where the API gives the same events.
    fn api(&self, path: &str, group: Option<GroupId>, more: &[(&str, &str)]) -> String {
        let actions = self.actions();
        let number = group.map(|id| id.to_string());
        let mut query: Vec<(&str, &str)> = self
            .fields()
            .into_iter()
            .filter(|(name, _)| !["all", "action", "group"].contains(name))
            .collect();
        query.extend(number.as_deref().map(|number| ("group", number)));
        query.extend(Some(("action", actions.as_str())).filter(|(_, actions)| !actions.is_empty()));
        query.extend(more);
        link(path, &query)
    }
}

/// What the field for a group means.
enum Wanted {
    Any,
    One(GroupId),
    /// Nothing that is known is called so.
    None,
    Several(Vec<(OrganizationId, GroupId)>),
}

// === impl Wanted ===

impl Wanted {
    /// Whether there is a view to be read, which the API gives too.
    fn is_one_view(&self) -> bool {
        matches!(self, Self::Any | Self::One(_))
    }
}

async fn wanted(admin: &Admin, principal: &Principal, text: &str) -> Result<Wanted, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Wanted::Any);
    }
    if let Ok(id) = text.parse() {
        return Ok(Wanted::One(id));
    }
    let mut found = admin.reader.groups_named(text).await?;
    found.retain(|(organization, _)| principal.may_see(*organization).is_ok());
    Ok(match found.as_slice() {
        [] => Wanted::None,
        [(_, id)] => Wanted::One(*id),
        _ => Wanted::Several(found),
    })
}

/// `GET /`.
pub(super) async fn changes(
    State(admin): State<Admin>,
    principal: Principal,
    Asked(view): Asked<View>,
) -> Result<Markup, Problem> {
    let wanted = wanted(&admin, &principal, &view.group).await?;
    // Before the rows are read: what comes in between arrives twice at worst, and is shown once.
    let head = admin.reader.last().await?;
    let mut wrong = None;
    let mut events = Vec::new();
    let mut next = None;
    let mut looked_back = None;
    let group = match &wanted {
        Wanted::One(id) => Some(*id),
        Wanted::Any | Wanted::None | Wanted::Several(_) => None,
    };
    if wanted.is_one_view() {
        match page_of(&admin, &principal, &view, group).await {
            Ok(found) => {
                looked_back = looked_back_to(&admin, &view, &found).await?;
                (events, next) = found;
            }
            Err(problem) if problem.status().is_client_error() => wrong = Some(problem),
            Err(problem) => return Err(problem),
        }
    }
    let organizations = admin.organizations(&principal).await?;
    let body = html! {
        h1 { "Changes" }
        (form(&view, &organizations))
        @if let Some(problem) = &wrong { p.wrong role="alert" { (problem.detail()) } }
        @if let Wanted::Several(groups) = &wanted { (several(&view, groups)) }
        @if wrong.is_none() && wanted.is_one_view() { (bar(&view, group, head)) }
        ol #rows.rows aria-label="Changes, newest first" aria-live="polite" {
            @for event in &events { (row(event)) }
        }
        @if events.is_empty() && wrong.is_none() { (empty(&view, &wanted, next.is_some())) }
        @if let Some(time) = &looked_back {
            p.hint {
                "Looked for \u{201c}" (view.q.trim()) "\u{201d} back to " (layout::time(time, false))
                ", in at most " (Filter::LOOKED_AT) " changes at a time."
            }
        }
        @if let Some(next) = next {
            @let next = next.to_string();
            @let mut older = view.fields();
            @let () = older.push(("cursor", &next));
            p.pager {
                a rel="next" href=(link("/", &older)) {
                    @if view.q.is_empty() { "Older" } @else { "Look further back" }
                }
            }
        }
    };
    Ok(layout::page(&principal, Place::Changes, "Changes", &body))
}

// What can be had of the view besides its rows.
fn bar(view: &View, group: Option<GroupId>, head: i64) -> Markup {
    html! {
        div.bar {
            @if view.cursor.is_empty() {
                label.switch hidden {
                    input #live type="checkbox" role="switch"
                        data-stream=(view.api("/api/events/stream", group, &[]))
                        data-rows=(link("/rows", &view.fields())) data-after=(head);
                    " Live"
                }
            } @else {
                a href=(link("/", &view.fields())) { "Newest" }
            }
            span.grow {}
            span.hint { "Export this view: " }
            a href=(view.api("/api/events/export", group, &[("format", "csv")])) download { "CSV" }
            a href=(view.api("/api/events/export", group, &[("format", "ndjson")])) download { "NDJSON" }
        }
    }
}

type Found = (Vec<Event>, Option<i64>);

async fn page_of(
    admin: &Admin,
    principal: &Principal,
    view: &View,
    group: Option<GroupId>,
) -> Result<Found, Problem> {
    let which = view.which(group)?;
    let filter = which.filter(principal, admin.clock.now())?;
    let page = admin
        .reader
        .events(&filter, which.before()?, which.limit()?)
        .await?;
    Ok((page.events, page.next))
}

// How far back a text was looked for, where the page ended before it was full.
async fn looked_back_to(
    admin: &Admin,
    view: &View,
    (events, next): &Found,
) -> Result<Option<String>, StoreError> {
    let Some(next) = next.filter(|_| !view.q.trim().is_empty() && events.len() < USUAL as usize)
    else {
        return Ok(None);
    };
    let last = admin.reader.event_at(next).await?;
    Ok(last.map(|event| event.occurred_at))
}

/// `GET /rows`: the next rows that came after one, newest first, for the page that is open.
pub(super) async fn rows(
    State(admin): State<Admin>,
    principal: Principal,
    Asked(view): Asked<View>,
) -> Result<impl IntoResponse, Problem> {
    let group = match wanted(&admin, &principal, &view.group).await? {
        Wanted::One(id) => Some(id),
        Wanted::Any => None,
        Wanted::None | Wanted::Several(_) => {
            return Err(Problem::bad_request("group: which one?"));
        }
    };
    let after = view
        .after
        .parse()
        .map_err(|_| Problem::bad_request("after: a row's number"))?;
    let filter: Filter = view.which(group)?.filter(&principal, admin.clock.now())?;
    let page = admin
        .reader
        .next_events(&filter, Cursor::After(after), LIVE)
        .await?;
    let newest = page.events.last().map_or(after, |event| event.seq);
    let (after, more) = match page.next {
        Some(next) => (next, "1"),
        None => (newest, "0"),
    };
    let told = [(AFTER, after.to_string()), (MORE, more.to_owned())];
    let rows = html! { @for event in page.events.iter().rev() { (row(event)) } };
    Ok((told, rows))
}

fn form(view: &View, organizations: &[OrganizationId]) -> Markup {
    let actions = Action::ALL.map(Action::as_str);
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    // Of what is folded away, what is filled in has to be seen.
    let unfolded = [
        &view.action,
        &view.outcome,
        &view.until,
        &view.org,
        &view.all,
    ]
    .into_iter()
    .any(|value| !value.is_empty());
    html! {
        form.filters method="get" action="/" role="search" {
            (field("actor", "Person", &view.actor, "name, address or number", None))
            (field("group", "Group", &view.group, "name or number", None))
            (field("since", "Since", &view.since, "2d, 3h, 2026-11-24", None))
            (field("q", "Text", &view.q, "in the sentence", None))
            details open[unfolded] {
                summary { "More" }
                div.fields {
                    (field("until", "Until", &view.until, "1d, 2026-11-24", None))
                    label {
                        span { "Kind" }
                        select name="action" {
                            option value="" { "any" }
                            @for action in actions {
                                option value=(action) selected[view.action == action] { (action) }
                            }
                        }
                    }
                    label {
                        span { "Outcome" }
                        select name="outcome" {
                            option value="" { "any" }
                            @for outcome in outcomes {
                                option value=(outcome) selected[view.outcome == outcome] {
                                    (outcome.replace('_', " "))
                                }
                            }
                        }
                    }
                    @if organizations.len() > 1 || !view.org.is_empty() {
                        (field("org", "Organization", &view.org, "number", Some(organizations)))
                    }
                    label.check {
                        input type="checkbox" name="all" value="1" checked[!view.all.is_empty()];
                        span { "Also what is not about groups" }
                    }
                }
            }
            div.actions {
                button type="submit" { "Filter" }
                @if !view.fields().is_empty() { a href="/" { "Clear" } }
            }
        }
    }
}

fn field(
    name: &str,
    label: &str,
    value: &str,
    hint: &str,
    known: Option<&[OrganizationId]>,
) -> Markup {
    let list = known.map(|_| format!("known-{name}"));
    html! {
        label {
            span { (label) }
            input name=(name) value=(value) placeholder=(hint) list=[list.as_ref()] autocomplete="off"
                spellcheck="false";
            @if let (Some(known), Some(list)) = (known, &list) {
                datalist id=(list) { @for id in known { option value=(id.0) {} } }
            }
        }
    }
}

fn several(view: &View, groups: &[(OrganizationId, GroupId)]) -> Markup {
    html! {
        p { "Several groups are called \u{201c}" (view.group.trim()) "\u{201d}: which one?" }
        ul {
            @for (organization, group) in groups {
                @let number = group.to_string();
                li {
                    a href=(link("/", &[("group", &number)])) {
                        "group " (group) " of organization " (organization)
                    }
                }
            }
        }
    }
}

// What to do when there is nothing to see.
fn empty(view: &View, wanted: &Wanted, is_more: bool) -> Markup {
    let group = view.group.trim();
    html! {
        div.empty {
            @if let Wanted::None = wanted {
                p { "No group that is there now is called \u{201c}" (group) "\u{201d}." }
                p.hint { "A group that is gone is found by its number, or by its name as a text." }
            } @else if let Wanted::Several(_) = wanted {
            } @else if is_more {
                p { "Nothing so far. There are older changes." }
            } @else if view.fields().is_empty() {
                p { "No change of a group has passed this gateway yet." }
                p.hint {
                    "Point a tool at the gateway in place of https://api.track.toggl.com, and what it changes "
                    "is here at once. "
                    a href="/?all=1" { "Show what is not about groups too" }
                }
            } @else {
                p { "Nothing matches." }
                p.hint {
                    a href="/" { "Take all filters away" }
                    @if view.all.is_empty() && view.action.is_empty() {
                        @let mut wider = view.fields();
                        @let () = wider.push(("all", "1"));
                        ", or " a href=(link("/", &wider)) { "look also at what is not about groups" }
                    }
                    "."
                }
            }
        }
    }
}
