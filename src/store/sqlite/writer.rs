//! The one task that writes.
//!
//! **Guarantee** (DESIGN §1.5): what was answered `Ok` is on disk. Everything that waits when the task
//! gets to it, up to [`BATCH`], shares one transaction and so one wait for the disk. A command that
//! cannot be written takes no other with it: the batch is rolled back and each is tried alone.
//!
//! **One chain** (DESIGN §1.6): the head is read inside the transaction, by primary key, after
//! `BEGIN IMMEDIATE` has shut other processes out. There is no copy in memory that a failed commit or
//! a second writer could make wrong.
//!
//! Bounded (DESIGN §1.8): [`QUEUE`] commands wait; who comes then waits for a place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};

use super::drift::{self, Noticed};
use super::presence::Presence;
use super::{checkpoints, learn, prune, usage, write};
use crate::domain::caller::Person;
use crate::domain::event::{Draft, Intent};
use crate::domain::ids::{EventId, OrganizationId};
use crate::domain::row::Link;
use crate::store::{Fact, Learned, Spent, StoreError, views};

/// How many commands one transaction takes at most.
const BATCH: usize = 256;

/// How many commands wait at most.
const QUEUE: usize = 1024;

/// How long [`Sender::probe`] waits for its answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What can be asked of the writer.
#[derive(Debug)]
pub(super) enum Write {
    /// Keep an intent.
    Intend(Box<Intent>),
    /// Put an event at the end of the trail, in place of its intent.
    Complete(Box<Draft>, Vec<Learned>),
    /// Take over news.
    Learn(Vec<Learned>),
    /// Keep who is behind a credential.
    Remember(String, Person, Timestamp),
    /// Add up what the quota was spent on.
    Spend(Box<Spent>),
    /// Keep a signed checkpoint, by the row it is about.
    Checkpoint(i64, String),
    /// Remove the oldest rows, some of those up to this one, as an event of the trail says.
    Forget(i64),
    /// Write something, to know that it can be done.
    Probe(Timestamp),
    /// Write nothing, to know that all that was queued before has been written.
    Settle,
}

#[derive(Debug)]
enum Command {
    Write(Job),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Job {
    write: Write,
    // `None` for news: nobody waits for it.
    reply: Option<oneshot::Sender<Result<(), StoreError>>>,
    // `None` for all but news.
    _unsettled: Option<Unsettled>,
}

/// News that is queued and not written yet. Goes with its job, whatever becomes of that.
#[derive(Debug)]
struct Unsettled(Arc<AtomicUsize>);

/// Gives commands to the writer. When the last one is gone, the writer finishes and ends.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    commands: mpsc::Sender<Command>,
    unsettled: Arc<AtomicUsize>,
    heads: watch::Receiver<Option<Link>>,
    noticed: Arc<Mutex<BTreeMap<OrganizationId, u64>>>,
}

/// The task. Its lock on the database lives as long as it does.
pub(super) struct Writer {
    connection: SqliteConnection,
    _presence: Presence,
    // Where the trail ends, for whoever signs it.
    heads: watch::Sender<Option<Link>>,
    // How many changes made elsewhere were noticed so far.
    noticed: Arc<Mutex<BTreeMap<OrganizationId, u64>>>,
}

// What became of a transaction's jobs: the last row they wrote, and what their lists gave away.
struct Applied {
    head: Option<Link>,
    noticed: Vec<Noticed>,
}

/// The intents that come and go in one transaction. Only who compares lists looks at them there, so that
/// all in between are written together.
#[derive(Default)]
struct Intents<'a> {
    come: Vec<&'a Intent>,
    gone: Vec<EventId>,
}

// What failed decides who is told: without a transaction nobody's command was even looked at.
enum Failure {
    Begin(StoreError),
    Work(StoreError),
}

// === impl Sender ===

