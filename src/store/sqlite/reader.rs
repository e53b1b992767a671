//! The reading side: connections of their own, which never block the writer nor are blocked by it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{Connection as _, Row as _, Type as _, TypeInfo as _, ValueRef as _};
use tokio::sync::Semaphore;

use super::learn::read_group;
use super::{open, query};
use crate::domain::caller::Person;
use crate::domain::event::Event;
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{
    EventId, GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId,
};
use crate::domain::row::{COLUMNS, Cell, Link, Row};
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter, Page};
use crate::store::stored::Stored;

/// How many connections read at once: people and scripts, not the hot path.
const CONNECTIONS: u32 = 4;

/// Reads an audit database. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(in crate::store) pool: SqlitePool,
    /// Looking for a text takes long, and others want a connection too.
    searches: Arc<Semaphore>,
}

/// How many of the connections may look for a text at once.
const SEARCHES: usize = 2;

/// A page ends behind the event that fills it up, whatever was asked for: an event may have two bodies of
/// `audit.max_body_size`, and thousands of those fit into nobody's memory.
const FULL: usize = 8 << 20;

// === impl Reader ===

impl Reader {
    /// Opens a database that is there, for reading alone: what `tollgate audit` does beside a gateway
    /// that runs, or without one.
    ///
    /// # Errors
    ///
    /// If it is missing, is not an audit database, or is one of another version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        open::inspect(path).await?.close().await?;
        Ok(Self::connect(path))
    }

    /// Closes its connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Connects when somebody first asks.
    pub(super) fn connect(path: &Path) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            // A file does not hang up, and each question would go to the connection's thread twice.
            .test_before_acquire(false)
            .connect_lazy_with(open::reading(path));
        Self {
            pool,
            searches: Arc::new(Semaphore::new(SEARCHES)),
        }
    }

    /// Events newest first: those that match, `limit` of them, older than the row `before`.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn events(
        &self,
        filter: &Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.next_events(filter, before.map_or(Cursor::NEWEST, Cursor::Before), limit)
            .await
    }

    /// Events from a cursor on: those that match, `limit` of them.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn next_events(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: u32,
    ) -> Result<Page, StoreError> {
        if let Some(text) = &filter.text {
            return self.events_holding(text, filter, cursor, limit).await;
        }
        let mut connection = self.pool.acquire().await?;
        // One more than asked for tells whether there is another page.
        let more = limit.saturating_add(1);
        let mut query = query::page(&mut connection, filter, cursor, more).await?;
        let (events, more) = some(query.build().fetch(&mut *connection), limit).await?;
        let next = events.last().filter(|_| more).map(|event| event.seq);
        Ok(Page { events, next })
    }

    // No index knows what stands in a text. So it looks at a bounded number of rows, and what it looked at
    // last is where the next page begins.
    async fn events_holding(
        &self,
        text: &str,
        filter: &Filter,
        cursor: Cursor,
        limit: u32,
    ) -> Result<Page, StoreError> {
        // Closed only with the pool.
        let _turn = self
            .searches
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?;
        let mut connection = self.pool.acquire().await?;
        let numbers =
            query::many_numbers(&mut connection, filter, cursor, Filter::LOOKED_AT).await?;
        let more = limit.saturating_add(1);
        let mut query = query::holding(&numbers, text, cursor, more);
        let (events, more) = some(query.build().fetch(&mut *connection), limit).await?;
        let next = if more {
            events.last().map(|event| event.seq)
        } else {
            let looked_at_all = numbers.len() < Filter::LOOKED_AT as usize;
            numbers.last().copied().filter(|_| !looked_at_all)
        };
        Ok(Page { events, next })
    }

    /// One event.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(query::ONE.as_str())
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(event).transpose()
    }

    /// The event at this place in the trail.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn event_at(&self, seq: i64) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(query::AT.as_str())
            .bind(seq)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(event).transpose()
    }

    /// The newest event's place in the trail; 0 if it is empty. One step along the primary key.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn last(&self) -> Result<i64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit_events")
            .fetch_one(&self.pool)
            .await?;
        Ok(last.unwrap_or(0))
    }

    /// Copies the database, as it is at this moment, into a file that is empty. Writers go on meanwhile.
    ///
    /// # Errors
    ///
    /// When the database cannot be read or the copy cannot be written. What is in the file then is no copy.
    pub async fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_str().ok_or_else(|| {
            StoreError::Unusable(format!("{} is not a name in UTF-8", path.display()))
        })?;
        sqlx::query("VACUUM INTO ?")
            .bind(path)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The next rows after `after`, oldest first, as they lie in the table.
    pub(in crate::store) async fn rows(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Option<Stored>)>, StoreError> {
        let rows = sqlx::query(query::NEXT.as_str())
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, stored(row).ok())))
            .collect()
    }

    pub(super) async fn group(
        &self,
        id: GroupId,
        within: Option<OrganizationId>,
    ) -> Result<Option<Group>, StoreError> {
        // Where only a workspace's list told of it, it is of the organization that the workspace is of; such
        // a list may name that one alone.
        let state: Option<Option<String>> = sqlx::query_scalar(
            "SELECT state FROM known_groups g
             WHERE group_id = ?1 AND (?2 IS NULL OR organization_id = ?2
                 OR organization_id IS NULL AND EXISTS (
                     SELECT 1 FROM known_workspaces WHERE organization_id = ?2 AND workspace_id IN (
                         SELECT value FROM json_each(g.state, '$.workspaces')
                         UNION ALL SELECT g.state ->> '$.workspace_id')))",
        )
        .bind(id.0)
        .bind(within.map(|id| id.0))
        .fetch_optional(&self.pool)
        .await?;
        state.flatten().as_deref().map(read_group).transpose()
    }

    pub(super) async fn groups_of(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<Vec<Group>>, StoreError> {
        let all_known: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM known_views WHERE organization_id = ?1 AND tells_users)
                AND NOT EXISTS (
                    SELECT 1 FROM known_view_groups v LEFT JOIN known_groups k USING (group_id)
                    WHERE v.organization_id = ?1 AND k.group_id IS NULL
                )",
        )
        .bind(organization.0)
        .fetch_one(&self.pool)
        .await?;
        if !all_known {
            return Ok(None);
        }
        let states: Vec<String> = sqlx::query_scalar(
            "SELECT state FROM known_groups WHERE organization_id = ? AND state IS NOT NULL",
        )
        .bind(organization.0)
        .fetch_all(&self.pool)
        .await?;
        let groups = states.iter().map(|state| read_group(state));
        groups.collect::<Result<_, _>>().map(Some)
    }

    /// The groups that are called so now, in any case, and whose they are.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn groups_named(
        &self,
        name: &str,
    ) -> Result<Vec<(OrganizationId, GroupId)>, StoreError> {
        // A walk over all groups that are known: some thousands, for one person who waits.
        let found: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT organization_id, group_id FROM known_groups
             WHERE organization_id IS NOT NULL AND state ->> '$.name' = ? COLLATE NOCASE
             ORDER BY 1, 2",
        )
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        let found = found.into_iter();
        Ok(found
            .map(|(organization, group)| (OrganizationId(organization), GroupId(group)))
            .collect())
    }

    pub(super) async fn groups_with(
        &self,
        user: UserId,
    ) -> Result<Vec<(OrganizationId, Group)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT organization_id, state FROM known_groups g
             WHERE organization_id IS NOT NULL AND EXISTS (
                 SELECT 1 FROM json_each(g.state, '$.users') m WHERE m.value ->> '$.user_id' = ?
             )",
        )
        .bind(user.0)
        .fetch_all(&self.pool)
        .await?;
        let read = |(organization, state): &(i64, String)| {
            Ok((OrganizationId(*organization), read_group(state)?))
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn organization_of(
        &self,
        workspace: WorkspaceId,
    ) -> Result<Option<OrganizationId>, StoreError> {
        let organization: Option<i64> = sqlx::query_scalar(
            "SELECT organization_id FROM known_workspaces WHERE workspace_id = ?",
        )
        .bind(workspace.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(organization.map(OrganizationId))
    }

    pub(super) async fn project_group(
        &self,
        id: ProjectGroupId,
    ) -> Result<Option<ProjectGroup>, StoreError> {
        let row: Option<(Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT group_id, project_id FROM known_project_groups WHERE project_group_id = ?",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.and_then(|(group, project)| {
            Some(ProjectGroup {
                id,
                group: GroupId(group?),
                project: ProjectId(project?),
            })
        }))
    }

    pub(super) async fn names(
        &self,
        within: OrganizationId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, String>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        // One parameter for any number of people, so that the statement stays one and prepared.
        let ids = serde_json::to_string(ids).unwrap_or_else(|_| "[]".to_owned());
        let names: Vec<(i64, String)> = sqlx::query_as(
            "SELECT user_id, name FROM known_people
             WHERE organization_id = ? AND user_id IN (SELECT value FROM json_each(?))",
        )
        .bind(within.0)
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        Ok(names
            .into_iter()
            .map(|(id, name)| (UserId(id), name))
            .collect())
    }

    pub(super) async fn person(
        &self,
        credential_id: &str,
    ) -> Result<Option<(Person, Timestamp)>, StoreError> {
        type Known = (Option<i64>, Option<String>, Option<String>, String);
        let known: Option<Known> = sqlx::query_as(
            "SELECT user_id, email, name, seen_at FROM identities WHERE credential_id = ?",
        )
        .bind(credential_id)
        .fetch_optional(&self.pool)
        .await?;
        let Some((user_id, email, name, seen_at)) = known else {
            return Ok(None);
        };
        let seen_at = seen_at
            .parse()
            .map_err(|_| StoreError::Corrupt(format!("the time {seen_at:?} of an identity")))?;
        let person = Person {
            user_id: user_id.map(UserId),
            email,
            name,
        };
        Ok(Some((person, seen_at)))
    }
}

