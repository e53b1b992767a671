//! The walk to the rows that a [`Filter`] asks for.
//!
//! **Guarantee** (DESIGN §7): a page costs what it shows, not what the table holds, also where two values
//! are frequent and never meet. The indexes of `0006_questions.sql` and `0007_meetings.sql` hold what is asked
//! together as a row of equalities with `seq` behind it. Of a column that the filter leaves open, each value is
//! asked for by itself: an organization's few, the dozen actions, the five outcomes; and so is each organization of
//! several. So every walk is along rows that match, in order, and stops at the limit; the page is the first of what
//! the walks found.
//!
//! An `or`, such as a person's two credentials, is an [*arm*](super::arm) of its own for each alternative. Where
//! a group is asked for as well, what an actor is called in its rows is picked from all that its rows name: as
//! many steps as there are people who changed that group, however often each did.
//!
//! A filter for time becomes a range of `seq` by `audit_hours` and is then checked row by row.

use jiff::Timestamp;
use serde_json::json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::arm::{Arm, Equal, Lead, Table};
use crate::clock::rfc3339;
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};
use crate::store::sqlite::actor::{Identifier, resolve};

// The values of columns that a filter leaves open. From one action to the next by the index, however many
// rows each has.
const ALL_ACTIONS: &str = "SELECT min(action) FROM audit_events
    UNION ALL
    SELECT (SELECT min(action) FROM audit_events WHERE action > value) FROM actions WHERE value IS NOT NULL";
const THESE_ACTIONS: &str = "SELECT value FROM json_each(";
pub(super) const OUTCOMES: &str = "outcomes (value) AS (
    VALUES ('applied'), ('partial'), ('rejected'), ('unknown'), ('not_sent')
)";

/// What part of the rows that match is wanted.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Part {
    /// From where on.
    pub(super) cursor: Cursor,
    /// How many.
    pub(super) limit: u32,
    /// No further from the cursor than so many rows of the whole trail.
    pub(super) reach: i64,
}

// === impl Part ===

impl Part {
    /// As many as are wanted, however far away.
    pub(in crate::store::sqlite) fn of(cursor: Cursor, limit: u32) -> Self {
        Self {
            cursor,
            limit,
            reach: i64::MAX,
        }
    }
}

/// Everything up to the table `page` of numbers.
pub(super) async fn walk(
    connection: &mut SqliteConnection,
    filter: &Filter,
    part: Part,
) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let Part { cursor, limit, .. } = part;
    let actors = match &filter.actor {
        Some(actor) => Some(resolve(connection, actor, filter.within.as_deref()).await?),
        None => None,
    };
    let page = Page {
        filter,
        part,
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
    pub(super) fn order(self) -> &'static str {
        match self {
            Self::Before(_) => "DESC",
            Self::After(_) => "ASC",
        }
    }
}

struct Page<'a> {
    filter: &'a Filter,
    part: Part,
    order: &'static str,
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
        let reach = self.part.reach;
        let (after, before) = match self.part.cursor {
            Cursor::Before(seq) => (seq.saturating_sub(reach).max(1) - 1, seq),
            Cursor::After(seq) => (seq, seq.saturating_add(reach)),
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
        query.push_bind(self.part.limit);
    }
}
