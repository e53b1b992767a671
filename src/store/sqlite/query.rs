//! The statements behind a [`Filter`], and behind a number.
//!
//! Which rows match, and in which order, is [`walk`](mod@walk)'s; here is what is wanted of them: whole rows, their
//! numbers, or those that hold a text.

mod arm;
mod walk;

use std::sync::LazyLock;

use serde_json::json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

pub(super) use self::arm::WHO;
pub(super) use self::walk::Part;
use self::walk::{OUTCOMES, walk};
use crate::domain::row::COLUMNS;
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};

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

/// The newest row of each of the groups `?1`, a JSON array, up to the row `?3`: of organization `?2`, and of none
/// that is known. Its group's number is the column `number`.
pub(super) static NEWEST: LazyLock<String> = LazyLock::new(|| {
    let newest = |table| {
        let kinds = kinds(table, "organization");
        format!(
            "coalesce((
                 WITH RECURSIVE {kinds}
                 SELECT max((
                     SELECT e.seq FROM {table} e INDEXED BY {table}_by_group
                     WHERE e.group_id = number AND e.organization_id IS organization
                         AND e.action = kinds.action AND e.outcome = outcomes.value AND e.seq <= ?3
                     ORDER BY e.seq DESC LIMIT 1))
                 FROM kinds CROSS JOIN outcomes), 0)"
        )
    };
    format!(
        "WITH {OUTCOMES},
         asked (number) AS (SELECT value FROM json_each(?1)),
         places (number, organization) AS (
             SELECT number, ?2 FROM asked
             UNION ALL
             SELECT number, NULL FROM asked
             WHERE EXISTS (SELECT 1 FROM audit_events WHERE group_id = number AND organization_id IS NULL)
                 OR EXISTS (SELECT 1 FROM audit_several WHERE group_id = number AND organization_id IS NULL)
         ),
         newest (number, seq) AS MATERIALIZED (
             SELECT number, max({}, {}) FROM places
         )
         SELECT {}, newest.number AS number FROM newest CROSS JOIN audit_events e ON e.seq = newest.seq {JOIN}",
        newest("audit_events"),
        newest("audit_several"),
        *SELECTED
    )
});

const JOIN: &str = "LEFT JOIN identities i ON i.credential_id = e.credential_id";

static SELECTED: LazyLock<String> = LazyLock::new(|| {
    let columns: String = COLUMNS.iter().map(|name| format!("e.{name}, ")).collect();
    format!("e.seq, {columns}e.salt, e.prev_hash, e.hash, i.user_id, i.email, i.name")
});

/// The kinds of events of the group `number` and an organization that stand in a table, from one to the next by
/// index: a table `kinds`, for a `WITH RECURSIVE`.
pub(super) fn kinds(table: &str, organization: &str) -> String {
    let least = format!(
        "SELECT min(action) FROM {table} INDEXED BY {table}_by_group
         WHERE group_id = number AND organization_id IS {organization}"
    );
    format!(
        "kinds (action) AS (
             {least} UNION ALL SELECT ({least} AND action > kinds.action) FROM kinds WHERE kinds.action IS NOT NULL
         )"
    )
}

/// The rows from `cursor` on that match, whatever text they hold.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: &Filter,
    cursor: Cursor,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut query = walk(connection, filter, Part::of(cursor, limit)).await?;
    let order = cursor.order();
    query.push(format_args!(
        " SELECT {} FROM page CROSS JOIN audit_events e ON e.seq = page.seq {JOIN} ORDER BY page.seq {order}",
        *SELECTED
    ));
    Ok(query)
}

/// The numbers of those rows.
pub(super) async fn numbers(
    connection: &mut SqliteConnection,
    filter: &Filter,
    part: Part,
) -> Result<Vec<i64>, StoreError> {
    let mut query = walk(connection, filter, part).await?;
    let order = part.cursor.order();
    query.push(format_args!(" SELECT seq FROM page ORDER BY seq {order}"));
    let numbers = query.build_query_scalar().fetch_all(connection).await?;
    Ok(numbers)
}

/// The same of thousands of rows, where most rows may match.
///
/// Each kind of event is walked along by itself, as far as the limit, and there are forty: a page of fifty throws away
/// little of what they give, one of thousands nearly all. So it looks at the nearest rows first, and further only where
/// too few of those match.
pub(super) async fn many_numbers(
    connection: &mut SqliteConnection,
    filter: &Filter,
    cursor: Cursor,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let cursor = match cursor {
        // The table may end long before.
        Cursor::Before(seq) => {
            let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit_events")
                .fetch_one(&mut *connection)
                .await?;
            Cursor::Before(seq.min(last.unwrap_or(0).saturating_add(1)))
        }
        Cursor::After(_) => cursor,
    };
    let near = Part {
        cursor,
        limit,
        reach: i64::from(limit) * NEAR,
    };
    let found = numbers(connection, filter, near).await?;
    if found.len() >= limit as usize {
        return Ok(found);
    }
    numbers(connection, filter, Part::of(cursor, limit)).await
}

// How many times as many rows as are wanted are near: a filter that lets every fourth through finds enough in them.
const NEAR: i64 = 4;

/// Those of the rows with these numbers that hold `text`.
pub(super) fn holding(
    numbers: &[i64],
    text: &str,
    cursor: Cursor,
    limit: u32,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("WITH wanted (text) AS (VALUES (");
    query.push_bind(like(text));
    query.push(format_args!(")) SELECT {} FROM json_each(", *SELECTED));
    query.push_bind(json!(numbers).to_string());
    query.push(format_args!(
        ") page CROSS JOIN wanted CROSS JOIN audit_events e ON e.seq = page.value {JOIN} WHERE false"
    ));
    for told in TOLD {
        query.push(format_args!(
            " OR substr({told}, 1, {TOLD_AT_MOST}) LIKE wanted.text ESCAPE '\\'"
        ));
    }
    let order = cursor.order();
    query.push(format_args!(" ORDER BY e.seq {order} LIMIT "));
    query.push_bind(limit);
    query
}

// Where a text is looked for.
const TOLD: [&str; 9] = [
    "e.summary",
    "e.group_name",
    "e.actor_name",
    "e.actor_email",
    "e.tool",
    "e.on_behalf_of",
    "e.path",
    "i.name",
    "i.email",
];

// Names and sentences end before; what goes on is somebody's attempt to make this take long.
const TOLD_AT_MOST: u32 = 1_000;

// Anything with `text` in it, nothing of which stands for something else.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for char in text.chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}
