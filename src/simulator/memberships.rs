//! The doors besides the group endpoints through which people get into groups and out of them.
//!
//! **Guarantee**: each of them really alters the groups, and most say nothing but `"OK"`: what a
//! change did can be seen in the next list alone. A change takes an administrator, except for leaving
//! and for accepting an invitation.
//!
//! Of their bodies only what concerns groups, workspaces and activity is read.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Reply;
use super::changes::secret;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit};
use super::world::World;
use crate::domain::ids::{GroupId, OrganizationId, UserId, WorkspaceId};

#[derive(Debug, Deserialize)]
struct Edit {
    groups: Option<Vec<GroupId>>,
    workspaces: Option<Vec<Value>>,
    inactive: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Assignment {
    #[serde(default)]
    operation: String,
    user_id: Option<UserId>,
    group_id: Option<GroupId>,
    joined: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Invitation {
    emails: Vec<String>,
    #[serde(default)]
    groups: Vec<GroupId>,
    #[serde(default)]
    workspaces: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Deletion {
    #[serde(default)]
    delete: Vec<i64>,
}

#[derive(Debug, Deserialize)]
struct Role {
    group_id: Option<GroupId>,
    user_id: Option<UserId>,
    organization_id: OrganizationId,
    #[serde(default)]
    role_id: i64,
}

/// `PUT /organizations/{organization_id}/users/{organization_user_id}`
pub(super) fn edit_organization_user(
    visit: &mut Visit<'_>,
    organization: OrganizationId,
    id: i64,
) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    let user = organization_user(visit.world, organization, id)?;
    edit(visit, organization, user)
}

/// `PUT /workspaces/{workspace_id}/workspace_users/{workspace_user_id}`
pub(super) fn edit_workspace_user(
    visit: &mut Visit<'_>,
    workspace: WorkspaceId,
    id: i64,
) -> Outcome {
    let organization = administered(visit, workspace)?;
    let user = workspace_user(visit.world, workspace, id)?;
    edit(visit, organization, user)
}

/// `PUT /workspaces/{workspace_id}/users/{user_id}`
pub(super) fn edit_user(visit: &mut Visit<'_>, workspace: WorkspaceId, user: UserId) -> Outcome {
    let organization = administered(visit, workspace)?;
    visit.world.check_users(organization, &[user])?;
    edit(visit, organization, user)
}

/// `PUT /organizations/{organization_id}/workspaces/{workspace_id}/assignments`
pub(super) fn assign(
    visit: &mut Visit<'_>,
    organization: OrganizationId,
    workspace: WorkspaceId,
) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    visit.world.check_workspaces(organization, &[workspace])?;
    let wanted: Assignment = visit.body()?;
    let joins = match wanted.operation.as_str() {
        "add" | "join" | "assign" => true,
        "remove" | "leave" | "unassign" | "delete" => false,
        _ => wanted.joined.unwrap_or(true),
    };
    if let Some(user) = wanted.user_id {
        visit.world.check_users(organization, &[user])?;
    }
    if let Some(group) = wanted.group_id {
        visit.world.group_in(organization, group)?;
    }
    match (wanted.user_id, wanted.group_id) {
        (Some(user), Some(group)) if joins => visit.world.add_member(group, user),
        (Some(user), Some(group)) => visit.world.remove_member(group, user),
        (Some(user), None) => visit.world.set_in_workspace(workspace, user, joins),
        (None, Some(group)) => visit.world.assign_workspace(group, workspace, joins),
        (None, None) => return Err(Refusal::InvalidJson),
    }
    Ok(ok())
}

/// `POST /organizations/{organization_id}/invitations`
pub(super) fn invite(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    let wanted: Invitation = visit.body()?;
    let workspaces = workspace_ids(&wanted.workspaces)?;
    visit.world.check_workspaces(organization, &workspaces)?;
    for group in &wanted.groups {
        visit.world.group_in(organization, *group)?;
    }
    let mut told = Vec::new();
    for email in &wanted.emails {
        let known = visit.world.people().find(|person| person.email == *email);
        let user = match known.map(|person| person.id) {
            Some(user) => user,
            None => visit.world.add_person(email, email).id,
        };
        if !visit.world.memberships.contains_key(&(organization, user)) {
            let code = secret(&[b"invitation", email.as_bytes(), &user.0.to_be_bytes()]);
            visit.world.join(organization, user, false);
            visit
                .world
                .edit_membership(organization, user, |membership| {
                    membership.invitation = Some(code);
                });
        }
        for workspace in &workspaces {
            visit.world.set_in_workspace(*workspace, user, true);
        }
        for group in &wanted.groups {
            visit.world.add_member(*group, user);
        }
        told.push(json!({
            "invitation_id": visit.world.organization_user_id(organization, user),
            "organization_id": organization,
            "email": email,
            "recipient_id": user,
            "sender_id": visit.caller,
        }));
    }
    Ok(Reply::json(&json!({ "data": told })))
}

/// `POST /organizations/invitations/{invitation_code}/accept`
pub(super) fn accept(visit: &mut Visit<'_>, code: &str) -> Outcome {
    let invited = visit.world.memberships.iter();
    let invited = invited.filter(|(_, membership)| membership.invitation.as_deref() == Some(code));
    let (organization, user) = invited
        .map(|(key, _)| *key)
        .next()
        .ok_or(Refusal::NotFound)?;
    visit
        .world
        .edit_membership(organization, user, |membership| {
            membership.invitation = None
        });
    Ok(ok())
}

/// `PATCH /organizations/{organization_id}/users`
pub(super) fn remove_organization_users(
    visit: &mut Visit<'_>,
    organization: OrganizationId,
) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    let wanted: Deletion = visit.body()?;
    for id in wanted.delete {
        let user = organization_user(visit.world, organization, id)?;
        visit.world.remove_from_organization(organization, user);
    }
    Ok(ok())
}

