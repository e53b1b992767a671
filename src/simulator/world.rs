//! What the simulated service knows: who there is, and which groups they are in.
//!
//! **Guarantee**: whatever alters the world goes through a method of [`changes`](super::changes),
//! which counts it in [`World::version`] and gives the group a new, later `at`. So "did this request
//! change anything" is a comparison of two numbers and cannot be forgotten by an endpoint.
//!
//! Everything is in memory, sorted by id; a look-up by name walks. It is a company, not a country.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::clock::Clock;
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId};

/// How many time entries are remembered.
pub(super) const MAX_TIME_ENTRIES: usize = 10_000;

/// The state behind the simulated API.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) organizations: BTreeMap<OrganizationId, String>,
    pub(super) workspaces: BTreeMap<WorkspaceId, Workspace>,
    pub(super) people: BTreeMap<UserId, Person>,
    pub(super) memberships: BTreeMap<(OrganizationId, UserId), Membership>,
    pub(super) groups: BTreeMap<GroupId, Group>,
    pub(super) projects: BTreeMap<ProjectId, Project>,
    pub(super) project_groups: BTreeMap<ProjectGroupId, ProjectGroup>,
    /// As JSON, newest last: nothing here depends on what is in one.
    pub(super) time_entries: VecDeque<Value>,
    pub(super) last_id: i64,
    pub(super) last_at: Timestamp,
    pub(super) version: u64,
    pub(super) clock: Clock,
}

/// A workspace of an organization.
#[derive(Clone, Debug)]
pub(super) struct Workspace {
    pub(super) name: String,
    pub(super) organization: OrganizationId,
}

/// Somebody with an account, and what they log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The number of the account.
    pub id: UserId,
    /// What tests and the banner call them: `ann`.
    pub handle: String,
    /// The full name, which groups show.
    pub name: String,
    /// The address to log in with.
    pub email: String,
    /// The password that goes with the address.
    pub password: String,
    /// The API token.
    pub token: String,
    /// The value of the session cookie.
    pub session: String,
    /// The IANA name.
    pub timezone: String,
}

/// What a person is in an organization.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    /// The `organization_user_id`.
    pub(super) id: i64,
    pub(super) admin: bool,
    pub(super) inactive: bool,
    /// Set while the invitation is not accepted.
    pub(super) invitation: Option<String>,
    /// With the `workspace_user_id` in each.
    pub(super) workspaces: BTreeMap<WorkspaceId, i64>,
}

/// A group of an organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// Unique in the organization.
    pub name: String,
    /// When it changed last; later with each change.
    pub at: Timestamp,
    /// A text, a list of texts or null.
    pub permissions: Value,
    /// Who is in it, in the order in which they came.
    pub users: Vec<UserId>,
    /// Which workspaces it is assigned to.
    pub workspaces: Vec<WorkspaceId>,
    /// Fields that the API's reference does not name.
    pub extra: Map<String, Value>,
}

/// A project of a workspace.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) workspace: WorkspaceId,
}

/// A group's access to a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProjectGroup {
    pub(super) group: GroupId,
    pub(super) project: ProjectId,
}

// === impl World ===

impl World {
    /// All groups of an organization, sorted by name.
    #[must_use]
    pub fn groups(&self, organization: OrganizationId) -> Vec<&Group> {
        let of = |group: &&Group| group.organization == organization;
        let mut groups: Vec<&Group> = self.groups.values().filter(of).collect();
        groups.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        groups
    }

    /// One group.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// Everybody with an account, sorted by number.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// Counts the changes that the world has seen.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The organizations that a person is in: number, name, whether they administer it.
    #[must_use]
    pub fn organizations_of(&self, user: UserId) -> Vec<(OrganizationId, &str, bool)> {
        let mine = self
            .memberships
            .iter()
            .filter(|((_, member), _)| *member == user);
        let mine = mine.filter_map(|((id, _), membership)| {
            Some((*id, self.organizations.get(id)?.as_str(), membership.admin))
        });
        mine.collect()
    }

    /// The `organization_user_id` of a person.
    #[must_use]
    pub fn organization_user_id(&self, organization: OrganizationId, user: UserId) -> Option<i64> {
        self.memberships
            .get(&(organization, user))
            .map(|membership| membership.id)
    }

    /// The code of the invitation that a person has not accepted yet.
    #[must_use]
    pub fn invitation(&self, organization: OrganizationId, user: UserId) -> Option<&str> {
        let membership = self.memberships.get(&(organization, user))?;
        membership.invitation.as_deref()
    }

