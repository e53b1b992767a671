//! The store in memory: the fake for tests and benches. Keeps the promises of the traits but one,
//! that anything outlives the process.
//!
//! It can be told to [fail](MemoryStore::fail), as a full disk does, and shows what it holds.

mod drift;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use self::drift::Unsettled;
use super::sqlite::salt;
use super::stored::Stored;
use super::{Expenses, Fact, Identities, KnownGroups, Learned, Spent, StoreError, Trail};
use crate::clock::rfc3339;
use crate::domain::caller::Person;
use crate::domain::drift::View;
use crate::domain::event::{Draft, Intent};
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, UserId, WorkspaceId};
use crate::domain::row::{GENESIS, Link, Row};
use crate::domain::spending::Ledger;
use crate::domain::usage::{Left, Usage};

/// The fake. Clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    failing: bool,
    intents: Vec<Intent>,
    events: Vec<Draft>,
    rows: Vec<Stored>,
    // What is gone stays without a value, so that older news cannot bring it back. Times are the
    // texts that a database would compare.
    groups: HashMap<GroupId, (String, Option<Group>)>,
    organizations: HashMap<GroupId, OrganizationId>,
    project_groups: HashMap<ProjectGroupId, (String, Option<ProjectGroup>)>,
    names: HashMap<(OrganizationId, UserId), (String, String)>,
    workspaces: HashMap<WorkspaceId, (String, OrganizationId)>,
    views: HashMap<(String, OrganizationId), View>,
    unsettled: Vec<Unsettled>,
    people: HashMap<String, (Timestamp, Person)>,
    usage: Vec<Usage>,
    left: Vec<Left>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on writes fail, or no longer do.
    pub fn fail(&self, failing: bool) {
        self.held().failing = failing;
    }

    /// The events, in the order of the trail.
    #[must_use]
    pub fn events(&self) -> Vec<Draft> {
        self.held().events.clone()
    }

    /// The intents that have no event yet, in the order in which they came.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.held().intents.clone()
    }

    /// The events as rows of a chain.
    #[must_use]
    pub fn rows(&self) -> Vec<Stored> {
        self.held().rows.clone()
    }

    // Nothing in here panics half-way: what a test that failed left behind is whole.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<MutexGuard<'_, Held>, StoreError> {
        let held = self.held();
        if held.failing {
            return Err(StoreError::Unusable("the store was told to fail".into()));
        }
        Ok(held)
    }
}

// === impl Held ===

impl Held {
    fn append(&mut self, draft: Draft) -> Result<(), StoreError> {
        let (row, salt) = (Row::of(&draft), salt()?);
        let (seq, prev_hash) = match self.rows.last() {
            Some(last) => (last.link.seq + 1, last.link.hash.as_str()),
            None => (1, GENESIS),
        };
        let link = Link::new(seq, prev_hash, &row, &salt);
        self.rows.push(Stored { link, row, salt });
        self.events.push(draft);
        Ok(())
    }

    // Where only a workspace's list told of a group, it is of the organization that the workspace is of; such
    // a list may name that one alone.
    fn is_of(&self, group: &Group, organization: OrganizationId) -> bool {
        if let Some(of) = self.organizations.get(&group.id) {
            return *of == organization;
        }
        let alone = group.rest.get("workspace_id").and_then(Value::as_i64);
        let all = group.workspaces.iter().flatten().copied();
        all.chain(alone.map(WorkspaceId)).any(|workspace| {
            let of = self.workspaces.get(&workspace);
            of.is_some_and(|(_, of)| *of == organization)
        })
    }

