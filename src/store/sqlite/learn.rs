//! Takes over what became known: newer news only, and only what differs.
//!
//! What is gone stays as a row without a state, so that a list from before cannot bring it back.
//! Times are compared as the texts that they are stored as.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::drift;
use crate::clock::rfc3339;
use crate::domain::caller::Person;
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{GroupId, OrganizationId, ProjectGroupId, UserId, WorkspaceId};
use crate::store::{Fact, Learned, StoreError};

/// Takes over news, one after the other.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    learned: &[Learned],
) -> Result<(), StoreError> {
    for Learned { at, fact } in learned {
        let at = rfc3339(*at);
        match fact {
            Fact::Group(organization, newer) => {
                group(connection, *organization, newer, &at).await?;
            }
            Fact::NoGroup(id) => no_group(connection, *id, &at).await?,
            Fact::ProjectGroup(workspace, row) => {
                project_group(connection, row.id, Some((*workspace, row)), &at).await?;
            }
            Fact::NoProjectGroup(id) => project_group(connection, *id, None, &at).await?,
            Fact::DoubtfulGroup(id) => {
                forget(connection, "group_id = ?1", Some(id.0), &at).await?;
            }
            Fact::DoubtfulGroups(organization) => {
                let which =
                    "(organization_id IS NULL OR organization_id = coalesce(?1, organization_id))";
                forget(connection, which, organization.map(|id| id.0), &at).await?;
            }
            // Compared before any of this: see `drift`.
            Fact::View(_) => {}
            Fact::Workspace(organization, id) => {
                drift::workspace(connection, *organization, *id, &at).await?;
            }
        }
    }
    Ok(())
}

/// Keeps who is behind a credential. The time is kept also if nothing else is new: it says how long
/// nobody needs to ask again.
pub(super) async fn person(
    connection: &mut SqliteConnection,
    credential_id: &str,
    person: &Person,
    at: Timestamp,
) -> Result<(), StoreError> {
    let at = rfc3339(at);
    sqlx::query(
        "INSERT INTO identities (credential_id, user_id, email, name, seen_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (credential_id) DO UPDATE SET user_id = excluded.user_id,
             email = excluded.email, name = excluded.name, seen_at = excluded.seen_at
         WHERE excluded.seen_at >= identities.seen_at",
    )
    .bind(credential_id)
    .bind(person.user_id.map(|id| id.0))
    .bind(&person.email)
    .bind(&person.name)
    .bind(&at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn group(
    connection: &mut SqliteConnection,
    organization: Option<OrganizationId>,
    newer: &Group,
    at: &str,
) -> Result<(), StoreError> {
    type Known = (Option<i64>, Option<String>, String);
    let known: Option<Known> = sqlx::query_as(
        "SELECT organization_id, state, seen_at FROM known_groups WHERE group_id = ?",
    )
    .bind(newer.id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let newly = organization.map(|id| id.0);
    let (of, known) = match known {
        Some((_, _, seen_at)) if seen_at.as_str() > at => return Ok(()),
        // What cannot be read is replaced: an event must never fail for the sake of news.
        Some((of, state, _)) => (of, state.and_then(|state| read_group(&state).ok())),
        None => (None, None),
    };
    let organization = newly.or(of);
    let state = match &known {
        Some(known) => known.updated_by(newer),
        None => newer.clone(),
    };
    // What was known of it in the same organization was taken over then.
    let known = known.filter(|_| organization == of);
    if known.as_ref() == Some(&state) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO known_groups (group_id, organization_id, state, seen_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (group_id) DO UPDATE SET organization_id = excluded.organization_id,
             state = excluded.state, seen_at = excluded.seen_at",
    )
    .bind(newer.id.0)
    .bind(organization)
    .bind(state.to_json().to_string())
    .bind(at)
    .execute(&mut *connection)
    .await?;
    let Some(organization) = organization else {
        return Ok(());
    };
    let known_workspaces = known.iter().flat_map(|known| &known.workspaces).flatten();
    let known_workspaces: BTreeSet<_> = known_workspaces.collect();
    for workspace in newer.workspaces.iter().flatten() {
        if !known_workspaces.contains(workspace) {
            drift::workspace(connection, OrganizationId(organization), *workspace, at).await?;
        }
    }
    let known_users = known.iter().flat_map(|known| &known.users).flatten();
    let known_names: BTreeSet<_> = known_users.map(|user| (user.id, &user.name)).collect();
    for member in newer.users.iter().flatten() {
        if let Some(of) = &member.name
            && !known_names.contains(&(member.id, &member.name))
        {
            name(connection, organization, member.id, of, at).await?;
        }
    }
    Ok(())
}

async fn no_group(
    connection: &mut SqliteConnection,
    id: GroupId,
    at: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO known_groups (group_id, state, seen_at) VALUES (?, NULL, ?)
         ON CONFLICT (group_id) DO UPDATE SET state = NULL, seen_at = excluded.seen_at
         WHERE excluded.seen_at >= known_groups.seen_at",
    )
    .bind(id.0)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

// What may have changed is not known; what is gone stays gone.
async fn forget(
    connection: &mut SqliteConnection,
    which: &'static str,
    id: Option<i64>,
    at: &str,
) -> Result<(), StoreError> {
    let delete =
        format!("DELETE FROM known_groups WHERE {which} AND state IS NOT NULL AND seen_at <= ?2");
    sqlx::query(sqlx::AssertSqlSafe(delete))
        .bind(id)
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

// `None`: it is gone.
async fn project_group(
    connection: &mut SqliteConnection,
    id: ProjectGroupId,
    row: Option<(WorkspaceId, &ProjectGroup)>,
    at: &str,
) -> Result<(), StoreError> {
    // Only where it differs: `IS NOT` counts two NULLs as equal.
    sqlx::query(
        "INSERT INTO known_project_groups (project_group_id, workspace_id, group_id, project_id, seen_at)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (project_group_id) DO UPDATE SET workspace_id = excluded.workspace_id,
             group_id = excluded.group_id, project_id = excluded.project_id, seen_at = excluded.seen_at
         WHERE excluded.seen_at >= known_project_groups.seen_at
             AND (excluded.workspace_id IS NOT known_project_groups.workspace_id
                 OR excluded.group_id IS NOT known_project_groups.group_id
                 OR excluded.project_id IS NOT known_project_groups.project_id)",
    )
    .bind(id.0)
    .bind(row.map(|(workspace, _)| workspace.0))
    .bind(row.map(|(_, row)| row.group.0))
    .bind(row.map(|(_, row)| row.project.0))
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

async fn name(
    connection: &mut SqliteConnection,
    organization: i64,
    id: UserId,
    name: &str,
    at: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO known_people (organization_id, user_id, name, seen_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (organization_id, user_id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at
         WHERE excluded.seen_at >= known_people.seen_at AND excluded.name <> known_people.name",
    )
    .bind(organization)
    .bind(id.0)
    .bind(name)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// A group from its column.
pub(super) fn read_group(state: &str) -> Result<Group, StoreError> {
    serde_json::from_str(state)
        .ok()
        .and_then(|value| Group::read(&value))
        .ok_or_else(|| StoreError::Corrupt("a known group that is none".to_owned()))
}
