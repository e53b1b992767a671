//! The store in one SQLite file: one writer that shares commits, [`Reader`]s beside it.
//!
//! [`SqliteStore::open`] makes the file, recognizes it, brings its schema up to date and turns what a
//! crash left behind into events, before anybody can write. A second process may open the same file:
//! it writes behind the first one's rows and leaves the first one's intents alone.

mod actor;
mod checkpoints;
mod counted;
mod drift;
mod file_system;
mod joined;
mod learn;
mod open;
mod organizations;
mod past;
mod place;
mod presence;
mod proof;
mod prune;
mod query;
mod reader;
mod recover;
mod redact;
mod room;
mod usage;
mod verify;
mod write;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::checkpoints::Differs;
pub use self::counted::{Counted, Extent};
pub use self::file_system::{OnNetwork, suits};
pub use self::joined::Joined;
pub use self::organizations::Known;
use self::place::Place;
pub use self::proof::Proof;
pub use self::prune::{Pruned, Removal};
pub use self::reader::Reader;
pub use self::recover::Recovered;
pub use self::redact::{Changes, Mentions, RedactError, Redacted};
pub use self::room::Room;
pub use self::verify::{Fault, Verdict};
pub(in crate::store) use self::write::salt;
use self::writer::{Sender, Write, Writer};
use super::{Expenses, Identities, KnownGroups, Learned, Spent, StoreError, Trail};
use crate::clock::Clock;
use crate::domain::caller::Person;
use crate::domain::event::{Draft, Intent};
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, UserId, WorkspaceId};
use crate::domain::spending::Ledger;

/// The store. Cloning is cheap; when the last clone is gone, the writer finishes by itself.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    place: Place,
    clock: Clock,
    sender: Sender,
    reader: Reader,
    // For lookups on a change's path, which must not wait behind somebody's export.
    known: Reader,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the database at `path`; makes it, readable by its owner alone, if it is missing.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written, is not an audit database, or is one of a newer version.
    pub async fn open(path: &Path, clock: Clock) -> Result<(Self, Recovered), StoreError> {
        let (mut connection, presence) = open::open(path).await?;
        let recovered = if presence.alone {
            recover::recover(&mut connection, &clock).await?
        } else {
            // Another gateway's changes are under way: its intents are not left behind.
            Recovered::default()
        };
        presence.share();
        let store = Self {
            place: Place::of(path).await?,
            clock,
            sender: Writer::start(connection, presence),
            reader: Reader::connect(path),
            known: Reader::connect(path),
        };
        Ok((store, recovered))
    }

    /// The reading side.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Looks whether the database's file is in its place; while it is not, nothing more is recorded. To be called often:
    /// it waits for no disk.
    ///
    /// # Errors
    ///
    /// That it is gone or replaced.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.place.look().await
    }

    /// How many changes made elsewhere were noticed since the start, by organization.
    #[must_use]
    pub fn noticed(&self) -> Vec<(OrganizationId, u64)> {
        self.sender.noticed()
    }

    /// Writes what is queued, folds the write-ahead log into the file and closes it. What comes after
    /// is refused as [`StoreError::Closed`].
    pub async fn close(&self) {
        self.reader.pool.close().await;
        self.known.pool.close().await;
        self.sender.close().await;
    }
}

#[async_trait]
impl Trail for SqliteStore {
    async fn intend(&self, intent: Intent) -> Result<(), StoreError> {
        self.place.seen()?;
        self.sender.write(Write::Intend(Box::new(intent))).await
    }

    async fn complete(&self, draft: Draft, learned: Vec<Learned>) -> Result<(), StoreError> {
        self.place.seen()?;
        let write = Write::Complete(Box::new(draft), learned);
        self.sender.write(write).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.place.look().await?;
        self.sender.probe(self.clock.now()).await
    }
}

#[async_trait]
impl KnownGroups for SqliteStore {
    async fn group(
        &self,
        id: GroupId,
        within: Option<OrganizationId>,
    ) -> Result<Option<Group>, StoreError> {
        self.sender.settled().await;
        self.known.group(id, within).await
    }

    async fn groups_of(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<Vec<Group>>, StoreError> {
        self.sender.settled().await;
        self.known.groups_of(organization).await
    }

    async fn groups_with(&self, user: UserId) -> Result<Vec<(OrganizationId, Group)>, StoreError> {
        self.sender.settled().await;
        self.known.groups_with(user).await
    }

    async fn organization_of(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<OrganizationId>, StoreError> {
        self.sender.settled().await;
        self.known.organization_of(workspace).await
    }

    async fn project_group(&self, id: ProjectGroupId) -> Result<Option<ProjectGroup>, StoreError> {
        self.sender.settled().await;
        self.known.project_group(id).await
    }

    async fn names(
        &self,
        within: OrganizationId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, String>, StoreError> {
        self.sender.settled().await;
        self.known.names(within, ids).await
    }

    async fn learn(&self, learned: Vec<Learned>) {
        self.sender.learn(learned);
    }
}

#[async_trait]
impl Identities for SqliteStore {
    async fn person(&self, credential_id: &str) -> Result<Option<(Person, Timestamp)>, StoreError> {
        self.known.person(credential_id).await
    }

    async fn remember(
        &self,
        credential_id: &str,
        person: &Person,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let write = Write::Remember(credential_id.to_owned(), person.clone(), at);
        self.sender.write(write).await
    }
}

#[async_trait]
impl Expenses for SqliteStore {
    async fn spend(&self, spent: Spent) -> Result<(), StoreError> {
        self.sender.write(Write::Spend(Box::new(spent))).await
    }

    async fn ledger(&self, since: Timestamp) -> Result<Ledger, StoreError> {
        self.reader.ledger(since).await
    }

    async fn standings(&self, by: Timestamp) -> Result<Ledger, StoreError> {
        self.reader.standings(by).await
    }
}
