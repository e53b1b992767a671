//! What the newest event of each of many groups tells, as of a time.
//!
//! **Guarantee**: a step that comes out is the one at which a walk through the group's events from the time back
//! would have ended. Where that is not sure, nothing comes out, and somebody has to walk.
//!
//! One statement finds the newest row of all groups: some hundred steps along indexes for each, whatever number of
//! rows it has, and one row that is read.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::Row as _;

use super::OUT_OF_ORDER;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::replay::Step;
use crate::store::StoreError;
use crate::store::sqlite::{Reader, query, reader};

// === impl Reader ===

impl Reader {
    /// The newest step of each of these groups, which are `organization`'s for sure, where it tells all.
    pub(super) async fn newest_steps(
        &self,
        organization: OrganizationId,
        groups: &[GroupId],
        time: &str,
        boundary: i64,
    ) -> Result<HashMap<GroupId, Step>, StoreError> {
        let late = self.late(time, boundary).await?;
        let mut rows = sqlx::query(query::NEWEST.as_str())
            .bind(json!(groups).to_string())
            .bind(organization.0)
            .bind(boundary)
            .fetch(&self.pool);
        // One row each of the organization and of none that is known, where there are both: the later one counts.
        let mut newest: HashMap<GroupId, (i64, Option<Step>)> = HashMap::new();
        while let Some(row) = rows.try_next().await? {
            let event = reader::event(&row)?;
            let group = GroupId(row.try_get("number")?);
            let is_of_then = event.completed_at.as_str() <= time && !late.contains(&group);
            let step = Step::of(&event, group).filter(|step| is_of_then && step.tells_all_after());
            let found = newest.entry(group).or_default();
            if event.seq > found.0 {
                *found = (event.seq, step);
            }
        }
        let newest = newest.into_iter();
        Ok(newest
            .filter_map(|(group, (_, step))| Some((group, step?)))
            .collect())
    }

    // The groups with rows behind the boundary whose outcome was known at the time all the same.
    async fn late(&self, time: &str, boundary: i64) -> Result<HashSet<GroupId>, StoreError> {
        let late: Vec<i64> = sqlx::query_scalar(
            "WITH late (seq, group_id) AS MATERIALIZED (
                 SELECT seq, group_id FROM audit_events
                 WHERE seq > ?1 AND seq < ?2 AND completed_at <= ?3
             )
             SELECT group_id FROM late WHERE group_id IS NOT NULL
             UNION
             SELECT several.group_id FROM late CROSS JOIN audit_several several USING (seq)",
        )
        .bind(boundary)
        .bind(boundary.saturating_add(OUT_OF_ORDER))
        .bind(time)
        .fetch_all(&self.pool)
        .await?;
        Ok(late.into_iter().map(GroupId).collect())
    }
}