// At most so many events, and whether there are more.
async fn some(
    mut rows: impl Stream<Item = sqlx::Result<SqliteRow>> + Unpin,
    limit: u32,
) -> Result<(Vec<Event>, bool), StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        if events.len() >= limit || bytes >= FULL {
            return Ok((events, true));
        }
        let (event, size) = event_and_size(&row)?;
        bytes += size;
        events.push(event);
    }
    Ok((events, false))
}

// The event with what became known of its actor since.
pub(super) fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    event_and_size(row).map(|(event, _)| event)
}

// The same, and how many bytes of text it has.
fn event_and_size(row: &SqliteRow) -> Result<(Event, usize), StoreError> {
    let stored = stored(row)?;
    let size = stored.row.0.iter().map(|cell| match cell {
        Cell::Text(text) => text.len(),
        Cell::Null | Cell::Integer(_) => 0,
    });
    let size = size.sum();
    let mut event = stored.event()?;
    let joined = COLUMNS.len() + 4;
    let user_id: Option<i64> = row.try_get(joined)?;
    let (email, name): (Option<String>, Option<String>) =
        (row.try_get(joined + 1)?, row.try_get(joined + 2)?);
    let actor = &mut event.actor;
    actor.user_id = actor.user_id.or(user_id.map(UserId));
    actor.email = actor.email.take().or(email);
    actor.name = actor.name.take().or(name);
    Ok((event, size))
}

