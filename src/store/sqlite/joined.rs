//! Who added the members of a group, and when.
//!
//! The newest row of each member that says so, among so many of the group's newest rows: a group with a million
//! events costs no more than one with a few thousand. Only what is shown is read of them.

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Reader;
use super::past::OUT_OF_ORDER;
use super::query::{self, Part};
use crate::clock::rfc3339;
use crate::domain::action::Outcome;
use crate::domain::event::Actor;
use crate::domain::ids::{EventId, GroupId, OrganizationId, UserId};
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};

/// How many of a group's changes are looked at.
const LOOKED_AT: u32 = 2_000;

/// That somebody was added to a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// Who was added.
    pub member: UserId,
    /// The event.
    pub event: EventId,
    /// When it was received.
    pub occurred_at: String,
    /// What kind it was.
    pub action: String,
    /// Who did it.
    pub actor: Actor,
}

// === impl Reader ===

impl Reader {
    /// The newest addition of each member of a group until `time`, of the events that `filter` lets through;
    /// and whether all of them were looked at.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn joined(
        &self,
        organization: OrganizationId,
        group: GroupId,
        filter: &Filter,
        time: Timestamp,
    ) -> Result<(Vec<Joined>, bool), StoreError> {
        let time = rfc3339(time);
        let boundary = self.last_until(&time).await?;
        let before = Cursor::Before(boundary.saturating_add(OUT_OF_ORDER));
        let mut connection = self.pool.acquire().await?;
        let mut numbers = Vec::new();
        for outcome in [Outcome::Applied, Outcome::Partial] {
            let filter = Filter {
                group: Some(group),
                outcome: Some(outcome.as_str().to_owned()),
                ..filter.clone()
            };
            let part = Part::of(before, LOOKED_AT);
            numbers.extend(query::numbers(&mut connection, &filter, part).await?);
        }
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let looked_at_all = numbers.len() < LOOKED_AT as usize;
        numbers.truncate(LOOKED_AT as usize);
        let rows = sqlx::query(
            "WITH last (member, seq) AS (
                 SELECT c.value ->> '$.id', max(e.seq)
                 FROM json_each(?1) looked
                 CROSS JOIN audit_events e ON e.seq = looked.value
                 CROSS JOIN json_each(e.changes) c
                 WHERE e.completed_at <= ?2
                     AND coalesce(e.organization_id, ?3) = ?3
                     AND c.value ->> '$.field' = 'users' AND c.value ->> '$.change' = 'added'
                     AND coalesce(c.value ->> '$.group_id', e.group_id) = ?4
                     AND c.value ->> '$.id' IS NOT NULL
                 GROUP BY 1)
             SELECT last.member, e.id, e.occurred_at, e.action, e.credential_id,
                 coalesce(e.actor_user_id, i.user_id), coalesce(e.actor_email, i.email),
                 coalesce(e.actor_name, i.name), e.tool, e.on_behalf_of
             FROM last CROSS JOIN audit_events e ON e.seq = last.seq
             LEFT JOIN identities i ON i.credential_id = e.credential_id",
        )
        .bind(json!(numbers).to_string())
        .bind(time)
        .bind(organization.0)
        .bind(group.0)
        .fetch_all(&mut *connection)
        .await?;
        let joined = rows.iter().map(joined).collect::<Result<_, _>>()?;
        Ok((joined, looked_at_all))
    }
}

fn joined(row: &SqliteRow) -> Result<Joined, StoreError> {
    let id: String = row.try_get(1)?;
    let event = id
        .parse()
        .map_err(|_| StoreError::Corrupt(format!("the id {id:?} of an event")))?;
    let user: Option<i64> = row.try_get(5)?;
    Ok(Joined {
        member: UserId(row.try_get(0)?),
        event,
        occurred_at: row.try_get(2)?,
        action: row.try_get(3)?,
        actor: Actor {
            credential_id: row.try_get(4)?,
            user_id: user.map(UserId),
            email: row.try_get(6)?,
            name: row.try_get(7)?,
            tool: row.try_get(8)?,
            on_behalf_of: row.try_get(9)?,
        },
    })
}
