//! A run of rows, checked by itself: all but that its first row follows the run before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::SqliteConnection;

use super::scan::{self, Raw};
use super::vouched::Vouched;
use super::{Fault, Reader, Tip};
use crate::domain::canonical::{self, Canonical, Commitments, Hidden};
use crate::domain::row::{Broken, Link};
use crate::store::StoreError;

/// How many rows the first run has; later ones as many as come to [`SIZE`].
pub(super) const FIRST: i64 = 64;

/// How many bytes a run ought to have: enough to pay for a statement, few enough for several at once.
const SIZE: usize = 384 * 1024;

/// No run has more rows, so that a few large ones in a row of small ones do no harm.
const MOST: usize = 512;

/// What a check of a run found.
pub(super) struct Run {
    /// The first row's place, if it is there.
    first: Option<Link>,
    /// The last row that is good.
    pub(super) last: Option<Link>,
    /// How many rows hold no longer what was written.
    pub(super) redacted: i64,
    fault: Option<Fault>,
}

/// What a redaction left to check a row with.
struct Entry {
    event: i64,
    commitments: Commitments,
    content_hash: String,
}

// A walk through the rows of a run.
struct Walk {
    run: Run,
    expected: i64,
    entries: BTreeMap<i64, Entry>,
    forged: BTreeSet<i64>,
    canonical: Canonical,
}

// === impl Run ===

impl Run {
    /// Checks the rows from `from` to `to`, of which all should be there.
    pub(super) async fn check(
        reader: &Reader,
        vouched: &Vouched,
        from: i64,
        to: i64,
        step: &AtomicI64,
    ) -> Result<Self, StoreError> {
        let (text, entries) = if vouched.has_redactions() {
            // One state of both tables: a redaction writes to both at once.
            let mut transaction = reader.pool.begin().await?;
            let entries = entries(&mut transaction, from, to).await?;
            let text = scan::run(&mut transaction, from, to).await?;
            transaction.commit().await?;
            (text, entries)
        } else {
            let mut connection = reader.pool.acquire().await?;
            let text = scan::run(&mut connection, from, to).await?;
            (text, BTreeMap::new())
        };
        let mut walk = Walk {
            run: Self {
                first: None,
                last: None,
                redacted: 0,
                fault: None,
            },
            expected: from,
            entries,
            forged: vouched.forged.clone(),
            canonical: Canonical::new(),
        };
        let Some(text) = text else {
            return walk.one_by_one(reader, to).await;
        };
        let walked = tokio::task::spawn_blocking(move || {
            let text = text.as_str();
            let readable = text.is_some_and(|text| walk.through(text));
            (walk, readable, text.map_or(0, str::len))
        });
        // It panics on no text, and nobody aborts it.
        let (walk, readable, length) = walked
            .await
            .map_err(|error| StoreError::Corrupt(format!("the check of row {from}: {error}")))?;
        if readable {
            let rows = usize::try_from(to - from + 1).unwrap_or(1);
            let fit = (SIZE * rows / length.max(1)).clamp(1, MOST);
            step.store(i64::try_from(fit).unwrap_or(FIRST), Ordering::Relaxed);
            Ok(walk.end(to))
        } else {
            walk.one_by_one(reader, to).await
        }
    }

    /// What is wrong with the run where it comes behind `tip`.
    pub(super) fn fault_behind(&self, tip: &Tip) -> Option<Fault> {
        match &self.first {
            Some(first) if first.prev_hash != tip.hash => {
                Some(Broken::Unlinked { seq: first.seq }.into())
            }
            _ => self.fault.clone(),
        }
    }
}

// === impl Walk ===

impl Walk {
    /// Checks the rows of a text; `false` if there is one that it cannot hold.
    fn through(&mut self, text: &str) -> bool {
        let mut rest = text;
        while !rest.is_empty() && self.run.fault.is_none() {
            let Some(row) = scan::next(&mut rest) else {
                return false;
            };
            self.step(&row);
        }
        true
    }

