//! The views: what each credential was shown, compared with what it is shown now.
//!
//! **Guarantee** (DESIGN §4): runs in the writer's transaction. A change of ours is an intent on its way,
//! and nothing is compared, or an event, and then the views have it. What is found is in the trail with
//! the views that no longer find it, or neither is.
//!
//! A list that shows nothing new costs three reads. What cannot be read begins anew: no event fails for
//! the sake of a view.

mod read;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::learn::read_group;
use super::write;
use crate::clock::rfc3339;
use crate::domain::action::{Action, Outcome};
use crate::domain::drift::{
    Comparison, Effect, Finding, List, Opening, Shown, compare, consequences,
};
use crate::domain::event::Draft;
use crate::domain::ids::{EventId, GroupId, OrganizationId, WorkspaceId};
use crate::domain::row::Link;
use crate::store::views::{MOST_UNSETTLED, MOST_VIEWS, doubts, in_milliseconds};
use crate::store::{Fact, Learned, Seen, StoreError};

/// How many changes were noticed in a list of an organization.
pub(super) type Noticed = (OrganizationId, usize);

/// Compares the whole lists among `learned` with what their views showed before, and records what is
/// found behind `head`, which is read if it is not known yet.
pub(super) async fn observe(
    connection: &mut SqliteConnection,
    head: &mut Option<Link>,
    learned: &[Learned],
) -> Result<Vec<Noticed>, StoreError> {
    let mut noticed = Vec::new();
    for Learned { at, fact } in learned {
        if let Fact::View(seen) = fact
            && !read::is_in_flight(connection, seen.organization).await?
        {
            let at = in_milliseconds(*at);
            let count = observe_one(connection, head, seen, at).await?;
            noticed.push((seen.organization, count));
        }
    }
    Ok(noticed)
}

async fn observe_one(
    connection: &mut SqliteConnection,
    head: &mut Option<Link>,
    seen: &Seen,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let list = List {
        organization: seen.organization,
        at,
        groups: &seen.groups,
    };
    let view = read::view(connection, seen).await?;
    let open = read::open(connection, seen.organization).await?;
    let mut about: Vec<GroupId> = open.iter().filter_map(|open| open.group).collect();
    match &view {
        Some(view) => about.extend(view.differing(&seen.groups)),
        None if open.is_empty() => {}
        None => about.extend(seen.groups.iter().map(|group| group.id)),
    }
    let elsewhere = read::elsewhere(connection, seen, &about).await?;
    let Some(comparison) = compare(&list, view.as_ref(), &elsewhere, &open) else {
        return Ok(0);
    };
    keep(connection, seen, &comparison).await?;
    for finding in &comparison.findings {
        let draft = finding.draft(EventId::new(), seen.organization, at);
        write::append(connection, head, &draft).await?;
        tell_others(connection, seen, finding, at).await?;
    }
    for id in &comparison.settled {
        sqlx::query(
            "DELETE FROM audit_unsettled
             WHERE event_id = ? AND coalesce(organization_id, ?2) = ?2",
        )
        .bind(id.to_string())
        .bind(seen.organization.0)
        .execute(&mut *connection)
        .await?;
    }
    if view.is_none() {
        make_room(connection, seen.organization).await?;
    }
    Ok(comparison.findings.len())
}

/// Takes over into the views what an event did, and notes what it left open.
pub(super) async fn conclude(
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
pub(super) async fn workspace(
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

async fn keep(
    connection: &mut SqliteConnection,
    seen: &Seen,
    comparison: &Comparison,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO known_views (credential_id, organization_id, seen_at, tells_users, emptied_at)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (credential_id, organization_id) DO UPDATE SET seen_at = excluded.seen_at,
             tells_users = excluded.tells_users, emptied_at = excluded.emptied_at",
    )
    .bind(&seen.credential_id)
    .bind(seen.organization.0)
    .bind(rfc3339(comparison.seen_at))
    .bind(comparison.tells_users.map(i64::from))
    .bind(comparison.emptied_at.map(rfc3339))
    .execute(&mut *connection)
    .await?;
    for (group, shown) in &comparison.groups {
        match shown {
            Some(shown) => {
                put(
                    connection,
                    &seen.credential_id,
                    seen.organization,
                    *group,
                    shown,
                )
                .await?;
            }
            None => {
                sqlx::query(
                    "DELETE FROM known_view_groups
                     WHERE credential_id = ? AND organization_id = ? AND group_id = ?",
                )
                .bind(&seen.credential_id)
                .bind(seen.organization.0)
                .bind(group.0)
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}

async fn put(
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

// What one view has noticed is no news to the others.
async fn tell_others(
    connection: &mut SqliteConnection,
    seen: &Seen,
    finding: &Finding,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(group) = finding.group.filter(|_| !finding.changes.is_empty()) else {
        return Ok(());
    };
    let effect = Effect::Changed(finding.changes.clone());
    affect(connection, group, &effect, at, Some(&seen.credential_id)).await?;
    if finding.before.is_none() {
        appear(connection, seen.organization, group, &effect, at, None).await?;
    }
    Ok(())
}

// In every view but one, as far as it is not newer.
async fn affect(
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
async fn appear(
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

async fn make_room(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
) -> Result<(), StoreError> {
    let most = i64::try_from(MOST_VIEWS).unwrap_or(i64::MAX);
    let old: Vec<String> = sqlx::query_scalar(
        "SELECT credential_id FROM known_views WHERE organization_id = ?
         ORDER BY seen_at DESC LIMIT -1 OFFSET ?",
    )
    .bind(organization.0)
    .bind(most)
    .fetch_all(&mut *connection)
    .await?;
    for credential_id in old {
        for table in ["known_view_groups", "known_views"] {
            let delete =
                format!("DELETE FROM {table} WHERE credential_id = ? AND organization_id = ?");
            sqlx::query(sqlx::AssertSqlSafe(delete))
                .bind(&credential_id)
                .bind(organization.0)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
