//! The statements of the trail: an intent, an event, the head.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use crate::clock::rfc3339;
use crate::domain::event::{Draft, Intent};
use crate::domain::ids::EventId;
use crate::domain::row::{COLUMNS, Cell, GENESIS, Link, Row, Salt};
use crate::store::StoreError;

static INSERT_EVENT: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    let marks = vec!["?"; COLUMNS.len() + 4].join(", ");
    format!("INSERT INTO audit_events (seq, {columns}, salt, prev_hash, hash) VALUES ({marks})")
});

/// Puts these intents beside the trail, by one statement however many there are.
pub(super) async fn intents(
    connection: &mut SqliteConnection,
    intents: &[&Intent],
) -> Result<(), StoreError> {
    let rows = intents.iter().map(|intent| {
        let json = serde_json::to_string(intent)?;
        Ok([intent.id.to_string(), rfc3339(intent.occurred_at), json])
    });
    let rows = rows.collect::<Result<Vec<_>, _>>();
    let rows = rows.and_then(|rows| serde_json::to_string(&rows));
    let rows =
        rows.map_err(|error| StoreError::Corrupt(format!("an intent that is no JSON: {error}")))?;
    sqlx::query(
        "INSERT INTO audit_intents (id, occurred_at, intent)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes away the intents whose events are written.
pub(super) async fn remove_intents(
    connection: &mut SqliteConnection,
    ids: &[EventId],
) -> Result<(), StoreError> {
    let ids: Vec<String> = ids.iter().map(EventId::to_string).collect();
    let ids = serde_json::Value::from(ids).to_string();
    sqlx::query("DELETE FROM audit_intents WHERE id IN (SELECT value FROM json_each(?))")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// The last row's place in the chain; `None` in an empty trail.
pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Option<Link>, StoreError> {
    let last: Option<(i64, String, String)> =
        sqlx::query_as("SELECT seq, prev_hash, hash FROM audit_events ORDER BY seq DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
    Ok(last.map(|(seq, prev_hash, hash)| Link {
        seq,
        prev_hash,
        hash,
    }))
}

/// Puts an event behind `head`, which is read if it is not known, and is then this event.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    head: &mut Option<Link>,
    draft: &Draft,
) -> Result<(), StoreError> {
    let previous = match head.take() {
        Some(link) => Some(link),
        None => self::head(connection).await?,
    };
    *head = Some(event(connection, previous.as_ref(), draft).await?);
    Ok(())
}

/// Puts an event behind `previous`.
pub(super) async fn event(
    connection: &mut SqliteConnection,
    previous: Option<&Link>,
    draft: &Draft,
) -> Result<Link, StoreError> {
    let row = Row::of(draft);
    let salt = salt()?;
    let (seq, prev_hash) = previous.map_or((1, GENESIS), |link| (link.seq + 1, &link.hash));
    let link = Link::new(seq, prev_hash, &row, &salt);

    let mut insert = sqlx::query(INSERT_EVENT.as_str()).bind(link.seq);
    for cell in row.0 {
        insert = match cell {
            Cell::Null => insert.bind(None::<i64>),
            Cell::Integer(number) => insert.bind(number),
            Cell::Text(text) => insert.bind(text),
        };
    }
    insert
        .bind(&salt[..])
        .bind(&link.prev_hash)
        .bind(&link.hash)
        .execute(&mut *connection)
        .await?;

    if draft.intent.target.group_id.is_none() {
        let groups: BTreeSet<_> = draft.changes.iter().filter_map(|c| c.group_id).collect();
        for group in groups {
            sqlx::query(
                "INSERT INTO audit_event_groups (seq, organization_id, group_id) VALUES (?, ?, ?)",
            )
            .bind(link.seq)
            .bind(draft.intent.target.organization_id.map(|id| id.0))
            .bind(group.0)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(link)
}

pub(super) async fn probe(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO store_checks (only, checked_at) VALUES (1, ?1)
         ON CONFLICT (only) DO UPDATE SET checked_at = ?1",
    )
    .bind(rfc3339(now))
    .execute(connection)
    .await?;
    Ok(())
}

/// Sixteen bytes that nobody can guess.
pub(in crate::store) fn salt() -> Result<Salt, StoreError> {
    let mut salt = Salt::default();
    getrandom::fill(&mut salt)
        .map_err(|error| StoreError::Unusable(format!("the system gives no random: {error}")))?;
    Ok(salt)
}
