//! People, organizations, workspaces and projects: what a client asks before it asks for groups.
//!
//! **Guarantee**: `GET /me` and `POST /me/reset_token` hand out the API token, and a workspace that
//! is made or changed answers with `api_token` and `ical_url`, as upstream does: a proxy that keeps
//! answers is tested with the ones that it must not keep. `GET /organizations/{organization_id}/users`
//! maps `organization_user_id` to `user_id`, `…/workspace_users` does so for a workspace.

use serde_json::{Value, json};

use super::answer::Reply;
use super::refusal::Refusal;
use super::visit::{Outcome, Visit};
use super::world::{Membership, Person, Workspace, World};
use crate::domain::ids::{OrganizationId, UserId, WorkspaceId};

/// `GET /me`
pub(super) fn me(visit: &mut Visit<'_>) -> Outcome {
    let person = caller(visit)?;
    let workspace = visit
        .world
        .memberships
        .iter()
        .filter(|((_, user), _)| *user == person.id)
        .find_map(|(_, membership)| membership.workspaces.keys().next());
    Ok(Reply::json(&json!({
        "id": person.id,
        "api_token": person.token,
        "email": person.email,
        "fullname": person.name,
        "timezone": person.timezone,
        "default_workspace_id": workspace,
        "beginning_of_week": 1,
        "image_url": format!("https://assets.track.toggl.com/avatars/{}.png", person.id),
        "created_at": "2021-03-01T08:00:00Z",
        "updated_at": "2024-11-04T09:30:00Z",
        "at": "2024-11-04T09:30:00Z",
        "country_id": 67,
        "has_password": true,
        "intercom_hash": null,
        "openid_enabled": false,
        "openid_email": null,
    })))
}

/// `PUT /me`: a name shows in every group that the person is in.
pub(super) fn update_me(visit: &mut Visit<'_>) -> Outcome {
    let body = visit.json()?;
    if let Some(name) = body["fullname"].as_str() {
        visit
            .world
            .edit_person(visit.caller, |person| name.clone_into(&mut person.name));
    }
    if let Some(email) = body["email"].as_str() {
        visit
            .world
            .edit_person(visit.caller, |person| email.clone_into(&mut person.email));
    }
    if let Some(password) = body["password"].as_str() {
        visit.world.edit_person(visit.caller, |person| {
            password.clone_into(&mut person.password)
        });
    }
    me(visit)
}

/// `POST /me/reset_token`: the new token, as a bare JSON string.
pub(super) fn reset_token(visit: &mut Visit<'_>) -> Outcome {
    let token = visit
        .world
        .reset_token(visit.caller)
        .ok_or(Refusal::NotFound)?;
    Ok(Reply::json(&Value::from(token)))
}

/// `GET /me/organizations`, `GET /organizations`
pub(super) fn my_organizations(visit: &mut Visit<'_>) -> Outcome {
    let mine = visit
        .world
        .memberships
        .iter()
        .filter(|((_, user), _)| *user == visit.caller);
    let mine = mine.map(|((id, _), membership)| organization_form(visit.world, *id, membership));
    Ok(Reply::json(&Value::Array(mine.collect())))
}

/// `GET /organizations/{organization_id}`
pub(super) fn organization(visit: &mut Visit<'_>, id: OrganizationId) -> Outcome {
    visit.world.may_see(id, visit.caller)?;
    let membership = visit
        .world
        .memberships
        .get(&(id, visit.caller))
        .ok_or(Refusal::NoAccess)?;
    Ok(Reply::json(&organization_form(visit.world, id, membership)))
}

/// `GET /me/workspaces`, `GET /workspaces`
pub(super) fn my_workspaces(visit: &mut Visit<'_>) -> Outcome {
    let mine = visit
        .world
        .memberships
        .iter()
        .filter(|((_, user), _)| *user == visit.caller);
    let mine = mine.flat_map(|(_, membership)| membership.workspaces.keys());
    let mine = mine.filter_map(|id| Some(workspace_form(*id, visit.world.workspaces.get(id)?)));
    Ok(Reply::json(&Value::Array(mine.collect())))
}

/// `GET /workspaces/{workspace_id}`
pub(super) fn workspace(visit: &mut Visit<'_>, id: WorkspaceId) -> Outcome {
    visit.world.organization_of(id, visit.caller)?;
    let found = visit.world.workspaces.get(&id).ok_or(Refusal::NotFound)?;
    Ok(Reply::json(&workspace_form(id, found)))
}

/// `POST /organizations/{organization_id}/workspaces`
pub(super) fn create_workspace(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit.world.may_change(organization, visit.caller)?;
    let body = visit.json()?;
    let name = body["name"].as_str().unwrap_or("New workspace").to_owned();
    let id = WorkspaceId(visit.world.next_id());
    visit
        .world
        .workspaces
        .insert(id, Workspace { name, organization });
    visit.world.set_in_workspace(id, visit.caller, true);
    told_workspace(visit, id)
}

