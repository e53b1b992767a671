//! Changes that left something open, and what a list tells of them.

use jiff::Timestamp;
use serde_json::Value;

use super::{Finding, difference};
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::event::Actor;
use crate::domain::group::{Group, Member};
use crate::domain::ids::{EventId, GroupId, UserId, WorkspaceId};

/// A change whose outcome nobody told, or that did to groups what nobody told.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// Its event.
    pub id: EventId,
    /// When it was asked for.
    pub occurred_at: Timestamp,
    /// When it was given up, or answered; a list from before says nothing of it.
    pub completed_at: Timestamp,
    /// What kind of change.
    pub action: Action,
    /// What is known of its outcome.
    pub outcome: Outcome,
    /// Which group it is about; `None`: any.
    pub group: Option<GroupId>,
    /// What that group is, or was to be, called.
    pub group_name: Option<String>,
    /// The group before, if it was known.
    pub before: Option<Group>,
    /// The request's body, if it was kept and is understood.
    pub request: Option<Value>,
    /// Who asked for it.
    pub actor: Actor,
    /// Method and path.
    pub shown: String,
    /// Whether it may as well concern other organizations, so that none of them can say that it had no
    /// effect.
    pub elsewhere: bool,
}

/// How much of a difference a change explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Explains {
    /// All of it.
    All,
    /// Some of it, or nobody knows what was asked for.
    Some,
    /// Nothing: somebody else did it.
    Nothing,
}

// === impl Open ===

impl Open {
    /// Whether what is open is the outcome of a change of groups.
    pub(super) fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown && self.action.touches_groups()
    }

    /// How much of a finding this change explains.
    pub(super) fn explains(&self, finding: &Finding) -> Explains {
        let is = |kind| {
            let mut changes = finding.changes.iter();
            changes.any(|change| change.field == Field::Group && change.change == kind)
        };
        match self.action {
            Action::GroupDelete if is(Kind::Deleted) => Explains::All,
            Action::GroupDelete => Explains::Nothing,
            Action::GroupCreate if is(Kind::Created) => Explains::All,
            Action::GroupCreate => Explains::Nothing,
            // What it had done is gone with the group.
            _ if is(Kind::Deleted) => Explains::Some,
            _ => match (&finding.before, &self.request) {
                (Some(before), Some(request)) => {
                    let asked = difference(Some(before), asked(request, before).as_ref());
                    let found = |change: &&Change| asked.iter().any(|other| same(change, other));
                    match finding.changes.iter().filter(found).count() {
                        0 => Explains::Nothing,
                        count if count == finding.changes.len() => Explains::All,
                        _ => Explains::Some,
                    }
                }
                _ => Explains::Some,
            },
        }
    }

    /// Whether a group is as this change asked for.
    pub(super) fn is_met_by(&self, group: &Group) -> bool {
        let asked = self.request.as_ref().map(|request| asked(request, group));
        asked.is_some_and(|asked| difference(Some(group), asked.as_ref()).is_empty())
    }

    /// The change in a few words: `update of "Design"`.
    pub(super) fn words(&self) -> String {
        let what = match self.action {
            Action::GroupCreate => "creation",
            Action::GroupUpdate => "update",
            Action::GroupPatch => "patch",
            Action::GroupDelete => "deletion",
            _ => return self.shown.clone(),
        };
        match (&self.group_name, self.group) {
            // JSON's quoting escapes control characters.
            (Some(name), _) => format!("{what} of {}", Value::from(name.as_str())),
            (None, Some(id)) => format!("{what} of group {id}"),
            (None, None) => format!("{what} of a group"),
        }
    }
}

// The same thing done; names that were told with it may differ.
fn same(one: &Change, other: &Change) -> bool {
    (one.field, one.change, one.id, &one.to) == (other.field, other.change, other.id, &other.to)
}

/// The group as a request asks for it: the body of an update, or patches.
fn asked(request: &Value, group: &Group) -> Option<Group> {
    let mut group = group.clone();
    match request {
        Value::Array(patches) => {
            for patch in patches {
                patched(&mut group, patch)?;
            }
        }
        Value::Object(fields) => {
            if let Some(name) = fields.get("name") {
                name.as_str()?.clone_into(&mut group.name);
            }
            if let Some(users) = fields.get("users").and_then(numbers) {
                group.users = Some(members(users));
            }
            if let Some(workspaces) = fields.get("workspaces").and_then(numbers) {
                group.workspaces = Some(workspaces.into_iter().map(WorkspaceId).collect());
            }
        }
        _ => return None,
    }
    group.sort();
    Some(group)
}

fn patched(group: &mut Group, patch: &Value) -> Option<()> {
    let text = |name: &str| patch.get(name)?.as_str();
    let (op, path) = (text("op")?, text("path")?);
    let value = patch.get("value").and_then(numbers)?;
    match path {
        "/users" => {
            let users = group.users.get_or_insert_default();
            let other = |member: &Member| !value.contains(&member.id.0);
            match op {
                "replace" => users.clear(),
                _ => users.retain(other),
            }
            if op != "remove" {
                users.extend(members(value));
            }
        }
        "/workspaces" => {
            let workspaces = group.workspaces.get_or_insert_default();
            match op {
                "replace" => workspaces.clear(),
                _ => workspaces.retain(|id| !value.contains(&id.0)),
            }
            if op != "remove" {
                workspaces.extend(value.into_iter().map(WorkspaceId));
            }
        }
        _ => return None,
    }
    Some(())
}

fn numbers(value: &Value) -> Option<Vec<i64>> {
    value.as_array()?.iter().map(Value::as_i64).collect()
}

fn members(ids: Vec<i64>) -> Vec<Member> {
    ids.into_iter()
        .map(|id| Member::unnamed(UserId(id)))
        .collect()
}
