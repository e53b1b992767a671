//! Two states of a group become the list of what changed, and that list becomes a sentence.
//!
//! Pure and total: any two states have a difference, equal states have none, and what a state does
//! not tell (`None`) is never reported as changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::group::{Group, Member};
use super::ids::{GroupId, ProjectId, UserId};

/// One difference, as it stands in the column `changes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What of the group.
    pub field: Field,
    /// What happened to it.
    pub change: Kind,
    /// The value before, for what was set or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The value after, for what was set or created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// The number of what was added or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its name, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Which group, where the event concerns several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// That group's name, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
}

/// What of a group a [`Change`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The group itself.
    Group,
    /// Its name.
    Name,
    /// Its members.
    Users,
    /// Its workspaces.
    Workspaces,
    /// The projects it has access to.
    Project,
    /// What it permits.
    Permissions,
}

/// What happened to a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The group came into being.
    Created,
    /// The group is gone.
    Deleted,
    /// A single value became another.
    Set,
    /// One more in a set.
    Added,
    /// One fewer in a set.
    Removed,
}

/// What changed between two states of one group; `None` means that it does not exist.
#[must_use]
pub fn diff(before: Option<&Group>, after: Option<&Group>) -> Vec<Change> {
    let mut changes = Vec::new();
    match (before, after) {
        (None, None) => return changes,
        (None, Some(group)) => {
            changes.push(Change {
                to: Some(json!(group.name)),
                ..Change::new(Field::Group, Kind::Created)
            });
        }
        (Some(group), None) => {
            changes.push(Change {
                from: Some(json!(group.name)),
                ..Change::new(Field::Group, Kind::Deleted)
            });
        }
        (Some(old), Some(new)) => {
            if old.name != new.name {
                changes.push(Change::set(Field::Name, json!(old.name), json!(new.name)));
            }
            if let (Some(was), Some(is)) = (&old.permissions, &new.permissions)
                && was != is
            {
                changes.push(Change::set(Field::Permissions, was.clone(), is.clone()));
            }
        }
    }
    let users = |group: Option<&Group>| side(group, |group| group.users.clone());
    if let (Some(old), Some(new)) = (users(before), users(after)) {
        let key = |member: &Member| member.id;
        let label = |member: &Member| (member.id.0, member.name.clone());
        set_difference(&mut changes, Field::Users, &old, &new, key, label);
    }
    let workspaces = |group: Option<&Group>| side(group, |group| group.workspaces.clone());
    if let (Some(old), Some(new)) = (workspaces(before), workspaces(after)) {
        set_difference(
            &mut changes,
            Field::Workspaces,
            &old,
            &new,
            |id| *id,
            |id| (id.0, None),
        );
    }
    changes
}

/// What changed in those groups of which both states are known; each entry says of which group.
#[must_use]
pub fn difference_of_groups(before: &[Group], after: &[Group]) -> Vec<Change> {
    let mut changes = Vec::new();
    for new in after {
        let Some(old) = before.iter().find(|old| old.id == new.id) else {
            continue;
        };
        changes.extend(diff(Some(old), Some(new)).into_iter().map(|change| Change {
            group_id: Some(new.id),
            group_name: Some(new.name.clone()),
            ..change
        }));
    }
    changes
}

// A group that does not exist has no elements, which is known; one that does may not tell.
fn side<T>(group: Option<&Group>, elements: impl Fn(&Group) -> Option<Vec<T>>) -> Option<Vec<T>> {
    group.map_or_else(|| Some(Vec::new()), elements)
}

fn set_difference<T, K: PartialEq>(
    changes: &mut Vec<Change>,
    field: Field,
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
    label: impl Fn(&T) -> (i64, Option<String>),
) {
    let missing_in = |side: &[T], element: &T| !side.iter().any(|other| key(other) == key(element));
    for element in new.iter().filter(|element| missing_in(old, element)) {
        let (id, label) = label(element);
        changes.push(Change {
            id: Some(id),
            label,
            ..Change::new(field, Kind::Added)
        });
    }
    for element in old.iter().filter(|element| missing_in(new, element)) {
        let (id, label) = label(element);
        changes.push(Change {
            id: Some(id),
            label,
            ..Change::new(field, Kind::Removed)
        });
    }
}

