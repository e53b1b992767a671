//! What is known of a change before it is sent: the group it names, and what people are called.
//!
//! A store that cannot be read costs the details of the event, not the change.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::Recorder;
use super::patch::{Patch, requested};
use crate::domain::action::Action;
use crate::domain::endpoint::Change;
use crate::domain::event::Target;
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, ProjectId, UserId};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Method and path, without codes.
    pub(super) shown: String,
    /// The request's body, if it is understood.
    pub(super) request: Option<Value>,
    /// The group that it names, as it was last seen.
    pub(super) before: Option<Group>,
    /// The row between a group and a project that it names.
    pub(super) project_group: Option<ProjectGroup>,
    /// Names of people that it names.
    names: HashMap<UserId, String>,
}

// === impl Facts ===

impl Facts {
    /// Asks what is known.
    pub(super) async fn gather(
        recorder: &Recorder,
        change: &Change,
        shown: String,
        request: Option<Value>,
    ) -> Self {
        if !change.action.touches_groups() {
            return Self {
                shown,
                ..Self::default()
            };
        }
        let known = &recorder.known;
        let project_group = match change.ids.project_group {
            Some(id) => known.project_group(id).await.unwrap_or_default(),
            None => None,
        };
        let mut facts = Self {
            shown,
            request,
            project_group,
            ..Self::default()
        };
        if let Some(id) = facts.target(change).group_id {
            let group = known
                .group(id, change.ids.organization)
                .await
                .unwrap_or_default();
            // Whoever asks for a group of somebody else by number learns nothing of it from the trail.
            let workspace = change.ids.workspace;
            let is_there = |group: &Group| match (&group.workspaces, workspace) {
                (Some(workspaces), Some(workspace)) => workspaces.contains(&workspace),
                _ => true,
            };
            facts.before = group.filter(is_there);
        }
        if let Some(organization) = change.ids.organization {
            let users: BTreeSet<UserId> = facts.request.iter().flat_map(users_in).collect();
            let users: Vec<_> = users.into_iter().collect();
            facts.names = known.names(organization, &users).await.unwrap_or_default();
        }
        facts
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
            organization_id: change.ids.organization,
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

    /// Whether the group's members before the change are known, so that a difference tells them all.
    pub(super) fn knows_before(&self) -> bool {
        self.before
            .as_ref()
            .is_some_and(|group| group.users.is_some())
    }

    /// What a person is called, as far as is known.
    pub(super) fn name_of(&self, id: UserId) -> Option<String> {
        let members = self
            .before
            .iter()
            .filter_map(|group| group.users.as_ref())
            .flatten();
        let member = members.into_iter().find(|member| member.id == id);
        member
            .and_then(|member| member.name.clone())
            .or_else(|| self.names.get(&id).cloned())
    }
}

fn users_in(body: &Value) -> Vec<UserId> {
    let listed = body
        .get("users")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let patched = requested(body);
    let patched = patched.iter().flat_map(Patch::users);
    listed
        .filter_map(Value::as_i64)
        .map(UserId)
        .chain(patched)
        .collect()
}
