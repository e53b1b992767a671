//! Removes old rows, and keeps what shows that nothing else was removed.
//!
//! **Guarantee** (DESIGN §1.6): rows go from the beginning of the trail on, never from its middle, and
//! only after an event of the trail has said up to which row, and what that row's hash is. A prune that
//! is interrupted anywhere leaves a trail that verifies, and the next one completes it. The triggers of
//! the tables let no other row go.
//!
//! Rows go in steps, each a transaction of its own with a pause behind it: changes wait for one step.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::writer::Write;
use crate::clock::rfc3339;
use crate::domain::event::Draft;
use crate::store::{StoreError, Trail as _};

/// How many rows one transaction removes.
const STEP: i64 = 500;

/// How long others have the file for themselves between two steps: SQLite's lock is given to who asks
/// at the right moment, not to who has waited longest.
const PAUSE: Duration = Duration::from_millis(10);

/// What a prune is about to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The first row.
    pub first: i64,
    /// The last row.
    pub last: i64,
    /// The last row's hash.
    pub hash: String,
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What it removed by an event of its own.
    pub removed: Option<Removal>,
    /// How many rows it removed that an earlier one had left there.
    pub completed: i64,
}

// === impl Removal ===

impl Removal {
    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.last - self.first + 1
    }
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Removes the rows from the beginning of the trail up to the first one whose request came at
    /// `before` or later. `event` makes the event of it. Completes an earlier prune first.
    ///
    /// # Errors
    ///
    /// When the database cannot be written. What was removed until then is said in the trail.
    pub async fn prune(
        &self,
        before: Timestamp,
        event: impl FnOnce(&Removal) -> Draft + Send,
    ) -> Result<Pruned, StoreError> {
        let said: i64 = sqlx::query_scalar("SELECT up_to_seq FROM audit_pruned")
            .fetch_one(&self.reader.pool)
            .await?;
        let completed = self.forget(said).await?;
        let Some(removal) = self.older_than(before).await? else {
            return Ok(Pruned {
                removed: None,
                completed,
            });
        };
        self.complete(event(&removal), vec![]).await?;
        self.forget(removal.last).await?;
        Ok(Pruned {
            removed: Some(removal),
            completed,
        })
    }

    /// What a prune would remove.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn older_than(&self, before: Timestamp) -> Result<Option<Removal>, StoreError> {
        let before = rfc3339(before);
        // `+` keeps to the order of the trail: the walk ends at the first row that stays.
        let stays: Option<i64> = sqlx::query_scalar(
            "SELECT seq FROM audit_events WHERE +occurred_at >= ? ORDER BY seq LIMIT 1",
        )
        .bind(&before)
        .fetch_optional(&self.reader.pool)
        .await?;
        let stays = stays.unwrap_or(i64::MAX);
        let last: Option<(i64, String)> = sqlx::query_as(
            "SELECT seq, hash FROM audit_events WHERE seq < ? ORDER BY seq DESC LIMIT 1",
        )
        .bind(stays)
        .fetch_optional(&self.reader.pool)
        .await?;
        // To remove what says that something was removed, and say so, would go on for ever.
        let first: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT min(seq) FROM audit_events) FROM audit_events
             WHERE seq < ? AND +action <> 'tollgate.prune' LIMIT 1",
        )
        .bind(stays)
        .fetch_optional(&self.reader.pool)
        .await?;
        Ok(first
            .zip(last)
            .map(|(first, (last, hash))| Removal { first, last, hash }))
    }

    async fn forget(&self, up_to: i64) -> Result<i64, StoreError> {
        let mut forgotten = 0;
        loop {
            let first: Option<i64> = sqlx::query_scalar("SELECT min(seq) FROM audit_events")
                .fetch_one(&self.reader.pool)
                .await?;
            let Some(first) = first.filter(|first| *first <= up_to) else {
                return Ok(forgotten);
            };
            forgotten += STEP.min(up_to - first + 1);
            self.sender.write(Write::Forget(up_to)).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Removes the first rows, none of them behind `up_to`, and what is kept for them.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    up_to: i64,
) -> Result<(), StoreError> {
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT max(seq) FROM (SELECT seq FROM audit_events WHERE seq <= ? ORDER BY seq LIMIT ?)",
    )
    .bind(up_to)
    .bind(STEP)
    .fetch_one(&mut *connection)
    .await?;
    for statement in [
        "DELETE FROM audit_event_groups WHERE seq <= ?",
        // Those of a redaction whose event goes; the rows that it was about have gone before.
        "DELETE FROM audit_redactions WHERE redaction_seq <= ?",
        "DELETE FROM audit_checkpoints WHERE seq <= ? AND seq < (SELECT max(seq) FROM audit_checkpoints)",
        "DELETE FROM audit_events WHERE seq <= ?",
        "DELETE FROM audit_hours WHERE last_seq <= ?",
        "UPDATE audit_hours SET first_seq = ?1 + 1 WHERE first_seq <= ?1",
    ] {
        sqlx::query(statement)
            .bind(last)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