/// The changes as a sentence, such as `renamed "Design" to "Brand"; added Ann (5)`.
///
/// `group_name` is what the group is called, for where the changes do not say so. Empty for no
/// changes.
#[must_use]
pub fn sentence(group_name: Option<&str>, changes: &[Change]) -> String {
    let mut clauses: Vec<String> = Vec::new();
    let mut says_name = false;
    for change in changes {
        match (change.field, change.change) {
            (Field::Group, Kind::Created) => {
                let with = elements(changes, Kind::Added);
                let with = if with.is_empty() {
                    with
                } else {
                    format!(" with {with}")
                };
                return format!("created {}{with}", quoted(&change.to));
            }
            (Field::Group, _) => {
                let had = elements(changes, Kind::Removed);
                let had = if had.is_empty() {
                    had
                } else {
                    format!(" (it had {had})")
                };
                return format!("deleted {}{had}", quoted(&change.from));
            }
            (Field::Name, _) => {
                says_name = true;
                clauses.push(format!(
                    "renamed {} to {}",
                    quoted(&change.from),
                    quoted(&change.to)
                ));
            }
            (Field::Permissions, _) => clauses.push(format!(
                "set permissions from {} to {}",
                quoted(&change.from),
                quoted(&change.to)
            )),
            (Field::Users | Field::Workspaces | Field::Project, _) => {}
        }
    }
    for (kind, verb) in [(Kind::Added, "added"), (Kind::Removed, "removed")] {
        let elements = elements(changes, kind);
        if !elements.is_empty() {
            clauses.push(format!("{verb} {elements}"));
        }
    }
    let text = clauses.join("; ");
    match group_name {
        Some(name) if !says_name && !text.is_empty() => format!("in {}: {text}", json!(name)),
        _ => text,
    }
}

/// The changes of several groups as a sentence: `in "Design": added Ann (5); in "Brand": removed Ann (5)`.
#[must_use]
pub fn sentence_of_groups(changes: &[Change]) -> String {
    let mut groups: Vec<Option<GroupId>> = Vec::new();
    for change in changes {
        if !groups.contains(&change.group_id) {
            groups.push(change.group_id);
        }
    }
    let said = groups.into_iter().map(|group| {
        let of = changes.iter().filter(|change| change.group_id == group);
        let of: Vec<Change> = of.cloned().collect();
        let name = of.iter().find_map(|change| change.group_name.as_deref());
        match (name, group) {
            (None, Some(id)) => format!("in group {id}: {}", sentence(None, &of)),
            (name, _) => sentence(name, &of),
        }
    });
    listed(said.collect(), "; ")
}

// `Ann (5), Bob (6), workspace 2`
fn elements(changes: &[Change], kind: Kind) -> String {
    let names = changes
        .iter()
        .filter(|change| change.change == kind)
        .filter_map(|change| {
            let noun = match change.field {
                Field::Users => "",
                Field::Workspaces => "workspace ",
                Field::Project => "project ",
                Field::Group | Field::Name | Field::Permissions => return None,
            };
            Some(format!("{noun}{}", change.who()))
        });
    listed(names.collect(), ", ")
}

/// What stands side by side in a sentence: the first ten, and how many more. All of them are in the
/// columns; a sentence that names thousands is none.
#[must_use]
pub fn listed(mut named: Vec<String>, separator: &str) -> String {
    const NAMED: usize = 10;
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let text = named.join(separator);
    if more == 0 {
        text
    } else {
        format!("{text} and {more} more")
    }
}

// JSON's quoting also escapes control characters, so that a name cannot break out of the line.
fn quoted(value: &Option<Value>) -> String {
    value
        .as_ref()
        .map_or_else(|| "?".to_owned(), Value::to_string)
}

// === impl Change ===

impl Change {
    fn new(field: Field, change: Kind) -> Self {
        Self {
            field,
            change,
            from: None,
            to: None,
            id: None,
            label: None,
            group_id: None,
            group_name: None,
        }
    }

