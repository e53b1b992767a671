//! What is known of a change before it is sent: the group it names, and what people are called.
//!
//! Where the trail needs a state that nobody has seen yet, one list is asked for, if the quota allows. A
//! store that cannot be read costs the details of the event, not the change.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use tower::Service;

use super::lists::Lists;
use super::patch::{Patch, requested};
use super::turns::Turn;
use super::{Answer, Recorder};
use crate::domain::action::Action;
use crate::domain::door::{Door, Entry};
use crate::domain::endpoint::{Change, List};
use crate::domain::event::Target;
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectId, UserId};
use crate::error::ProxyError;
use crate::layers::Call;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Method and path, without codes.
    pub(super) shown: String,
    /// The request's body, if it is understood.
    pub(super) request: Option<Value>,
    /// The organization, by the path or by what lists have told of its workspaces.
    pub(super) organization: Option<OrganizationId>,
    /// The group that it names, as it was last seen.
    pub(super) before: Option<Group>,
    /// All groups that it may touch by another door than theirs.
    pub(super) groups: Vec<Group>,
    /// Who asks, where the change is about them.
    pub(super) caller: Option<UserId>,
    /// The row between a group and a project that it names.
    pub(super) project_group: Option<ProjectGroup>,
    /// Names of people that it names.
    names: HashMap<UserId, String>,
}

// === impl Facts ===

impl Facts {
    /// What the request itself tells, and to which organization it belongs.
    pub(super) async fn of(
        recorder: &Recorder,
        change: &Change,
        shown: String,
        request: Option<Value>,
    ) -> Self {
        let mut organization = change.ids.organization;
        if change.action.touches_groups() && organization.is_none() {
            organization = match change.ids.workspace {
                Some(workspace) => recorder
                    .known
                    .organization_of(workspace)
                    .await
                    .unwrap_or_default(),
                None => request.as_ref().and_then(organization_in),
            };
        }
        Self {
            shown,
            request,
            organization,
            ..Self::default()
        }
    }

    /// What the change must have to itself while it is under way.
    pub(super) fn turn(&self, change: &Change) -> Turn {
        match (change.action, self.organization) {
            (Action::MembershipChange, Some(organization)) => Turn::Organization(organization),
            (action, organization) if action.is_of_a_group() => {
                Turn::Group(organization, change.ids.group)
            }
            _ => Turn::Free,
        }
    }

