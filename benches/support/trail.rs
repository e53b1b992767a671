//! Trails: an invented one to ask, and how fast one is written.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::time::Instant;
use tollgate::clock::Clock;
use tollgate::domain::action::{Action, Outcome};
use tollgate::domain::endpoint::Touches;
use tollgate::domain::event::{
    Actor, Draft, Intent, RequestRecord, ResponseRecord, Source, Target,
};
use tollgate::domain::ids::{EventId, GroupId, OrganizationId};
use tollgate::store::Trail as _;
use tollgate::store::sqlite::SqliteStore;

/// How many events one statement invents.
const STEP: i64 = 500_000;

/// How many events a second go into the trail at `path`, each an intent and an event that were on disk, by so
/// many at once.
pub(crate) async fn events_a_second(path: &Path, at_once: u32, count: u32) -> anyhow::Result<f64> {
    let (store, _) = SqliteStore::open(path, Clock::system()).await?;
    let each = count / at_once;
    let started = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    let intent = intent();
                    store.intend(intent.clone()).await?;
                    store.complete(applied(intent), vec![]).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let took = started.elapsed();
    store.close().await;
    Ok(f64::from(at_once * each) / took.as_secs_f64())
}

/// A change that begins now.
fn intent() -> Intent {
    let organization = OrganizationId(1);
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark runs on the machine's clock"
    )]
    let now = Timestamp::now();
    Intent {
        id: EventId::new(),
        occurred_at: now,
        action: Action::GroupUpdate,
        actor: Actor {
            credential_id: Some("ab".repeat(32)),
            email: Some("ann@acme.example".into()),
            ..Actor::default()
        },
        source: Source {
            ip: Some("192.0.2.7".into()),
            user_agent: Some("hr-sync/2".into()),
            request_id: Some("0193f0a2-7c11-7000-8000-3b1a5c0e9d42".into()),
        },
        target: Target {
            organization_id: Some(organization),
            group_id: Some(GroupId(7)),
            group_name: Some("Design".into()),
            ..Target::default()
        },
        request: RequestRecord {
            method: "PUT".into(),
            path: "/api/v9/organizations/1/groups/7".into(),
            body: Some(r#"{"name":"Brand"}"#.into()),
            ..RequestRecord::default()
        },
        touches: Touches::Organization(organization, None),
        flags: vec![],
    }
}

/// Its end.
fn applied(intent: Intent) -> Draft {
    Draft {
        completed_at: intent.occurred_at,
        duration_ms: 12,
        outcome: Outcome::Applied,
        response: ResponseRecord {
            status: Some(200),
            ..ResponseRecord::default()
        },
        before: None,
        after: None,
        changes: vec![],
        relations: vec![],
        summary: "renamed \"Design\" to \"Brand\"".into(),
        intent,
    }
}

/// A trail of so many events, at `path`.
///
/// Straight into the table, without triggers and indexes, which are put back at the end.
pub(crate) async fn invent(path: &Path, count: i64) -> anyhow::Result<()> {
    let (store, _) = SqliteStore::open(path, Clock::system()).await?;
    store.close().await;
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-1000000")
        .connect()
        .await?;
    let parts: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_schema
         WHERE tbl_name = 'audit_events' AND type IN ('index', 'trigger') AND sql IS NOT NULL",
    )
    .fetch_all(&mut connection)
    .await?;
    for (kind, name, _) in &parts {
        let drop = AssertSqlSafe(format!("DROP {kind} {name}"));
        sqlx::raw_sql(drop).execute(&mut connection).await?;
    }
    let mut first = 1;
    while first <= count {
        let last = (first + STEP - 1).min(count);
        sqlx::query(include_str!("seed.sql"))
            .bind(first)
            .bind(last)
            .execute(&mut connection)
            .await?;
        first = last + 1;
    }
    sqlx::raw_sql(
        "INSERT INTO audit_event_groups
         SELECT seq, organization_id, json_extract(changes, '$[0].group_id') FROM audit_events
         WHERE action = 'membership.change';
         INSERT INTO audit_hours
         SELECT substr(occurred_at, 1, 13), min(seq), max(seq) FROM audit_events GROUP BY 1",
    )
    .execute(&mut connection)
    .await?;
    for (_, _, sql) in parts {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(())
}
