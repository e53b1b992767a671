//! What a gateway does for its trail by itself: it signs where the trail ends, and removes what is old.
//!
//! **Guarantees** (DESIGN §4). A checkpoint goes to the log and is kept after every so many events and
//! every so long, if there are new ones; also over restarts, because what is due follows from the newest
//! that was kept. It is made by a task of its own: no change waits for a signature. Rows older than
//! `audit.retention` go within the hour.
//!
//! Nothing here ends the gateway: what fails is logged, and tried again when it is due again.

pub mod warnings;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::checkpoint::{Checkpoint, SigningKey};
use crate::domain::event::Source;
use crate::domain::own::{self, Operator};
use crate::domain::row::Link;
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;

/// When a checkpoint is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// So many events after the last one.
    pub events: i64,
    /// So long after the last one.
    pub after: Duration,
}

/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Signs checkpoints of a trail.
#[derive(Debug)]
pub struct Signer {
    store: SqliteStore,
    key: SigningKey,
    clock: Clock,
    due: Due,
    heads: watch::Receiver<Option<Link>>,
    // The row of the newest checkpoint, and when the next one is due if there are new rows.
    signed: i64,
    next: Instant,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            events: 1000,
            after: Duration::from_secs(60 * 60),
        }
    }
}

// === impl Signer ===

impl Signer {
    /// One that goes on where the last one ended.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn new(
        store: SqliteStore,
        key: SigningKey,
        clock: Clock,
        due: Due,
    ) -> Result<Self, StoreError> {
        let newest = store.reader().newest_checkpoint().await?;
        let verifier = key.verifier();
        let opened = |note: &String| Checkpoint::open(note, &verifier).ok();
        // One of another key is nobody's: with a new key, a new one is due.
        let last = newest.and_then(|(seq, note)| Some((seq, opened(&note)?.at)));
        let (signed, waited) = match last {
            Some((seq, at)) => (seq, since(at, clock.now())),
            None => (0, due.after),
        };
        Ok(Self {
            heads: store.heads(),
            signed,
            next: Instant::now() + due.after.saturating_sub(waited),
            store,
            key,
            clock,
            due,
        })
    }

    /// Signs what is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let is_due = tokio::select! {
                () = stop.cancelled() => return,
                // The sender is the store's writer: it ends with the store, which ends after this.
                changed = self.heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let head = self.heads.borrow_and_update().as_ref().map_or(0, |link| link.seq);
                    head - self.signed >= self.due.events
                }
                () = sleep_until(self.next) => true,
            };
            if is_due {
                self.next = Instant::now() + self.due.after;
                if let Err(error) = self.sign().await {
                    tracing::warn!(%error, "The trail's checkpoint could not be kept");
                }
            }
        }
    }

    async fn sign(&mut self) -> Result<(), StoreError> {
        let head = self.store.reader().head().await?;
        let Some(head) = head.filter(|head| head.seq > self.signed) else {
            return Ok(());
        };
        let database = self.store.reader().database_id().await?;
        let note = Checkpoint::new(database, Some(&head), self.clock.now()).sign(&self.key);
        // To the log first: that is where whoever owns the file cannot take it back.
        tracing::info!(
            seq = head.seq,
            checkpoint = note,
            "Signed a checkpoint of the trail at row {}",
            head.seq
        );
        self.signed = head.seq;
        self.store.keep_checkpoint(head.seq, note).await
    }
}

/// Removes rows older than `keep` now and every hour, until `stop`.
pub async fn prune(store: SqliteStore, keep: Duration, clock: Clock, stop: CancellationToken) {
    let mut every = interval(PRUNE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        // A step that is under way ends with the store; what is left, the next start completes.
        let pruned = tokio::select! {
            () = stop.cancelled() => return,
            pruned = prune_once(&store, keep, clock.now()) => pruned,
        };
        match pruned {
            Ok(0) => {}
            Ok(rows) => {
                tracing::info!(rows, "Removed {rows} events older than audit.retention");
            }
            Err(error) => tracing::warn!(%error, "Old events could not be removed"),
        }
    }
}

async fn prune_once(
    store: &SqliteStore,
    keep: Duration,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
    // Further back than time goes, nothing is older.
    let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
    let operator = Operator {
        name: None,
        source: Source::default(),
        by: "CONFIG",
        asked: "audit.retention".to_owned(),
    };
    let event = |removal: &crate::store::sqlite::Removal| {
        own::pruned(&operator, removal.rows(), removal.last, &removal.hash, now)
    };
    let pruned = store.prune(before, event).await?;
    let removed = pruned.removed.map_or(0, |removal| removal.rows());
    Ok(removed + pruned.completed)
}

fn since(at: Timestamp, now: Timestamp) -> Duration {
    // A clock that was set back: as if it had been just now.
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
