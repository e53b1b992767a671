//! The eleven doors besides a group's own endpoints through which people get into groups and out of them.
//!
//! **Guarantee** (DESIGN §4): of what a list shows to have changed, no more is put down to a request
//! than it can explain. The rest was somebody else, and is left for drift to notice. Most doors answer
//! nothing but `OK`, so where no list can be had, what the request itself makes certain is said, and no
//! more.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::diff::{Change, Field, Kind};
use super::group::Group;
use super::ids::{GroupId, UserId, WorkspaceId};

/// Which door, by what its request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// One person's groups become exactly those in the body.
    EditUser,
    /// A person or a group into or out of a workspace; a person into or out of a group.
    Assign,
    /// People by their addresses, and the groups they will be in.
    Invite,
    /// An invitation is accepted by who was invited.
    Accept,
    /// People out of the organization or out of a workspace.
    RemoveUsers,
    /// One person out of a workspace.
    RemoveUser,
    /// Whoever asks leaves.
    Leave,
    /// Roles for people and groups.
    Grant,
}

/// A request to a door, as far as it can be understood.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The door.
    pub door: Door,
    /// The body.
    pub body: Option<&'a Value>,
    /// The person in the path.
    pub user: Option<UserId>,
    /// The workspace in the path.
    pub workspace: Option<WorkspaceId>,
    /// Who asks, if that is known.
    pub caller: Option<UserId>,
}

// === impl Door ===

impl Door {
    /// The door of an operation that the table calls a membership's.
    #[must_use]
    pub fn of(method: &Method, template: &str) -> Option<Self> {
        let last = template.rsplit('/').next().unwrap_or_default();
        Some(match (method.as_str(), last) {
            ("PUT", "assignments") => Self::Assign,
            ("PUT", _) => Self::EditUser,
            ("POST", "invitations") => Self::Invite,
            ("POST", "accept") => Self::Accept,
            ("POST", "roles") => Self::Grant,
            ("PATCH", _) => Self::RemoveUsers,
            ("DELETE", "leave") => Self::Leave,
            ("DELETE", _) => Self::RemoveUser,
            _ => return None,
        })
    }

    /// Whether what it did cannot be told without knowing who asked.
    #[must_use]
    pub fn is_about_the_caller(self) -> bool {
        matches!(self, Self::Leave | Self::Accept)
    }
}

// === impl Entry ===

