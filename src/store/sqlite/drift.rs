//! The views: what each credential was shown, compared with what it is shown now.
//!
//! **Guarantee** (DESIGN §4): runs in the writer's transaction. A change of ours is an intent on its way,
//! and nothing is compared, or an event, and then the views have it. What is found is in the trail with
//! the views that no longer find it, or neither is.
//!
//! A list that shows nothing new costs three reads. What cannot be read begins anew: no event fails for
//! the sake of a view.

mod effects;
mod read;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use self::effects::{affect, appear, put};
pub(super) use self::effects::{conclude, workspace};
use super::{learn, write};
use crate::clock::rfc3339;
use crate::domain::drift::{Comparison, Effect, Finding, List, compare, found_by};
use crate::domain::event::Draft;
use crate::domain::ids::{EventId, GroupId, OrganizationId};
use crate::domain::row::Link;
use crate::store::views::{MOST_VIEWS, in_milliseconds};
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

/// Records behind `head` what was done elsewhere to the group that `draft`, which is to be written next,
/// found otherwise than any list has shown it.
pub(super) async fn precede(
    connection: &mut SqliteConnection,
    head: &mut Option<Link>,
    draft: &Draft,
) -> Result<(), StoreError> {
    let target = &draft.intent.target;
    let (Some(organization), Some(group)) = (target.organization_id, target.group_id) else {
        return Ok(());
    };
    let at = in_milliseconds(draft.intent.occurred_at);
    let about = read::as_one(&[group]);
    let witnesses = read::witnesses(connection, organization, &about, "").await?;
    let witnesses = witnesses.get(&group).map_or(&[][..], Vec::as_slice);
    let missed_at = match witnesses {
        [] if draft.before.is_some() => read::missed_at(connection, organization, group).await?,
        _ => None,
    };
    let Some(found) = found_by(draft, witnesses, missed_at, at) else {
        return Ok(());
    };
    let open = read::open(connection, organization).await?;
    let Some(finding) = found.claiming(&open, draft) else {
        return Ok(());
    };
    let noticed = finding.draft(EventId::new(), organization, at);
    write::append(connection, head, &noticed).await?;
    let effect = Effect::Changed(finding.changes);
    match finding.before {
        Some(_) => affect(connection, group, &effect, at, None).await?,
        None => appear(connection, organization, group, &effect, at, None).await?,
    }
    close(connection, organization, &finding.settles).await
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
        if let Some(gone) = finding.deleted() {
            let fact = Fact::NoGroup(gone);
            learn::all(connection, &[Learned { at, fact }]).await?;
        }
    }
    close(connection, seen.organization, &comparison.settled).await?;
    if view.is_none() {
        make_room(connection, seen.organization).await?;
    }
    Ok(comparison.findings.len())
}

// Takes out what these left open.
async fn close(
    connection: &mut SqliteConnection,
    organization: OrganizationId,
    settled: &[EventId],
) -> Result<(), StoreError> {
    for id in settled {
        sqlx::query(
            "DELETE FROM audit_unsettled
             WHERE event_id = ? AND coalesce(organization_id, ?2) = ?2",
        )
        .bind(id.to_string())
        .bind(organization.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
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
