//! Takes a person out of the trail, and out of all else that is kept.
//!
//! **Guarantee**: afterwards the file and its write-ahead log hold nothing of the person, and the chain
//! still verifies. The chain's hash covers commitments to what can name a person, not the values: of
//! each row that named them those commitments are kept, the salt under which they could be guessed is
//! not, and a hash of the row as it is now, under a new salt, protects what is left. The event
//! `tollgate.redact`, which never says who it was, holds a digest over all of this, so that nobody
//! passes an edit off as a redaction.
//!
//! All of it is one transaction, so a crash leaves everything or nothing. The rows are looked through
//! before it begins, so that changes are not held up meanwhile; inside it, only those that were added
//! since. Then the file is written anew, which holds changes up for as long as it takes: what was
//! deleted earlier, such as intents, is in no free page either.

mod known;

use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use self::known::{forget, know, rows_after};
use super::reader::stored;
use super::verify::entry;
use super::{Reader, SqliteStore, open, query, salt, write};
use crate::domain::canonical::{Canonical, Commitments, SORTED};
use crate::domain::erase::{Eraser, Named};
use crate::domain::event::Draft;
use crate::domain::ids::UserId;
use crate::domain::row::{COLUMNS, Cell};
use crate::store::StoreError;
use crate::store::stored::Stored;

/// Why a person was not taken out; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// There is nothing to take out.
    #[error("nothing in the trail names user {0}")]
    Nobody(UserId),
    /// A change that names them has no outcome yet.
    #[error("{0} under way that name them: try again when these have ended")]
    UnderWay(Changes),
    /// A row of the first builds has something of them in a column that cannot be changed.
    #[error(
        "row {seq} is of format 1, whose hash covers the column {column} as it is, so they cannot be taken out; `audit prune` can remove the row"
    )]
    Fixed {
        /// The row.
        seq: i64,
        /// The column.
        column: &'static str,
    },
    /// Something of them would be left in a row.
    #[error("row {seq}: {stuck}")]
    Stuck {
        /// The row.
        seq: i64,
        /// Where.
        stuck: crate::domain::erase::Stuck,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes(pub usize);

/// What was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// From how many rows of the trail.
    pub rows: usize,
    /// The row of the event that says so.
    pub event: i64,
    /// Whether the file was written anew and its write-ahead log emptied: not while somebody reads an
    /// older state.
    pub emptied: bool,
}

/// A person, and the rows that name them: what [`SqliteStore::redact`] would change.
#[derive(Clone, Debug)]
pub struct Mentions {
    person: Named,
    rows: Vec<i64>,
    looked_at: i64,
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("a change is"),
            count => write!(f, "{count} changes are"),
        }
    }
}

impl From<sqlx::Error> for RedactError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

// === impl Mentions ===

impl Mentions {
    /// How many rows of the trail name the person.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}

// === impl Reader ===

impl Reader {
    /// Looks for a person in the trail.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn mentions(&self, user: UserId) -> Result<Mentions, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut person = Named::numbered(user.0);
        let looked_at = know(&mut connection, &mut person, 0).await?;
        let mut mentions = Mentions {
            person,
            rows: Vec::new(),
            looked_at: 0,
        };
        mentions.look(&mut connection, Some(looked_at)).await?;
        Ok(mentions)
    }
}

impl Mentions {
    // Looks at the rows that were not looked at yet, up to `last`.
    async fn look(
        &mut self,
        connection: &mut SqliteConnection,
        last: Option<i64>,
    ) -> Result<(), StoreError> {
        let eraser = Eraser::of(self.person.clone());
        loop {
            let rows = rows_after(connection, self.looked_at).await?;
            let Some(end) = rows.last().map(|stored| stored.link.seq) else {
                return Ok(());
            };
            for stored in rows {
                let seq = stored.link.seq;
                // One that cannot be taken out of it is found, too; then it is said.
                if !matches!(eraser.erase(&stored.row, ""), Ok(None)) {
                    self.rows.push(seq);
                }
            }
            self.looked_at = end;
            if last.is_some_and(|last| end >= last) {
                return Ok(());
            }
        }
    }
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Takes a person out. `event` makes the event of it from the number of rows and the digest.
    ///
    /// # Errors
    ///
    /// Why not; then nothing was changed.
    pub async fn redact(
        &self,
        mut mentions: Mentions,
        event: impl FnOnce(usize, String) -> Draft,
    ) -> Result<Redacted, RedactError> {
        let options = open::writing(self.place.path()).pragma("secure_delete", "ON");
        let mut connection = open::connect(self.place.path(), options).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let known = mentions.person.count();
        let since = mentions.looked_at;
        know(&mut transaction, &mut mentions.person, since).await?;
        if mentions.person.count() > known {
            // By another name they may be in rows that were looked at.
            mentions.rows.clear();
            mentions.looked_at = 0;
        }
        mentions.look(&mut transaction, None).await?;
        let eraser = Eraser::of(mentions.person.clone());
        under_way(&mut transaction, &eraser).await?;
        let forgotten = forget(&mut transaction, &mentions.person, &eraser).await?;
        if mentions.rows.is_empty() && forgotten == 0 {
            return Err(RedactError::Nobody(UserId(mentions.person.id)));
        }

        let head = write::head(&mut transaction).await?;
        let event_seq = head.as_ref().map_or(1, |link| link.seq + 1);
        let digest = replace(&mut transaction, &mentions.rows, &eraser, event_seq).await?;
        let draft = event(mentions.rows.len(), digest);
        write::event(&mut transaction, head.as_ref(), &draft).await?;
        transaction.commit().await?;

        let emptied = match anew(&mut connection).await {
            Ok(emptied) => emptied,
            Err(error) => {
                tracing::warn!(%error, "The person is erased, but the file could not be written anew");
                false
            }
        };
        // Nothing is written by it any more: what it says cannot matter.
        let _ = connection.close().await;
        Ok(Redacted {
            rows: mentions.rows.len(),
            event: event_seq,
            emptied,
        })
    }
}