impl Entry<'_> {
    /// Of the differences that a list shows since before the request, those that it can have made, and
    /// whether that is certain. `after` are the groups as they are now.
    #[must_use]
    pub fn explained(&self, found: Vec<Change>, after: &[Group]) -> (Vec<Change>, bool) {
        let mut made: Vec<_> = found
            .into_iter()
            .filter(|change| self.can_make(change))
            .collect();
        let people = |changes: &[Change]| -> BTreeSet<i64> {
            let people = changes.iter().filter(|change| change.field == Field::Users);
            people.filter_map(|change| change.id).collect()
        };
        let Some(most) = self.most_people() else {
            return (made, true);
        };
        // Somebody else was there as well: whose groups are now what was asked for, it was.
        if people(&made).len() > most
            && let Some(wanted) = self.groups_wanted()
        {
            let has = |user: i64| -> BTreeSet<GroupId> {
                let of = after.iter().filter(|group| is_in(group, UserId(user)));
                of.map(|group| group.id).collect()
            };
            made.retain(|change| change.id.is_some_and(|user| has(user) == wanted));
        }
        let certain = people(&made).len() <= most;
        (made, certain)
    }

    /// What the request makes certain where no list shows it. `known` are the groups as they were.
    #[must_use]
    pub fn certain(&self, known: &[Group]) -> Vec<Change> {
        match self.door {
            Door::EditUser => match (self.user, self.groups_wanted()) {
                (Some(user), Some(wanted)) => {
                    let told = known.iter().filter(|group| group.users.is_some());
                    let ids = told.map(|group| group.id).chain(wanted.iter().copied());
                    let ids: BTreeSet<GroupId> = ids.collect();
                    let of = |id| moved(user, find(known, id), id, wanted.contains(&id));
                    ids.into_iter().filter_map(of).collect()
                }
                _ => Vec::new(),
            },
            Door::Assign => self.body.map_or_else(Vec::new, |body| {
                let joins = joins(body);
                let user = number(body, "user_id").map(UserId);
                let group = number(body, "group_id").map(GroupId);
                let change = match (user, group, self.workspace) {
                    (Some(user), Some(id), _) => moved(user, find(known, id), id, joins),
                    (None, Some(id), Some(workspace)) => {
                        let kind = if joins { Kind::Added } else { Kind::Removed };
                        Some(of_group(
                            Change::workspace(kind, workspace.0),
                            id,
                            find(known, id),
                        ))
                    }
                    _ => None,
                };
                change.into_iter().collect()
            }),
            Door::Invite => {
                let emails = self.list("emails").filter_map(Value::as_str);
                let groups = self.groups_wanted().unwrap_or_default();
                let invited = |email: &str| {
                    let added = |id: &GroupId| {
                        let change = Change {
                            label: Some(email.to_owned()),
                            ..Change::anybody(Kind::Added)
                        };
                        of_group(change, *id, find(known, *id))
                    };
                    groups.iter().map(added).collect::<Vec<_>>()
                };
                emails.flat_map(invited).collect()
            }
            Door::Grant => {
                let roles = self.body.and_then(Value::as_array).into_iter().flatten();
                let granted = |role: &Value| {
                    let user = number(role, "user_id").map(UserId)?;
                    let id = number(role, "group_id").map(GroupId)?;
                    moved(user, find(known, id), id, true)
                };
                roles.filter_map(granted).collect()
            }
            Door::Leave => self.caller.map_or_else(Vec::new, |user| {
                let of = known.iter().filter(|group| is_in(group, user));
                of.filter_map(|group| moved(user, Some(group), group.id, false))
                    .collect()
            }),
            // Before they accepted they were in it by invitation alone.
            Door::Accept => self.caller.map_or_else(Vec::new, |user| {
                let of = known.iter().filter_map(|group| {
                    let member = member(group, user)?;
                    let invited = member.rest.get("joined") == Some(&Value::Bool(false));
                    invited.then(|| {
                        let change = Change::member(Kind::Added, user, member.name.clone());
                        of_group(change, group.id, Some(group))
                    })
                });
                of.collect()
            }),
            // Their bodies and paths have numbers that are nobody's `user_id`.
            Door::RemoveUsers | Door::RemoveUser => Vec::new(),
        }
    }

    fn can_make(&self, change: &Change) -> bool {
        let is_user = change.field == Field::Users;
        let is = |user: Option<UserId>| user.is_none_or(|user| change.id == Some(user.0));
        match self.door {
            Door::EditUser => {
                let wanted = self.groups_wanted();
                let fits = |wanted: BTreeSet<GroupId>| {
                    let is_wanted = change.group_id.is_some_and(|id| wanted.contains(&id));
                    is_wanted == (change.change == Kind::Added)
                };
                is_user && is(self.user) && wanted.is_none_or(fits)
            }
            Door::Assign => self.body.is_some_and(|body| {
                let group = number(body, "group_id").map(GroupId);
                let is_group = group.is_none_or(|group| change.group_id == Some(group));
                let user = number(body, "user_id").map(UserId);
                let is_what = match user {
                    Some(user) => is_user && is(Some(user)),
                    None => {
                        change.field == Field::Workspaces
                            && self
                                .workspace
                                .is_none_or(|workspace| change.id == Some(workspace.0))
                    }
                };
                is_group && is_what
            }),
            Door::Invite => {
                let groups = self.groups_wanted().unwrap_or_default();
                is_user
                    && change.change == Kind::Added
                    && change.group_id.is_some_and(|id| groups.contains(&id))
            }
            Door::Accept => is_user && change.change == Kind::Added && is(self.caller),
            Door::RemoveUsers | Door::RemoveUser => is_user && change.change == Kind::Removed,
            Door::Leave => is_user && change.change == Kind::Removed && is(self.caller),
            Door::Grant => {
                let mut roles = self.body.and_then(Value::as_array).into_iter().flatten();
                roles.any(|role| {
                    let group = number(role, "group_id").map(GroupId);
                    let is_group = group.is_none_or(|group| change.group_id == Some(group));
                    match number(role, "user_id").map(UserId) {
                        Some(user) => is_group && is_user && is(Some(user)),
                        None => is_group && change.field == Field::Permissions,
                    }
                })
            }
        }
    }

    // How many people one request moves at the most; `None` where it names each of them.
    fn most_people(&self) -> Option<usize> {
        match self.door {
            Door::EditUser | Door::RemoveUser | Door::Leave | Door::Accept => Some(1),
            Door::RemoveUsers => Some(self.list("delete").count()),
            Door::Invite => Some(self.list("emails").count()),
            Door::Assign | Door::Grant => None,
        }
    }

    fn groups_wanted(&self) -> Option<BTreeSet<GroupId>> {
        let groups = self.body?.get("groups")?.as_array()?;
        groups.iter().map(|id| id.as_i64().map(GroupId)).collect()
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        let list = self.body.and_then(|body| body.get(name)?.as_array());
        list.into_iter().flatten()
    }
}

