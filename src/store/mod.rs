//! What is kept: the trail, the last known state of groups, who is behind a credential.
//!
//! Traits by need, not by table, so that a layer asks for no more than it uses. [`sqlite`] keeps
//! them in one file; [`memory`] is the fake for tests and benches. One suite runs against both.

pub mod filter;
pub mod memory;
pub mod pages;
pub mod sqlite;
pub mod stored;
#[cfg(test)]
pub(crate) mod suite;
mod views;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::caller::Person;
use crate::domain::event::{Draft, Intent};
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, UserId, WorkspaceId};
use crate::domain::spending::Ledger;
use crate::domain::usage::{Left, Usage};

/// The audit trail's writing side.
#[async_trait]
pub trait Trail: Send + Sync + 'static {
    /// Writes an intent. Returns when it would survive a power cut.
    ///
    /// # Errors
    ///
    /// When it is not on disk for sure. The change must then not be sent.
    async fn intend(&self, intent: Intent) -> Result<(), StoreError>;

    /// Writes an event, removes its intent if there is one, and takes over what became known of
    /// groups, in one transaction: no list is ever compared with a view that lacks what it did. Returns when it would survive a power cut.
    ///
    /// # Errors
    ///
    /// When it is not on disk for sure. The intent is then still there.
    async fn complete(&self, draft: Draft, learned: Vec<Learned>) -> Result<(), StoreError>;

    /// Whether the store can be written at this moment.
    ///
    /// # Errors
    ///
    /// Why not.
    async fn check(&self) -> Result<(), StoreError>;
}

/// The last state of every group that passed by, with all that was [learned](Self::learn) before.
#[async_trait]
pub trait KnownGroups: Send + Sync + 'static {
    /// The last known state of a group, unless it is known to belong to another organization than
    /// `within`.
    async fn group(
        &self,
        id: GroupId,
        within: Option<OrganizationId>,
    ) -> Result<Option<Group>, StoreError>;

    /// The groups of an organization, by their last states; `None` where nobody was shown all of them, or
    /// one of those that were shown is no longer known.
    async fn groups_of(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<Vec<Group>>, StoreError>;

    /// The known groups that a person is in, of all organizations.
    async fn groups_with(&self, user: UserId) -> Result<Vec<(OrganizationId, Group)>, StoreError>;

    /// The organization that a workspace belongs to, if a list of its groups has told.
    async fn organization_of(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<OrganizationId>, StoreError>;

    /// The last known row between a group and a project.
    async fn project_group(&self, id: ProjectGroupId) -> Result<Option<ProjectGroup>, StoreError>;

    /// The names of these people, as far as any list of that organization told them.
    async fn names(
        &self,
        within: OrganizationId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, String>, StoreError>;

    /// Takes over what a list told, and records what it shows to have changed behind the gateway. Comes
    /// back when it is queued, before it is on disk: what is lost in a crash is told again by the next list.
    async fn learn(&self, learned: Vec<Learned>);
}

/// Who is behind a credential.
#[async_trait]
pub trait Identities: Send + Sync + 'static {
    /// The person behind a fingerprint, and when upstream said so.
    async fn person(&self, credential_id: &str) -> Result<Option<(Person, Timestamp)>, StoreError>;

    /// Remembers the person behind a fingerprint. Returns when it would survive a power cut.
    async fn remember(
        &self,
        credential_id: &str,
        person: &Person,
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

/// What the quota was spent on.
#[async_trait]
pub trait Expenses: Send + Sync + 'static {
    /// Adds up what was counted and keeps what was left. Returns when it would survive a power cut.
    ///
    /// # Errors
    ///
    /// When nothing of it was written.
    async fn spend(&self, spent: Spent) -> Result<(), StoreError>;

    /// What was counted in the hours since, the one of `since` included; and what else a report needs.
    async fn ledger(&self, since: Timestamp) -> Result<Ledger, StoreError>;

    /// What was told of quotas that were not filled up `by` then, the newest first; whose credentials
    /// those are, with the others of the same people; and what workspaces belong to. No counts.
    async fn standings(&self, by: Timestamp) -> Result<Ledger, StoreError>;
}

/// What was counted and told since it was last written down.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// To be added to what is there.
    pub usage: Vec<Usage>,
    /// To take the place of what was told before.
    pub left: Vec<Left>,
    /// What is older goes.
    pub forget_before: Option<Timestamp>,
}

/// Something that became known of the world upstream, and when it was true.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// From when on it was true; older news never overwrites newer.
    pub at: Timestamp,
    /// What.
    pub fact: Fact,
}

