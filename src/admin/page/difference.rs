//! What changed, as a sentence with who came in green and who went in red.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::layout::group_path;
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::event::Event;
use crate::domain::ids::GroupId;

/// As many members are named in a line; the page of the event has all.
const NAMED: usize = 6;

/// The differences that an event tells of.
pub(super) fn changes_of(event: &Event) -> Vec<Change> {
    serde_json::from_value(event.changes.clone()).unwrap_or_default()
}

/// What an event did, or was to do: from its differences where it has any, else its own words.
pub(super) fn sentence(event: &Event) -> Markup {
    let changes = changes_of(event);
    if changes.is_empty() {
        return html! { (event.summary) };
    }
    let mut groups: BTreeMap<Option<GroupId>, Vec<&Change>> = BTreeMap::new();
    for change in &changes {
        groups.entry(change.group_id).or_default().push(change);
    }
    html! {
        @for (number, (group, changes)) in groups.iter().enumerate() {
            @if number > 0 { "; " }
            @if let Some(id) = group {
                span.in { "in " (group_link(event, *id, changes)) ": " }
            }
            (parts(changes))
        }
    }
}

fn group_link(event: &Event, id: GroupId, changes: &[&Change]) -> Markup {
    let name = changes.iter().find_map(|change| change.group_name.clone());
    let name = name.unwrap_or_else(|| format!("group {id}"));
    html! {
        @match event.target.organization_id {
            Some(organization) => a href=(group_path(organization, id)) { (name) },
            None => (name),
        }
    }
}

fn parts(changes: &[&Change]) -> Markup {
    let of = |field, kind| {
        let fits = move |change: &&&Change| change.field == field && change.change == kind;
        changes.iter().filter(fits).copied().collect::<Vec<_>>()
    };
    let mut parts: Vec<Markup> = Vec::new();
    for change in of(Field::Group, Kind::Created) {
        parts.push(html! { "created " ins { (quoted(change.to.as_ref())) } });
    }
    for change in of(Field::Group, Kind::Deleted) {
        parts.push(html! { "deleted " del { (quoted(change.from.as_ref())) } });
    }
    for change in of(Field::Name, Kind::Set) {
        let (from, to) = (change.from.as_ref(), change.to.as_ref());
        parts.push(html! { "renamed " del { (quoted(from)) } " to " ins { (quoted(to)) } });
    }
    for (field, noun, came, went) in [
        (Field::Users, "", "added ", "removed "),
        (Field::Workspaces, "workspace ", "added ", "removed "),
        (
            Field::Project,
            "project ",
            "gave access to ",
            "took access to ",
        ),
    ] {
        let (added, removed) = (of(field, Kind::Added), of(field, Kind::Removed));
        if !added.is_empty() {
            parts.push(html! { (came) (elements(&added, noun, true)) });
        }
        if !removed.is_empty() {
            parts.push(html! { (went) (elements(&removed, noun, false)) });
        }
    }
    if !of(Field::Permissions, Kind::Set).is_empty() {
        parts.push(html! { "changed what it permits" });
    }
    html! {
        @for (number, part) in parts.iter().enumerate() {
            @if number > 0 { ", " }
            (part)
        }
    }
}

fn elements(changes: &[&Change], noun: &str, added: bool) -> Markup {
    let more = changes.len().saturating_sub(NAMED);
    html! {
        @for (number, change) in changes.iter().take(NAMED).enumerate() {
            @if number > 0 { ", " }
            @let text = format!("{noun}{}", element(change));
            @if added { ins { (text) } } @else { del { (text) } }
        }
        @if more > 0 { " and " (more) " more" }
    }
}

/// `Ann Becker (7001)`, or the number alone.
pub(super) fn element(change: &Change) -> String {
    let id = change
        .id
        .map_or_else(|| "?".to_owned(), |id| id.to_string());
    match &change.label {
        Some(label) => format!("{label} ({id})"),
        None => id,
    }
}

// A name in quotes, anything else as JSON.
fn quoted(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => format!("\u{201c}{text}\u{201d}"),
        Some(value) => value.to_string(),
        None => "what nobody knows".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::domain::ids::OrganizationId;
    use crate::domain::row::{GENESIS, Link, Row};
    use crate::store::stored::Stored;
    use crate::store::suite;

    #[test]
    fn a_sentence_marks_who_came_and_who_went_and_shows_names_as_text() {
        let row = Row::of(&suite::applied(suite::intent(0)));
        let salt = [0; 16];
        let link = Link::new(1, GENESIS, &row, &salt);
        let mut event = Stored { link, row, salt }.event().unwrap();
        event.target.organization_id = Some(OrganizationId(1));
        event.changes = json!([
            { "field": "name", "change": "set", "from": "A", "to": "<b>" },
            { "field": "users", "change": "added", "id": 5, "label": "Ann" },
            { "field": "users", "change": "removed", "id": 6 },
            { "field": "workspaces", "change": "added", "id": 9 },
        ]);
        assert_snapshot!(sentence(&event).into_string(), @"renamed <del>“A”</del> to <ins>“&lt;b&gt;”</ins>, added <ins>Ann (5)</ins>, removed <del>6</del>, added <ins>workspace 9</ins>");
        event.changes = json!([
            { "field": "users", "change": "removed", "id": 5, "label": "Ann", "group_id": 7, "group_name": "Design" },
            { "field": "users", "change": "removed", "id": 5, "label": "Ann", "group_id": 8 },
        ]);
        assert_snapshot!(sentence(&event).into_string(), @r#"<span class="in">in <a href="/organizations/1/groups/7">Design</a>: </span>removed <del>Ann (5)</del>; <span class="in">in <a href="/organizations/1/groups/8">group 8</a>: </span>removed <del>Ann (5)</del>"#);
        event.changes = json!([]);
        event.summary = "tried & failed".to_owned();
        assert_snapshot!(sentence(&event).into_string(), @"tried &amp; failed");
        let many = (0..9).map(|id| json!({ "field": "users", "change": "added", "id": id }));
        event.changes = many.collect();
        assert!(sentence(&event).into_string().ends_with(" and 3 more"));
    }
}