    fn learn(&mut self, learned: Vec<Learned>) {
        for Learned { at, fact } in learned {
            let at = rfc3339(at);
            match fact {
                Fact::Group(organization, group) => {
                    if let Some(organization) = organization {
                        self.organizations.insert(group.id, organization);
                    }
                    self.learn_group(at, *group);
                }
                Fact::DoubtfulGroup(doubtful) => {
                    self.groups.retain(|id, (seen_at, state)| {
                        *id != doubtful || state.is_none() || *seen_at > at
                    });
                }
                Fact::DoubtfulGroups(within) => {
                    let organizations = &self.organizations;
                    self.groups.retain(|id, (seen_at, state)| {
                        let other = within.is_some()
                            && organizations.get(id).is_some_and(|of| Some(*of) != within);
                        other || state.is_none() || *seen_at > at
                    });
                }
                Fact::NoGroup(id) => put(&mut self.groups, id, at, None),
                Fact::ProjectGroup(_, row) => put(&mut self.project_groups, row.id, at, Some(row)),
                Fact::NoProjectGroup(id) => put(&mut self.project_groups, id, at, None),
                // Compared before any of this.
                Fact::View(_) => {}
                Fact::Workspace(organization, id) => {
                    put(&mut self.workspaces, id, at, organization);
                }
            }
        }
    }

    fn learn_group(&mut self, at: String, group: Group) {
        let merged = match self.groups.get(&group.id) {
            Some((seen_at, _)) if *seen_at > at => return,
            Some((_, Some(known))) => known.updated_by(&group),
            Some((_, None)) | None => group.clone(),
        };
        let organization = self.organizations.get(&group.id).copied();
        for workspace in group.workspaces.iter().flatten() {
            if let Some(organization) = organization {
                put(&mut self.workspaces, *workspace, at.clone(), organization);
            }
        }
        for member in group.users.into_iter().flatten() {
            if let (Some(organization), Some(name)) = (organization, member.name) {
                put(&mut self.names, (organization, member.id), at.clone(), name);
            }
        }
        self.groups.insert(group.id, (at, Some(merged)));
    }
}

fn put<K, V>(known: &mut HashMap<K, (String, V)>, id: K, at: String, value: V)
where
    K: std::hash::Hash + Eq,
{
    if known.get(&id).is_none_or(|(seen_at, _)| *seen_at <= at) {
        known.insert(id, (at, value));
    }
}

#[async_trait]
impl Trail for MemoryStore {
    async fn intend(&self, intent: Intent) -> Result<(), StoreError> {
        self.writable()?.intents.push(intent);
        Ok(())
    }

    async fn complete(&self, draft: Draft, learned: Vec<Learned>) -> Result<(), StoreError> {
        let mut held = self.writable()?;
        let id = draft.intent.id;
        if held.events.iter().any(|event| event.intent.id == id) {
            return Err(StoreError::Unusable(format!("{id} is recorded already")));
        }
        held.precede(&draft)?;
        held.conclude(&draft, &learned);
        held.append(draft)?;
        held.intents.retain(|intent| intent.id != id);
        held.observe(&learned)?;
        held.learn(learned);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writable().map(drop)
    }
}

#[async_trait]
impl KnownGroups for MemoryStore {
    async fn group(
        &self,
        id: GroupId,
        within: Option<OrganizationId>,
    ) -> Result<Option<Group>, StoreError> {
        let held = self.held();
        let group = held.groups.get(&id).and_then(|(_, group)| group.clone());
        Ok(group.filter(|group| within.is_none_or(|of| held.is_of(group, of))))
    }