// `seq`, the columns, `salt`, `prev_hash`, `hash`.
pub(super) fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    let end = COLUMNS.len() + 1;
    let seq: i64 = row.try_get(0)?;
    let cells = (1..end).map(|index| cell(row, index));
    // The same bytes as text would be another value.
    let is_blob = row.try_get_raw(end)?.type_info().name() == "BLOB";
    let salt: Vec<u8> = if is_blob { row.try_get(end)? } else { vec![] };
    Ok(Stored {
        row: Row(cells.collect::<Result<_, _>>()?),
        salt: salt
            .try_into()
            .map_err(|_| StoreError::Corrupt(format!("row {seq} has a salt of another length")))?,
        link: Link {
            seq,
            prev_hash: row.try_get(end + 1)?,
            hash: row.try_get(end + 2)?,
        },
    })
}

// By what the value is, not by what the column is declared to be: whoever tampers may change that too.
fn cell(row: &SqliteRow, index: usize) -> Result<Cell, StoreError> {
    let value = row.try_get_raw(index)?;
    let kind = value.type_info();
    Ok(if value.is_null() {
        Cell::Null
    } else if i64::compatible(&kind) {
        Cell::Integer(row.try_get(index)?)
    } else if kind.name() == "TEXT" {
        Cell::Text(row.try_get(index)?)
    } else {
        return Err(StoreError::Corrupt(format!(
            "column {} holds a {}",
            COLUMNS[index - 1],
            kind.name()
        )));
    })
}