/// `PATCH /organizations/{organization_id}/workspaces/{workspace_id}/workspace_users`
pub(super) fn remove_workspace_users(
    visit: &mut Visit<'_>,
    organization: OrganizationId,
    workspace: WorkspaceId,
) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    visit.world.check_workspaces(organization, &[workspace])?;
    let wanted: Deletion = visit.body()?;
    for id in wanted.delete {
        let user = workspace_user(visit.world, workspace, id)?;
        leave_workspace(visit.world, organization, workspace, user);
    }
    Ok(ok())
}

/// `DELETE /workspaces/{workspace_id}/workspace_users/{workspace_user_id}`
pub(super) fn remove_workspace_user(
    visit: &mut Visit<'_>,
    workspace: WorkspaceId,
    id: i64,
) -> Outcome {
    let organization = administered(visit, workspace)?;
    let user = workspace_user(visit.world, workspace, id)?;
    leave_workspace(visit.world, organization, workspace, user);
    Ok(ok())
}

/// `DELETE /organizations/{organization_id}/users/leave`
pub(super) fn leave(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit.world.may_see(organization, visit.caller)?;
    visit
        .world
        .remove_from_organization(organization, visit.caller);
    Ok(ok())
}

/// `POST /users/{product_id}/roles`: a person with a group goes into it, a group alone gets the role
/// among its permissions, a person alone becomes an administrator by the role `1` and a member by
/// any other.
pub(super) fn roles(visit: &mut Visit<'_>) -> Outcome {
    let wanted: Vec<Role> = visit.body()?;
    for role in &wanted {
        visit.world.may_change(role.organization_id, visit.caller)?;
        if let Some(user) = role.user_id {
            visit.world.check_users(role.organization_id, &[user])?;
        }
        if let Some(group) = role.group_id {
            visit.world.group_in(role.organization_id, group)?;
        }
    }
    for role in wanted {
        match (role.user_id, role.group_id) {
            (Some(user), Some(group)) => visit.world.add_member(group, user),
            (None, Some(group)) => visit.world.edit_group(group, |group| {
                group.permissions = json!([format!("role_{}", role.role_id)]);
            }),
            (Some(user), None) => {
                visit
                    .world
                    .edit_membership(role.organization_id, user, |membership| {
                        membership.admin = role.role_id == 1;
                    });
            }
            (None, None) => {}
        }
    }
    Ok(ok())
}

fn edit(visit: &mut Visit<'_>, organization: OrganizationId, user: UserId) -> Outcome {
    let wanted: Edit = visit.body()?;
    let workspaces = wanted
        .workspaces
        .as_deref()
        .map(workspace_ids)
        .transpose()?;
    visit
        .world
        .check_workspaces(organization, workspaces.as_deref().unwrap_or_default())?;
    for group in wanted.groups.iter().flatten() {
        visit.world.group_in(organization, *group)?;
    }
    if let Some(groups) = wanted.groups {
        visit.world.set_groups(organization, user, &groups);
    }
    if let Some(workspaces) = workspaces {
        visit.world.set_workspaces(organization, user, &workspaces);
    }
    if let Some(inactive) = wanted.inactive {
        visit
            .world
            .edit_membership(organization, user, |membership| {
                membership.inactive = inactive;
            });
    }
    Ok(ok())
}

/// Out of the workspace, and out of the groups that are in no other workspace.
fn leave_workspace(
    world: &mut World,
    organization: OrganizationId,
    workspace: WorkspaceId,
    user: UserId,
) {
    world.set_in_workspace(workspace, user, false);
    let groups = world.groups(organization).into_iter();
    let lost = groups
        .filter(|group| group.workspaces == [workspace])
        .map(|group| group.id);
    for group in lost.collect::<Vec<_>>() {
        world.remove_member(group, user);
    }
}

fn administered(visit: &Visit<'_>, workspace: WorkspaceId) -> Result<OrganizationId, Refusal> {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    visit.world.may_change(organization, visit.caller)?;
    Ok(organization)
}

fn organization_user(
    world: &World,
    organization: OrganizationId,
    id: i64,
) -> Result<UserId, Refusal> {
    let mut found = world.memberships.iter();
    let found = found.find(|((of, _), membership)| *of == organization && membership.id == id);
    found.map(|((_, user), _)| *user).ok_or(Refusal::NotFound)
}

fn workspace_user(world: &World, workspace: WorkspaceId, id: i64) -> Result<UserId, Refusal> {
    let mut found = world.memberships.iter();
    let found = found.find(|(_, membership)| membership.workspaces.get(&workspace) == Some(&id));
    found.map(|((_, user), _)| *user).ok_or(Refusal::NotFound)
}

/// Workspaces stand as numbers or as objects with a `workspace_id` or an `id`.
fn workspace_ids(values: &[Value]) -> Result<Vec<WorkspaceId>, Refusal> {
    let id = |value: &Value| {
        let id = value.as_i64().or_else(|| value["workspace_id"].as_i64());
        id.or_else(|| value["id"].as_i64())
            .map(WorkspaceId)
            .ok_or(Refusal::InvalidJson)
    };
    values.iter().map(id).collect()
}

/// The word that most of these answer.
fn ok() -> Reply {
    Reply::json(&Value::from("OK"))
}