    async fn groups_of(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<Vec<Group>>, StoreError> {
        let held = self.held();
        let views = || held.views.iter().filter(|((_, of), _)| *of == organization);
        let mut shown = views().flat_map(|(_, view)| view.groups.keys());
        let is_whole = views().any(|(_, view)| view.tells_users == Some(true));
        if !is_whole || !shown.all(|id| held.groups.contains_key(id)) {
            return Ok(None);
        }
        let of = |id: &GroupId| held.organizations.get(id) == Some(&organization);
        let groups = held.groups.iter().filter(|(id, _)| of(id));
        Ok(Some(
            groups.filter_map(|(_, (_, group))| group.clone()).collect(),
        ))
    }

    async fn groups_with(&self, user: UserId) -> Result<Vec<(OrganizationId, Group)>, StoreError> {
        let held = self.held();
        let found = held.groups.iter().filter_map(|(id, (_, group))| {
            let organization = held.organizations.get(id)?;
            let group = group.as_ref()?;
            let mut users = group.users.iter().flatten();
            let is_in = users.any(|member| member.id == user);
            is_in.then(|| (*organization, group.clone()))
        });
        Ok(found.collect())
    }

    async fn organization_of(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<OrganizationId>, StoreError> {
        let held = self.held();
        let known = held.workspaces.get(&workspace);
        Ok(known.map(|(_, organization)| *organization))
    }

    async fn project_group(&self, id: ProjectGroupId) -> Result<Option<ProjectGroup>, StoreError> {
        let held = self.held();
        Ok(held.project_groups.get(&id).and_then(|(_, row)| *row))
    }

    async fn names(
        &self,
        within: OrganizationId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, String>, StoreError> {
        let held = self.held();
        let name = |id: &UserId| {
            held.names
                .get(&(within, *id))
                .map(|(_, name)| (*id, name.clone()))
        };
        Ok(ids.iter().filter_map(name).collect())
    }

    async fn learn(&self, learned: Vec<Learned>) {
        if let Ok(mut held) = self.writable() {
            // Only without random bytes for a row, of which nobody is told here.
            let _ = held.observe(&learned);
            held.learn(learned);
        }
    }
}

#[async_trait]
impl Expenses for MemoryStore {
    async fn spend(&self, spent: Spent) -> Result<(), StoreError> {
        let mut held = self.writable()?;
        for more in spent.usage {
            let same = |known: &&mut Usage| {
                let key = |usage: &Usage| {
                    let Usage {
                        hour,
                        credential_id,
                        pool,
                        tool,
                        endpoint,
                        ..
                    } = usage.clone();
                    (hour, credential_id, pool, tool, endpoint)
                };
                key(known) == key(&more)
            };
            match held.usage.iter_mut().find(same) {
                Some(known) => known.counts = known.counts.plus(more.counts),
                None => held.usage.push(more),
            }
        }
        for news in spent.left {
            let of = |left: &Left| (left.credential_id.clone(), left.pool);
            if held
                .left
                .iter()
                .any(|left| of(left) == of(&news) && left.told_at > news.told_at)
            {
                continue;
            }
            held.left.retain(|left| of(left) != of(&news));
            held.left.push(news);
        }
        if let Some(before) = spent.forget_before {
            held.usage.retain(|usage| usage.hour >= before);
            held.left.retain(|left| left.told_at >= before);
        }
        Ok(())
    }

    async fn ledger(&self, since: Timestamp) -> Result<Ledger, StoreError> {
        let held = self.held();
        let since = since.as_second().div_euclid(3600) * 3600;
        let recent = |usage: &&Usage| usage.hour.as_second() >= since;
        let people = held.people.iter();
        let workspaces = held.workspaces.iter();
        Ok(Ledger {
            usage: held.usage.iter().filter(recent).cloned().collect(),
            left: held.left.clone(),
            people: people
                .map(|(id, (_, person))| (id.clone(), person.clone()))
                .collect(),
            workspaces: workspaces.map(|(id, (_, of))| (*id, *of)).collect(),
        })
    }

    async fn standings(&self, by: Timestamp) -> Result<Ledger, StoreError> {
        let mut ledger = self.ledger(Timestamp::MAX).await?;
        ledger.left.retain(|left| left.resets_at > by);
        ledger
            .left
            .sort_by_key(|left| std::cmp::Reverse(left.told_at));
        let asked: Vec<_> = ledger.left.iter().map(|left| &left.credential_id).collect();
        let people = ledger.people.iter();
        let users: Vec<_> = people
            .filter(|(id, _)| asked.contains(id))
            .filter_map(|(_, person)| person.user_id)
            .collect();
        let theirs = |person: &Person| person.user_id.is_some_and(|user| users.contains(&user));
        ledger.people.retain(|_, person| theirs(person));
        Ok(ledger)
    }
}

#[async_trait]
impl Identities for MemoryStore {
    async fn person(&self, credential_id: &str) -> Result<Option<(Person, Timestamp)>, StoreError> {
        let held = self.held();
        let known = held.people.get(credential_id);
        Ok(known.map(|(at, person)| (person.clone(), *at)))
    }

    async fn remember(
        &self,
        credential_id: &str,
        person: &Person,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut held = self.writable()?;
        let older = |(seen_at, _): &(Timestamp, Person)| *seen_at <= at;
        if held.people.get(credential_id).is_none_or(older) {
            held.people
                .insert(credential_id.to_owned(), (at, person.clone()));
        }
        Ok(())
    }
}
