//! Every way in which the world can change, by a request or behind the gateway's back.
//!
//! **Guarantee**: a method here either alters something, counts it and moves the `at` of every group
//! whose list entry looks different afterwards, or does nothing at all. Whether it is allowed was
//! asked before, in the endpoint; a test that changes the world directly needs no permission.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value};

use super::world::{Group, MAX_TIME_ENTRIES, Membership, Person, ProjectGroup, World};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId};

// === impl World ===

impl World {
    /// A group with nobody in it.
    pub fn create_group(&mut self, organization: OrganizationId, name: &str) -> GroupId {
        let id = GroupId(self.next_id());
        let group = Group {
            id,
            organization,
            name: name.to_owned(),
            at: self.stamp(),
            permissions: Value::Null,
            users: Vec::new(),
            workspaces: Vec::new(),
            extra: Map::new(),
        };
        self.groups.insert(id, group);
        id
    }

    /// Gives a group another name.
    pub fn rename_group(&mut self, id: GroupId, name: &str) {
        self.edit_group(id, |group| name.clone_into(&mut group.name));
    }

    /// Puts a person into a group.
    pub fn add_member(&mut self, id: GroupId, user: UserId) {
        if self
            .groups
            .get(&id)
            .is_some_and(|group| !group.users.contains(&user))
        {
            self.edit_group(id, |group| group.users.push(user));
        }
    }

    /// Takes a person out of a group.
    pub fn remove_member(&mut self, id: GroupId, user: UserId) {
        if self
            .groups
            .get(&id)
            .is_some_and(|group| group.users.contains(&user))
        {
            self.edit_group(id, |group| group.users.retain(|member| *member != user));
        }
    }

    /// Assigns a group to a workspace, or takes it out.
    pub fn assign_workspace(&mut self, id: GroupId, workspace: WorkspaceId, assigned: bool) {
        let is = self
            .groups
            .get(&id)
            .map(|group| group.workspaces.contains(&workspace));
        if is.is_some_and(|is| is != assigned) {
            self.edit_group(id, |group| {
                group.workspaces.retain(|other| *other != workspace);
                if assigned {
                    group.workspaces.push(workspace);
                }
            });
        }
    }

    /// Removes a group and its access to projects.
    pub fn delete_group(&mut self, id: GroupId) {
        if self.groups.remove(&id).is_some() {
            self.project_groups.retain(|_, row| row.group != id);
            self.stamp();
        }
    }

    /// Does `edit` to a group and moves its `at`.
    pub fn edit_group(&mut self, id: GroupId, edit: impl FnOnce(&mut Group)) {
        if self.groups.contains_key(&id) {
            let at = self.stamp();
            self.groups.entry(id).and_modify(|group| {
                edit(group);
                group.at = at;
            });
        }
    }

    /// Gives a group access to a project; the row that says so, an old one if it had it already.
    pub fn add_project_group(&mut self, group: GroupId, project: ProjectId) -> ProjectGroupId {
        let row = ProjectGroup { group, project };
        if let Some((id, _)) = self.project_groups.iter().find(|(_, old)| **old == row) {
            return *id;
        }
        let id = ProjectGroupId(self.next_id());
        self.project_groups.insert(id, row);
        self.stamp();
        id
    }

    /// Takes a group's access to a project back.
    pub fn remove_project_group(&mut self, id: ProjectGroupId) {
        if self.project_groups.remove(&id).is_some() {
            self.stamp();
        }
    }

    /// Makes the person's groups in the organization exactly these.
    pub fn set_groups(&mut self, organization: OrganizationId, user: UserId, groups: &[GroupId]) {
        let all: Vec<GroupId> = self
            .groups(organization)
            .iter()
            .map(|group| group.id)
            .collect();
        for id in all {
            if groups.contains(&id) {
                self.add_member(id, user);
            } else {
                self.remove_member(id, user);
            }
        }
    }

    /// Makes the person's workspaces in the organization exactly these.
    pub fn set_workspaces(
        &mut self,
        organization: OrganizationId,
        user: UserId,
        workspaces: &[WorkspaceId],
    ) {
        let of = |(_, found): &(&WorkspaceId, &super::world::Workspace)| {
            found.organization == organization
        };
        let all: Vec<WorkspaceId> = self
            .workspaces
            .iter()
            .filter(of)
            .map(|(id, _)| *id)
            .collect();
        for id in all {
            self.set_in_workspace(id, user, workspaces.contains(&id));
        }
    }

