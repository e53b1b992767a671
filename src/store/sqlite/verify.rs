//! Walks the whole trail and says whether it is as it was written.
//!
//! **Guarantee** (DESIGN §1.6): a row that was edited, removed, inserted or moved is found, and the
//! first bad one is named. What a chain alone cannot show is a missing tail or a complete rewrite:
//! for that, compare the head with one that was noted elsewhere.

use super::Reader;
use crate::domain::row::{Broken, Link};
use crate::store::StoreError;

/// How many rows are in memory at once.
const STEP: u32 = 500;

/// What a walk along the trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written.
    Intact {
        /// How many rows.
        rows: i64,
        /// The last one's place in the chain; `None` in an empty trail.
        head: Option<Link>,
    },
    /// The first row that is not.
    Broken {
        /// How many rows before it are as they were written.
        rows: i64,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The chain is broken.
    #[error(transparent)]
    Chain(#[from] Broken),
    /// The row's columns are not of the kinds that are written.
    #[error("row {seq} was edited: a column holds what is never written there")]
    Unreadable {
        /// The row.
        seq: i64,
    },
    /// A filter by group would not find the event, or find it for a wrong group.
    #[error(
        "row {seq}: the groups listed for it in audit_event_groups are not those of its changes"
    )]
    Groups {
        /// The row.
        seq: i64,
    },
}

// === impl Reader ===

impl Reader {
    /// Checks every row.
    ///
    /// # Errors
    ///
    /// When the database cannot be read. A row that is wrong is no error but a [`Verdict`].
    pub async fn verify(&self) -> Result<Verdict, StoreError> {
        let mut head: Option<Link> = None;
        // In steps, each with a read of its own: one long read would keep the write-ahead log growing.
        loop {
            let after = head.as_ref().map_or(i64::MIN, |link| link.seq);
            let rows = self.rows(after, STEP).await?;
            if rows.is_empty() {
                break;
            }
            for (seq, stored) in rows {
                let checked = match &stored {
                    Some(stored) => stored
                        .link
                        .check(head.as_ref(), &stored.row, &stored.salt)
                        .map_err(Fault::from),
                    None => Err(Fault::Unreadable { seq }),
                };
                match (checked, stored) {
                    (Ok(()), Some(stored)) => head = Some(stored.link),
                    (Err(fault), _) => {
                        let rows = head.map_or(0, |link| link.seq);
                        return Ok(Verdict::Broken { rows, fault });
                    }
                    (Ok(()), None) => {}
                }
            }
        }
        let rows = head.as_ref().map_or(0, |link| link.seq);
        if let Some(seq) = self.wrong_groups().await? {
            let fault = Fault::Groups { seq };
            return Ok(Verdict::Broken {
                rows: seq - 1,
                fault,
            });
        }
        Ok(Verdict::Intact { rows, head })
    }

    // The first row whose groups differ from its `changes`, which the chain covers.
    async fn wrong_groups(&self) -> Result<Option<i64>, StoreError> {
        let seq: Option<i64> = sqlx::query_scalar(
            "WITH told AS (
                 SELECT DISTINCT e.seq, e.organization_id, c.value ->> '$.group_id' AS group_id
                 FROM audit_events e JOIN json_each(e.changes) c
                 WHERE e.group_id IS NULL AND c.value ->> '$.group_id' IS NOT NULL
             ),
             listed AS (SELECT seq, organization_id, group_id FROM audit_event_groups)
             SELECT min(seq) FROM (
                 SELECT * FROM (SELECT * FROM told EXCEPT SELECT * FROM listed)
                 UNION ALL
                 SELECT * FROM (SELECT * FROM listed EXCEPT SELECT * FROM told)
             )",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seq)
    }
}
