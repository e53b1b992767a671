//! `tollgate audit backup`: a consistent copy of a database that may be in use.
//!
//! **Guarantee**: the copy is one moment of the trail, whole, readable by its owner alone, and has its
//! name when all of it is on disk. What fails leaves neither a half copy nor takes the place of an older
//! one. The gateway goes on meanwhile: SQLite copies from a snapshot.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tempfile::NamedTempFile;

use super::export::{folder_of, settle, spare};
use crate::store::sqlite::Reader;

#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// Where to write it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(
    args: &BackupArgs,
    database: &Path,
    reader: &Reader,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let path = &args.file;
    spare(database, path)?;
    if path.exists() && !args.force {
        bail!("{} is there already: --force replaces it", path.display());
    }
    let failed = || format!("cannot write {}", path.display());
    // Made before SQLite writes into it, which would let everybody read it.
    let beside = NamedTempFile::new_in(folder_of(path)).with_context(failed)?;
    beside
        .as_file()
        .set_permissions(Permissions::from_mode(0o600))
        .with_context(failed)?;
    reader.copy_into(beside.path()).await.with_context(failed)?;
    beside.as_file().sync_all().with_context(failed)?;
    // What cannot be opened and asked is no backup.
    let copy = Reader::open(beside.path()).await.with_context(failed)?;
    let rows = copy.last().await.with_context(failed)?;
    copy.close().await;
    let named = if args.force {
        beside.persist(path)
    } else {
        // Somebody may have put a file there meanwhile.
        beside.persist_noclobber(path)
    };
    named.map_err(|error| error.error).with_context(failed)?;
    settle(path);
    writeln!(
        out,
        "The trail up to row {rows} is in {}. Back up the key beside it too: identity.key_file.",
        path.display()
    )?;
    Ok(())
}