    /// Takes a person into a workspace of an organization that they are in, or out of it.
    pub fn set_in_workspace(&mut self, workspace: WorkspaceId, user: UserId, joined: bool) {
        let Some(organization) = self
            .workspaces
            .get(&workspace)
            .map(|found| found.organization)
        else {
            return;
        };
        let id = self.next_id();
        let Some(membership) = self.memberships.get_mut(&(organization, user)) else {
            return;
        };
        if membership.workspaces.contains_key(&workspace) != joined {
            if joined {
                membership.workspaces.insert(workspace, id);
            } else {
                membership.workspaces.remove(&workspace);
            }
            self.stamp();
        }
    }

    /// Takes a person out of the organization, its workspaces and its groups.
    pub fn remove_from_organization(&mut self, organization: OrganizationId, user: UserId) {
        if self.memberships.remove(&(organization, user)).is_some() {
            self.stamp();
            self.set_groups(organization, user, &[]);
        }
    }

    /// Does `edit` to a membership; every group that shows the person shows it.
    pub(super) fn edit_membership(
        &mut self,
        organization: OrganizationId,
        user: UserId,
        edit: impl FnOnce(&mut Membership),
    ) {
        if let Some(membership) = self.memberships.get_mut(&(organization, user)) {
            edit(membership);
            self.touch_groups_of(user);
        }
    }

    /// Somebody new, in no organization yet. What is left out gets a value of its own, so that no
    /// two people share a token.
    pub fn add_person(&mut self, name: &str, email: &str) -> &mut Person {
        let id = UserId(self.next_id());
        self.stamp();
        let person = Person {
            id,
            handle: name.split(' ').next().unwrap_or(name).to_lowercase(),
            name: name.to_owned(),
            email: email.to_owned(),
            password: secret(&[b"password", email.as_bytes()]),
            token: secret(&[b"token", &id.0.to_be_bytes()]),
            session: secret(&[b"session", &id.0.to_be_bytes()]),
            timezone: "Europe/Tallinn".to_owned(),
        };
        self.people.entry(id).or_insert(person)
    }

    /// Takes a person into an organization.
    pub fn join(&mut self, organization: OrganizationId, user: UserId, admin: bool) {
        let id = self.next_id();
        let membership = Membership {
            id,
            admin,
            ..Membership::default()
        };
        self.memberships.insert((organization, user), membership);
        self.stamp();
    }

    /// Does `edit` to a person; every group that shows them shows it.
    pub fn edit_person(&mut self, user: UserId, edit: impl FnOnce(&mut Person)) {
        if let Some(person) = self.people.get_mut(&user) {
            edit(person);
            self.touch_groups_of(user);
        }
    }

    /// Gives a person another API token. The old one is nobody's from then on.
    pub fn reset_token(&mut self, user: UserId) -> Option<String> {
        let salt = self.version.to_be_bytes();
        let person = self.people.get_mut(&user)?;
        person.token = secret(&[b"reset", person.token.as_bytes(), &salt]);
        let token = person.token.clone();
        self.stamp();
        Some(token)
    }

    /// Remembers a time entry; the oldest goes when there are too many.
    pub(super) fn add_time_entry(&mut self, entry: Value) {
        if self.time_entries.len() == MAX_TIME_ENTRIES {
            self.time_entries.pop_front();
        }
        self.time_entries.push_back(entry);
        self.stamp();
    }

    /// A number that nothing has yet.
    pub(super) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// Counts a change, and tells a time later than every other that was told.
    pub(super) fn stamp(&mut self) -> Timestamp {
        self.version += 1;
        // A microsecond, because two changes within the clock's step must differ too.
        let next = self
            .last_at
            .saturating_add(Duration::from_micros(1))
            .unwrap_or(self.last_at);
        // Upstream tells no more than microseconds, so no two of them may differ by less.
        let now = self.clock.now();
        self.last_at = now.round(Unit::Microsecond).unwrap_or(now).max(next);
        self.last_at
    }

    fn touch_groups_of(&mut self, user: UserId) {
        let at = self.stamp();
        for group in self
            .groups
            .values_mut()
            .filter(|group| group.users.contains(&user))
        {
            group.at = at;
        }
    }
}

/// 32 hexadecimal digits, as upstream's tokens are: the same for the same parts.
pub(super) fn secret(parts: &[&[u8]]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}
