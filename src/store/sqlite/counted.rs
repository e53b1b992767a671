//! The few columns of many rows that a count over days needs.

use std::collections::HashMap;

use serde_json::json;

use super::Reader;
use crate::domain::caller::Person;
use crate::domain::ids::{GroupId, OrganizationId, UserId};
use crate::store::StoreError;

/// What is counted of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its place in the trail.
    pub seq: i64,
    /// When it was received.
    pub occurred_at: String,
    /// What kind it is.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// What it touched.
    pub organization: Option<OrganizationId>,
    /// The number of who did it, where the row has it.
    pub user: Option<UserId>,
    /// What stands for their credential.
    pub credential: Option<String>,
    /// Their name, or else their address, where the row has it.
    pub name: Option<String>,
    /// The groups that it is about, with their names where the row has them.
    pub groups: Vec<(GroupId, Option<String>)>,
}

/// What may be counted, and where it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Rows after this one.
    pub after: i64,
    /// The newest row.
    pub last: i64,
    /// The newest row that says that rows were removed or changed: what was read before it holds no longer.
    pub erased: i64,
}

// === impl Reader ===

impl Reader {
    /// The rows of `day`, written as `2026-11-24`, and of those behind it.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn extent(&self, day: &str) -> Result<Extent, StoreError> {
        let (first, last, pruned): (Option<i64>, Option<i64>, i64) = sqlx::query_as(
            "SELECT (SELECT min(first_seq) FROM audit_hours WHERE hour >= ?),
                 (SELECT max(seq) FROM audit_events), (SELECT up_to_seq FROM audit_pruned)",
        )
        .bind(day)
        .fetch_one(&self.pool)
        .await?;
        let last = last.unwrap_or(0);
        // Without an hour there is nothing yet: what comes is behind the last row.
        let after = first.map_or(last, |first| first - 1);
        Ok(Extent {
            after: after.max(pruned),
            last,
            erased: self.erased().await?,
        })
    }

    /// The newest row that says that rows were removed or changed; 0 if there is none. A step along an index.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn erased(&self) -> Result<i64, StoreError> {
        let (redacted, pruned): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT
                 (SELECT max(seq) FROM audit_events WHERE action = 'tollgate.redact' AND outcome = 'applied'),
                 (SELECT max(seq) FROM audit_events WHERE action = 'tollgate.prune' AND outcome = 'applied')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(redacted.max(pruned).unwrap_or(0))
    }

    /// The next rows after `after`, oldest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn counted(&self, after: i64, limit: u32) -> Result<Vec<Counted>, StoreError> {
        type Columns = (
            i64,
            String,
            String,
            String,
            Option<i64>,
            Option<i64>,
            Option<String>,
            Option<String>,
            Option<i64>,
            Option<String>,
        );
        // Neither changes once it is written, so that both tell of the same rows.
        let mut connection = self.pool.acquire().await?;
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT seq, occurred_at, action, outcome, organization_id, actor_user_id, credential_id,
                 coalesce(actor_name, actor_email), group_id, group_name
             FROM audit_events WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *connection)
        .await?;
        let last = rows.last().map_or(after, |row| row.0);
        let several: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT seq, group_id FROM audit_event_groups WHERE seq > ? AND seq <= ? ORDER BY seq",
        )
        .bind(after)
        .bind(last)
        .fetch_all(&mut *connection)
        .await?;
        let mut several = several.into_iter().peekable();
        let counted = rows.into_iter().map(|row| {
            let (
                seq,
                occurred_at,
                action,
                outcome,
                organization,
                user,
                credential,
                name,
                group,
                group_name,
            ) = row;
            let mut groups: Vec<_> = group
                .map(|id| (GroupId(id), group_name))
                .into_iter()
                .collect();
            while let Some((_, group)) = several.next_if(|(of, _)| *of <= seq) {
                groups.push((GroupId(group), None));
            }
            Counted {
                seq,
                occurred_at,
                action,
                outcome,
                organization: organization.map(OrganizationId),
                user: user.map(UserId),
                credential,
                name,
                groups,
            }
        });
        Ok(counted.collect())
    }

    /// Who is behind these credentials, of those that are known by now.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn behind(
        &self,
        credentials: &[String],
    ) -> Result<HashMap<String, Person>, StoreError> {
        type Known = (String, Option<i64>, Option<String>, Option<String>);
        let rows: Vec<Known> = sqlx::query_as(
            "SELECT credential_id, user_id, email, name FROM identities
             WHERE credential_id IN (SELECT value FROM json_each(?))",
        )
        .bind(json!(credentials).to_string())
        .fetch_all(&self.pool)
        .await?;
        let known = rows.into_iter().map(|(id, user, email, name)| {
            let user_id = user.map(UserId);
            let person = Person {
                user_id,
                email,
                name,
            };
            (id, person)
        });
        Ok(known.collect())
    }

    /// What these groups of these organizations are called, of those that are known and there.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn group_names(
        &self,
        groups: &[(OrganizationId, GroupId)],
    ) -> Result<HashMap<GroupId, String>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT k.group_id, k.state ->> '$.name' FROM json_each(?) asked
             JOIN known_groups k ON k.group_id = asked.value ->> '$[1]'
                 AND k.organization_id = asked.value ->> '$[0]'
             WHERE k.state ->> '$.name' IS NOT NULL",
        )
        .bind(json!(groups).to_string())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, name)| (GroupId(id), name))
            .collect())
    }
}
