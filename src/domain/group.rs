//! A group as upstream shows it, read tolerantly.
//!
//! Upstream has two forms of one thing: `group_id` with members and workspaces, and, by the
//! deprecated door, `id` with neither. A field that is missing or `null` is `None`, "not told", and
//! never mistaken for empty: upstream also writes `null` to those who may not see it. Only to whoever
//! changed the group does `null` mean empty ([`Group::read_changed`]). Fields nobody here knows are
//! kept.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ids::{GroupId, ProjectGroupId, ProjectId, UserId, WorkspaceId};

/// A group, as far as one answer told.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which group.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Its members, sorted by number; `None` where the form does not tell.
    pub users: Option<Vec<Member>>,
    /// The workspaces it belongs to, sorted; `None` where the form does not tell.
    pub workspaces: Option<Vec<WorkspaceId>>,
    /// What it permits, in upstream's own words; `None` where the form does not tell.
    pub permissions: Option<Value>,
    /// Everything else upstream said, `at` among it.
    pub rest: Map<String, Value>,
}

/// A person in a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Who.
    pub id: UserId,
    /// Their name, if it was told.
    pub name: Option<String>,
    /// Everything else upstream said of them.
    pub rest: Map<String, Value>,
}

/// A row that gives a group access to a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectGroup {
    /// The row's own number.
    pub id: ProjectGroupId,
    /// The group that has access.
    pub group: GroupId,
    /// The project it has access to.
    pub project: ProjectId,
}

/// Reads a list of groups: a bare array, or an object with the array as `items`.
///
/// `None` if it is anything else, or if one element is not a group: such an answer is not what the
/// endpoint promises.
#[must_use]
pub fn read_groups(json: &[u8]) -> Option<Vec<Group>> {
    read_items(json, Group::read)
}

/// Reads a list of project groups, as [`read_groups`] does.
#[must_use]
pub fn read_project_groups(json: &[u8]) -> Option<Vec<ProjectGroup>> {
    read_items(json, ProjectGroup::read)
}

// Upstream writes `null` for a list without elements.
fn read_items<T>(json: &[u8], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let parsed: Value = serde_json::from_slice(json).ok()?;
    let items = match &parsed {
        Value::Array(items) => items,
        Value::Object(object) => object.get("items")?.as_array()?,
        Value::Null => return Some(Vec::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    items.iter().map(read).collect()
}

// === impl Group ===

impl Group {
    /// Reads one group in either form; `None` if the value is no group.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let mut rest = value.as_object()?.clone();
        let id = rest
            .shift_remove("group_id")
            .or_else(|| rest.shift_remove("id"))?
            .as_i64()?;
        let name = rest.shift_remove("name")?.as_str()?.to_owned();
        let users = match rest.shift_remove("users") {
            None | Some(Value::Null) => None,
            Some(users) => Some(
                users
                    .as_array()?
                    .iter()
                    .map(Member::read)
                    .collect::<Option<_>>()?,
            ),
        };
        let workspaces = match rest.shift_remove("workspaces") {
            None | Some(Value::Null) => None,
            Some(ids) => {
                let ids = ids
                    .as_array()?
                    .iter()
                    .map(|id| id.as_i64().map(WorkspaceId));
                Some(ids.collect::<Option<Vec<_>>>()?)
            }
        };
        let mut group = Self {
            id: GroupId(id),
            name,
            users,
            workspaces,
            permissions: rest.shift_remove("permissions"),
            rest,
        };
        group.sort();
        Some(group)
    }

    /// Reads a group from the answer to a change of it, whose maker may see all of it.
    #[must_use]
    pub fn read_changed(value: &Value) -> Option<Self> {
        let mut group = Self::read(value)?;
        let is_null = |name: &str| value.get(name).is_some_and(Value::is_null);
        if is_null("users") {
            group.users = Some(Vec::new());
        }
        if is_null("workspaces") {
            group.workspaces = Some(Vec::new());
        }
        Some(group)
    }

    /// What is known after `newer` was seen: its fields, and ours where it does not tell.
    #[must_use]
    pub fn updated_by(&self, newer: &Self) -> Self {
        let mut merged = newer.clone();
        merged.users = newer.users.clone().or_else(|| self.users.clone());
        merged.workspaces = newer.workspaces.clone().or_else(|| self.workspaces.clone());
        merged.permissions = newer
            .permissions
            .clone()
            .or_else(|| self.permissions.clone());
        for (key, value) in &self.rest {
            if !merged.rest.contains_key(key) {
                merged.rest.insert(key.clone(), value.clone());
            }
        }
        merged
    }

    /// Puts members and workspaces in order, so that equal groups compare equal.
    pub fn sort(&mut self) {
        if let Some(users) = &mut self.users {
            users.sort_by_key(|member| member.id);
            users.dedup_by_key(|member| member.id);
        }
        if let Some(workspaces) = &mut self.workspaces {
            workspaces.sort_unstable();
            workspaces.dedup();
        }
    }

    /// The group as JSON, in upstream's newer form; fields that were not told are left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("group_id".into(), json!(self.id));
        object.insert("name".into(), json!(self.name));
        if let Some(permissions) = &self.permissions {
            object.insert("permissions".into(), permissions.clone());
        }
        if let Some(users) = &self.users {
            object.insert("users".into(), users.iter().map(Member::to_json).collect());
        }
        if let Some(workspaces) = &self.workspaces {
            object.insert("workspaces".into(), json!(workspaces));
        }
        object.extend(self.rest.clone());
        Value::Object(object)
    }
}

