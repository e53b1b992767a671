//! What is asked of the database for a comparison.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::domain::drift::{Elsewhere, Open, Shown, View, Witness};
use crate::domain::endpoint::Touches;
use crate::domain::event::Actor;
use crate::domain::group::Group;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::store::sqlite::learn::read_group;
use crate::store::views::overlaps;
use crate::store::{Seen, StoreError};

// Whether a change is under way whose event is not written yet.
pub(super) async fn is_in_flight(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
) -> Result<bool, StoreError> {
    let touched: Vec<Option<String>> =
        sqlx::query_scalar("SELECT intent -> '$.touches' FROM audit_intents")
            .fetch_all(connection)
            .await?;
    Ok(touched.iter().any(|touches| {
        let touches = touches
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        overlaps(touches.unwrap_or(Touches::Everything), organization)
    }))
}

pub(super) async fn view(
    connection: &mut SqliteConnection,
    seen: &Seen,
) -> Result<Option<View>, StoreError> {
    type Header = (String, Option<i64>, Option<String>);
    let header: Option<Header> = sqlx::query_as(
        "SELECT seen_at, tells_users, emptied_at FROM known_views
         WHERE credential_id = ? AND organization_id = ?",
    )
    .bind(&seen.credential_id)
    .bind(seen.organization.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((seen_at, tells_users, emptied_at)) = header else {
        return Ok(None);
    };
    let rows: Vec<(i64, Option<String>, String)> = sqlx::query_as(
        "SELECT group_id, state, seen_at FROM known_view_groups
         WHERE credential_id = ? AND organization_id = ?",
    )
    .bind(&seen.credential_id)
    .bind(seen.organization.0)
    .fetch_all(connection)
    .await?;
    let groups = rows
        .into_iter()
        .map(|(id, state, since)| (GroupId(id), shown(state.as_deref(), &since)));
    Ok(Some(View {
        seen_at: time(&seen_at),
        tells_users: tells_users.map(|told| told != 0),
        emptied_at: emptied_at.as_deref().map(time),
        groups: groups.collect(),
    }))
}

// The groups `about` as other views than `except`'s show them.
pub(super) async fn witnesses(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    about: &str,
    except: &str,
) -> Result<HashMap<GroupId, Vec<Witness>>, StoreError> {
    let rows: Vec<(i64, Option<String>, String, String)> = sqlx::query_as(
        "SELECT g.group_id, g.state, g.seen_at, v.seen_at
         FROM known_view_groups g JOIN known_views v USING (credential_id, organization_id)
         WHERE g.group_id IN (SELECT value FROM json_each(?))
             AND g.organization_id = ? AND g.credential_id <> ?",
    )
    .bind(about)
    .bind(organization.0)
    .bind(except)
    .fetch_all(connection)
    .await?;
    let mut witnesses: HashMap<GroupId, Vec<Witness>> = HashMap::new();
    for (id, state, since, seen_at) in rows {
        witnesses.entry(GroupId(id)).or_default().push(Witness {
            seen_at: time(&seen_at),
            shown: shown(state.as_deref(), &since),
        });
    }
    Ok(witnesses)
}

// When the last list was asked for that shows all of an organization and would have shown a group that no
// view has; `None` where there is no such list, or the group was known by then.
pub(super) async fn missed_at(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    group: GroupId,
) -> Result<Option<Timestamp>, StoreError> {
    let missed_at: Option<String> = sqlx::query_scalar(
        "SELECT last.seen_at FROM (
             SELECT seen_at FROM known_views WHERE organization_id = ?1 AND tells_users = 1
             ORDER BY seen_at DESC LIMIT 1
         ) last LEFT JOIN known_groups k ON k.group_id = ?2 AND k.state IS NOT NULL
         WHERE coalesce(k.seen_at > last.seen_at, 1)",
    )
    .bind(organization.0)
    .bind(group.0)
    .fetch_optional(connection)
    .await?;
    Ok(missed_at.as_deref().map(time))
}

pub(super) async fn elsewhere(
    connection: &mut SqliteConnection,
    seen: &Seen,
    about: &[GroupId],
) -> Result<Elsewhere, StoreError> {
    let mut elsewhere = Elsewhere::default();
    if about.is_empty() {
        return Ok(elsewhere);
    }
    let about = as_one(about);
    let (organization, except) = (seen.organization, &seen.credential_id);
    elsewhere.witnesses = witnesses(connection, organization, &about, except).await?;
    let known: Vec<(i64, String)> = sqlx::query_as(
        "SELECT group_id, seen_at FROM known_groups
         WHERE state IS NOT NULL AND group_id IN (SELECT value FROM json_each(?))",
    )
    .bind(&about)
    .fetch_all(connection)
    .await?;
    for (id, since) in known {
        elsewhere.known.insert(GroupId(id), time(&since));
    }
    Ok(elsewhere)
}

// One parameter for any number of groups, so that the statement stays one and prepared.
pub(super) fn as_one(groups: &[GroupId]) -> String {
    serde_json::to_string(groups).unwrap_or_else(|_| "[]".to_owned())
}

// What is open in an organization, with what its events tell.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
) -> Result<Vec<Open>, StoreError> {
    let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM audit_unsettled)")
        .fetch_one(&mut *connection)
        .await?;
    if !any {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT e.id, e.occurred_at, e.completed_at, e.action, e.outcome,
             u.group_id, e.group_name, e.before, e.request_body,
             e.actor_user_id, e.actor_email, e.actor_name, e.credential_id, e.tool, e.on_behalf_of,
             e.method, e.path, u.elsewhere
         FROM audit_unsettled u JOIN audit_events e ON e.id = u.event_id
         WHERE u.organization_id = ?1 OR u.organization_id IS NULL
         ORDER BY u.number",
    )
    .bind(organization.0)
    .fetch_all(connection)
    .await?;
    // What a later version writes there tells this one nothing.
    Ok(rows.iter().filter_map(|row| one_open(row).ok()).collect())
}

fn one_open(row: &SqliteRow) -> Result<Open, StoreError> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let needed = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<Option<i64>, _>(column);
    let json = |column: &str| -> Result<Option<Value>, sqlx::Error> {
        Ok(text(column)?.and_then(|text| serde_json::from_str(&text).ok()))
    };
    let id = needed("id")?;
    let corrupt = |_| StoreError::Corrupt(format!("the event {id:?}"));
    Ok(Open {
        id: id
            .parse()
            .map_err(|_| StoreError::Corrupt(format!("the event {id:?}")))?,
        occurred_at: time(&needed("occurred_at")?),
        completed_at: time(&needed("completed_at")?),
        action: serde_json::from_value(needed("action")?.into()).map_err(corrupt)?,
        outcome: serde_json::from_value(needed("outcome")?.into()).map_err(corrupt)?,
        group: number("group_id")?.map(GroupId),
        group_name: text("group_name")?,
        before: json("before")?.as_ref().and_then(Group::read),
        request: json("request_body")?,
        actor: Actor {
            credential_id: text("credential_id")?,
            user_id: number("actor_user_id")?.map(UserId),
            email: text("actor_email")?,
            name: text("actor_name")?,
            tool: text("tool")?,
            on_behalf_of: text("on_behalf_of")?,
        },
        shown: format!("{} {}", needed("method")?, needed("path")?),
        elsewhere: row.try_get::<i64, _>("elsewhere")? != 0,
    })
}

// A state that cannot be read is one that nobody knows.
fn shown(state: Option<&str>, since: &str) -> Shown {
    Shown {
        state: state.and_then(|state| read_group(state).ok()),
        since: time(since),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}