// Writes the file anew and empties the write-ahead log; `false` where somebody reads an older state.
async fn anew(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    sqlx::query("VACUUM").execute(&mut *connection).await?;
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    Ok(busy == 0)
}

async fn under_way(connection: &mut SqliteConnection, eraser: &Eraser) -> Result<(), RedactError> {
    let intents: Vec<String> = sqlx::query_scalar("SELECT intent FROM audit_intents")
        .fetch_all(connection)
        .await?;
    match intents.iter().filter(|intent| eraser.is_in(intent)).count() {
        0 => Ok(()),
        count => Err(RedactError::UnderWay(Changes(count))),
    }
}

// Puts the rows without the person in their places; gives the digest of the entries.
async fn replace(
    connection: &mut SqliteConnection,
    rows: &[i64],
    eraser: &Eraser,
    event: i64,
) -> Result<String, RedactError> {
    // The trigger is away for these statements of this transaction alone, and comes back as it was.
    let guard: String = sqlx::query_scalar(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = 'audit_events_no_update'",
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("DROP TRIGGER audit_events_no_update")
        .execute(&mut *connection)
        .await?;
    // Random, so that it cannot be computed from the credential, should that be used again.
    let stand_in = format!("redacted-{}", hex::encode(&salt()?[..4]));
    let mut digest = Sha256::new();
    for seq in rows {
        let row = sqlx::query(query::AT.as_str())
            .bind(seq)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else {
            continue; // pruned meanwhile
        };
        let line = replace_one(connection, &stored(&row)?, eraser, event, &stand_in).await?;
        digest.update(line);
    }
    sqlx::raw_sql(AssertSqlSafe(guard))
        .execute(connection)
        .await?;
    Ok(hex::encode(digest.finalize()))
}

async fn replace_one(
    connection: &mut SqliteConnection,
    stored: &Stored,
    eraser: &Eraser,
    event: i64,
    stand_in: &str,
) -> Result<String, RedactError> {
    let seq = stored.link.seq;
    let row = eraser
        .erase(&stored.row, stand_in)
        .map_err(|stuck| RedactError::Stuck { seq, stuck })?
        .unwrap_or_else(|| stored.row.clone());
    let format = match stored.row.0.last() {
        Some(Cell::Integer(format)) => *format,
        _ => 0,
    };
    for member in SORTED.iter().filter(|member| !member.is_personal(format)) {
        let Some(column) = member.column else {
            continue;
        };
        if row.0.get(column) != stored.row.0.get(column) {
            let column = member.name;
            return Err(RedactError::Fixed { seq, column });
        }
    }
    // What was written first: a row that was redacted before has it in its entry alone.
    let earlier: Option<String> = sqlx::query_scalar(
        "SELECT commitments FROM audit_redactions WHERE seq = ? ORDER BY redaction_seq DESC LIMIT 1",
    )
    .bind(seq)
    .fetch_optional(&mut *connection)
    .await?;
    let commitments = match earlier {
        Some(commitments) => commitments,
        None => {
            let commitments = Commitments::to(&stored.row.pieces(seq), &stored.salt);
            serde_json::to_string(&commitments)
                .map_err(|error| StoreError::Corrupt(format!("row {seq}: {error}")))?
        }
    };
    let salt = salt()?;
    let content_hash = hex::encode(Canonical::new().content(&row.pieces(seq), &salt));
    sqlx::query(
        "INSERT INTO audit_redactions (redaction_seq, seq, commitments, content_hash) VALUES (?, ?, ?, ?)",
    )
    .bind(event)
    .bind(seq)
    .bind(&commitments)
    .bind(&content_hash)
    .execute(&mut *connection)
    .await?;
    let columns = COLUMNS.map(|name| format!("{name} = ?")).join(", ");
    let update = format!("UPDATE audit_events SET {columns}, salt = ? WHERE seq = ?");
    let mut update = sqlx::query(AssertSqlSafe(update));
    for cell in row.0 {
        update = match cell {
            Cell::Null => update.bind(None::<i64>),
            Cell::Integer(number) => update.bind(number),
            Cell::Text(text) => update.bind(text),
        };
    }
    update
        .bind(&salt[..])
        .bind(seq)
        .execute(&mut *connection)
        .await?;
    Ok(entry(seq, &commitments, &content_hash))
}