// The words that mean one direction; without one of them, the flag does.
fn joins(body: &Value) -> bool {
    match body.get("operation").and_then(Value::as_str) {
        Some("add" | "join" | "assign") => true,
        Some("remove" | "leave" | "unassign" | "delete") => false,
        _ => body.get("joined").and_then(Value::as_bool).unwrap_or(true),
    }
}

// `None` where the person is known to be there, or not to be, already.
fn moved(user: UserId, group: Option<&Group>, id: GroupId, joins: bool) -> Option<Change> {
    if let Some(group) = group.filter(|group| group.users.is_some())
        && is_in(group, user) == joins
    {
        return None;
    }
    let label = group.and_then(|group| member(group, user)?.name.clone());
    let kind = if joins { Kind::Added } else { Kind::Removed };
    let change = Change::member(kind, user, label);
    Some(of_group(change, id, group))
}

fn of_group(change: Change, id: GroupId, group: Option<&Group>) -> Change {
    Change {
        group_id: Some(id),
        group_name: group.map(|group| group.name.clone()),
        ..change
    }
}

fn find(groups: &[Group], id: GroupId) -> Option<&Group> {
    groups.iter().find(|group| group.id == id)
}

fn is_in(group: &Group, user: UserId) -> bool {
    member(group, user).is_some()
}

fn member(group: &Group, user: UserId) -> Option<&super::group::Member> {
    group
        .users
        .iter()
        .flatten()
        .find(|member| member.id == user)
}