/// See [`Learned`].
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A group looks like this.
    Group(Option<OrganizationId>, Box<Group>),
    /// A group is gone.
    NoGroup(GroupId),
    /// A group has access to a project.
    ProjectGroup(WorkspaceId, ProjectGroup),
    /// It has no longer.
    NoProjectGroup(ProjectGroupId),
    /// A group may have changed in a way that nobody told.
    DoubtfulGroup(GroupId),
    /// Any group of an organization may (`None`: of any).
    DoubtfulGroups(Option<OrganizationId>),
    /// A credential was shown all groups that it may see, while no change of ours was under way. To stand
    /// before what the same list told of each group: what is new is told by what was known until then.
    View(Box<Seen>),
    /// A workspace belongs to an organization.
    Workspace(OrganizationId, WorkspaceId),
}

/// A whole, unfiltered list of an organization's groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Who was shown it: the credential's fingerprint, as in `audit_events`.
    pub credential_id: String,
    /// Of which organization.
    pub organization: OrganizationId,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// Why the store could not do it. Shared by all changes of one commit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the audit database cannot be used")]
    Database(#[source] Arc<sqlx::Error>),
    /// What is in the database is not what this version writes.
    #[error("the audit database holds what cannot be read: {0}")]
    Corrupt(String),
    /// The file is not where it was.
    #[error("{0} is gone")]
    Missing(String),
    /// Another file has its name.
    #[error("{0} was replaced by another file: restart the gateway")]
    Replaced(String),
    /// A row took longer than this to be written.
    #[error("the audit database took longer than {} s to write a row", .0.as_secs())]
    Slow(Duration),
    /// The file is no database of ours, or of a newer version.
    #[error("{0}")]
    Unusable(String),
    /// The store was closed, because the gateway is stopping.
    #[error("the audit store is closed")]
    Closed,
}

/// What somebody has to see to, where a [`StoreError`] comes up in a store that worked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no room for a row.
    DiskFull,
    /// The file, its directory or its file system may not be written.
    NotWritable,
    /// Another process holds it.
    Locked,
    /// It did not answer in time, for the disk's sake or another process's.
    Slow,
    /// The file is gone.
    Missing,
    /// Another file has its name.
    Replaced,
    /// What is in it is no database, or not ours.
    Damaged,
    /// Anything else.
    Other,
}

// === impl StoreError ===

impl StoreError {
    /// What somebody has to see to.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        let error = match self {
            Self::Database(error) => error,
            Self::Missing(_) => return Trouble::Missing,
            Self::Replaced(_) => return Trouble::Replaced,
            Self::Slow(_) => return Trouble::Slow,
            Self::Corrupt(_) => return Trouble::Damaged,
            Self::Unusable(_) | Self::Closed => return Trouble::Other,
        };
        let code = error.as_database_error().and_then(|error| error.code());
        let code = code.and_then(|code| code.parse::<u32>().ok());
        // The low byte is the kind, what is above it the detail: https://sqlite.org/rescode.html
        match code.map(|code| code & 0xff) {
            Some(13) => Trouble::DiskFull,
            Some(3 | 8 | 14) => Trouble::NotWritable,
            Some(5 | 6) => Trouble::Locked,
            Some(11 | 26) => Trouble::Damaged,
            _ => Trouble::Other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Database(Arc::new(error)),
        }
    }
}