    fn set(field: Field, from: Value, to: Value) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
            ..Self::new(field, Kind::Set)
        }
    }

    /// A person who came into a group or left it, where the states themselves are not known.
    #[must_use]
    pub fn member(kind: Kind, id: UserId, label: Option<String>) -> Self {
        Self {
            id: Some(id.0),
            label,
            ..Self::new(Field::Users, kind)
        }
    }

    /// Somebody of whom no number is known, who came into a group or left it.
    #[must_use]
    pub fn anybody(kind: Kind) -> Self {
        Self::new(Field::Users, kind)
    }

    /// A workspace that a group came into or left, where the states themselves are not known.
    #[must_use]
    pub fn workspace(kind: Kind, id: i64) -> Self {
        Self {
            id: Some(id),
            ..Self::new(Field::Workspaces, kind)
        }
    }

    /// A project that a group got or lost access to.
    #[must_use]
    pub fn project(kind: Kind, id: ProjectId) -> Self {
        Self {
            id: Some(id.0),
            ..Self::new(Field::Project, kind)
        }
    }

    fn who(&self) -> String {
        match (&self.label, self.id) {
            (Some(label), Some(id)) => format!("{} ({id})", label.escape_debug()),
            (Some(label), None) => label.escape_debug().to_string(),
            (None, Some(id)) => id.to_string(),
            (None, None) => "?".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::WorkspaceId;

    fn design(users: &[(i64, &str)], workspaces: &[i64]) -> Group {
        let users: Vec<_> = users
            .iter()
            .map(|(id, name)| json!({"user_id": id, "name": name}))
            .collect();
        Group::read(
            &json!({"group_id": 7, "name": "Design", "users": users, "workspaces": workspaces}),
        )
        .unwrap()
    }

    fn said(before: Option<&Group>, after: Option<&Group>) -> String {
        sentence(Some("Design"), &diff(before, after))
    }

    #[test]
    fn a_change_reads_like_a_sentence() {
        let old = design(&[(6, "Bob")], &[1]);
        let mut new = design(&[(5, "Ann")], &[1, 2]);
        assert_snapshot!(said(Some(&old), Some(&new)), @r#"in "Design": added Ann (5), workspace 2; removed Bob (6)"#);
        new.name = "Brand".into();
        assert_snapshot!(said(Some(&old), Some(&new)), @r#"renamed "Design" to "Brand"; added Ann (5), workspace 2; removed Bob (6)"#);
        assert_snapshot!(said(None, Some(&old)), @r#"created "Design" with Bob (6), workspace 1"#);
        assert_snapshot!(said(Some(&old), None), @r#"deleted "Design" (it had Bob (6), workspace 1)"#);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        let mut new = design(&[(5, "Ann\u{1b}[2J\n")], &[]);
        new.name = "a\"b\n\u{1b}".into();
        let text = said(None, Some(&new));
        assert!(!text.contains(['\n', '\u{1b}']), "{text:?}");
    }

    #[test]
    fn what_a_state_does_not_tell_did_not_change() {
        let known = design(&[(5, "Ann")], &[1]);
        let short = Group::read(&json!({"id": 7, "name": "Design"})).unwrap();
        assert_eq!(diff(Some(&known), Some(&short)), []);
        assert_eq!(diff(Some(&short), Some(&known)), []);
    }

    fn any_group() -> impl Strategy<Value = Group> {
        let users = proptest::option::of(proptest::collection::vec((0i64..9, ".*"), 0..6));
        let workspaces = proptest::option::of(proptest::collection::vec(0i64..9, 0..6));
        ("[A-C]", users, workspaces).prop_map(|(name, users, workspaces)| {
            let member = |(id, name)| Member {
                name: Some(name),
                ..Member::unnamed(UserId(id))
            };
            let mut group = Group::read(&json!({"group_id": 1, "name": name})).unwrap();
            group.users = users.map(|users| users.into_iter().map(member).collect());
            group.workspaces = workspaces.map(|ids| ids.into_iter().map(WorkspaceId).collect());
            group.sort();
            group
        })
    }

    proptest! {
        #[test]
        fn equal_states_have_no_difference(group in any_group()) {
            prop_assert_eq!(diff(Some(&group), Some(&group)), []);
        }

        #[test]
        fn the_way_back_takes_out_what_the_way_there_put_in(a in any_group(), b in any_group()) {
            let count = |changes: &[Change], kind| changes.iter().filter(|c| c.change == kind).count();
            let (there, back) = (diff(Some(&a), Some(&b)), diff(Some(&b), Some(&a)));
            prop_assert_eq!(count(&there, Kind::Added), count(&back, Kind::Removed));
            prop_assert_eq!(count(&there, Kind::Set), count(&back, Kind::Set));
        }
    }
}
