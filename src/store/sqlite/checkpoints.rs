//! Signed checkpoints: the newest is kept, and a trail is held against one from elsewhere.

use sqlx::SqliteConnection;
use tokio::sync::watch;

use super::verify::Verdict;
use super::writer::Write;
use super::{Reader, SqliteStore, write};
use crate::domain::checkpoint::Checkpoint;
use crate::domain::row::Link;
use crate::store::StoreError;

/// Why a trail, whose chain is intact, is not the one that a checkpoint was made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Differs {
    /// It never was.
    #[error("the checkpoint is of another trail: it is of database {signed}, and this is {here}")]
    Trail {
        /// Whose the checkpoint is.
        signed: String,
        /// Whose rows these are.
        here: String,
    },
    /// Rows are missing at the end.
    #[error(
        "the trail was cut off, or replaced by an older copy: it had {signed} rows when the checkpoint was made, and ends at row {last}"
    )]
    CutOff {
        /// The last row then.
        signed: i64,
        /// The last row now.
        last: i64,
    },
    /// The row is another one.
    #[error("the trail was rewritten: row {seq} is another one than when the checkpoint was made")]
    Rewritten {
        /// The row.
        seq: i64,
    },
    /// The row is gone, as the trail says, so that nothing can be said.
    #[error(
        "the checkpoint proves nothing about this trail: its row {seq} was pruned, with all up to row {pruned}; use a checkpoint of a later row"
    )]
    Gone {
        /// The row.
        seq: i64,
        /// The last row that was removed.
        pruned: i64,
    },
}

// === impl SqliteStore ===

impl SqliteStore {
    /// The last row that this process wrote, whenever there is another one.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Option<Link>> {
        self.sender.heads()
    }

    /// Keeps a signed checkpoint of the row `seq`. Returns when it would survive a power cut.
    ///
    /// # Errors
    ///
    /// When it is not on disk for sure.
    pub async fn keep_checkpoint(&self, seq: i64, note: String) -> Result<(), StoreError> {
        self.sender.write(Write::Checkpoint(seq, note)).await
    }
}

// === impl Reader ===

impl Reader {
    /// Which trail this is.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn database_id(&self) -> Result<String, StoreError> {
        let id = sqlx::query_scalar("SELECT id FROM audit_database")
            .fetch_one(&self.pool)
            .await?;
        Ok(id)
    }

    /// The last row's place in the chain; `None` in an empty trail.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Option<Link>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        write::head(&mut connection).await
    }

    /// The newest checkpoint that a gateway signed: its row, and the note.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn newest_checkpoint(&self) -> Result<Option<(i64, String)>, StoreError> {
        let newest =
            sqlx::query_as("SELECT seq, note FROM audit_checkpoints ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&self.pool)
                .await?;
        Ok(newest)
    }

    /// Whether the trail, in which a walk found what `verdict` says, extends `checkpoint`.
    ///
    /// # Errors
    ///
    /// When the database cannot be read. The inner error says why it does not.
    pub async fn extends(
        &self,
        checkpoint: &Checkpoint,
        verdict: &Verdict,
    ) -> Result<Result<(), Differs>, StoreError> {
        let here = self.database_id().await?;
        let seq = checkpoint.seq;
        if here != checkpoint.database {
            let signed = checkpoint.database.clone();
            return Ok(Err(Differs::Trail { signed, here }));
        }
        let (last, pruned) = match verdict {
            Verdict::Intact { head, pruned, .. } => {
                (head.as_ref().map_or(0, |link| link.seq), *pruned)
            }
            Verdict::Broken { rows, .. } => (*rows, 0),
        };
        if last < seq {
            return Ok(Err(Differs::CutOff { signed: seq, last }));
        }
        let hash = match seq {
            0 => return Ok(Ok(())),
            seq if seq > pruned => self.hash_of(seq).await?,
            // The row is gone. Its hash still stands in the row behind it, or in a prune's event.
            seq => self.hash_of_pruned(seq).await?,
        };
        Ok(match hash {
            Some(hash) if hash == checkpoint.hash => Ok(()),
            Some(_) => Err(Differs::Rewritten { seq }),
            None => Err(Differs::Gone { seq, pruned }),
        })
    }

    async fn hash_of_pruned(&self, seq: i64) -> Result<Option<String>, StoreError> {
        let behind: Option<String> =
            sqlx::query_scalar("SELECT prev_hash FROM audit_events WHERE seq = ?")
                .bind(seq + 1)
                .fetch_optional(&self.pool)
                .await?;
        if behind.is_some() {
            return Ok(behind);
        }
        let said = sqlx::query_scalar(
            "SELECT after ->> '$.hash' FROM audit_events
             WHERE action = 'tollgate.prune' AND after ->> '$.up_to_seq' = ?",
        )
        .bind(seq)
        .fetch_optional(&self.pool)
        .await?;
        Ok(said)
    }
}

/// Keeps a note.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    seq: i64,
    note: &str,
) -> Result<(), StoreError> {
    // Two gateways on one database may sign the same row; either note is as good.
    sqlx::query("INSERT INTO audit_checkpoints (seq, note) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(seq)
        .bind(note)
        .execute(connection)
        .await?;
    Ok(())
}
