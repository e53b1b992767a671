//! Whether one row is still as it was written, as far as its neighbours can tell.
//!
//! A quick look for whoever reads one event. That the whole chain holds, and that its end is the true one,
//! takes [`Reader::verify`] and a checkpoint from elsewhere.

use super::Reader;
use super::query;
use super::reader::stored;
use crate::domain::row::Link;
use crate::store::StoreError;

/// What a row and its neighbours say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The row is what its hash says, and the rows beside it link to it.
    Intact,
    /// The same, but what could name a person was erased, as an event of the trail says.
    Redacted,
    /// It is not what was written.
    Broken,
}

// === impl Reader ===

impl Reader {
    /// Holds the row `seq` against its hash and its neighbours; `None` if there is no such row.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn proof(&self, seq: i64) -> Result<Option<Proof>, StoreError> {
        let row = sqlx::query(query::AT.as_str())
            .bind(seq)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let Ok(here) = stored(&row) else {
            return Ok(Some(Proof::Broken));
        };
        // The first row that a prune left has none before it.
        let (before, behind, redacted): (Option<String>, Option<String>, bool) = sqlx::query_as(
            "SELECT (SELECT hash FROM audit_events WHERE seq = ?1 - 1),
                    (SELECT prev_hash FROM audit_events WHERE seq = ?1 + 1),
                    EXISTS (SELECT 1 FROM audit_redactions WHERE seq = ?1)",
        )
        .bind(seq)
        .fetch_one(&self.pool)
        .await?;
        let linked = before.is_none_or(|hash| hash == here.link.prev_hash)
            && behind.is_none_or(|hash| hash == here.link.hash);
        let proof = if !linked {
            Proof::Broken
        } else if redacted {
            Proof::Redacted
        } else if Link::new(seq, &here.link.prev_hash, &here.row, &here.salt) == here.link {
            Proof::Intact
        } else {
            Proof::Broken
        };
        Ok(Some(proof))
    }
}
