//! The statements behind a [`Filter`].
//!
//! **Guarantee** (DESIGN §7): a page costs what it shows, not what the table holds. An index of
//! `audit_events` ends with `seq`, so one equality gives its matches newest first, and the database
//! stops at the limit. An `or` would make it sort all matches; so each alternative, such as a
//! person's two credentials, is an *arm* of its own with the limit, and the page is the newest of
//! what the arms found. Of several equalities the arm walks along the one with the fewest matches.
//!
//! A filter for time becomes a range of `seq` by `audit_hours` and is then checked row by row.

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::clock::rfc3339;
use crate::domain::row::COLUMNS;
use crate::store::StoreError;
use crate::store::filter::Filter;

/// An event by its id.
pub(super) static ONE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM audit_events e {JOIN} WHERE e.id = ?",
        *SELECTED
    )
});

/// An event by its place in the trail.
pub(super) static AT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM audit_events e {JOIN} WHERE e.seq = ?",
        *SELECTED
    )
});

/// The rows after a row, oldest first.
pub(super) static NEXT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM audit_events e {JOIN} WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
        *SELECTED
    )
});

// A person has a handful of credentials. With more than this, the newest of them are found.
const MOST: i64 = 32;

// From this many matches on, one index is as good as another.
const MANY: i64 = 10_000;

const JOIN: &str = "LEFT JOIN identities i ON i.credential_id = e.credential_id";

static SELECTED: LazyLock<String> = LazyLock::new(|| {
    let columns: String = COLUMNS.iter().map(|name| format!("e.{name}, ")).collect();
    format!("e.seq, {columns}e.salt, e.prev_hash, e.hash, i.user_id, i.email, i.name")
});

/// One way in which a row can be an actor's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identifier {
    Email(String),
    Name(String),
    User(i64),
    Credential(String),
}

/// The ways in which a row can be by `actor`: as it says itself, and by whom it belongs to.
async fn resolve(
    connection: &mut SqliteConnection,
    actor: &str,
) -> Result<Vec<Identifier>, StoreError> {
    let number: Option<i64> = actor.parse().ok();
    let known: Vec<(Option<String>, Option<i64>)> = sqlx::query_as(
        "SELECT credential_id, user_id FROM identities WHERE email = ?1 COLLATE NOCASE
         UNION SELECT credential_id, user_id FROM identities WHERE name = ?1 COLLATE NOCASE
         UNION SELECT credential_id, user_id FROM identities WHERE user_id = ?2
         UNION SELECT NULL, user_id FROM known_people WHERE name = ?1 COLLATE NOCASE
         LIMIT ?3",
    )
    .bind(actor)
    .bind(number)
    .bind(MOST)
    .fetch_all(&mut *connection)
    .await?;

    let mut found = if actor.contains('@') {
        vec![Identifier::Email(actor.to_owned())]
    } else {
        vec![Identifier::Name(actor.to_owned())]
    };
    found.extend(number.map(Identifier::User));
    for (credential, user) in known {
        found.extend(credential.map(Identifier::Credential));
        found.extend(user.map(Identifier::User));
    }
    if actor.len() >= 4 && actor.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let prefix = actor.to_ascii_lowercase();
        // From one fingerprint to the next by the index, however many rows each has.
        let credentials: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE found (id) AS (
                 SELECT min(credential_id) FROM audit_events
                 WHERE credential_id >= ?1 AND credential_id < ?2
                 UNION ALL
                 SELECT (SELECT min(credential_id) FROM audit_events
                         WHERE credential_id > found.id AND credential_id < ?2)
                 FROM found WHERE found.id IS NOT NULL
             )
             SELECT id FROM found WHERE id IS NOT NULL LIMIT ?3",
        )
        .bind(&prefix)
        .bind(format!("{prefix}g")) // past every hexadecimal digit
        .bind(MOST)
        .fetch_all(connection)
        .await?;
        found.extend(credentials.into_iter().map(Identifier::Credential));
    }
    let mut unique: Vec<Identifier> = Vec::with_capacity(found.len());
    for identifier in found {
        if !unique.contains(&identifier) {
            unique.push(identifier);
        }
    }
    Ok(unique)
}

/// The newest rows that match.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: &Filter,
    before: Option<i64>,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let actors: Vec<Option<Equal>> = match &filter.actor {
        Some(actor) => {
            let identifiers = resolve(connection, actor).await?;
            identifiers.into_iter().map(|id| Some(id.equal())).collect()
        }
        None => vec![None],
    };
    let mut others: Vec<Equal> = Vec::new();
    others.extend(
        filter
            .outcome
            .clone()
            .map(|outcome| Equal::text("outcome", outcome)),
    );
    others.extend(
        filter
            .action
            .clone()
            .map(|action| Equal::text("action", action)),
    );
    others.extend(
        filter
            .organization
            .map(|id| Equal::number("organization_id", id.0)),
    );
    let group = filter.group.map(|id| Equal::number("group_id", id.0));

    let mut query = QueryBuilder::new("WITH found (seq) AS (");
    for (index, actor) in actors.into_iter().enumerate() {
        if index > 0 {
            query.push(" UNION ");
        }
        let alone: Vec<_> = actor.iter().chain(&others).cloned().collect();
        let together: Vec<_> = group.iter().chain(&alone).cloned().collect();
        let first = most_selective(connection, &together).await?;
        query.push("SELECT seq FROM (SELECT e.seq AS seq FROM audit_events e WHERE ");
        range(&mut query, filter, "e.seq", before);
        for (index, equal) in together.iter().enumerate() {
            equal.push(&mut query, Some(index) == first);
        }
        rest(&mut query, filter, "e.seq", limit);
        if let Some(group) = filter.group {
            // A group is the one group of an event, or one of several.
            query.push(
                " UNION SELECT seq FROM (SELECT g.seq AS seq FROM audit_event_groups g
                 CROSS JOIN audit_events e ON e.seq = g.seq WHERE ",
            );
            range(&mut query, filter, "g.seq", before);
            query.push(" AND g.group_id = ").push_bind(group.0);
            for equal in &alone {
                equal.push(&mut query, false);
            }
            rest(&mut query, filter, "g.seq", limit);
        }
    }
    query.push(format_args!(
        ") SELECT {} FROM found JOIN audit_events e ON e.seq = found.seq {JOIN} ORDER BY e.seq DESC LIMIT ",
        *SELECTED
    ));
    query.push_bind(limit);
    Ok(query)
}