fn number(value: &Value, name: &str) -> Option<i64> {
    value.get(name)?.as_i64()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::super::diff::{difference_of_groups, sentence_of_groups};
    use super::*;

    fn groups(members: [&[i64]; 2]) -> Vec<Group> {
        let group = |(id, name, users): (i64, &str, &[i64])| {
            let users: Vec<_> = users
                .iter()
                .map(|id| json!({"user_id": id, "name": format!("U{id}"), "joined": *id != 9}))
                .collect();
            Group::read(&json!({"group_id": id, "name": name, "users": users, "workspaces": [3]}))
                .unwrap()
        };
        vec![
            group((7, "Design", members[0])),
            group((8, "Brand", members[1])),
        ]
    }

    fn entry(door: Door, body: &Value) -> Entry<'_> {
        Entry {
            door,
            body: Some(body),
            user: None,
            workspace: Some(WorkspaceId(3)),
            caller: Some(UserId(9)),
        }
    }

    fn explained(
        door: Door,
        body: &Value,
        before: [&[i64]; 2],
        after: [&[i64]; 2],
    ) -> (String, bool) {
        let after = groups(after);
        let found = difference_of_groups(&groups(before), &after);
        let (made, certain) = entry(door, body).explained(found, &after);
        (sentence_of_groups(&made), certain)
    }

    #[test]
    fn what_a_request_cannot_have_done_is_somebody_elses() {
        // Bob came into Design meanwhile; the request put 5 into both.
        let body = json!({"groups": [7, 8]});
        let (said, certain) = explained(Door::EditUser, &body, [&[], &[]], [&[5, 6], &[5]]);
        assert_snapshot!(said, @r#"in "Design": added U5 (5); in "Brand": added U5 (5)"#);
        assert!(certain);
        // Whoever asks to take people out has put nobody in.
        let body = json!({"delete": [610003]});
        let (said, certain) = explained(Door::RemoveUsers, &body, [&[5], &[6]], [&[6], &[6]]);
        assert_eq!(said, r#"in "Design": removed U5 (5)"#);
        assert!(certain);
        let (_, certain) = explained(Door::RemoveUsers, &body, [&[5], &[6]], [&[], &[]]);
        assert!(!certain, "one was asked for, two are gone");
        let body = json!({"operation": "assign", "user_id": 5, "group_id": 7});
        let (said, _) = explained(Door::Assign, &body, [&[], &[]], [&[5, 6], &[5]]);
        assert_eq!(said, r#"in "Design": added U5 (5)"#);
        let body = json!({"emails": ["a@b.example"], "groups": [8]});
        let (said, _) = explained(Door::Invite, &body, [&[5], &[]], [&[], &[6]]);
        assert_eq!(said, r#"in "Brand": added U6 (6)"#);
        let (said, _) = explained(Door::Leave, &Value::Null, [&[9, 5], &[]], [&[], &[]]);
        assert_eq!(said, r#"in "Design": removed U9 (9)"#);
        let body = json!([{"group_id": 8, "user_id": 6, "organization_id": 1, "role_id": 1}]);
        let (said, _) = explained(Door::Grant, &body, [&[], &[]], [&[6], &[6]]);
        assert_eq!(said, r#"in "Brand": added U6 (6)"#);
    }

    #[test]
    fn without_a_list_only_what_is_certain_is_said() {
        let known = groups([&[5, 9], &[9]]);
        let said = |door, body: &Value| sentence_of_groups(&entry(door, body).certain(&known));
        let assign = json!({"operation": "assign", "user_id": 6, "group_id": 7, "joined": true});
        assert_eq!(said(Door::Assign, &assign), r#"in "Design": added 6"#);
        let again = json!({"user_id": 5, "group_id": 7});
        assert_eq!(said(Door::Assign, &again), "", "they are in it");
        let out = json!({"operation": "remove", "user_id": 5, "group_id": 7});
        assert_eq!(said(Door::Assign, &out), r#"in "Design": removed U5 (5)"#);
        let workspace = json!({"operation": "assign", "group_id": 8});
        assert_eq!(
            said(Door::Assign, &workspace),
            r#"in "Brand": added workspace 3"#
        );
        let invite = json!({"emails": ["a@b.example"], "groups": [7, 11]});
        assert_eq!(
            said(Door::Invite, &invite),
            r#"in "Design": added a@b.example; in group 11: added a@b.example"#
        );
        assert_eq!(
            said(Door::Leave, &Value::Null),
            r#"in "Design": removed U9 (9); in "Brand": removed U9 (9)"#
        );
        assert_eq!(
            said(Door::Accept, &Value::Null),
            r#"in "Design": added U9 (9); in "Brand": added U9 (9)"#
        );
        assert_eq!(
            said(Door::EditUser, &json!({"groups": [8]})),
            "",
            "whose groups?"
        );
        let body = json!({"groups": [8]});
        let named = Entry {
            user: Some(UserId(5)),
            ..entry(Door::EditUser, &body)
        };
        assert_eq!(
            sentence_of_groups(&named.certain(&known)),
            r#"in "Design": removed U5 (5); in "Brand": added 5"#
        );
        assert_eq!(said(Door::RemoveUsers, &json!({"delete": [610003]})), "");
    }

    #[test]
    fn each_of_the_eleven_is_a_door() {
        use super::super::operations::{Class, OPERATIONS};
        let doors = OPERATIONS
            .iter()
            .filter(|operation| operation.class == Class::Membership);
        let doors: Vec<_> = doors
            .map(|operation| {
                let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
                (operation.path, Door::of(&method, operation.path).unwrap())
            })
            .collect();
        assert_eq!(doors.len(), 11);
        let count = |door| doors.iter().filter(|(_, of)| *of == door).count();
        assert_eq!((count(Door::EditUser), count(Door::RemoveUsers)), (3, 2));
    }
}
