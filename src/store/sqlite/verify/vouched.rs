//! What events of the chain vouch for: rows that were removed, values that were replaced.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;

use super::{Fault, Reader};
use crate::store::StoreError;

/// What the events `tollgate.prune` and `tollgate.redact` say. That they are events of the chain, the
/// walk finds out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Vouched {
    pub(super) prunes: Vec<Prune>,
    /// Redactions whose entries are not those that their event recorded, or that have no event.
    pub(super) forged: BTreeSet<i64>,
    /// How many entries there are.
    entries: u64,
}

/// A prune: up to which row, and what that row's hash was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prune {
    event: i64,
    pub(super) up_to: i64,
    hash: String,
}

#[derive(Deserialize)]
struct Removed {
    up_to_seq: i64,
    hash: String,
}

#[derive(Deserialize)]
struct Replaced {
    digest: String,
}

// === impl Vouched ===

impl Vouched {
    pub(super) async fn read(reader: &Reader) -> Result<Self, StoreError> {
        // One state of both tables: a redaction writes to both at once.
        let mut transaction = reader.pool.begin().await?;
        let events: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT seq, action, after FROM audit_events WHERE action IN ('tollgate.prune', 'tollgate.redact')",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let mut digests: BTreeMap<i64, Sha256> = BTreeMap::new();
        let mut entries = 0;
        let mut rows = sqlx::query_as::<_, (i64, i64, String, String)>(
            "SELECT redaction_seq, seq, commitments, content_hash FROM audit_redactions
             ORDER BY redaction_seq, seq",
        )
        .fetch(&mut *transaction);
        while let Some((event, seq, commitments, content)) = rows.try_next().await? {
            entries += 1;
            let line = entry(seq, &commitments, &content);
            digests.entry(event).or_default().update(line);
        }
        drop(rows);
        transaction.commit().await?;

        let mut vouched = Self {
            entries,
            ..Self::default()
        };
        for (event, action, after) in events {
            // What cannot be read vouches for nothing.
            let after = after.as_deref().unwrap_or_default();
            if action == "tollgate.prune" {
                if let Ok(Removed { up_to_seq, hash }) = serde_json::from_str(after) {
                    vouched.prunes.push(Prune {
                        event,
                        up_to: up_to_seq,
                        hash,
                    });
                }
            } else if !says(after, digests.remove(&event).unwrap_or_default()) {
                vouched.forged.insert(event);
            }
        }
        // What is left has no event.
        vouched.forged.extend(digests.into_keys());
        Ok(vouched)
    }

    /// Whether any row holds no longer what was written.
    pub(super) fn has_redactions(&self) -> bool {
        self.entries > 0
    }

    /// The first redaction that nothing vouches for.
    pub(super) fn forged(&self) -> Option<i64> {
        self.forged.first().copied()
    }

    /// Up to which row all may be gone.
    pub(super) fn pruned_up_to(&self) -> i64 {
        let up_to = self.prunes.iter().map(|prune| prune.up_to);
        up_to.max().unwrap_or_default()
    }

    /// A prune that says of this row that it had another hash.
    pub(super) fn wrong_prune(&self, seq: i64, hash: &str) -> Option<Fault> {
        let wrong = |prune: &&Prune| prune.up_to == seq && prune.hash != hash;
        let event = self.prunes.iter().find(wrong)?.event;
        Some(Fault::Pruned { seq, event })
    }
}

/// Whether the event `event` recorded the entries that its redaction has now. That it is what was written,
/// its own row tells.
pub(in crate::store::sqlite) async fn recorded(
    connection: &mut SqliteConnection,
    event: i64,
) -> Result<bool, StoreError> {
    let after: Option<Option<String>> = sqlx::query_scalar(
        "SELECT after FROM audit_events WHERE seq = ? AND action = 'tollgate.redact'",
    )
    .bind(event)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(after) = after.flatten() else {
        return Ok(false);
    };
    let mut digest = Sha256::default();
    let mut rows = sqlx::query_as::<_, (i64, String, String)>(
        "SELECT seq, commitments, content_hash FROM audit_redactions WHERE redaction_seq = ? ORDER BY seq",
    )
    .bind(event)
    .fetch(connection);
    while let Some((seq, commitments, content)) = rows.try_next().await? {
        digest.update(entry(seq, &commitments, &content));
    }
    Ok(says(&after, digest))
}

fn says(after: &str, digest: Sha256) -> bool {
    let said = serde_json::from_str::<Replaced>(after);
    said.is_ok_and(|said| said.digest == hex::encode(digest.finalize()))
}

/// An entry of a redaction as it enters the digest that the event records.
pub(in crate::store::sqlite) fn entry(seq: i64, commitments: &str, content_hash: &str) -> String {
    format!("{seq} {commitments} {content_hash}\n")
}
