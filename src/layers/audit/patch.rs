//! Patches of a group, as the request lists them and the answer says what became of each.

use serde_json::Value;

use crate::domain::diff::{Change, Kind, listed};
use crate::domain::group::{Group, Member};
use crate::domain::ids::{UserId, WorkspaceId};

/// One patch: `{"op":"add","path":"/users","value":[5]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    op: Op,
    path: Path,
    value: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Remove,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Users,
    Workspaces,
}

/// What the answer says of the patches.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Those that were applied.
    pub(super) applied: Vec<Patch>,
    /// Those that were not, and why.
    pub(super) refused: Vec<(Option<Patch>, String)>,
    /// How many were applied that cannot be read.
    pub(super) unread: usize,
}

/// Knows people's names.
pub(super) type Names<'a> = &'a dyn Fn(UserId) -> Option<String>;

/// The patches of a request; those that cannot be read are left out.
pub(super) fn requested(body: &Value) -> Vec<Patch> {
    body.as_array()
        .into_iter()
        .flatten()
        .filter_map(Patch::read)
        .collect()
}

// === impl Results ===

impl Results {
    /// Reads `{"success":[patch],"failure":[{"message":…,"patch":patch}]}`; `None` for anything else.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let list = |name: &str| match answer.get(name) {
            Some(Value::Array(list)) => Some(list.as_slice()),
            Some(Value::Null) => Some(&[][..]),
            _ => None,
        };
        // One of the two may be left out where it is empty.
        let (success, failure) = (list("success"), list("failure"));
        if success.is_none() && failure.is_none() {
            return None;
        }
        let refused = failure.unwrap_or_default().iter().map(|failure| {
            let message = failure
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("no reason given");
            (
                failure.get("patch").and_then(Patch::read),
                message.to_owned(),
            )
        });
        let success = success.unwrap_or_default();
        let applied: Vec<_> = success.iter().filter_map(Patch::read).collect();
        Some(Self {
            unread: success.len() - applied.len(),
            refused: refused.collect(),
            applied,
        })
    }
}

// === impl Patch ===

impl Patch {
    fn read(value: &Value) -> Option<Self> {
        let op = match value.get("op")?.as_str()? {
            "add" => Op::Add,
            "remove" => Op::Remove,
            "replace" => Op::Replace,
            _ => return None,
        };
        let path = match value.get("path")?.as_str()? {
            "/users" => Path::Users,
            "/workspaces" => Path::Workspaces,
            _ => return None,
        };
        let value = value
            .get("value")?
            .as_array()?
            .iter()
            .map(Value::as_i64)
            .collect::<Option<_>>()?;
        Some(Self { op, path, value })
    }

    /// The people that it names.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        let users = if self.path == Path::Users {
            self.value.as_slice()
        } else {
            &[]
        };
        users.iter().map(|id| UserId(*id))
    }

    /// Whether `group` tells what this patch changes.
    pub(super) fn is_known_in(&self, group: &Group) -> bool {
        match self.path {
            Path::Users => group.users.is_some(),
            Path::Workspaces => group.workspaces.is_some(),
        }
    }

    /// Does to `group` what upstream did.
    pub(super) fn apply(&self, group: &mut Group, names: Names<'_>) {
        match self.path {
            Path::Users => {
                // Members of a group whose form did not tell them stay unknown, but for a replacement.
                let known = group.users.take();
                let member = |id: &i64| {
                    let id = UserId(*id);
                    let old = known
                        .iter()
                        .flatten()
                        .find(|member| member.id == id)
                        .cloned();
                    old.unwrap_or_else(|| Member {
                        name: names(id),
                        ..Member::unnamed(id)
                    })
                };
                let listed = |member: &Member| self.value.contains(&member.id.0);
                group.users = match (self.op, &known) {
                    (Op::Replace, _) => Some(self.value.iter().map(member).collect()),
                    (_, None) => None,
                    (Op::Add, Some(users)) => {
                        let kept = users.iter().filter(|user| !listed(user)).cloned();
                        Some(kept.chain(self.value.iter().map(member)).collect())
                    }
                    (Op::Remove, Some(users)) => {
                        Some(users.iter().filter(|user| !listed(user)).cloned().collect())
                    }
                };
            }
            Path::Workspaces => {
                let ids = self.value.iter().map(|id| WorkspaceId(*id));
                let known = group.workspaces.take();
                group.workspaces = match (self.op, known) {
                    (Op::Replace, _) => Some(ids.collect()),
                    (_, None) => None,
                    (Op::Add, Some(known)) => Some(known.into_iter().chain(ids).collect()),
                    (Op::Remove, Some(known)) => Some(
                        known
                            .into_iter()
                            .filter(|id| !self.value.contains(&id.0))
                            .collect(),
                    ),
                };
            }
        }
        group.sort();
    }

    /// What it changed, where the group before is not known: what was added or removed at the most.
    pub(super) fn at_most(&self, names: Names<'_>) -> Vec<Change> {
        let kind = match self.op {
            Op::Add => Kind::Added,
            Op::Remove => Kind::Removed,
            Op::Replace => return Vec::new(),
        };
        let change = |id: &i64| match self.path {
            Path::Users => Change::member(kind, UserId(*id), names(UserId(*id))),
            Path::Workspaces => Change::workspace(kind, *id),
        };
        self.value.iter().map(change).collect()
    }

    /// `add users Ann (5), 6`
    pub(super) fn attempt(&self, names: Names<'_>) -> String {
        let verb = match self.op {
            Op::Add => "add",
            Op::Remove => "remove",
            Op::Replace => "replace by",
        };
        let values = self.value.iter().map(|id| match self.path {
            Path::Users => match names(UserId(*id)) {
                Some(name) => format!("{} ({id})", name.escape_debug()),
                None => id.to_string(),
            },
            Path::Workspaces => id.to_string(),
        });
        let noun = if self.path == Path::Users {
            "users"
        } else {
            "workspaces"
        };
        format!("{verb} {noun} {}", listed(values.collect(), ", "))
    }
}
