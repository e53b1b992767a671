//! Which groups of an organization anything is known of.
//!
//! From one number to the next by index, however many rows each has, and only as far as somebody asks. A number
//! that was only asked for is none: something must have been done to the group, or have found it. What was done
//! stands in the index, where each kind of event is asked for by itself; what found it, in the rows.

use sqlx::AssertSqlSafe;

use crate::domain::ids::{GroupId, OrganizationId};
use crate::store::StoreError;
use crate::store::sqlite::Reader;
use crate::store::sqlite::query::ALL_ACTIONS;

/// In how many events of a number it is looked for one that found a group.
const FIRST: u32 = 100;

/// A group of which there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Mentioned {
    pub(in crate::store::sqlite) id: GroupId,
    /// Whether it is of the organization for sure: what was done to it there, or a list, has told.
    pub(super) is_ours: bool,
}

// Whether the group `number` is of the organization `?1`. It asks for `actions`.
const IS_OURS: &str = "(
    EXISTS (SELECT 1 FROM known_groups WHERE group_id = number AND organization_id = ?1)
    OR EXISTS (
        SELECT 1 FROM actions CROSS JOIN audit_events e
        WHERE e.group_id = number AND e.organization_id = ?1
            AND e.action = actions.value AND e.outcome IN ('applied', 'partial'))
    OR EXISTS (
        SELECT 1 FROM actions CROSS JOIN audit_several e
        WHERE e.group_id = number AND e.organization_id = ?1
            AND e.action = actions.value AND e.outcome IN ('applied', 'partial')))";

// === impl Reader ===

impl Reader {
    /// The groups with a higher number than `last`, by number, at most `limit` of them.
    pub(in crate::store::sqlite) async fn mentioned_groups(
        &self,
        organization: OrganizationId,
        last: Option<GroupId>,
        limit: usize,
    ) -> Result<Vec<Mentioned>, StoreError> {
        let sql = format!(
            "WITH RECURSIVE
             actions (value) AS MATERIALIZED ({ALL_ACTIONS}),
             alone (number) AS (
                 SELECT min(group_id) FROM audit_events WHERE group_id > ?2
                 UNION ALL
                 SELECT (SELECT min(group_id) FROM audit_events WHERE group_id > number)
                 FROM alone WHERE number IS NOT NULL
             ),
             several (number) AS (
                 SELECT min(group_id) FROM audit_several WHERE group_id > ?2
                 UNION ALL
                 SELECT (SELECT min(group_id) FROM audit_several WHERE group_id > number)
                 FROM several WHERE number IS NOT NULL
             ),
             numbers (number) AS (
                 SELECT number FROM alone WHERE number IS NOT NULL
                 UNION SELECT number FROM several WHERE number IS NOT NULL
                 UNION SELECT group_id FROM known_groups WHERE group_id > ?2 AND organization_id = ?1
                 ORDER BY 1
             ),
             told (number, is_ours) AS (SELECT number, {IS_OURS} FROM numbers)
             SELECT number, is_ours FROM told WHERE is_ours
                 OR EXISTS (
                     SELECT 1 FROM audit_several WHERE group_id = number AND organization_id = ?1)
                 OR EXISTS (
                     SELECT 1 FROM (
                         SELECT before FROM audit_events
                         WHERE group_id = number AND organization_id = ?1 LIMIT {FIRST})
                     WHERE before IS NOT NULL)
             ORDER BY number LIMIT ?3",
        );
        let groups: Vec<(i64, bool)> = sqlx::query_as(AssertSqlSafe(sql))
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
            "WITH RECURSIVE
             actions (value) AS MATERIALIZED ({ALL_ACTIONS}),
             numbers (number) AS (VALUES (?2))
             SELECT {IS_OURS} FROM numbers",
        );
        let is_ours = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(organization.0)
            .bind(id.0)
            .fetch_one(&self.pool)
            .await?;
        Ok(Mentioned { id, is_ours })
    }
}
