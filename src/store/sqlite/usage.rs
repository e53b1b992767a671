//! What the quota was spent on: counts that are added up, what was left, and both read back.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::Reader;
use crate::clock::rfc3339;
use crate::domain::caller::Person;
use crate::domain::ids::{OrganizationId, UserId, WorkspaceId};
use crate::domain::spending::Ledger;
use crate::domain::usage::{Counts, Left, Pool, Usage};
use crate::store::{Spent, StoreError};

// As many as anybody's reports are about.
const MOST_WORKSPACES: u32 = 10_000;

/// Adds up what was counted, keeps what was left, forgets what is old.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    spent: &Spent,
) -> Result<(), StoreError> {
    for usage in &spent.usage {
        add(connection, usage).await?;
    }
    for left in &spent.left {
        put(connection, left).await?;
    }
    if let Some(before) = spent.forget_before {
        let before = rfc3339(before);
        for forget in [
            "DELETE FROM quota_usage WHERE hour < ?",
            "DELETE FROM quota_standing WHERE told_at < ?",
        ] {
            sqlx::query(forget)
                .bind(&before)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

async fn add(connection: &mut SqliteConnection, usage: &Usage) -> Result<(), StoreError> {
    let counts = usage.counts;
    sqlx::query(
        "INSERT INTO quota_usage
             (hour, credential_id, pool, tool, endpoint, upstream, cached, refused, limited)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (hour, credential_id, pool, tool, endpoint) DO UPDATE SET
             upstream = upstream + excluded.upstream, cached = cached + excluded.cached,
             refused = refused + excluded.refused, limited = limited + excluded.limited",
    )
    .bind(rfc3339(usage.hour))
    .bind(&usage.credential_id)
    .bind(usage.pool.to_string())
    .bind(&usage.tool)
    .bind(&usage.endpoint)
    .bind(counts.upstream)
    .bind(counts.cached)
    .bind(counts.refused)
    .bind(counts.limited)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put(connection: &mut SqliteConnection, left: &Left) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO quota_standing (credential_id, pool, remaining, resets_at, told_at, message)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (credential_id, pool) DO UPDATE SET remaining = excluded.remaining,
             resets_at = excluded.resets_at, told_at = excluded.told_at, message = excluded.message
         WHERE excluded.told_at >= quota_standing.told_at",
    )
    .bind(&left.credential_id)
    .bind(left.pool.to_string())
    .bind(i64::try_from(left.remaining).unwrap_or(i64::MAX))
    .bind(rfc3339(left.resets_at))
    .bind(rfc3339(left.told_at))
    .bind(&left.message)
    .execute(connection)
    .await?;
    Ok(())
}

// === impl Reader ===

impl Reader {
    /// What was counted in the hours since, the one of `since` included; and what else a report needs.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn ledger(&self, since: Timestamp) -> Result<Ledger, StoreError> {
        Ok(Ledger {
            usage: self.usage(since).await?,
            left: self.left(Timestamp::UNIX_EPOCH).await?,
            people: self.spenders(since).await?.into_iter().collect(),
            workspaces: self.workspaces().await?.into_iter().collect(),
        })
    }

    /// What a gateway that starts must know: see [`Expenses::standings`](crate::store::Expenses).
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn standings(&self, by: Timestamp) -> Result<Ledger, StoreError> {
        Ok(Ledger {
            usage: Vec::new(),
            left: self.left(by).await?,
            people: self.limited_people(by).await?.into_iter().collect(),
            workspaces: self.workspaces().await?.into_iter().collect(),
        })
    }

    async fn usage(&self, since: Timestamp) -> Result<Vec<Usage>, StoreError> {
        type Row = (String, String, String, String, String, i64, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT hour, credential_id, pool, tool, endpoint, upstream, cached, refused, limited
             FROM quota_usage WHERE hour >= ? ORDER BY hour",
        )
        .bind(rfc3339(hour_of(since)))
        .fetch_all(&self.pool)
        .await?;
        let usage = |row: Row| {
            let (hour, credential_id, pool, tool, endpoint, upstream, cached, refused, limited) =
                row;
            Ok(Usage {
                hour: time(&hour)?,
                credential_id,
                pool: pool_of(&pool)?,
                tool,
                endpoint,
                counts: Counts {
                    upstream,
                    cached,
                    refused,
                    limited,
                },
            })
        };
        rows.into_iter().map(usage).collect()
    }

    // What upstream last told of each quota that fills up after then, the newest first.
    async fn left(&self, after: Timestamp) -> Result<Vec<Left>, StoreError> {
        type Row = (String, String, i64, String, String, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT credential_id, pool, remaining, resets_at, told_at, message
             FROM quota_standing WHERE resets_at > ? ORDER BY told_at DESC",
        )
        .bind(rfc3339(after))
        .fetch_all(&self.pool)
        .await?;
        let left = |row: Row| {
            let (credential_id, pool, remaining, resets_at, told_at, message) = row;
            Ok(Left {
                credential_id,
                pool: pool_of(&pool)?,
                remaining: u64::try_from(remaining).unwrap_or(0),
                resets_at: time(&resets_at)?,
                told_at: time(&told_at)?,
                message,
            })
        };
        rows.into_iter().map(left).collect()
    }

    // Who is behind the credentials that the quota was spent with since, of those that are known. By the
    // hour, with which the key begins: thirty days of rows are not walked through for one of them.
    async fn spenders(&self, since: Timestamp) -> Result<Vec<(String, Person)>, StoreError> {
        let rows: Vec<Known> = sqlx::query_as(
            "SELECT credential_id, user_id, email, name FROM identities
             WHERE credential_id IN (SELECT credential_id FROM quota_usage WHERE hour >= ?)
                OR credential_id IN (SELECT credential_id FROM quota_standing)",
        )
        .bind(rfc3339(hour_of(since)))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(person).collect())
    }

    // Whose quotas are not filled up by then, with every credential of theirs.
    async fn limited_people(&self, by: Timestamp) -> Result<Vec<(String, Person)>, StoreError> {
        let rows: Vec<Known> = sqlx::query_as(
            "SELECT credential_id, user_id, email, name FROM identities
             WHERE user_id IN (
                 SELECT user_id FROM identities JOIN quota_standing USING (credential_id)
                 WHERE resets_at > ?)",
        )
        .bind(rfc3339(by))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(person).collect())
    }

    // Which organization each known workspace belongs to, of those heard of last.
    async fn workspaces(&self) -> Result<Vec<(WorkspaceId, OrganizationId)>, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT workspace_id, organization_id FROM known_workspaces
             ORDER BY seen_at DESC LIMIT ?",
        )
        .bind(MOST_WORKSPACES)
        .fetch_all(&self.pool)
        .await?;
        let ids =
            |(workspace, organization)| (WorkspaceId(workspace), OrganizationId(organization));
        Ok(rows.into_iter().map(ids).collect())
    }
}

type Known = (String, Option<i64>, Option<String>, Option<String>);

fn person((id, user, email, name): Known) -> (String, Person) {
    let person = Person {
        user_id: user.map(UserId),
        email,
        name,
    };
    (id, person)
}

fn hour_of(at: Timestamp) -> Timestamp {
    let seconds = at.as_second().div_euclid(3600) * 3600;
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

fn time(text: &str) -> Result<Timestamp, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Corrupt(format!("a time that is none: {text}")))
}

fn pool_of(text: &str) -> Result<Pool, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Corrupt(format!("a quota that is none: {text}")))
}
