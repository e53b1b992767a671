//! The groups of an organization, and the same groups by the workspaces' older door.
//!
//! **Guarantee**: the texts, statuses and forms of endpoints 1 to 4 and 6 of the API's reference and
//! of the four deprecated ones. An administrator sees every group whole; a member sees the groups
//! that they are in, without rights and people. Everything is checked before anything is changed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Reply;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit, number};
use super::world::Group;
use crate::domain::ids::{GroupId, OrganizationId, UserId, WorkspaceId};

/// What a create or an update brings along. What an update leaves out stays as it is.
#[derive(Debug, Deserialize)]
struct Wanted {
    name: Option<String>,
    users: Option<Vec<UserId>>,
    workspaces: Option<Vec<WorkspaceId>>,
}

/// `GET /organizations/{organization_id}/groups`
pub(super) fn list(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit.world.may_see(organization, visit.caller)?;
    let name = visit.parameter("name").map(|name| name.to_lowercase());
    let workspace: Option<WorkspaceId> = visit
        .parameter("workspace")
        .map(|id| number(&id))
        .transpose()?;
    Ok(seen(visit, organization, |group| {
        name.as_ref()
            .is_none_or(|part| group.name.to_lowercase().contains(part))
            && workspace.is_none_or(|id| group.workspaces.contains(&id))
    }))
}

/// `GET /organizations/{organization_id}/workspaces/{workspace_id}/groups`
pub(super) fn list_of_workspace(
    visit: &mut Visit<'_>,
    organization: OrganizationId,
    workspace: WorkspaceId,
) -> Outcome {
    visit
        .world
        .may_see(organization, visit.caller)
        .map_err(|_| Refusal::Forbidden)?;
    match visit.world.workspaces.get(&workspace) {
        Some(found) if found.organization == organization => {
            Ok(seen(visit, organization, |group| {
                group.workspaces.contains(&workspace)
            }))
        }
        _ => Err(Refusal::NotFound),
    }
}

/// `POST /organizations/{organization_id}/groups`
pub(super) fn create(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit
        .world
        .may_change(organization, visit.caller)
        .map_err(|_| Refusal::NoAccess)?;
    let (wanted, name) = checked(visit, organization, None)?;
    let id = visit.world.create_group(organization, &name);
    apply(visit, id, wanted, name)
}

/// `PUT /organizations/{organization_id}/groups/{group_id}`
pub(super) fn update(visit: &mut Visit<'_>, organization: OrganizationId, id: GroupId) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    visit.world.group_in(organization, id)?;
    let (wanted, name) = checked(visit, organization, Some(id))?;
    apply(visit, id, wanted, name)
}

/// `DELETE /organizations/{organization_id}/groups/{group_id}`
pub(super) fn delete(visit: &mut Visit<'_>, organization: OrganizationId, id: GroupId) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    visit.world.group_in(organization, id)?;
    visit.world.delete_group(id);
    Ok(Reply::ok())
}

/// `GET /workspaces/{workspace_id}/groups`
pub(super) fn old_list(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    let admin = visit.world.is_admin(organization, visit.caller);
    let groups = visit.world.groups(organization).into_iter();
    let groups = groups.filter(|group| group.workspaces.contains(&workspace));
    let groups = groups.filter(|group| admin || group.users.contains(&visit.caller));
    let groups: Vec<Value> = groups.map(|group| old_form(group, workspace)).collect();
    Ok(Reply::json(&Value::Array(groups)))
}

/// `POST /workspaces/{workspace_id}/groups`
pub(super) fn old_create(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    visit.world.may_change(organization, visit.caller)?;
    let (_, name) = checked(visit, organization, None)?;
    let id = visit.world.create_group(organization, &name);
    visit.world.assign_workspace(id, workspace, true);
    Ok(Reply::json(&old_form(
        visit.world.group_in(organization, id)?,
        workspace,
    )))
}

/// `PUT /workspaces/{workspace_id}/groups/{group_id}`
pub(super) fn old_update(visit: &mut Visit<'_>, workspace: WorkspaceId, id: GroupId) -> Outcome {
    let organization = old_group(visit, workspace, id)?;
    let (_, name) = checked(visit, organization, Some(id))?;
    visit.world.rename_group(id, &name);
    Ok(Reply::json(&old_form(
        visit.world.group_in(organization, id)?,
        workspace,
    )))
}

/// `DELETE /workspaces/{workspace_id}/groups/{group_id}`
pub(super) fn old_delete(visit: &mut Visit<'_>, workspace: WorkspaceId, id: GroupId) -> Outcome {
    old_group(visit, workspace, id)?;
    visit.world.delete_group(id);
    Ok(Reply::ok())
}

fn seen(visit: &Visit<'_>, organization: OrganizationId, wanted: impl Fn(&Group) -> bool) -> Reply {
    let admin = visit.world.is_admin(organization, visit.caller);
    let groups = visit.world.groups(organization).into_iter();
    let groups = groups.filter(|group| admin || group.users.contains(&visit.caller));
    let groups = groups.filter(|group| wanted(group));
    let groups: Vec<Value> = groups
        .map(|group| visit.world.shown(group, admin))
        .collect();
    Reply::json(&Value::Array(groups))
}

/// The body, when nothing speaks against doing what it says.
fn checked(
    visit: &Visit<'_>,
    organization: OrganizationId,
    id: Option<GroupId>,
) -> Result<(Wanted, String), Refusal> {
    let mut wanted: Wanted = visit.body()?;
    let name = wanted.name.take().unwrap_or_default();
    visit.world.check_name(organization, &name, id)?;
    visit
        .world
        .check_users(organization, wanted.users.as_deref().unwrap_or_default())?;
    visit.world.check_workspaces(
        organization,
        wanted.workspaces.as_deref().unwrap_or_default(),
    )?;
    Ok((wanted, name))
}

fn apply(visit: &mut Visit<'_>, id: GroupId, wanted: Wanted, name: String) -> Outcome {
    visit.world.edit_group(id, |group| {
        group.name = name;
        if let Some(users) = wanted.users {
            group.users = once_each(users);
        }
        if let Some(workspaces) = wanted.workspaces {
            group.workspaces = once_each(workspaces);
        }
    });
    let group = visit.world.group(id).ok_or(Refusal::UnknownGroup)?;
    Ok(Reply::json(&visit.world.shown(group, true)))
}

/// The values in their order, each once.
pub(super) fn once_each<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut each = Vec::with_capacity(values.len());
    for value in values {
        if !each.contains(&value) {
            each.push(value);
        }
    }
    each
}

fn old_group(
    visit: &Visit<'_>,
    workspace: WorkspaceId,
    id: GroupId,
) -> Result<OrganizationId, Refusal> {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    visit.world.may_change(organization, visit.caller)?;
    let group = visit.world.group_in(organization, id)?;
    if group.workspaces.contains(&workspace) {
        Ok(organization)
    } else {
        Err(Refusal::UnknownGroup)
    }
}

fn old_form(group: &Group, workspace: WorkspaceId) -> Value {
    json!({
        "id": group.id,
        "name": group.name,
        "workspace_id": workspace,
        "at": group.at.to_string(),
    })
}