impl Serialize for Group {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

// === impl Member ===

impl Member {
    /// A member of whom nothing but the number is known.
    #[must_use]
    pub fn unnamed(id: UserId) -> Self {
        Self {
            id,
            name: None,
            rest: Map::new(),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let mut rest = value.as_object()?.clone();
        let id = rest.shift_remove("user_id")?.as_i64()?;
        let name = match rest.shift_remove("name") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        };
        Some(Self {
            id: UserId(id),
            name,
            rest,
        })
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("user_id".into(), json!(self.id));
        object.insert("name".into(), json!(self.name));
        object.extend(self.rest.clone());
        Value::Object(object)
    }
}

// === impl ProjectGroup ===

impl ProjectGroup {
    /// Reads one; `None` if the value is no project group.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name).and_then(Value::as_i64);
        Some(Self {
            id: ProjectGroupId(number("id")?),
            group: GroupId(number("group_id")?),
            project: ProjectId(number("pid").or_else(|| number("project_id"))?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(value: Value) -> Group {
        Group::read(&value).unwrap()
    }

    #[test]
    fn what_a_form_does_not_tell_is_not_empty() {
        let short = group(json!({"id": 7, "name": "Design", "workspace_id": 3}));
        assert_eq!(short.users, None);
        let long = json!({"group_id": 7, "name": "Design", "users": null, "workspaces": null});
        assert_eq!(group(long.clone()).users, None);
        let changed = Group::read_changed(&long).unwrap();
        assert_eq!(
            (changed.users, changed.workspaces),
            (Some(vec![]), Some(vec![]))
        );
        let short = Group::read_changed(&json!({"id": 7, "name": "Design"})).unwrap();
        assert_eq!(short.users, None);
    }

    #[test]
    fn an_answer_of_the_short_form_forgets_no_member() {
        let known = group(
            json!({"group_id": 7, "name": "Design", "users": [{"user_id": 5, "name": "Ann"}]}),
        );
        let seen = group(json!({"id": 7, "name": "Brand"}));
        let merged = known.updated_by(&seen);
        assert_eq!(merged.name, "Brand");
        assert_eq!(merged.users, known.users);
    }

    #[test]
    fn fields_nobody_knows_survive() {
        let value = json!({"group_id": 7, "name": "Design", "permissions": ["x"],
            "users": [{"user_id": 5, "name": "Ann", "pronouns": "she"}], "workspaces": [2], "colour": "red"});
        assert_eq!(group(value.clone()).to_json(), value);
    }

    #[test]
    fn lists_come_bare_or_as_items_and_anything_else_is_none() {
        assert_eq!(
            read_groups(br#"[{"group_id":1,"name":"A"}]"#)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            read_groups(br#"{"items":[{"group_id":1,"name":"A"}]}"#)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(read_groups(b"null").unwrap().len(), 0);
        for other in [
            "<html>",
            "{}",
            "\"x\"",
            r#"[{"name":"A"}]"#,
            r#"[{"group_id":1,"name":"A"},3]"#,
        ] {
            assert!(read_groups(other.as_bytes()).is_none(), "{other}");
        }
    }
}
