//! `tollgate audit export`: the trail streamed out, oldest first, in the memory of one page.
//!
//! **Guarantees**: a file has its name when all of it is on disk, and not before; what failed half-way
//! leaves nothing behind. And what happens to the trail is in the trail (DESIGN §4): an intent is on disk
//! before the first row goes out, and an event says who took how many rows, also of an export that failed.
//! What cannot be recorded is not exported.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use super::json::write_line;
use super::operator::operator;
use super::table::Look;
use super::text::as_told;
use super::which::Which;
use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::own;
use crate::export::Csv;
use crate::store::filter::Cursor;
use crate::store::pages::Pages;
use crate::store::sqlite::{Reader, SqliteStore};
use crate::store::{StoreError, Trail as _};

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    which: Which,

    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,

    /// Where to write it, replacing what is there [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A JSON object a line
    Ndjson,
    /// For spreadsheets
    Csv,
}

pub(super) async fn run(
    args: &ExportArgs,
    database: &Path,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
    clock: &Clock,
) -> anyhow::Result<()> {
    if let Some(path) = &args.output {
        spare(database, path)?;
    }
    // What is recorded from here on, this export among it, is not part of it.
    let last = reader.last().await?;
    let (store, _) = SqliteStore::open(database, clock.clone())
        .await
        .map_err(cannot_record)?;
    let intent = own::exporting(&operator(args.words()), args.which.org, clock.now());
    store.intend(intent.clone()).await.map_err(cannot_record)?;

    let mut rows = 0;
    let exported = match &args.output {
        None => {
            let terminal = look.now.is_some();
            stream(args, reader, last, out, terminal, &mut rows, clock).await
        }
        Some(path) => into_file(args, path, reader, last, &mut rows, clock).await,
    };
    let failed = exported.as_ref().err().map(|error| format!("{error:#}"));
    let draft = own::exported(intent, rows, failed.as_deref(), clock.now());
    let recorded = store.complete(draft, vec![]).await;
    store.close().await;
    exported?;
    recorded.context("the export is done, but could not be recorded")
}

fn cannot_record(error: StoreError) -> anyhow::Error {
    anyhow!(error).context(
        "an export is recorded in the trail, and this one cannot be (`tollgate audit list --format ndjson` reads without recording)",
    )
}

async fn into_file(
    args: &ExportArgs,
    path: &Path,
    reader: &Reader,
    last: i64,
    rows: &mut u64,
    clock: &Clock,
) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    // A pipe or a device keeps its place; only a file is made anew.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let device = OpenOptions::new()
            .write(true)
            .open(path)
            .with_context(failed)?;
        let mut out = BufWriter::new(device);
        stream(args, reader, last, &mut out, false, rows, clock)
            .await
            .with_context(failed)?;
        return out.flush().with_context(failed);
    }
    let beside = NamedTempFile::new_in(folder_of(path)).with_context(failed)?;
    let mut out = BufWriter::new(beside);
    stream(args, reader, last, &mut out, false, rows, clock)
        .await
        .with_context(failed)?;
    let file = out
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path)
        .map_err(|error| error.error)
        .with_context(failed)?;
    settle(path);
    Ok(())
}

/// The folder of a file that may be named without one.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses to write over the database or a file that belongs to it, by whatever way both are named.
pub(super) fn spare(database: &Path, path: &Path) -> anyhow::Result<()> {
    let in_full = |path: &Path| {
        let folder = fs::canonicalize(folder_of(path)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let ways = |path: &Path| [in_full(path), fs::canonicalize(path).ok()];
    let written: Vec<_> = ways(path).into_iter().flatten().collect();
    for database in ways(database).into_iter().flatten() {
        for end in ["", "-wal", "-shm", "-journal", "-lock"] {
            let mut kept = database.clone().into_os_string();
            kept.push(end);
            if written.iter().any(|path| path.as_os_str() == kept) {
                bail!("{} belongs to the trail itself", path.display());
            }
        }
    }
    Ok(())
}

/// Makes a new name survive a power cut, where the system can.
pub(super) fn settle(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

async fn stream(
    args: &ExportArgs,
    reader: &Reader,
    last: i64,
    out: &mut impl Write,
    terminal: bool,
    rows: &mut u64,
    clock: &Clock,
) -> anyhow::Result<()> {
    let bar = progress(last);
    let mut pages = Pages {
        reader,
        filter: args.which.filter(clock),
        cursor: Some(Cursor::OLDEST),
        left: u64::MAX,
        last,
    };
    match args.format {
        Format::Ndjson => {
            while let Some(events) = next(&mut pages, &bar).await? {
                for event in &events {
                    write_line(out, event)?;
                    *rows += 1;
                }
            }
        }
        Format::Csv => {
            let mut csv = Csv::to(&mut *out, as_told(terminal))?;
            while let Some(events) = next(&mut pages, &bar).await? {
                for event in &events {
                    csv.event(event)?;
                    *rows += 1;
                }
            }
            csv.flush()?;
        }
    }
    out.flush()?;
    bar.finish_and_clear();
    Ok(())
}

async fn next(pages: &mut Pages<'_>, bar: &ProgressBar) -> Result<Option<Vec<Event>>, StoreError> {
    let events = pages.next().await?;
    if let Some(event) = events.iter().flatten().last() {
        bar.set_position(u64::try_from(event.seq).unwrap_or(0));
    }
    Ok(events)
}

// On standard error, and only if that is a terminal, which indicatif finds out.
fn progress(last: i64) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(last).unwrap_or(0));
    let style = "{bar:40} row {human_pos} of {human_len}, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

// === impl ExportArgs ===

impl ExportArgs {
    // `audit export --format csv --org 1`: as it could be typed again.
    fn words(&self) -> String {
        let format = match self.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        };
        format!("audit export --format {format}{}", self.which.words())
    }
}
