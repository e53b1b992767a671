//! The statements behind a [`Filter`].
//!
//! **Guarantee** (DESIGN §7): a page costs what it shows, not what the table holds, also where two values
//! are frequent and never meet. The indexes of `0006_questions.sql` hold what is asked together as a row of
//! equalities with `seq` behind it. Of a column that the filter leaves open, each value is asked for by
//! itself: an organization's few, the dozen actions, the five outcomes. So every walk is along rows that
//! match, in order, and stops at the limit; the page is the first of what the walks found.
//!
//! An `or`, such as a person's two credentials, is an *arm* of its own for each alternative. What no index
//! holds together, a group and an actor, is walked along the one with fewer rows and compared.
//!
//! A filter for time becomes a range of `seq` by `audit_hours` and is then checked row by row.

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::actor::{Identifier, resolve};
use crate::clock::rfc3339;
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

// Up to this many rows are counted, to know which of two has fewer. Counting costs a few milliseconds; to walk
// along the wrong one of two could cost millions of rows.
const MANY: i64 = 100_000;

const JOIN: &str = "LEFT JOIN identities i ON i.credential_id = e.credential_id";

// The values of columns that a filter leaves open. From one action to the next by the index, however many
// rows each has.
const ACTIONS: &str = "actions (value) AS (
    SELECT min(action) FROM audit_events
    UNION ALL
    SELECT (SELECT min(action) FROM audit_events WHERE action > value) FROM actions WHERE value IS NOT NULL
)";
const OUTCOMES: &str = "outcomes (value) AS (
    VALUES ('applied'), ('partial'), ('rejected'), ('unknown'), ('not_sent')
)";

static SELECTED: LazyLock<String> = LazyLock::new(|| {
    let columns: String = COLUMNS.iter().map(|name| format!("e.{name}, ")).collect();
    format!("e.seq, {columns}e.salt, e.prev_hash, e.hash, i.user_id, i.email, i.name")
});

/// The rows from `cursor` on that match.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: &Filter,
    cursor: Cursor,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let actors: Vec<Option<Equal>> = match &filter.actor {
        Some(actor) => {
            let identifiers = resolve(connection, actor).await?;
            identifiers.into_iter().map(|id| Some(id.equal())).collect()
        }
        None => vec![None],
    };
    let page = Page {
        filter,
        cursor,
        limit,
        order: match cursor {
            Cursor::Before(_) => "DESC",
            Cursor::After(_) => "ASC",
        },
    };
    let mut arms = Vec::with_capacity(actors.len());
    for actor in &actors {
        arms.push(page.arm(connection, actor.clone()).await?);
    }

    let mut query = QueryBuilder::new(format!("WITH RECURSIVE {ACTIONS}, {OUTCOMES}"));
    for (number, arm) in arms.iter().enumerate() {
        arm.push_organizations(&mut query, number);
    }
    query.push(", found (seq) AS (");
    for (number, arm) in arms.iter().enumerate() {
        if number > 0 {
            query.push(" UNION ");
        }
        page.push_arm(&mut query, arm, number);
        if let Some(group) = filter.group {
            // A group is the one group of an event, or one of several.
            query.push(" UNION ");
            page.push_one_of_several(&mut query, group.0, actors[number].as_ref());
        }
    }
    let order = page.order;
    // First the numbers, which cost next to nothing, then the rows of one page.
    query.push(format_args!(
        "), page (seq) AS (SELECT seq FROM found ORDER BY seq {order} LIMIT "
    ));
    query.push_bind(limit);
    query.push(format_args!(
        ") SELECT {} FROM page CROSS JOIN audit_events e ON e.seq = page.seq {JOIN} ORDER BY page.seq {order}",
        *SELECTED
    ));
    Ok(query)
}

struct Page<'a> {
    filter: &'a Filter,
    cursor: Cursor,
    limit: u32,
    order: &'static str,
}

/// One way to the rows: along `lead`, by an index that goes on with organization, action and outcome.
struct Arm {
    lead: Option<Equal>,
    /// What is compared row by row, because no index holds it beside `lead`.
    compared: Option<Equal>,
    organization: Option<i64>,
}

// === impl Page ===

