//! Which groups of an organization anything is known of.
//!
//! From one number to the next by index, however many rows each has, and only as far as somebody asks. A number
//! that was only asked for is none: something must have been done to the group, or have found it. What was done
//! stands in the index, where each kind of event of the group is asked for by itself; what found it, in the rows.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use crate::domain::ids::{GroupId, OrganizationId};
use crate::store::StoreError;
use crate::store::sqlite::Reader;
use crate::store::sqlite::query::kinds;

/// In how many events of a number it is looked for one that found a group.
const FIRST: u32 = 100;

/// A group of which there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Mentioned {
    pub(in crate::store::sqlite) id: GroupId,
    /// Whether it is of the organization for sure: what was done to it there, or a list, has told.
    pub(super) is_ours: bool,
}

/// Whether the group `number` is of the organization `?1`.
static IS_OURS: LazyLock<String> = LazyLock::new(|| {
    let changed = |table| {
        let kinds = kinds(table, "?1");
        format!(
            "EXISTS (
                 WITH RECURSIVE {kinds}
                 SELECT 1 FROM kinds CROSS JOIN {table} e INDEXED BY {table}_by_group
                 WHERE e.group_id = number AND e.organization_id = ?1
                     AND e.action = kinds.action AND e.outcome IN ('applied', 'partial'))"
        )
    };
    format!(
        "(EXISTS (SELECT 1 FROM known_groups WHERE group_id = number AND organization_id = ?1)
          OR {} OR {})",
        changed("audit_events"),
        changed("audit_several"),
    )
});

/// All that is mentioned.
static MENTIONED: LazyLock<String> = LazyLock::new(|| {
    let is_ours = &*IS_OURS;
    let of = |table, numbers| {
        format!(
            "{numbers} (number) AS (
                 SELECT min(group_id) FROM {table} WHERE group_id > ?2
                 UNION ALL
                 SELECT (SELECT min(group_id) FROM {table} WHERE group_id > number)
                 FROM {numbers} WHERE number IS NOT NULL
             )"
        )
    };
    format!(
        "WITH RECURSIVE {}, {},
         numbers (number) AS (
             SELECT number FROM alone WHERE EXISTS (
                 SELECT 1 FROM audit_events WHERE group_id = number AND organization_id = ?1)
             UNION
             SELECT number FROM several WHERE EXISTS (
                 SELECT 1 FROM audit_several WHERE group_id = number AND organization_id = ?1)
             UNION
             SELECT group_id FROM known_groups WHERE group_id > ?2 AND organization_id = ?1
             ORDER BY 1
         )
         SELECT number, {is_ours} FROM numbers WHERE {is_ours}
             OR EXISTS (SELECT 1 FROM audit_several WHERE group_id = number AND organization_id = ?1)
             OR EXISTS (
                 SELECT 1 FROM (
                     SELECT before FROM audit_events
                     WHERE group_id = number AND organization_id = ?1 LIMIT {FIRST})
                 WHERE before IS NOT NULL)
         ORDER BY number LIMIT ?3",
        of("audit_events", "alone"),
        of("audit_several", "several"),
    )
});

// === impl Reader ===

impl Reader {
    /// The groups with a higher number than `last`, by number, at most `limit` of them.
    pub(in crate::store::sqlite) async fn mentioned_groups(
        &self,
        organization: OrganizationId,
        last: Option<GroupId>,
        limit: usize,
    ) -> Result<Vec<Mentioned>, StoreError> {
        let groups: Vec<(i64, bool)> = sqlx::query_as(MENTIONED.as_str())
            .bind(organization.0)
            .bind(last.map_or(i64::MIN, |id| id.0))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        let groups = groups.into_iter().map(|(id, is_ours)| Mentioned {
            id: GroupId(id),
            is_ours,
        });
        Ok(groups.collect())
    }

    /// The same of one number, whether or not there is anything to tell of it.
    pub(super) async fn mentioned(
        &self,
        organization: OrganizationId,
        id: GroupId,
    ) -> Result<Mentioned, StoreError> {
        let sql = format!(
            "WITH numbers (number) AS (VALUES (?2)) SELECT {} FROM numbers",
            *IS_OURS
        );
        let is_ours = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(organization.0)
            .bind(id.0)
            .fetch_one(&self.pool)
            .await?;
        Ok(Mentioned { id, is_ours })
    }
}
