//! `PATCH /organizations/{organization_id}/groups/{group_id}`: several changes, each by itself.
//!
//! **Guarantee**: patches are applied one after the other, and one that names somebody unknown fails
//! alone and whole: `200` can mean that some of them failed. What is wrong with the form of any of
//! them refuses the request before the first is applied.

use serde_json::{Value, json};

use super::answer::Reply;
use super::groups::once_each;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit};
use crate::domain::ids::{GroupId, OrganizationId, UserId, WorkspaceId};

/// As many patches a request may have.
pub(super) const MAX_PATCHES: usize = 50;

/// As many values a patch may have.
pub(super) const MAX_VALUES: usize = 500;

/// What a patch does with its values.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Remove,
    Replace,
}

/// Which list of the group it does that to.
#[derive(Clone, Copy, Debug)]
enum Field {
    Users,
    Workspaces,
}

/// One patch, and how it came: an answer repeats it as it was.
#[derive(Debug)]
struct Patch {
    operation: Operation,
    field: Field,
    values: Vec<i64>,
    raw: Value,
}

/// Applies the patches of the body.
pub(super) fn apply(visit: &mut Visit<'_>, organization: OrganizationId, id: GroupId) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    match visit.world.group(id) {
        None => return Err(Refusal::UnknownGroup),
        Some(group) if group.organization != organization => return Err(Refusal::PatchGroup),
        Some(_) => {}
    }
    let Value::Array(raw) = visit.json()? else {
        return Err(Refusal::InvalidJson);
    };
    if raw.len() > MAX_PATCHES {
        return Err(Refusal::TooManyPatches);
    }
    let patches: Vec<Patch> = raw
        .into_iter()
        .map(Patch::parse)
        .collect::<Result<_, _>>()?;

    let (mut success, mut failure) = (Vec::new(), Vec::new());
    for patch in patches {
        match patch.apply(visit, organization, id) {
            Ok(()) => success.push(patch.raw),
            Err(refusal) => {
                failure.push(json!({ "message": refusal.to_string(), "patch": patch.raw }));
            }
        }
    }
    Ok(Reply::json(
        &json!({ "success": success, "failure": failure }),
    ))
}

// === impl Patch ===

impl Patch {
    fn parse(raw: Value) -> Result<Self, Refusal> {
        if !raw.is_object() {
            return Err(Refusal::InvalidJson);
        }
        let operation = match raw["op"].as_str() {
            Some("add") => Operation::Add,
            Some("remove") => Operation::Remove,
            Some("replace") => Operation::Replace,
            _ => return Err(Refusal::PatchOperation),
        };
        let field = match raw["path"].as_str() {
            Some("/users") => Field::Users,
            Some("/workspaces") => Field::Workspaces,
            _ => return Err(Refusal::PatchPath),
        };
        let values: Vec<i64> = match &raw["value"] {
            Value::Null => Vec::new(),
            Value::Array(values) => values
                .iter()
                .map(|value| value.as_i64().ok_or(Refusal::InvalidJson))
                .collect::<Result<_, _>>()?,
            _ => return Err(Refusal::InvalidJson),
        };
        if values.len() > MAX_VALUES {
            return Err(Refusal::TooManyValues);
        }
        Ok(Self {
            operation,
            field,
            values,
            raw,
        })
    }

    fn apply(
        &self,
        visit: &mut Visit<'_>,
        organization: OrganizationId,
        id: GroupId,
    ) -> Result<(), Refusal> {
        let removes = matches!(self.operation, Operation::Remove);
        match self.field {
            Field::Users => {
                let values: Vec<UserId> = self.values.iter().copied().map(UserId).collect();
                if !removes {
                    visit.world.check_users(organization, &values)?;
                }
                visit
                    .world
                    .edit_group(id, |group| self.operation.on(&mut group.users, values));
            }
            Field::Workspaces => {
                let values: Vec<WorkspaceId> =
                    self.values.iter().copied().map(WorkspaceId).collect();
                if !removes {
                    visit.world.check_workspaces(organization, &values)?;
                }
                let operation = self.operation;
                visit
                    .world
                    .edit_group(id, |group| operation.on(&mut group.workspaces, values));
            }
        }
        Ok(())
    }
}

// === impl Operation ===

impl Operation {
    fn on<T: PartialEq>(self, list: &mut Vec<T>, values: Vec<T>) {
        match self {
            Self::Add => {
                list.extend(values);
                *list = once_each(std::mem::take(list));
            }
            Self::Remove => list.retain(|value| !values.contains(value)),
            Self::Replace => *list = once_each(values),
        }
    }
}
