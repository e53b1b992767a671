//! Whether one row is still as it was written, as far as its neighbours can tell.
//!
//! A quick look for whoever reads one event. A row from which a person was erased is held against what the
//! redaction recorded, and so is the event that recorded it. That the whole chain holds, and that its end is
//! the true one, takes [`Reader::verify`] and a checkpoint from elsewhere.

use sqlx::SqliteConnection;

use super::Reader;
use super::query;
use super::reader::stored;
use super::verify::recorded;
use crate::domain::canonical::{Canonical, Commitments, Hidden};
use crate::domain::row::Link;
use crate::store::StoreError;
use crate::store::stored::Stored;

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

/// What a row holds, by itself.
enum Content {
    /// What was written.
    Written,
    /// What the redaction of this event left.
    Left { event: i64 },
    /// Neither.
    Other,
}

// === impl Reader ===

impl Reader {
    /// Holds the row `seq` against its hash and its neighbours; `None` if there is no such row.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn proof(&self, seq: i64) -> Result<Option<Proof>, StoreError> {
        // One state of all: a redaction writes the rows, the entries and the event at once.
        let mut transaction = self.pool.begin().await?;
        let mut proof = Proof::Intact;
        let mut next = seq;
        loop {
            let row = sqlx::query(query::AT.as_str())
                .bind(next)
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(row) = row else {
                // Of an event that is not there, nothing is vouched for.
                return Ok((next != seq).then_some(Proof::Broken));
            };
            let Ok(here) = stored(&row) else {
                return Ok(Some(Proof::Broken));
            };
            if !is_linked(&mut transaction, &here.link).await? {
                return Ok(Some(Proof::Broken));
            }
            match content(&mut transaction, &here).await? {
                Content::Written => return Ok(Some(proof)),
                // The event comes behind what it tells of, so this ends.
                Content::Left { event } if event > next => {
                    proof = Proof::Redacted;
                    next = event;
                }
                Content::Left { .. } | Content::Other => return Ok(Some(Proof::Broken)),
            }
        }
    }
}

// Whether the rows beside it link to it. The first row that a prune left has none before it.
async fn is_linked(connection: &mut SqliteConnection, link: &Link) -> Result<bool, StoreError> {
    let (before, behind): (Option<String>, Option<String>) = sqlx::query_as(
        "SELECT (SELECT hash FROM audit_events WHERE seq = ?1 - 1),
                (SELECT prev_hash FROM audit_events WHERE seq = ?1 + 1)",
    )
    .bind(link.seq)
    .fetch_one(connection)
    .await?;
    Ok(before.is_none_or(|hash| hash == link.prev_hash)
        && behind.is_none_or(|hash| hash == link.hash))
}

async fn content(connection: &mut SqliteConnection, here: &Stored) -> Result<Content, StoreError> {
    let (seq, link) = (here.link.seq, &here.link);
    // The newest entry: those of earlier redactions speak of what the row no longer holds.
    let entry: Option<(i64, String, String)> = sqlx::query_as(
        "SELECT redaction_seq, commitments, content_hash FROM audit_redactions
         WHERE seq = ? ORDER BY redaction_seq DESC LIMIT 1",
    )
    .bind(seq)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((event, commitments, content_hash)) = entry else {
        let written = Link::new(seq, &link.prev_hash, &here.row, &here.salt);
        return Ok(if written == *link {
            Content::Written
        } else {
            Content::Other
        });
    };
    let commitments: Commitments = serde_json::from_str(&commitments).unwrap_or_default();
    let pieces = here.row.pieces(seq);
    let mut canonical = Canonical::new();
    let hash = canonical.link(&link.prev_hash, &pieces, Hidden::Kept(&commitments));
    let content = canonical.content(&pieces, &here.salt);
    let is_left = hex::encode(hash) == link.hash && hex::encode(content) == content_hash;
    Ok(if is_left && recorded(connection, event).await? {
        Content::Left { event }
    } else {
        Content::Other
    })
}
