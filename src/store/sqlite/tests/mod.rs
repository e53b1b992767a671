//! What SQLite alone has to keep: the file, the triggers, the shared commits, the queries.

mod anchor;
mod commits;
mod format;
mod opening;
mod past;
mod proof;
mod pruning;
mod queries;
mod redaction;
mod tampering;
mod views;

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tempfile::TempDir;

use super::*;
use crate::store::suite::{applied, clock, intent};

/// A database of a test's own.
struct Place {
    directory: TempDir,
    path: PathBuf,
}

// === impl Place ===

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        Self { directory, path }
    }

    async fn open(&self) -> (SqliteStore, Recovered) {
        SqliteStore::open(&self.path, clock()).await.unwrap()
    }

    /// What an open of this file says that fails.
    async fn refusal(&self) -> String {
        let error = SqliteStore::open(&self.path, clock()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
        let place = self.directory.path().to_str().unwrap();
        error.to_string().replace(place, "PLACE")
    }

    /// A connection that goes past the store.
    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    /// A closed database with `count` events.
    async fn with_events(count: i64) -> Self {
        let place = Self::new();
        let (store, _) = place.open().await;
        for n in 0..count {
            store.complete(applied(intent(n)), vec![]).await.unwrap();
        }
        store.close().await;
        place
    }
}

async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .map(drop)
}

/// The rows of a query as text, a line each, the columns with ` | ` between them.
async fn told(place: &Place, sql: &str) -> String {
    use sqlx::{Column as _, Row as _};

    let mut connection = place.raw().await;
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let cell = |row: &sqlx::sqlite::SqliteRow, index| {
        row.try_get_unchecked::<Option<String>, _>(index)
            .unwrap()
            .unwrap_or_else(|| "-".into())
    };
    let line = |row: &sqlx::sqlite::SqliteRow| {
        let columns = row
            .columns()
            .iter()
            .map(|column| cell(row, column.ordinal()));
        columns.collect::<Vec<_>>().join(" | ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
