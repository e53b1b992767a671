//! The life of one group: of events about several, the part that is about it.

use serde_json::{Value, json};

use super::diff::{Change, sentence};
use super::event::Event;
use super::ids::GroupId;

/// What an event says of `group` alone.
#[must_use]
pub fn part(mut event: Event, group: GroupId) -> Event {
    if event.target.group_id.is_some() {
        return event;
    }
    let all: Vec<Change> = serde_json::from_value(event.changes.clone()).unwrap_or_default();
    let changes: Vec<_> = all
        .into_iter()
        .filter(|change| change.group_id == Some(group))
        .collect();
    let name = changes.iter().find_map(|change| change.group_name.clone());
    let summary = sentence(name.as_deref(), &changes);
    if !summary.is_empty() {
        event.summary = summary;
    }
    event.changes = json!(changes);
    event.target.group_id = Some(group);
    event.target.group_name = name;
    let of_this = |state: &Value| state["group_id"] == json!(group);
    event.before = event.before.filter(of_this);
    event.after = event.after.filter(of_this);
    event
}
