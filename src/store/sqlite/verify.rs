//! Walks the whole trail and says whether it is as it was written.
//!
//! **Guarantee** (DESIGN §1.6): a row that was edited, removed, inserted or moved is found, and the
//! first bad one is named. What a chain alone cannot show is a missing tail or a complete rewrite:
//! for that there are [checkpoints](crate::domain::checkpoint). Rows that a prune removed and values
//! that a redaction replaced are accepted where an event of the chain vouches for them, and counted.
//!
//! Cost: a row's hash depends on its own columns alone, the hash before it among them. So runs of rows
//! are read on several connections and hashed on several cores; that each follows the one before is a
//! comparison, done in order. No read lasts longer than a run: one long read would keep the
//! write-ahead log growing beside a gateway that writes.

mod run;
mod scan;
mod vouched;

use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::stream::{self, StreamExt as _};
use sqlx::AssertSqlSafe;

use self::run::Run;
use self::vouched::Vouched;
pub(super) use self::vouched::{entry, recorded};
use super::Reader;
use super::query::WHO;
use crate::domain::row::{Broken, GENESIS, Link};
use crate::store::StoreError;

/// How many runs are on their way at once: twice as many as connections, so that some are read while others are
/// hashed or wait for the one before them.
const RUNS: usize = 8;

/// How often a walk begins again because a prune or a redaction went on beside it.
const TRIES: usize = 5;

/// What a walk along the trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every row is as it was written.
    Intact {
        /// How many rows.
        rows: i64,
        /// The last one's place in the chain; `None` in an empty trail.
        head: Option<Link>,
        /// The row up to which all were removed, as an event of the chain says; 0 if none was.
        pruned: i64,
        /// How many rows hold no longer what was written, as events of the chain say.
        redacted: i64,
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
        "row {seq}: the groups listed for it in audit_event_groups and audit_several are not those of its changes"
    )]
    Groups {
        /// The row.
        seq: i64,
    },
    /// The row is not the one up to which a prune says that it removed.
    #[error("row {seq} is not the one that the prune recorded in row {event} speaks of")]
    Pruned {
        /// The row.
        seq: i64,
        /// The event of the prune.
        event: i64,
    },
    /// What is said to have been replaced in a row is not what a redaction recorded.
    #[error(
        "row {seq} was edited: what audit_redactions says of it is not what a redaction recorded in row {event}"
    )]
    Redaction {
        /// The row.
        seq: i64,
        /// The event that ought to vouch for it.
        event: i64,
    },
}

// The end of what was found to be good.
struct Tip {
    seq: i64,
    hash: String,
}

// === impl Fault ===

impl Fault {
    /// The row.
    #[must_use]
    pub fn seq(&self) -> i64 {
        match self {
            Self::Chain(Broken::Gap { expected, .. }) => *expected,
            Self::Chain(Broken::Unlinked { seq } | Broken::Edited { seq })
            | Self::Unreadable { seq }
            | Self::Groups { seq }
            | Self::Pruned { seq, .. }
            | Self::Redaction { seq, .. } => *seq,
        }
    }
}

// === impl Reader ===

impl Reader {
    /// Checks every row.
    ///
    /// # Errors
    ///
    /// When the database cannot be read. A row that is wrong is no error but a [`Verdict`].
    pub async fn verify(&self) -> Result<Verdict, StoreError> {
        self.verify_with(|_, _| {}).await
    }

