//! Opens the database file, or says clearly why not.
//!
//! **Guarantee**: nothing is written into a file that is not ours. A file that is missing is made,
//! readable by its owner alone. One that is there is recognized by its `application_id` before
//! anything else looks at it, and refused if it is no database, another program's, or of a version
//! that this one does not know. On a network's file system none is made or opened ([`file_system`]).
//!
//! `WAL` lets readers go on beside the writer; `synchronous = FULL` makes a commit wait for the disk.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

use super::file_system;
use super::presence::Presence;
use crate::store::StoreError;

/// `Toll`: how a database file says that it is ours.
pub(super) const APPLICATION_ID: i64 = 0x546f_6c6c;

/// How long a writer waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

// SQLite's files beside the database, too, have to be that user's.
const ADVICE: &str = "run this as the user whom the gateway runs as";

// In order; an applied file never changes.
const MIGRATIONS: [(&str, &str); 8] = [
    (
        "audit",
        include_str!("../../../migrations/sqlite/0001_audit.sql"),
    ),
    (
        "known",
        include_str!("../../../migrations/sqlite/0002_known.sql"),
    ),
    (
        "views",
        include_str!("../../../migrations/sqlite/0003_views.sql"),
    ),
    (
        "trust",
        include_str!("../../../migrations/sqlite/0004_trust.sql"),
    ),
    (
        "drift",
        include_str!("../../../migrations/sqlite/0005_drift.sql"),
    ),
    (
        "questions",
        include_str!("../../../migrations/sqlite/0006_questions.sql"),
    ),
    (
        "meetings",
        include_str!("../../../migrations/sqlite/0007_meetings.sql"),
    ),
    (
        "quota",
        include_str!("../../../migrations/sqlite/0008_quota.sql"),
    ),
];

/// How to connect for writing.
pub(super) fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // What a statement that fails half-way is taken back by would else go through a file.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(64)
        .disable_statement_logging()
}

/// How to connect for reading alone.
pub(super) fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        // In KiB. Enough for what one statement reads twice: whatever somebody writes empties it, and the system
        // keeps the file's pages. By itself it would be 2 MB for each connection, as soon as all of it was read.
        .pragma("cache_size", "-512")
        .disable_statement_logging()
}

/// Makes the file if it is missing, recognizes it, brings its schema up to date.
pub(super) async fn open(path: &Path) -> Result<(SqliteConnection, Presence), StoreError> {
    match file_system::suits(path) {
        Ok(None) => {}
        Ok(Some(name)) => tracing::warn!(
            "{} is on a file system of another program's ({name}): keep the audit database on a disk of this machine",
            path.display()
        ),
        Err(error) => return Err(StoreError::Unusable(format!("{} {error}", path.display()))),
    }
    create(path)?;
    let ours = recognize(path).await?;
    let presence = Presence::at(path)?;
    let mut connection = connect(path, writing(path)).await?;
    if !ours {
        // Before the first table: a crash in between leaves a file that is empty or known as ours.
        sqlx::query("PRAGMA application_id = 0x546f6c6c")
            .execute(&mut connection)
            .await
            .map_err(|error| refused(path, error))?;
    }
    match migrator().run(&mut connection).await {
        Ok(()) => Ok((connection, presence)),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(refused(path, error))
        }
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Connects for reading, to a file that is there and of this version.
pub(super) async fn inspect(path: &Path) -> Result<SqliteConnection, StoreError> {
    if !is_there(path)? {
        return Err(StoreError::Unusable(format!(
            "{} does not exist: no audit database was written there yet",
            path.display()
        )));
    }
    if !recognize(path).await? {
        return Err(StoreError::Unusable(format!(
            "{} is empty: no audit database was written there yet",
            path.display()
        )));
    }
    let mut connection = connect(path, reading(path)).await?;
    let migrator = migrator();
    let applied = match connection
        .list_applied_migrations(&migrator.table_name)
        .await
    {
        Ok(applied) => applied,
        Err(error) => return Err(unusable(path, &error)),
    };
    if let Some(newer) = applied
        .iter()
        .find(|applied| !migrator.version_exists(applied.version))
    {
        return Err(unusable(path, &MigrateError::VersionMissing(newer.version)));
    }
    if applied.len() < migrator.iter().count() {
        return Err(StoreError::Unusable(format!(
            "{} was written by an older version of Tollgate: start `tollgate serve` on it once",
            path.display()
        )));
    }
    Ok(connection)
}

pub(super) fn migrator() -> Migrator {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (name, sql))| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

// What is in a directory that may not be entered is not missing: nobody should make or look for another.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match path.try_exists() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(StoreError::Unusable(format!(
                "{} cannot be reached by this user, who may not enter its directory: {ADVICE}",
                path.display()
            )))
        }
        there => Ok(there.unwrap_or(false)),
    }
}

// Before SQLite does, which would make it readable by everybody.
fn create(path: &Path) -> Result<(), StoreError> {
    if is_there(path)? {
        return Ok(());
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory
        && !directory.is_dir()
    {
        return Err(StoreError::Unusable(format!(
            "{} cannot be made: there is no directory {}",
            path.display(),
            directory.display()
        )));
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| cannot("make", path, &error))
}

// Whether the file is ours already; it is not, and may become so, if it is empty. By a connection
// without pragmas that write: `journal_mode` would turn a stranger's file into a WAL one.
async fn recognize(path: &Path) -> Result<bool, StoreError> {
    if path.is_dir() {
        return Err(StoreError::Unusable(format!(
            "{} is a directory, not a database",
            path.display()
        )));
    }
    let mut connection = connect(path, reading(path)).await?;
    let (id, tables): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(|error| refused(path, error))?;
    connection.close().await?;
    match (id, tables) {
        (APPLICATION_ID, _) => Ok(true),
        (0, 0) => Ok(false),
        _ => Err(StoreError::Unusable(format!(
            "{} is a database of another program, not an audit database of Tollgate",
            path.display()
        ))),
    }
}

pub(super) async fn connect(
    path: &Path,
    options: SqliteConnectOptions,
) -> Result<SqliteConnection, StoreError> {
    options
        .connect()
        .await
        .map_err(|error| refused(path, error))
}

pub(super) fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unusable(format!("cannot {verb} {}: {error}", path.display()))
}

fn refused(path: &Path, error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse::<u32>().ok());
    // The low byte is the kind, what is above it the detail: https://sqlite.org/rescode.html
    let (reason, advice) = match code.map(|code| code & 0xff) {
        Some(26) => ("is not a database", ""),
        Some(11) => ("is a damaged database", ""),
        Some(8) => ("may not be written by this user: ", ADVICE),
        Some(14) => (
            "cannot be opened by this user, or its directory cannot be written, or its file system is mounted for reading alone: ",
            ADVICE,
        ),
        Some(5 | 6) => ("is held by another process", ""),
        _ => return error.into(),
    };
    StoreError::Unusable(format!("{} {reason}{advice}", path.display()))
}

fn unusable(path: &Path, error: &MigrateError) -> StoreError {
    let reason = match error {
        MigrateError::VersionMissing(version) => format!(
            "was written by a newer version of Tollgate: its schema has the step {version}, which this version does not know"
        ),
        MigrateError::VersionMismatch(version) => {
            format!("has a schema that differs from this version's in step {version}")
        }
        other => format!("could not be brought up to this version's schema: {other}"),
    };
    StoreError::Unusable(format!("{} {reason}", path.display()))
}
