//! The statements behind a [`Filter`].
//!
//! **Guarantee** (DESIGN §7): a page costs what it shows, not what the table holds, also where two values
//! are frequent and never meet. The indexes of `0006_questions.sql` and `0007_meetings.sql` hold what is asked
//! together as a row of equalities with `seq` behind it. Of a column that the filter leaves open, each value is
//! asked for by itself: an organization's few, the dozen actions, the five outcomes; and so is each organization of
//! several. So every walk is along rows that match, in order, and stops at the limit; the page is the first of what
//! the walks found.
//!
//! An `or`, such as a person's two credentials, is an *arm* of its own for each alternative. Where a group is
//! asked for as well, what an actor is called in its rows is picked from all that its rows name: as many steps
//! as there are people who changed that group, however often each did.
//!
//! A filter for time becomes a range of `seq` by `audit_hours` and is then checked row by row.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::json;
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

const JOIN: &str = "LEFT JOIN identities i ON i.credential_id = e.credential_id";

/// Who an event is by, in the words of `0007_meetings.sql`: only then is it found in the index.
pub(super) const WHO: &str = "json_array(
    CAST(e.actor_name AS TEXT), CAST(e.actor_email AS TEXT),
    CAST(e.actor_user_id AS INTEGER), CAST(e.credential_id AS TEXT)
)";

const NOCASE: &str = " COLLATE NOCASE";

// Where, in the order of `Table::who`, those begin of whom nothing but a credential is known, or nothing at all:
// behind all others. How many strangers tried a group costs nothing thus.
const NAMELESS: &str = "[null,null,null";

// The values of columns that a filter leaves open. From one action to the next by the index, however many
// rows each has.
pub(super) const ALL_ACTIONS: &str = "SELECT min(action) FROM audit_events
    UNION ALL
    SELECT (SELECT min(action) FROM audit_events WHERE action > value) FROM actions WHERE value IS NOT NULL";
const THESE_ACTIONS: &str = "SELECT value FROM json_each(";
const OUTCOMES: &str = "outcomes (value) AS (
    VALUES ('applied'), ('partial'), ('rejected'), ('unknown'), ('not_sent')
)";

static SELECTED: LazyLock<String> = LazyLock::new(|| {
    let columns: String = COLUMNS.iter().map(|name| format!("e.{name}, ")).collect();
    format!("e.seq, {columns}e.salt, e.prev_hash, e.hash, i.user_id, i.email, i.name")
});

/// The rows from `cursor` on that match, whatever text they hold.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: &Filter,
    cursor: Cursor,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut query = walk(connection, filter, cursor, limit).await?;
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
    cursor: Cursor,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut query = walk(connection, filter, cursor, limit).await?;
    let order = cursor.order();
    query.push(format_args!(" SELECT seq FROM page ORDER BY seq {order}"));
    Ok(query)
}

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

// Everything up to the table `page` of numbers.
async fn walk(
    connection: &mut SqliteConnection,
    filter: &Filter,
    cursor: Cursor,
    limit: u32,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let actors = match &filter.actor {
        Some(actor) => Some(resolve(connection, actor, filter.within.as_deref()).await?),
        None => None,
    };
    let page = Page {
        filter,
        cursor,
        limit,
        order: cursor.order(),
    };
    let organizations = filter.organizations();
    let arms = page.arms(actors, organizations.is_some());

    let mut query = QueryBuilder::new("WITH RECURSIVE actions (value) AS (");
    if filter.actions.is_empty() {
        query.push(ALL_ACTIONS);
    } else {
        query.push(THESE_ACTIONS);
        query.push_bind(json!(filter.actions).to_string()).push(")");
    }
    query.push(format_args!("), {OUTCOMES}"));
    // A column, not an arm for each: SQLite takes 500 parts of a `UNION`, and a token may be for hundreds.
    if let Some(organizations) = organizations {
        query.push(", asked (organization) AS (SELECT value FROM json_each(");
        query.push_bind(json!(organizations).to_string()).push("))");
    }
    for (number, arm) in arms.iter().enumerate() {
        arm.push_people(&mut query, filter, number);
        arm.push_organizations(&mut query, filter, number);
    }
    query.push(", found (seq) AS (");
    for (number, arm) in arms.iter().enumerate() {
        if number > 0 {
            query.push(" UNION ");
        }
        page.push_arm(&mut query, arm, number);
    }
    let order = page.order;
    // First the numbers, which cost next to nothing, then the rows of one page.
    query.push(format_args!(
        "), page (seq) AS (SELECT seq FROM found ORDER BY seq {order} LIMIT "
    ));
    query.push_bind(limit);
    query.push(")");
    Ok(query)
}

// === impl Cursor ===

impl Cursor {
    fn order(self) -> &'static str {
        match self {
            Self::Before(_) => "DESC",
            Self::After(_) => "ASC",
        }
    }
}

struct Page<'a> {
    filter: &'a Filter,
    cursor: Cursor,
    limit: u32,
    order: &'static str,
}