    /// The same row by row, from where the text ended.
    async fn one_by_one(mut self, reader: &Reader, to: i64) -> Result<Run, StoreError> {
        while self.run.fault.is_none() && self.expected <= to {
            let rows = reader.rows(self.expected - 1, 1).await?;
            let Some((seq, stored)) = rows.into_iter().next().filter(|(seq, _)| *seq <= to) else {
                break;
            };
            let row = stored.as_ref().map(|stored| Raw {
                salt: stored.salt,
                prev_hash: &stored.link.prev_hash,
                hash: &stored.link.hash,
                pieces: stored.row.pieces(seq),
                seq,
            });
            match row.filter(|row| scan::fits(&row.pieces)) {
                Some(row) => self.step(&row),
                None if seq == self.expected => self.run.fault = Some(Fault::Unreadable { seq }),
                None => break,
            }
        }
        Ok(self.end(to))
    }

    fn step(&mut self, row: &Raw<'_>) {
        if row.seq != self.expected {
            return self.missing();
        }
        match &self.run.last {
            None => self.run.first = Some(link(row)),
            Some(last) if last.hash != row.prev_hash => {
                self.run.fault = Some(Broken::Unlinked { seq: row.seq }.into());
                return;
            }
            Some(_) => {}
        }
        if let Some(fault) = self.fault_of(row) {
            self.run.fault = Some(fault);
            return;
        }
        match &mut self.run.last {
            None => self.run.last = Some(link(row)),
            // In the same two texts, over and over.
            Some(last) => {
                last.seq = row.seq;
                row.prev_hash.clone_into(&mut last.prev_hash);
                row.hash.clone_into(&mut last.hash);
            }
        }
        self.expected += 1;
    }

    fn fault_of(&mut self, row: &Raw<'_>) -> Option<Fault> {
        let seq = row.seq;
        let edited = Some(Fault::Chain(Broken::Edited { seq }));
        let Some(entry) = self.entries.get(&seq) else {
            let hash = self
                .canonical
                .link(row.prev_hash, &row.pieces, Hidden::Salted(&row.salt));
            return if is(&hash, row.hash) { None } else { edited };
        };
        let event = entry.event;
        if self.forged.contains(&event) {
            return Some(Fault::Redaction { seq, event });
        }
        let kept = Hidden::Kept(&entry.commitments);
        let hash = self.canonical.link(row.prev_hash, &row.pieces, kept);
        let content = self.canonical.content(&row.pieces, &row.salt);
        if !is(&hash, row.hash) || !is(&content, &entry.content_hash) {
            return edited;
        }
        self.run.redacted += 1;
        None
    }

    fn missing(&mut self) {
        let expected = self.expected;
        // Which row comes next, whoever tells of it will ask.
        let gap = Broken::Gap {
            expected,
            found: expected + 1,
        };
        self.run.fault = Some(gap.into());
    }

    fn end(mut self, to: i64) -> Run {
        if self.run.fault.is_none() && self.expected <= to {
            self.missing();
        }
        self.run
    }
}

fn link(row: &Raw<'_>) -> Link {
    Link {
        seq: row.seq,
        prev_hash: row.prev_hash.to_owned(),
        hash: row.hash.to_owned(),
    }
}

fn is(hash: &[u8; 32], hexadecimal: &str) -> bool {
    canonical::hexadecimal(hash) == hexadecimal.as_bytes()
}

// The newest entry of each row: those of earlier redactions speak of what it no longer holds.
async fn entries(
    connection: &mut SqliteConnection,
    from: i64,
    to: i64,
) -> Result<BTreeMap<i64, Entry>, StoreError> {
    let rows: Vec<(i64, i64, String, String)> = sqlx::query_as(
        "SELECT seq, redaction_seq, commitments, content_hash FROM audit_redactions
         WHERE seq BETWEEN ? AND ? ORDER BY seq, redaction_seq",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await?;
    let entry = |(seq, event, commitments, content_hash): (i64, i64, String, String)| {
        let commitments = serde_json::from_str(&commitments).unwrap_or_default();
        let entry = Entry {
            event,
            commitments,
            content_hash,
        };
        (seq, entry)
    };
    Ok(rows.into_iter().map(entry).collect())
}