    /// The `workspace_user_id` of a person.
    #[must_use]
    pub fn workspace_user_id(&self, workspace: WorkspaceId, user: UserId) -> Option<i64> {
        let organization = self.workspaces.get(&workspace)?.organization;
        self.memberships
            .get(&(organization, user))?
            .workspaces
            .get(&workspace)
            .copied()
    }

    /// A group as somebody sees it: a member gets neither the rights nor the people.
    pub(super) fn shown(&self, group: &Group, to_admin: bool) -> Value {
        let users: Vec<Value> = group
            .users
            .iter()
            .map(|user| self.user_of(group.organization, *user))
            .collect();
        let mut shown = json!({
            "group_id": group.id,
            "name": group.name,
            "at": group.at.to_string(),
            "permissions": if to_admin { group.permissions.clone() } else { Value::Null },
            "users": if to_admin { Value::Array(users) } else { Value::Null },
            "workspaces": group.workspaces,
        });
        if to_admin && let Some(fields) = shown.as_object_mut() {
            fields.extend(group.extra.clone());
        }
        shown
    }

    fn user_of(&self, organization: OrganizationId, user: UserId) -> Value {
        let membership = self.memberships.get(&(organization, user));
        json!({
            "user_id": user,
            "name": self.people.get(&user).map_or("", |person| &person.name),
            "avatar_url": format!("https://assets.track.toggl.com/avatars/{user}.png"),
            "inactive": membership.is_some_and(|membership| membership.inactive),
            "joined": membership.is_some_and(|membership| membership.invitation.is_none()),
        })
    }

    /// Whether the person may change what belongs to the organization.
    pub(super) fn is_admin(&self, organization: OrganizationId, user: UserId) -> bool {
        self.memberships
            .get(&(organization, user))
            .is_some_and(|membership| membership.admin && !membership.inactive)
    }

    /// Refuses whoever is not in the organization.
    pub(super) fn may_see(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<(), Refusal> {
        match self.memberships.get(&(organization, user)) {
            Some(membership) if !membership.inactive => Ok(()),
            _ => Err(Refusal::NoAccess),
        }
    }

    /// Refuses whoever is no administrator: a member is told that they lack the right, a stranger
    /// that they have no business there.
    pub(super) fn may_change(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<(), Refusal> {
        if self.is_admin(organization, user) {
            Ok(())
        } else if self.memberships.contains_key(&(organization, user)) {
            Err(Refusal::NoAccess)
        } else {
            Err(Refusal::Forbidden)
        }
    }

    /// The organization of a workspace that the person may see.
    pub(super) fn organization_of(
        &self,
        workspace: WorkspaceId,
        user: UserId,
    ) -> Result<OrganizationId, Refusal> {
        let Some(found) = self.workspaces.get(&workspace) else {
            return Err(Refusal::Forbidden);
        };
        self.may_see(found.organization, user)
            .map_err(|_| Refusal::Forbidden)?;
        Ok(found.organization)
    }

    /// The group, if it is one of the organization.
    pub(super) fn group_in(
        &self,
        organization: OrganizationId,
        id: GroupId,
    ) -> Result<&Group, Refusal> {
        let group = self
            .groups
            .get(&id)
            .filter(|group| group.organization == organization);
        group.ok_or(Refusal::UnknownGroup)
    }

    /// Refuses a name that no group, or not this one, can have.
    pub(super) fn check_name(
        &self,
        organization: OrganizationId,
        name: &str,
        except: Option<GroupId>,
    ) -> Result<(), Refusal> {
        if name.trim().is_empty() {
            return Err(Refusal::NameMissing);
        }
        if name.chars().count() > 200 {
            return Err(Refusal::NameTooLong);
        }
        let taken = self.groups.values().any(|group| {
            group.organization == organization && Some(group.id) != except && group.name == name
        });
        if taken {
            Err(Refusal::NameTaken)
        } else {
            Ok(())
        }
    }

    /// Refuses the first user who is not in the organization.
    pub(super) fn check_users(
        &self,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<(), Refusal> {
        let known = |user: &&UserId| self.memberships.contains_key(&(organization, **user));
        match users.iter().find(|user| !known(user)) {
            Some(stranger) => Err(Refusal::UnknownUser(*stranger, organization)),
            None => Ok(()),
        }
    }

    /// Refuses the first workspace that is not in the organization.
    pub(super) fn check_workspaces(
        &self,
        organization: OrganizationId,
        workspaces: &[WorkspaceId],
    ) -> Result<(), Refusal> {
        let known = |id: &&WorkspaceId| {
            self.workspaces
                .get(id)
                .is_some_and(|found| found.organization == organization)
        };
        match workspaces.iter().find(|id| !known(id)) {
            Some(stranger) => Err(Refusal::UnknownWorkspace(*stranger, organization)),
            None => Ok(()),
        }
    }
}