/// One way to the rows: along `lead`, by an index that goes on with organization, action and outcome.
struct Arm {
    table: Table,
    lead: Lead,
    /// Whether the filter says which organizations.
    scoped: bool,
}

/// Where an arm's rows lie. A group is the one group of an event, or one of several.
#[derive(Clone, Copy, Debug)]
enum Table {
    Events,
    Several,
}

enum Lead {
    Nothing,
    One(Equal),
    /// A group, and all that an actor may be called.
    Meeting {
        group: i64,
        actors: Vec<Identifier>,
    },
}

// === impl Page ===

impl Page<'_> {
    fn arms(&self, actors: Option<Vec<Identifier>>, scoped: bool) -> Vec<Arm> {
        let arm = |table, lead| Arm {
            table,
            lead,
            scoped,
        };
        match (self.filter.group.map(|id| id.0), actors) {
            (None, None) => vec![arm(Table::Events, Lead::Nothing)],
            (None, Some(actors)) => actors
                .into_iter()
                .map(|actor| arm(Table::Events, Lead::One(actor.equal())))
                .collect(),
            (Some(group), None) => [Table::Events, Table::Several]
                .map(|table| arm(table, Lead::One(Equal::number("group_id", group))))
                .into(),
            (Some(group), Some(actors)) => [Table::Events, Table::Several]
                .map(|table| {
                    let actors = actors.clone();
                    arm(table, Lead::Meeting { group, actors })
                })
                .into(),
        }
    }

    fn push_arm(&self, query: &mut QueryBuilder<Sqlite>, arm: &Arm, number: usize) {
        let Filter {
            actions, outcome, ..
        } = self.filter;
        let one_action = match actions.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        // With nothing but an outcome, its own index has the order already.
        let by_kind = arm.leads() || arm.scoped || !actions.is_empty();
        let mut open = Vec::new();
        if arm.scoped {
            open.push("asked".to_owned());
        }
        if arm.asks_organizations() {
            open.push(format!("organizations_{number} place"));
        } else if arm.asks_people() {
            open.push(format!("people_{number} place"));
        }
        if by_kind && one_action.is_none() {
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
        query.push(format_args!(
            "e.seq AS seq FROM {} WHERE ",
            arm.walked(self.filter)
        ));
        self.push_range(query);
        arm.push_lead(query, "place.who");
        if arm.scoped {
            query.push(" AND e.organization_id = asked.organization");
        } else if arm.asks_organizations() {
            query.push(" AND e.organization_id IS place.organization");
        }
        match one_action {
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
        self.push_end(query, arm.table);
        query.push(if open.is_empty() { ")" } else { "))) walk" });
    }

    // One bound on each side: of two, the database would walk to one and only check the other.
    fn push_range(&self, query: &mut QueryBuilder<Sqlite>) {
        let (after, before) = match self.cursor {
            Cursor::Before(seq) => (0, seq),
            Cursor::After(seq) => (seq, i64::MAX),
        };
        let Filter { since, until, .. } = self.filter;
        if since.is_none() && until.is_none() {
            query.push("e.seq > ").push_bind(after);
            query.push(" AND e.seq < ").push_bind(before);
            return;
        }
        let hour = |time| rfc3339(time).chars().take(13).collect::<String>();
        let first = since.map_or_else(String::new, hour);
        let last = hour(until.unwrap_or(Timestamp::MAX));
        // In an hour range without events both are NULL, and nothing matches.
        query.push("e.seq > max(");
        query.push_bind(after);
        query.push(", (SELECT min(first_seq) - 1 FROM audit_hours WHERE hour BETWEEN ");
        query
            .push_bind(first.clone())
            .push(" AND ")
            .push_bind(last.clone());
        query.push(")) AND e.seq < min(");
        query.push_bind(before);
        query.push(", (SELECT max(last_seq) + 1 FROM audit_hours WHERE hour BETWEEN ");
        query
            .push_bind(first)
            .push(" AND ")
            .push_bind(last)
            .push("))");
    }

    fn push_end(&self, query: &mut QueryBuilder<Sqlite>, table: Table) {
        let time = table.time();
        if let Some(since) = self.filter.since {
            query
                .push(format_args!(" AND {time} >= "))
                .push_bind(rfc3339(since));
        }
        if let Some(until) = self.filter.until {
            query
                .push(format_args!(" AND {time} < "))
                .push_bind(rfc3339(until));
        }
        query.push(format_args!(" ORDER BY e.seq {} LIMIT ", self.order));
        query.push_bind(self.limit);
    }
}

// === impl Table ===

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "audit_events",
            Self::Several => "audit_several",
        }
    }

    /// Who it was, as the index beside the group has it.
    fn who(self) -> &'static str {
        match self {
            Self::Events => WHO,
            Self::Several => "e.who",
        }
    }

    // `+` keeps the index on `occurred_at` out of it, which would give another order.
    fn time(self) -> &'static str {
        match self {
            Self::Events => "+e.occurred_at",
            Self::Several => "(SELECT o.occurred_at FROM audit_events o WHERE o.seq = e.seq)",
        }
    }
}

