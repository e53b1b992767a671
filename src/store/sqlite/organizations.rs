//! Which organizations anything is known of.

use super::Reader;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::store::StoreError;

/// An organization, and the first of its groups as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub organization: OrganizationId,
    /// How many groups.
    pub groups: usize,
    /// The first of them by number, with their names.
    pub first: Vec<(GroupId, String)>,
}

/// How many groups are named.
const NAMED: i64 = 6;

// === impl Reader ===

impl Reader {
    /// The organizations of which there is a group, or an event, by number.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn known_organizations(&self) -> Result<Vec<Known>, StoreError> {
        // From one organization to the next by the index, however many events each has.
        let rows: Vec<(i64, i64, Option<i64>, Option<String>)> = sqlx::query_as(
            "WITH RECURSIVE
             heard (organization) AS (
                 SELECT min(organization_id) FROM audit_events
                 UNION ALL
                 SELECT (SELECT min(organization_id) FROM audit_events WHERE organization_id > organization)
                 FROM heard WHERE organization IS NOT NULL
             ),
             numbered AS (
                 SELECT organization_id, group_id, state,
                     row_number() OVER (PARTITION BY organization_id ORDER BY group_id) AS place,
                     count(*) OVER (PARTITION BY organization_id) AS total
                 FROM known_groups WHERE organization_id IS NOT NULL AND state IS NOT NULL
             )
             SELECT organization, 0, NULL, NULL FROM heard WHERE organization IS NOT NULL
                 AND organization NOT IN (SELECT organization_id FROM numbered)
             UNION ALL
             SELECT organization_id, total, group_id, state ->> '$.name' FROM numbered WHERE place <= ?
             ORDER BY 1, 3",
        )
        .bind(NAMED)
        .fetch_all(&self.pool)
        .await?;
        let mut known: Vec<Known> = Vec::new();
        for (organization, total, group, name) in rows {
            let organization = OrganizationId(organization);
            if known
                .last()
                .is_none_or(|last| last.organization != organization)
            {
                known.push(Known {
                    organization,
                    groups: usize::try_from(total).unwrap_or(0),
                    first: Vec::new(),
                });
            }
            if let (Some(last), Some(group)) = (known.last_mut(), group) {
                last.first.push((GroupId(group), name.unwrap_or_default()));
            }
        }
        Ok(known)
    }
}
