//! One way to the rows: which table, along which index, from which value to the next.
//!
//! **Guarantee**: every look at a table here is along an index that is named, and steps from value to value;
//! what the values are is the [walk](mod@super::walk)'s, which puts the arms together.

use sqlx::{QueryBuilder, Sqlite};

use crate::store::filter::Filter;
use crate::store::sqlite::actor::Identifier;

/// Who an event is by, in the words of `0007_meetings.sql`: only then is it found in the index.
pub(in crate::store::sqlite) const WHO: &str = "json_array(
    CAST(e.actor_name AS TEXT), CAST(e.actor_email AS TEXT),
    CAST(e.actor_user_id AS INTEGER), CAST(e.credential_id AS TEXT)
)";

const NOCASE: &str = " COLLATE NOCASE";

// Where, in the order of `Table::who`, those begin of whom nothing but a credential is known, or nothing at all:
// behind all others. How many strangers tried a group costs nothing thus.
const NAMELESS: &str = "[null,null,null";

/// One way to the rows: along `lead`, by an index that goes on with organization, action and outcome.
pub(super) struct Arm {
    pub(super) table: Table,
    pub(super) lead: Lead,
    /// Whether the filter says which organizations.
    pub(super) scoped: bool,
}

/// Where an arm's rows lie. A group is the one group of an event, or one of several.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Events,
    Several,
}

pub(super) enum Lead {
    Nothing,
    One(Equal),
    /// A group, and all that an actor may be called.
    Meeting {
        group: i64,
        actors: Vec<Identifier>,
    },
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
    pub(super) fn time(self) -> &'static str {
        match self {
            Self::Events => "+e.occurred_at",
            Self::Several => "(SELECT o.occurred_at FROM audit_events o WHERE o.seq = e.seq)",
        }
    }
}

// === impl Arm ===

impl Arm {
    pub(super) fn leads(&self) -> bool {
        !matches!(self.lead, Lead::Nothing)
    }

    pub(super) fn asks_people(&self) -> bool {
        matches!(self.lead, Lead::Meeting { .. })
    }

    pub(super) fn asks_organizations(&self) -> bool {
        self.leads() && !self.scoped
    }

    pub(super) fn push_lead(&self, query: &mut QueryBuilder<Sqlite>, who: &str) {
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
    pub(super) fn walked(&self, filter: &Filter) -> String {
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
    pub(super) fn push_people(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        filter: &Filter,
        number: usize,
    ) {
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
    pub(super) fn push_organizations(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        filter: &Filter,
        number: usize,
    ) {
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
pub(super) struct Equal {
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
    pub(super) fn number(column: &'static str, number: i64) -> Self {
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
    pub(super) fn equal(self) -> Equal {
        match self {
            Self::Email(email) => Equal::name("actor_email", email),
            Self::Name(name) => Equal::name("actor_name", name),
            Self::User(id) => Equal::number("actor_user_id", id),
            Self::Credential(id) => Equal::text("credential_id", id),
        }
    }
}