// === impl Arm ===

impl Arm {
    fn leads(&self) -> bool {
        !matches!(self.lead, Lead::Nothing)
    }

    fn asks_people(&self) -> bool {
        matches!(self.lead, Lead::Meeting { .. })
    }

    fn asks_organizations(&self) -> bool {
        self.leads() && !self.scoped
    }

    fn push_lead(&self, query: &mut QueryBuilder<Sqlite>, who: &str) {
        match &self.lead {
            Lead::Nothing => {}
            Lead::One(equal) => equal.push(query),
            Lead::Meeting { group, .. } => {
                query.push(" AND e.group_id = ").push_bind(*group);
                query.push(format_args!(" AND {} = {who}", self.table.who()));
            }
        }
    }

    // The table by the one index that has all that is asked, in the order of `seq`. Told, not left to the
    // planner: when a time is compared row by row, it takes one that has less for as good.
    fn walked(&self, filter: &Filter) -> String {
        let table = self.table.name();
        let index = match &self.lead {
            Lead::Meeting { .. } => "group_and_actor",
            Lead::One(equal) => equal.index(),
            Lead::Nothing if self.scoped => "organization",
            Lead::Nothing if !filter.actions.is_empty() => "action",
            Lead::Nothing if filter.outcome.is_some() => "outcome",
            Lead::Nothing => return format!("{table} e NOT INDEXED"),
        };
        format!("{table} e INDEXED BY {table}_by_{index}")
    }

    // What the group's rows call the actor: from one person to the next by the index.
    fn push_people(&self, query: &mut QueryBuilder<Sqlite>, filter: &Filter, number: usize) {
        let Lead::Meeting { group, actors } = &self.lead else {
            return;
        };
        let (walked, who) = (self.walked(filter), self.table.who());
        query.push(format_args!(
            ", named_{number} (who) AS (
                 SELECT (SELECT {who} FROM {walked} WHERE e.group_id = "
        ));
        query.push_bind(*group);
        query.push(format_args!(
            " AND {who} < '{NAMELESS}' ORDER BY {who} LIMIT 1)
                 UNION ALL
                 SELECT (SELECT {who} FROM {walked} WHERE e.group_id = "
        ));
        query.push_bind(*group);
        query.push(format_args!(
            " AND {who} > named_{number}.who AND {who} < '{NAMELESS}' ORDER BY {who} LIMIT 1)
                 FROM named_{number} WHERE who IS NOT NULL
             ), people_{number} (who) AS (
                 SELECT who FROM named_{number} WHERE false"
        ));
        for actor in actors {
            query.push(" OR who ->> ");
            match actor.clone() {
                Identifier::Name(name) => query.push("0 = ").push_bind(name).push(NOCASE),
                Identifier::Email(email) => query.push("1 = ").push_bind(email).push(NOCASE),
                Identifier::User(id) => query.push("2 = ").push_bind(id),
                Identifier::Credential(id) => query.push("3 = ").push_bind(id),
            };
        }
        for actor in actors {
            if let Identifier::Credential(id) = actor {
                query.push(" UNION ALL SELECT json_array(NULL, NULL, NULL, ");
                query.push_bind(id.clone()).push(")");
            }
        }
        query.push(")");
    }

    // The organizations of the rows of `lead`, one by one. The last value is NULL: those of none.
    fn push_organizations(&self, query: &mut QueryBuilder<Sqlite>, filter: &Filter, number: usize) {
        if !self.asks_organizations() {
            return;
        }
        let walked = self.walked(filter);
        let (who, people) = if self.asks_people() {
            ("place.who", format!(" FROM people_{number} place"))
        } else {
            ("NULL", String::new())
        };
        query.push(format_args!(
            ", organizations_{number} (who, organization) AS (
                 SELECT {who}, (SELECT min(e.organization_id) FROM {walked} WHERE true"
        ));
        self.push_lead(query, who);
        query.push(format_args!(
            "){people}
                 UNION ALL
                 SELECT {who}, (SELECT min(e.organization_id) FROM {walked} WHERE true"
        ));
        self.push_lead(query, who);
        query.push(format_args!(
            " AND e.organization_id > place.organization)
                 FROM organizations_{number} place WHERE organization IS NOT NULL)"
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

    /// What the index is called that begins with the column.
    fn index(&self) -> &'static str {
        match self.column {
            "group_id" => "group",
            "actor_email" => "email",
            "actor_name" => "name",
            "actor_user_id" => "user",
            _ => "credential",
        }
    }

    fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(format_args!(" AND e.{} = ", self.column));
        match &self.value {
            Value::Number(number) => query.push_bind(*number),
            Value::Text(text) => query.push_bind(text.clone()),
            Value::Name(name) => query.push_bind(name.clone()).push(NOCASE),
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