    /// Asks what is known, and upstream where that is not enough.
    pub(super) async fn gather<S>(&mut self, lists: &Lists<'_, S>, change: &Change)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
    {
        if !change.action.touches_groups() {
            return;
        }
        self.gather_project_group(lists, change).await;
        self.gather_group(lists, change).await;
        if let Some(door) = change.door {
            self.gather_groups(lists, door).await;
        }
        if let Some(organization) = self.organization {
            let named = self.request.iter().flat_map(users_in);
            let users: BTreeSet<UserId> = named.chain(change.ids.user).collect();
            let users: Vec<_> = users.into_iter().collect();
            let known = &lists.recorder.known;
            self.names = known.names(organization, &users).await.unwrap_or_default();
        }
    }

    async fn gather_project_group<S>(&mut self, lists: &Lists<'_, S>, change: &Change)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
    {
        let Some(id) = change.ids.project_group else {
            return;
        };
        let known = lists.recorder.known.project_group(id).await;
        self.project_group = known.unwrap_or_default();
        if self.project_group.is_none()
            && let Some(workspace) = change.ids.workspace
        {
            let rows = lists.project_groups(workspace).await.unwrap_or_default();
            self.project_group = rows.into_iter().find(|row| row.id == id);
        }
    }

    async fn gather_group<S>(&mut self, lists: &Lists<'_, S>, change: &Change)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
    {
        let Some(id) = self.target(change).group_id else {
            return;
        };
        let known = lists.recorder.known.group(id, self.organization).await;
        // Whoever asks for a group of somebody else by number learns nothing of it from the trail: under an
        // organization it must be known to be one of it, under a workspace to be seen there.
        let workspace = change.ids.workspace;
        let is_there = |group: &Group| match (&group.workspaces, workspace) {
            (Some(workspaces), Some(workspace)) => workspaces.contains(&workspace),
            _ => true,
        };
        self.before = known.unwrap_or_default().filter(is_there);
        let list = self.organization.map(List::Organization);
        let list = list.or(workspace.map(List::Workspace));
        if change.action.is_of_a_group()
            && !self.knows_before()
            && let Some(list) = list
            && let Some(seen) = lists.group(list, id).await
        {
            self.before = Some(match &self.before {
                Some(known) => known.updated_by(&seen),
                None => seen,
            });
        }
    }

    // Which groups a door will touch is known afterwards; so all are asked for, or those that the caller is
    // in where it is about them alone.
    async fn gather_groups<S>(&mut self, lists: &Lists<'_, S>, door: Door)
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
    {
        if door.is_about_the_caller() {
            self.gather_callers_groups(lists).await;
        } else if let Some(organization) = self.organization {
            let known = lists.recorder.known.groups_of(organization).await;
            let all = known.unwrap_or_default().filter(|groups| all_told(groups));
            self.groups = match all {
                Some(groups) => groups,
                None => {
                    let list = lists.groups(List::Organization(organization)).await;
                    list.unwrap_or_default()
                }
            };
        }
    }

    async fn gather_callers_groups<S>(&mut self, lists: &Lists<'_, S>) {
        let Some(caller) = lists.caller else {
            return;
        };
        let recorder = lists.recorder;
        self.caller = recorder.people.identify(caller).await.user_id;
        let Some(user) = self.caller else {
            return;
        };
        let mut found = recorder.known.groups_with(user).await.unwrap_or_default();
        let first = found.first().map(|(organization, _)| *organization);
        // Of several organizations nobody knows which.
        let only = first.filter(|first| found.iter().all(|(of, _)| of == first));
        self.organization = self.organization.or(only);
        found.retain(|(of, _)| Some(*of) == self.organization);
        self.groups = found.into_iter().map(|(_, group)| group).collect();
    }

    /// What the change touches, as far as is known before it is sent.
    pub(super) fn target(&self, change: &Change) -> Target {
        let requested = |name: &str| self.request.as_ref()?.get(name)?.as_i64();
        let of_project = matches!(
            change.action,
            Action::ProjectGroupAdd | Action::ProjectGroupRemove
        );
        let row = self.project_group;
        let requested_group = requested("group_id").filter(|_| of_project).map(GroupId);
        let requested_project = requested("project_id")
            .filter(|_| of_project)
            .map(ProjectId);
        Target {
            organization_id: self.organization.or(change.ids.organization),
            workspace_id: change.ids.workspace,
            group_id: change
                .ids
                .group
                .or(row.map(|row| row.group))
                .or(requested_group),
            group_name: self.group_name(change),
            project_id: change
                .ids
                .project
                .or(row.map(|row| row.project))
                .or(requested_project),
            project_group_id: change.ids.project_group,
        }
    }

    fn group_name(&self, change: &Change) -> Option<String> {
        let requested = || {
            self.request
                .as_ref()?
                .get("name")?
                .as_str()
                .map(str::to_owned)
        };
        let before = self.before.as_ref().map(|group| group.name.clone());
        match change.action {
            Action::GroupCreate => requested(),
            _ => before,
        }
    }

    /// The request to a door.
    pub(super) fn entry(&self, change: &Change, door: Door) -> Entry<'_> {
        Entry {
            door,
            body: self.request.as_ref(),
            user: change.ids.user,
            workspace: change.ids.workspace,
            caller: self.caller,
        }
    }

    /// Whether the group's members before the change are known, so that a difference tells them all.
    pub(super) fn knows_before(&self) -> bool {
        self.before
            .as_ref()
            .is_some_and(|group| group.users.is_some())
    }

    /// What a person is called, as far as is known.
    pub(super) fn name_of(&self, id: UserId) -> Option<String> {
        let groups = self.before.iter().chain(&self.groups);
        let mut members = groups.filter_map(|group| group.users.as_ref()).flatten();
        let member = members.find(|member| member.id == id);
        member
            .and_then(|member| member.name.clone())
            .or_else(|| self.names.get(&id).cloned())
    }
}

/// Whether all of the groups tell their members: those who may not see them are told none.
pub(super) fn all_told(groups: &[Group]) -> bool {
    groups.iter().all(|group| group.users.is_some())
}

// `[{"organization_id":…},…]`, where all name the same.
fn organization_in(body: &Value) -> Option<OrganizationId> {
    let mut named = body.as_array()?.iter();
    let number = |element: &Value| element.get("organization_id")?.as_i64();
    let first = number(named.next()?)?;
    let same = named.all(|element| number(element) == Some(first));
    same.then_some(OrganizationId(first))
}

fn users_in(body: &Value) -> Vec<UserId> {
    let listed = body
        .get("users")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let named = body.as_array().into_iter().flatten().chain([body]);
    let named = named.filter_map(|element| element.get("user_id"));
    let patched = requested(body);
    let patched = patched.iter().flat_map(Patch::users);
    listed
        .chain(named)
        .filter_map(Value::as_i64)
        .map(UserId)
        .chain(patched)
        .collect()
}