    /// Checks every row, and tells on the way how many of how many have been checked.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn verify_with(
        &self,
        progress: impl Fn(i64, i64) + Sync,
    ) -> Result<Verdict, StoreError> {
        let mut before = Vouched::read(self).await?;
        for _ in 1..TRIES {
            let verdict = self.walk(&before, &progress).await?;
            if matches!(verdict, Verdict::Intact { .. }) {
                return Ok(verdict);
            }
            // What looks like a missing or an edited row may have been removed or redacted meanwhile.
            let after = Vouched::read(self).await?;
            if after == before {
                return Ok(verdict);
            }
            before = after;
        }
        self.walk(&before, &progress).await
    }

    async fn walk(
        &self,
        vouched: &Vouched,
        progress: &(impl Fn(i64, i64) + Sync),
    ) -> Result<Verdict, StoreError> {
        let Some((first, prev_hash)) = self.first().await? else {
            return Ok(Verdict::Intact {
                rows: 0,
                head: None,
                pruned: 0,
                redacted: 0,
            });
        };
        let broken = |rows, fault| Ok(Verdict::Broken { rows, fault });
        let mut tip = Tip {
            seq: 0,
            hash: GENESIS.to_owned(),
        };
        if first != 1 {
            if first < 1 || vouched.pruned_up_to() < first - 1 {
                let gap = Broken::Gap {
                    expected: 1,
                    found: first,
                };
                return broken(0, gap.into());
            }
            tip = Tip {
                seq: first - 1,
                hash: prev_hash,
            };
        }
        if let Some(fault) = vouched.wrong_prune(tip.seq, &tip.hash) {
            return broken(0, fault);
        }

        let mut head: Option<Link> = None;
        let mut redacted = 0;
        let step = AtomicI64::new(run::FIRST);
        loop {
            let last = self.last().await?;
            if last <= tip.seq {
                break;
            }
            let mut next = tip.seq + 1;
            let ranges = std::iter::from_fn(|| {
                let end = next
                    .saturating_add(step.load(Ordering::Relaxed) - 1)
                    .min(last);
                let range = (next <= last).then_some((next, end));
                next = end.saturating_add(1);
                range
            });
            let mut runs = stream::iter(ranges)
                .map(|(from, to)| Run::check(self, vouched, from, to, &step))
                .buffered(RUNS);
            while let Some(run) = runs.next().await {
                let run = run?;
                if let Some(fault) = run.fault_behind(&tip) {
                    let fault = self.named(fault).await?;
                    return broken(fault.seq() - first, fault);
                }
                redacted += run.redacted;
                if let Some(link) = run.last {
                    tip.seq = link.seq;
                    tip.hash.clone_from(&link.hash);
                    head = Some(link);
                }
                progress(tip.seq - first + 1, last - first + 1);
            }
        }
        let mut faults = vec![self.wrong_groups().await?];
        faults.push(
            vouched
                .forged()
                .map(|event| Fault::Redaction { seq: event, event }),
        );
        for prune in &vouched.prunes {
            let hash = self.hash_of(prune.up_to).await?;
            faults.push(hash.and_then(|hash| vouched.wrong_prune(prune.up_to, &hash)));
        }
        let fault = faults.into_iter().flatten().min_by_key(Fault::seq);
        if let Some(fault) = fault {
            return broken(fault.seq() - first, fault);
        }
        Ok(Verdict::Intact {
            rows: tip.seq - first + 1,
            head,
            pruned: first - 1,
            redacted,
        })
    }

    // Which row comes next where one is missing.
    async fn named(&self, fault: Fault) -> Result<Fault, StoreError> {
        let Fault::Chain(Broken::Gap { expected, .. }) = fault else {
            return Ok(fault);
        };
        let found: Option<i64> =
            sqlx::query_scalar("SELECT min(seq) FROM audit_events WHERE seq > ?")
                .bind(expected)
                .fetch_one(&self.pool)
                .await?;
        let found = found.unwrap_or(expected + 1);
        Ok(Broken::Gap { expected, found }.into())
    }

    async fn first(&self) -> Result<Option<(i64, String)>, StoreError> {
        let first: Option<(i64, Option<String>)> = sqlx::query_as(
            "SELECT seq, CAST(prev_hash AS TEXT) FROM audit_events ORDER BY seq LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(first.map(|(seq, prev_hash)| (seq, prev_hash.unwrap_or_default())))
    }

    /// The hash of a row, as it stands there.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn hash_of(&self, seq: i64) -> Result<Option<String>, StoreError> {
        let hash = sqlx::query_scalar("SELECT hash FROM audit_events WHERE seq = ?")
            .bind(seq)
            .fetch_optional(&self.pool)
            .await?;
        Ok(hash)
    }

    // The first row whose groups differ from its `changes`, which the chain covers.
    async fn wrong_groups(&self) -> Result<Option<Fault>, StoreError> {
        // Most events concern one group and say which, or none. Those that tell of several are few and have
        // an index, which the planner does not choose by itself; `changes` are written without white space,
        // and that they are as written, the chain has shown.
        let sql = format!(
            r#"WITH told AS (
                 SELECT DISTINCT e.seq, e.organization_id, c.value ->> '$.group_id' AS group_id
                 FROM audit_events e INDEXED BY audit_events_by_organization_time_of_several
                 JOIN json_each(e.changes) c
                 WHERE e.group_id IS NULL AND instr(e.changes, '"group_id":') > 0
                     AND c.value ->> '$.group_id' IS NOT NULL
             ),
             listed AS (SELECT seq, organization_id, group_id FROM audit_event_groups),
             -- What filters find them by is the third to say the same.
             asked AS (SELECT seq, organization_id, group_id, who, action, outcome FROM audit_several),
             meant AS (
                 SELECT l.seq, l.organization_id, l.group_id,
                     {WHO},
                     e.action, e.outcome
                 FROM listed l CROSS JOIN audit_events e ON e.seq = l.seq
             )
             SELECT min(seq) FROM (
                 SELECT seq FROM (SELECT * FROM told EXCEPT SELECT * FROM listed)
                 UNION ALL
                 SELECT seq FROM (SELECT * FROM listed EXCEPT SELECT * FROM told)
                 UNION ALL
                 SELECT seq FROM (SELECT * FROM meant EXCEPT SELECT * FROM asked)
                 UNION ALL
                 SELECT seq FROM (SELECT * FROM asked EXCEPT SELECT * FROM meant)
             )"#,
        );
        let seq: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.pool)
            .await?;
        Ok(seq.map(|seq| Fault::Groups { seq }))
    }
}