/// `PUT /workspaces/{workspace_id}`
pub(super) fn update_workspace(visit: &mut Visit<'_>, id: WorkspaceId) -> Outcome {
    let organization = visit.world.organization_of(id, visit.caller)?;
    visit.world.may_change(organization, visit.caller)?;
    let body = visit.json()?;
    if let (Some(name), Some(found)) = (body["name"].as_str(), visit.world.workspaces.get_mut(&id))
    {
        name.clone_into(&mut found.name);
        visit.world.stamp();
    }
    told_workspace(visit, id)
}

/// `GET /organizations/{organization_id}/users`
pub(super) fn organization_users(visit: &mut Visit<'_>, organization: OrganizationId) -> Outcome {
    visit.world.may_see(organization, visit.caller)?;
    let users = visit
        .world
        .memberships
        .iter()
        .filter(|((of, _), _)| *of == organization);
    let users = users.map(|((_, user), membership)| {
        user_form(visit.world, organization, *user, membership, membership.id)
    });
    Ok(Reply::json(&Value::Array(users.collect())))
}

/// `GET …/workspaces/{workspace_id}/workspace_users` and `GET /workspaces/{workspace_id}/users`
pub(super) fn workspace_users(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    let organization = visit.world.organization_of(workspace, visit.caller)?;
    let users = visit
        .world
        .memberships
        .iter()
        .filter(|((of, _), _)| *of == organization);
    let users = users.filter_map(|((_, user), membership)| {
        let id = membership.workspaces.get(&workspace)?;
        let mut form = user_form(visit.world, organization, *user, membership, *id);
        form["workspace_id"] = json!(workspace);
        Some(form)
    });
    Ok(Reply::json(&Value::Array(users.collect())))
}

/// `GET /workspaces/{workspace_id}/projects`
pub(super) fn projects(visit: &mut Visit<'_>, workspace: WorkspaceId) -> Outcome {
    visit.world.organization_of(workspace, visit.caller)?;
    let projects = visit.world.projects.iter();
    let projects = projects.filter(|(_, project)| project.workspace == workspace);
    let projects = projects.map(|(id, project)| {
        json!({
            "id": id,
            "workspace_id": workspace,
            "name": project.name,
            "active": true,
            "is_private": true,
            "color": "#0b83d9",
        })
    });
    Ok(Reply::json(&Value::Array(projects.collect())))
}

fn caller<'a>(visit: &'a Visit<'_>) -> Result<&'a Person, Refusal> {
    visit
        .world
        .people
        .get(&visit.caller)
        .ok_or(Refusal::NotFound)
}

/// With the two secrets that upstream tells here.
fn told_workspace(visit: &Visit<'_>, id: WorkspaceId) -> Outcome {
    let found = visit.world.workspaces.get(&id).ok_or(Refusal::NotFound)?;
    let token = &caller(visit)?.token;
    let mut form = workspace_form(id, found);
    form["api_token"] = json!(token);
    form["ical_url"] = json!(format!("/ical/workspace_user/{token}"));
    Ok(Reply::json(&form))
}

fn organization_form(world: &World, id: OrganizationId, membership: &Membership) -> Value {
    let users = world.memberships.keys().filter(|(of, _)| *of == id).count();
    json!({
        "id": id,
        "name": world.organizations.get(&id),
        "admin": membership.admin,
        "owner": membership.admin,
        "is_multi_workspace_enabled": true,
        "max_workspaces": 20,
        "pricing_plan_id": 2,
        "user_count": users,
    })
}

fn workspace_form(id: WorkspaceId, workspace: &Workspace) -> Value {
    json!({
        "id": id,
        "organization_id": workspace.organization,
        "name": workspace.name,
        "premium": true,
        "admin": true,
        "default_currency": "EUR",
        "rounding": 0,
    })
}

fn user_form(
    world: &World,
    organization: OrganizationId,
    user: UserId,
    membership: &Membership,
    id: i64,
) -> Value {
    let person = world.people.get(&user);
    let groups = world.groups(organization).into_iter();
    let groups = groups.filter(|group| group.users.contains(&user));
    let groups: Vec<Value> = groups
        .map(|group| json!({ "group_id": group.id, "name": group.name }))
        .collect();
    json!({
        "id": id,
        "user_id": user,
        "name": person.map(|person| &person.name),
        "email": person.map(|person| &person.email),
        "admin": membership.admin,
        "inactive": membership.inactive,
        "joined": membership.invitation.is_none(),
        "groups": groups,
        "workspaces": membership.workspaces.keys().collect::<Vec<_>>(),
    })
}