impl Sender {
    /// Writes, and comes back when it is on disk.
    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            write,
            reply: Some(reply),
            _unsettled: None,
        };
        self.commands
            .send(Command::Write(job))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues news. Without a place in the queue it is dropped: changes come first, and the next list
    /// tells it again.
    pub(super) fn learn(&self, learned: Vec<Learned>) {
        let job = Job {
            write: Write::Learn(learned),
            reply: None,
            _unsettled: Some(Unsettled::count(&self.unsettled)),
        };
        if self.commands.try_send(Command::Write(job)).is_err() {
            tracing::debug!("The audit store is busy: what a list told was not taken over");
        }
    }

    /// Comes back when the news that was queued before has been written, or could not be. Whoever reads
    /// a list and then changes a group finds that group as the list told it.
    pub(super) async fn settled(&self) {
        if self.unsettled.load(Ordering::SeqCst) > 0 {
            // An error is told to whoever waits for a row of their own.
            let _ = self.write(Write::Settle).await;
        }
    }

    /// Writes a row that says when, so that a full disk is noticed before a change is at stake.
    pub(super) async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        tokio::time::timeout(PROBE_TIMEOUT, self.write(Write::Probe(now)))
            .await
            .map_err(|_| StoreError::Slow(PROBE_TIMEOUT))?
    }

    /// The last row that this process wrote, whenever it is another one.
    pub(super) fn heads(&self) -> watch::Receiver<Option<Link>> {
        self.heads.clone()
    }

    /// How many changes made elsewhere were noticed since the start, by organization.
    pub(super) fn noticed(&self) -> Vec<(OrganizationId, u64)> {
        let noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        noticed.iter().map(|(of, count)| (*of, *count)).collect()
    }

    /// Ends the writer, when all that was queued before is on disk.
    pub(super) async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).await.is_ok() {
            // An error says that it has ended already.
            let _ = done.await;
        }
    }
}

// === impl Unsettled ===

impl Unsettled {
    fn count(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(all))
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Writer ===

impl Writer {
    /// Starts the task.
    pub(super) fn start(connection: SqliteConnection, presence: Presence) -> Sender {
        let (sender, commands) = mpsc::channel(QUEUE);
        let (heads, seen) = watch::channel(None);
        let writer = Self {
            connection,
            _presence: presence,
            heads,
            noticed: Arc::default(),
        };
        let noticed = Arc::clone(&writer.noticed);
        tokio::spawn(writer.serve(commands));
        Sender {
            commands: sender,
            unsettled: Arc::default(),
            heads: seen,
            noticed,
        }
    }

    async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut closing = Vec::new();
        let mut waiting = Vec::with_capacity(BATCH);
        // Everything that is there at this moment. What comes during the commit shares the next one.
        while commands.recv_many(&mut waiting, BATCH).await > 0 {
            let mut jobs = Vec::with_capacity(waiting.len());
            for command in waiting.drain(..) {
                match command {
                    Command::Write(job) => jobs.push(job),
                    Command::Close(reply) => {
                        commands.close(); // what is queued is still received
                        closing.push(reply);
                    }
                }
            }
            self.commit(jobs).await;
        }
        self.finish().await;
        for reply in closing {
            let _ = reply.send(());
        }
    }

    async fn commit(&mut self, jobs: Vec<Job>) {
        match self.transact(&jobs).await {
            Ok(()) => answer(jobs, &Ok(())),
            Err(Failure::Work(_)) if jobs.len() > 1 => self.commit_each(jobs).await,
            Err(Failure::Work(error) | Failure::Begin(error)) => answer(jobs, &Err(error)),
        }
    }