/// A column that must have a value.
#[derive(Clone, Debug)]
struct Equal {
    column: &'static str,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(i64),
    Text(String),
    /// In any case.
    Name(String),
}

// === impl Equal ===

impl Equal {
    fn number(column: &'static str, number: i64) -> Self {
        let value = Value::Number(number);
        Self { column, value }
    }

    fn text(column: &'static str, text: String) -> Self {
        let value = Value::Text(text);
        Self { column, value }
    }

    fn name(column: &'static str, name: String) -> Self {
        let value = Value::Name(name);
        Self { column, value }
    }

    // A column behind `+` is compared and its index left alone.
    fn push(&self, query: &mut QueryBuilder<Sqlite>, by_index: bool) {
        let plus = if by_index { "" } else { "+" };
        query.push(format_args!(" AND {plus}e.{} = ", self.column));
        match &self.value {
            Value::Number(number) => query.push_bind(*number),
            Value::Text(text) => query.push_bind(text.clone()),
            Value::Name(name) => query.push_bind(name.clone()).push(" COLLATE NOCASE"),
        };
    }
}

// === impl Identifier ===

impl Identifier {
    fn equal(self) -> Equal {
        match self {
            Self::Email(email) => Equal::name("actor_email", email),
            Self::Name(name) => Equal::name("actor_name", name),
            Self::User(id) => Equal::number("actor_user_id", id),
            Self::Credential(id) => Equal::text("credential_id", id),
        }
    }
}

// Whose index to walk: the one with the fewest matches, or the first where all have many. The
// planner would have to guess, as nothing here keeps its statistics; this looks.
async fn most_selective(
    connection: &mut SqliteConnection,
    equals: &[Equal],
) -> Result<Option<usize>, StoreError> {
    if equals.len() < 2 {
        return Ok((!equals.is_empty()).then_some(0));
    }
    let mut fewest: Option<(i64, usize)> = None;
    for (index, equal) in equals.iter().enumerate() {
        let mut query =
            QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM audit_events e WHERE true");
        equal.push(&mut query, true);
        query.push(" LIMIT ").push_bind(MANY).push(")");
        let count: i64 = query
            .build_query_scalar()
            .fetch_one(&mut *connection)
            .await?;
        if fewest.is_none_or(|(least, _)| count < least) {
            fewest = Some((count, index));
        }
    }
    Ok(fewest.map(|(_, index)| index))
}

// One bound on each side: of two, the database would walk to one and only check the other.
fn range(query: &mut QueryBuilder<Sqlite>, filter: &Filter, seq: &str, before: Option<i64>) {
    let before = before.unwrap_or(i64::MAX);
    if filter.since.is_none() && filter.until.is_none() {
        query.push(format_args!("{seq} < ")).push_bind(before);
        return;
    }
    let hour = |time| rfc3339(time).chars().take(13).collect::<String>();
    let first = filter.since.map_or_else(String::new, hour);
    let last = hour(filter.until.unwrap_or(Timestamp::MAX));
    // In an hour range without events both are NULL, and nothing matches.
    query.push(format_args!(
        "{seq} >= (SELECT min(first_seq) FROM audit_hours WHERE hour BETWEEN "
    ));
    query
        .push_bind(first.clone())
        .push(" AND ")
        .push_bind(last.clone());
    query.push(format_args!(") AND {seq} < min("));
    query.push_bind(before);
    query.push(", (SELECT max(last_seq) + 1 FROM audit_hours WHERE hour BETWEEN ");
    query
        .push_bind(first)
        .push(" AND ")
        .push_bind(last)
        .push("))");
}

fn rest(query: &mut QueryBuilder<Sqlite>, filter: &Filter, seq: &str, limit: u32) {
    // `+` keeps the index on `occurred_at` out of it, which would give another order.
    if let Some(since) = filter.since {
        query
            .push(" AND +e.occurred_at >= ")
            .push_bind(rfc3339(since));
    }
    if let Some(until) = filter.until {
        query
            .push(" AND +e.occurred_at < ")
            .push_bind(rfc3339(until));
    }
    query.push(format_args!(" ORDER BY {seq} DESC LIMIT "));
    query.push_bind(limit).push(")");
}
