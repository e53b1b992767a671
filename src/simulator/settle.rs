//! From a seed to a world that hangs together.
//!
//! **Guarantee**: see [`seed`](super::seed), which has the form; here is what is checked about it. What
//! comes into the world later gets a number above all those of the seed.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::changes::secret;
use super::seed::{GroupSeed, MemberSeed, OrganizationSeed, PersonSeed, Seed, SeedError};
use super::world::{Group, Membership, Person, Project, ProjectGroup, Workspace, World};
use crate::clock::Clock;
use crate::domain::ids::{ProjectGroupId, WorkspaceId};

/// Numbers are made up above this one, and above all those of the seed.
const MADE_UP_ABOVE: i64 = 90_000_000;

// === impl Seed ===

impl Seed {
    /// Makes the world, or says what is missing.
    ///
    /// # Errors
    /// When the seed names what is not in it, or gives a number twice.
    pub fn world(&self, clock: Clock) -> Result<World, SeedError> {
        let mut world = World {
            organizations: BTreeMap::new(),
            workspaces: BTreeMap::new(),
            people: BTreeMap::new(),
            memberships: BTreeMap::new(),
            groups: BTreeMap::new(),
            projects: BTreeMap::new(),
            project_groups: BTreeMap::new(),
            time_entries: VecDeque::new(),
            last_id: self.highest_id(),
            last_at: Timestamp::UNIX_EPOCH,
            version: 0,
            clock,
        };
        for person in &self.people {
            if world.people.insert(person.id, person.made()).is_some() {
                return Err(SeedError::twice("person", person.id.0));
            }
        }
        for organization in &self.organizations {
            organization.settle(&mut world)?;
        }
        world.version = 0;
        Ok(world)
    }
    fn highest_id(&self) -> i64 {
        let people = self.people.iter().map(|person| person.id.0);
        let organizations = self.organizations.iter().flat_map(|organization| {
            let workspaces = organization.workspaces.iter();
            let in_workspaces = workspaces.flat_map(|workspace| {
                let projects = workspace.projects.iter().map(|project| project.id.0);
                projects.chain([workspace.id.0])
            });
            let members = organization.members.iter();
            let members = members.filter_map(|member| member.organization_user_id);
            let groups = organization.groups.iter().map(|group| group.group_id.0);
            in_workspaces.chain(members).chain(groups)
        });
        people.chain(organizations).fold(MADE_UP_ABOVE, i64::max)
    }
}

// === impl PersonSeed ===

impl PersonSeed {
    fn made(&self) -> Person {
        let first = self
            .name
            .split(' ')
            .next()
            .unwrap_or(&self.name)
            .to_lowercase();
        let made_up = |what: &str| secret(&[what.as_bytes(), &self.id.0.to_be_bytes()]);
        Person {
            id: self.id,
            handle: self.handle.clone().unwrap_or(first),
            name: self.name.clone(),
            email: self.email.clone(),
            password: self.password.clone().unwrap_or_else(|| made_up("password")),
            token: self.token.clone().unwrap_or_else(|| made_up("token")),
            session: self.session.clone().unwrap_or_else(|| made_up("session")),
            timezone: self
                .timezone
                .clone()
                .unwrap_or_else(|| "Europe/Tallinn".to_owned()),
        }
    }
}

// === impl OrganizationSeed ===

impl OrganizationSeed {
    fn settle(&self, world: &mut World) -> Result<(), SeedError> {
        if world
            .organizations
            .insert(self.id, self.name.clone())
            .is_some()
        {
            return Err(SeedError::twice("organization", self.id.0));
        }
        for workspace in &self.workspaces {
            let made = Workspace {
                name: workspace.name.clone(),
                organization: self.id,
            };
            if world.workspaces.insert(workspace.id, made).is_some() {
                return Err(SeedError::twice("workspace", workspace.id.0));
            }
        }
        for member in &self.members {
            self.settle_member(world, member)?;
        }
        for group in &self.groups {
            self.settle_group(world, group)?;
        }
        self.settle_projects(world)
    }

    fn settle_member(&self, world: &mut World, member: &MemberSeed) -> Result<(), SeedError> {
        let user = member.user_id;
        if !world.people.contains_key(&user) {
            let by = format!("a member of organization {}", self.id);
            return Err(SeedError::missing("person", user.0, by));
        }
        let mut workspaces = BTreeMap::new();
        for id in &member.workspaces {
            self.own(*id, || format!("member {user}"))?;
            workspaces.insert(*id, world.next_id());
        }
        let membership = Membership {
            id: member
                .organization_user_id
                .unwrap_or_else(|| world.next_id()),
            admin: member.admin,
            inactive: member.inactive,
            invitation: (!member.joined).then(|| format!("invitation-{user}")),
            workspaces,
        };
        world.memberships.insert((self.id, user), membership);
        Ok(())
    }

    fn settle_group(&self, world: &mut World, group: &GroupSeed) -> Result<(), SeedError> {
        let id = group.group_id;
        for user in &group.users {
            if !world.memberships.contains_key(&(self.id, *user)) {
                let by = format!("group {id}");
                return Err(SeedError::missing("member", user.0, by));
            }
        }
        for workspace in &group.workspaces {
            self.own(*workspace, || format!("group {id}"))?;
        }
        let made = Group {
            id,
            organization: self.id,
            name: group.name.clone(),
            at: group.at.unwrap_or_else(|| world.stamp()),
            permissions: group.permissions.clone(),
            users: group.users.clone(),
            workspaces: group.workspaces.clone(),
            extra: group.extra.clone(),
        };
        match world.groups.insert(id, made) {
            Some(_) => Err(SeedError::twice("group", id.0)),
            None => Ok(()),
        }
    }

    fn settle_projects(&self, world: &mut World) -> Result<(), SeedError> {
        for workspace in &self.workspaces {
            for project in &workspace.projects {
                let made = Project {
                    name: project.name.clone(),
                    workspace: workspace.id,
                };
                if world.projects.insert(project.id, made).is_some() {
                    return Err(SeedError::twice("project", project.id.0));
                }
                for group in &project.groups {
                    if !self.groups.iter().any(|own| own.group_id == *group) {
                        let by = format!("project {}", project.id);
                        return Err(SeedError::missing("group", group.0, by));
                    }
                    let id = ProjectGroupId(world.next_id());
                    let row = ProjectGroup {
                        group: *group,
                        project: project.id,
                    };
                    world.project_groups.insert(id, row);
                }
            }
        }
        Ok(())
    }

    /// Refuses a workspace of another organization.
    fn own(&self, id: WorkspaceId, by: impl FnOnce() -> String) -> Result<(), SeedError> {
        if self.workspaces.iter().any(|own| own.id == id) {
            Ok(())
        } else {
            Err(SeedError::missing("workspace", id.0, by()))
        }
    }
}
