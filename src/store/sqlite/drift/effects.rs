//! What events do to the views, and what they leave open.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use crate::clock::rfc3339;
use crate::domain::action::{Action, Outcome};
use crate::domain::drift::{Effect, Opening, Shown, consequences};
use crate::domain::event::Draft;
use crate::domain::ids::{GroupId, OrganizationId, WorkspaceId};
use crate::store::sqlite::learn::read_group;
use crate::store::views::{MOST_UNSETTLED, doubts, in_milliseconds};
use crate::store::{Learned, StoreError};

/// Takes over into the views what an event did, and notes what it left open.
pub(in crate::store::sqlite) async fn conclude(
    connection: &mut SqliteConnection,
    draft: &Draft,
    learned: &[Learned],
) -> Result<(), StoreError> {
    let at = in_milliseconds(draft.completed_at);
    let target = &draft.intent.target;
    let organization = match (target.organization_id, target.workspace_id) {
        (Some(organization), Some(id)) if draft.outcome == Outcome::Applied => {
            workspace(connection, organization, id, &rfc3339(at)).await?;
            Some(organization)
        }
        (None, Some(workspace)) => organization_of(connection, workspace).await?,
        (organization, _) => organization,
    };
    let consequences = consequences(draft, &doubts(learned));
    let mut open = consequences.open;
    for (group, effect) in &consequences.groups {
        affect(connection, *group, effect, at, None).await?;
        match (effect, organization) {
            (Effect::Created(_), Some(organization)) => {
                let maker = draft.intent.actor.credential_id.as_deref();
                appear(connection, organization, *group, effect, at, maker).await?;
            }
            // In whose lists it will be new, nobody knows.
            (Effect::Created(_), None) => {
                open = Some(Opening {
                    group: Some(*group),
                    everywhere: false,
                });
            }
            _ => {}
        }
    }
    if let Some(organization) = consequences.doubtful {
        doubt(connection, organization, at).await?;
    }
    match open {
        Some(opening) => note(connection, draft, opening, organization).await,
        None => Ok(()),
    }
}

/// Keeps which organization a workspace belongs to.
pub(in crate::store::sqlite) async fn workspace(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    id: WorkspaceId,
    at: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO known_workspaces (workspace_id, organization_id, seen_at) VALUES (?, ?, ?)
         ON CONFLICT (workspace_id) DO UPDATE SET organization_id = excluded.organization_id,
             seen_at = excluded.seen_at
         WHERE excluded.seen_at >= known_workspaces.seen_at
             AND excluded.organization_id <> known_workspaces.organization_id",
    )
    .bind(id.0)
    .bind(organization.0)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

async fn organization_of(
    connection: &mut SqliteConnection,
    workspace: WorkspaceId,
) -> Result<Option<OrganizationId>, StoreError> {
    let id: Option<i64> =
        sqlx::query_scalar("SELECT organization_id FROM known_workspaces WHERE workspace_id = ?")
            .bind(workspace.0)
            .fetch_optional(connection)
            .await?;
    Ok(id.map(OrganizationId))
}

// In every view but one, as far as it is not newer.
pub(super) async fn affect(
    connection: &mut SqliteConnection,
    group: GroupId,
    effect: &Effect,
    at: Timestamp,
    except: Option<&str>,
) -> Result<(), StoreError> {
    let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
        "SELECT credential_id, organization_id, state FROM known_view_groups
         WHERE group_id = ? AND seen_at <= ? AND credential_id IS NOT ?",
    )
    .bind(group.0)
    .bind(rfc3339(at))
    .bind(except)
    .fetch_all(&mut *connection)
    .await?;
    for (credential_id, organization, state) in rows {
        let state = state.as_deref().and_then(|state| read_group(state).ok());
        let shown = Shown {
            state: effect.on(state.as_ref()),
            since: at,
        };
        put(
            connection,
            &credential_id,
            OrganizationId(organization),
            group,
            &shown,
        )
        .await?;
    }
    Ok(())
}

// A new group in all views of its organization that do not have it yet.
pub(super) async fn appear(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    group: GroupId,
    effect: &Effect,
    at: Timestamp,
    maker: Option<&str>,
) -> Result<(), StoreError> {
    let state = match effect {
        Effect::Created(group) => Some(group.to_json().to_string()),
        _ => None,
    };
    sqlx::query(
        "INSERT INTO known_view_groups (credential_id, organization_id, group_id, state, seen_at)
         SELECT credential_id, organization_id, ?2,
             CASE WHEN credential_id = ?3 AND tells_users = 1 THEN ?4 END, ?5
         FROM known_views WHERE organization_id = ?1
         ON CONFLICT DO NOTHING",
    )
    .bind(organization.0)
    .bind(group.0)
    .bind(maker)
    .bind(state)
    .bind(rfc3339(at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn doubt(
    connection: &mut SqliteConnection,
    organization: Option<OrganizationId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let groups: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT group_id FROM known_view_groups
         WHERE organization_id = coalesce(?1, organization_id) AND state IS NOT NULL AND seen_at <= ?2",
    )
    .bind(organization.map(|id| id.0))
    .bind(rfc3339(at))
    .fetch_all(&mut *connection)
    .await?;
    for group in groups {
        affect(
            connection,
            GroupId(group),
            &Effect::MembersDoubtful,
            at,
            None,
        )
        .await?;
    }
    Ok(())
}

// Who asks nobody for lists has no views to be compared: what other changes did is then not asked.
async fn note(
    connection: &mut SqliteConnection,
    draft: &Draft,
    opening: Opening,
    organization: Option<OrganizationId>,
) -> Result<(), StoreError> {
    let watched: Vec<i64> = sqlx::query_scalar(
        "SELECT DISTINCT organization_id FROM known_views
         WHERE organization_id = coalesce(?1, organization_id)",
    )
    .bind(organization.map(|id| id.0))
    .fetch_all(&mut *connection)
    .await?;
    let concerned: Vec<Option<i64>> = match organization {
        Some(id) if draft.intent.action != Action::ApiWrite => vec![Some(id.0)],
        None if !opening.everywhere => vec![None],
        _ => watched.into_iter().map(Some).collect(),
    };
    // One that is looked at alone is the one that it must have been.
    let elsewhere = concerned.len() > 1 || concerned == [None];
    for organization in concerned {
        sqlx::query(
            "INSERT INTO audit_unsettled (event_id, organization_id, group_id, elsewhere)
             VALUES (?, ?, ?, ?)",
        )
        .bind(draft.intent.id.to_string())
        .bind(organization)
        .bind(opening.group.map(|id| id.0))
        .bind(i64::from(elsewhere))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query(
        "DELETE FROM audit_unsettled WHERE number <= (SELECT max(number) FROM audit_unsettled) - ?",
    )
    .bind(i64::try_from(MOST_UNSETTLED).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put(
    connection: &mut SqliteConnection,
    credential_id: &str,
    organization: OrganizationId,
    group: GroupId,
    shown: &Shown,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO known_view_groups (credential_id, organization_id, group_id, state, seen_at)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (credential_id, organization_id, group_id) DO UPDATE SET state = excluded.state,
             seen_at = excluded.seen_at",
    )
    .bind(credential_id)
    .bind(organization.0)
    .bind(group.0)
    .bind(shown.state.as_ref().map(|state| state.to_json().to_string()))
    .bind(rfc3339(shown.since))
    .execute(connection)
    .await?;
    Ok(())
}