    async fn commit_each(&mut self, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            let job = vec![job];
            match self.transact(&job).await {
                Ok(()) => answer(job, &Ok(())),
                Err(Failure::Work(error)) => answer(job, &Err(error)),
                // Not one more of these: each would wait for the lock again, for seconds.
                Err(Failure::Begin(error)) => {
                    answer(job.into_iter().chain(jobs), &Err(error));
                    return;
                }
            }
        }
    }

    async fn transact(&mut self, jobs: &[Job]) -> Result<(), Failure> {
        if jobs.is_empty() {
            return Ok(());
        }
        let began = self.run("BEGIN IMMEDIATE").await.map_err(Failure::Begin);
        let result = match began {
            Ok(()) => self.apply(jobs).await.map_err(Failure::Work),
            Err(failure) => Err(failure),
        };
        if result.is_err()
            && let Err(error) = self.run("ROLLBACK").await
        {
            // A full disk has rolled back by itself, and says that there is nothing left to do.
            tracing::debug!(%error, "Rolled back already");
        }
        result
    }

    async fn apply(&mut self, jobs: &[Job]) -> Result<(), StoreError> {
        let Applied { head, noticed } = apply(&mut self.connection, jobs).await?;
        self.run("COMMIT").await?;
        if head.is_some() {
            self.heads.send_replace(head);
        }
        let mut so_far = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        for (organization, count) in noticed {
            views::log(organization, count);
            *so_far.entry(organization).or_default() += count as u64;
        }
        Ok(())
    }

    // Not by sqlx's `Transaction`: it counts how deep it is in transactions, and a rollback that
    // SQLite did by itself, on a full disk, would leave it counting one too many for good.
    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn finish(mut self) {
        // One file instead of three. No `PRAGMA optimize` here: what it would note of a young trail
        // makes the planner walk the table, and a gateway that runs for months would never note anew.
        if let Err(error) = self.run("PRAGMA wal_checkpoint(TRUNCATE)").await {
            tracing::warn!(%error, "Could not fold the write-ahead log into the audit database");
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "Could not close the audit database");
        }
    }
}

// === impl Intents ===

impl Intents<'_> {
    async fn write_before(
        &mut self,
        connection: &mut SqliteConnection,
        learned: &[Learned],
    ) -> Result<(), StoreError> {
        let shows_a_list = |learned: &Learned| matches!(learned.fact, Fact::View(_));
        if learned.iter().any(shows_a_list) {
            self.write(connection).await?;
        }
        Ok(())
    }

    async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        if !self.come.is_empty() {
            write::intents(connection, &self.come).await?;
            self.come.clear();
        }
        if !self.gone.is_empty() {
            write::remove_intents(connection, &self.gone).await?;
            self.gone.clear();
        }
        Ok(())
    }
}

async fn apply(connection: &mut SqliteConnection, jobs: &[Job]) -> Result<Applied, StoreError> {
    // The last row of the trail: read once, then it is the one that was written last.
    let mut head = None;
    let mut noticed = Vec::new();
    let mut intents = Intents::default();
    for job in jobs {
        match &job.write {
            Write::Intend(intent) => intents.come.push(intent),
            Write::Complete(draft, learned) => {
                drift::precede(connection, &mut head, draft).await?;
                write::append(connection, &mut head, draft).await?;
                drift::conclude(connection, draft, learned).await?;
                intents.gone.push(draft.intent.id);
                intents.write_before(connection, learned).await?;
                noticed.extend(drift::observe(connection, &mut head, learned).await?);
                learn::all(connection, learned).await?;
            }
            Write::Learn(learned) => {
                intents.write_before(connection, learned).await?;
                noticed.extend(drift::observe(connection, &mut head, learned).await?);
                learn::all(connection, learned).await?;
            }
            Write::Remember(credential_id, person, at) => {
                learn::person(connection, credential_id, person, *at).await?;
            }
            Write::Spend(spent) => usage::keep(connection, spent).await?,
            Write::Checkpoint(seq, note) => checkpoints::keep(connection, *seq, note).await?,
            Write::Forget(up_to) => prune::forget(connection, *up_to).await?,
            Write::Probe(now) => write::probe(connection, *now).await?,
            Write::Settle => {}
        }
    }
    intents.write(connection).await?;
    Ok(Applied { head, noticed })
}

fn answer(jobs: impl IntoIterator<Item = Job>, result: &Result<(), StoreError>) {
    for job in jobs {
        if let Some(reply) = job.reply {
            // Who no longer waits does not need the answer: the row is there or it is not.
            let _ = reply.send(result.clone());
        }
    }
}