impl Page<'_> {
    async fn arm(
        &self,
        connection: &mut SqliteConnection,
        actor: Option<Equal>,
    ) -> Result<Arm, StoreError> {
        let group = self.filter.group.map(|id| Equal::number("group_id", id.0));
        let (lead, compared) = match (actor, group) {
            (Some(actor), Some(group)) => {
                let actors = actor.count(connection).await?;
                // Of two that both have many the group leads: nobody's tool is busy in one group alone.
                if actors < MANY && actors <= group.count(connection).await? {
                    (Some(actor), Some(group))
                } else {
                    (Some(group), Some(actor))
                }
            }
            (lead, None) | (None, lead) => (lead, None),
        };
        Ok(Arm {
            lead,
            compared,
            organization: self.filter.organization.map(|id| id.0),
        })
    }

    fn push_arm(&self, query: &mut QueryBuilder<Sqlite>, arm: &Arm, number: usize) {
        let Filter {
            action, outcome, ..
        } = self.filter;
        // With nothing but an outcome, its own index has the order already.
        let by_kind = arm.lead.is_some() || arm.organization.is_some() || action.is_some();
        let mut open = Vec::new();
        if arm.asks_organizations() {
            open.push(format!("organizations_{number} organization"));
        }
        if by_kind && action.is_none() {
            open.push("actions".to_owned());
        }
        if by_kind && outcome.is_none() {
            open.push("outcomes".to_owned());
        }
        if open.is_empty() {
            query.push("SELECT seq FROM (SELECT ");
        } else {
            // `json_each` unfolds each walk without a look at the table.
            query.push(format_args!(
                "SELECT walk.value FROM {} CROSS JOIN json_each((SELECT json_group_array(seq) FROM (SELECT ",
                open.join(" CROSS JOIN ")
            ));
        }
        query.push("e.seq AS seq FROM audit_events e WHERE ");
        self.push_range(query, "e.seq");
        if let Some(lead) = &arm.lead {
            lead.push(query, true);
        }
        match (arm.organization, arm.asks_organizations()) {
            (Some(id), _) => {
                query.push(" AND e.organization_id = ").push_bind(id);
            }
            (None, true) => {
                query.push(" AND e.organization_id IS organization.value");
            }
            (None, false) => {}
        }
        match action {
            Some(action) => {
                query.push(" AND e.action = ").push_bind(action.clone());
            }
            None if by_kind => {
                query.push(" AND e.action = actions.value");
            }
            None => {}
        }
        match outcome {
            Some(outcome) => {
                query.push(" AND e.outcome = ").push_bind(outcome.clone());
            }
            None if by_kind => {
                query.push(" AND e.outcome = outcomes.value");
            }
            None => {}
        }
        if let Some(compared) = &arm.compared {
            compared.push(query, false);
        }
        self.push_end(query, "e.seq");
        query.push(if open.is_empty() { ")" } else { "))) walk" });
    }

    fn push_one_of_several(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        group: i64,
        actor: Option<&Equal>,
    ) {
        query.push(
            "SELECT seq FROM (SELECT g.seq AS seq FROM audit_event_groups g
             CROSS JOIN audit_events e ON e.seq = g.seq WHERE ",
        );
        self.push_range(query, "g.seq");
        query.push(" AND g.group_id = ").push_bind(group);
        if let Some(organization) = self.filter.organization {
            // Repeated there, so that the event itself is not looked at.
            query
                .push(" AND g.organization_id = ")
                .push_bind(organization.0);
        }
        let filter = self.filter;
        let others = [
            actor.cloned(),
            filter
                .action
                .clone()
                .map(|text| Equal::text("action", text)),
            filter
                .outcome
                .clone()
                .map(|text| Equal::text("outcome", text)),
        ];
        for other in others.iter().flatten() {
            other.push(query, false);
        }
        self.push_end(query, "g.seq");
        query.push(")");
    }

    // One bound on each side: of two, the database would walk to one and only check the other.
    fn push_range(&self, query: &mut QueryBuilder<Sqlite>, seq: &str) {
        let (after, before) = match self.cursor {
            Cursor::Before(seq) => (0, seq),
            Cursor::After(seq) => (seq, i64::MAX),
        };
        let Filter { since, until, .. } = self.filter;
        if since.is_none() && until.is_none() {
            query.push(format_args!("{seq} > ")).push_bind(after);
            query.push(format_args!(" AND {seq} < ")).push_bind(before);
            return;
        }
        let hour = |time| rfc3339(time).chars().take(13).collect::<String>();
        let first = since.map_or_else(String::new, hour);
        let last = hour(until.unwrap_or(Timestamp::MAX));
        // In an hour range without events both are NULL, and nothing matches.
        query.push(format_args!("{seq} > max("));
        query.push_bind(after);
        query.push(", (SELECT min(first_seq) - 1 FROM audit_hours WHERE hour BETWEEN ");
        query
            .push_bind(first.clone())
            .push(" AND ")
            .push_bind(last.clone());
        query.push(format_args!(")) AND {seq} < min("));
        query.push_bind(before);
        query.push(", (SELECT max(last_seq) + 1 FROM audit_hours WHERE hour BETWEEN ");
        query
            .push_bind(first)
            .push(" AND ")
            .push_bind(last)
            .push("))");
    }

    fn push_end(&self, query: &mut QueryBuilder<Sqlite>, seq: &str) {
        // `+` keeps the index on `occurred_at` out of it, which would give another order.
        if let Some(since) = self.filter.since {
            query
                .push(" AND +e.occurred_at >= ")
                .push_bind(rfc3339(since));
        }
        if let Some(until) = self.filter.until {
            query
                .push(" AND +e.occurred_at < ")
                .push_bind(rfc3339(until));
        }
        query.push(format_args!(" ORDER BY {seq} {} LIMIT ", self.order));
        query.push_bind(self.limit);
    }
}

// === impl Arm ===

impl Arm {
    fn asks_organizations(&self) -> bool {
        self.lead.is_some() && self.organization.is_none()
    }

    // The organizations of the rows of `lead`, one by one. The last value is NULL: those of none.
    fn push_organizations(&self, query: &mut QueryBuilder<Sqlite>, number: usize) {
        let Some(lead) = self.lead.as_ref().filter(|_| self.asks_organizations()) else {
            return;
        };
        query.push(format_args!(
            ", organizations_{number} (value) AS (
                 SELECT min(e.organization_id) FROM audit_events e WHERE true"
        ));
        lead.push(query, true);
        query.push(
            " UNION ALL SELECT (SELECT min(e.organization_id) FROM audit_events e WHERE true",
        );
        lead.push(query, true);
        query.push(format_args!(
            " AND e.organization_id > value) FROM organizations_{number} WHERE value IS NOT NULL)"
        ));
    }
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

    // How many rows it has, up to `MANY`. The planner would have to guess, as nothing here keeps its
    // statistics; this looks.
    async fn count(&self, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
        let mut query =
            QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM audit_events e WHERE true");
        self.push(&mut query, true);
        query.push(" LIMIT ").push_bind(MANY).push(")");
        Ok(query.build_query_scalar().fetch_one(connection).await?)
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
