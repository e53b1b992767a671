//! `tollgate audit`: the trail in a terminal, in a pipe, in a spreadsheet.
//!
//! Reads the database file itself, beside a gateway that runs or without one, and never writes.
//! Through a pipe the output is stable and plain; on a terminal the table fits its width.

mod list;
mod moment;
mod show;
mod table;
mod text;
mod verify;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::table::{Column, table, table_of, table_within};
use super::environment::FileArgs;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::store::sqlite::Reader;

/// What follows `tollgate audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// The audit database [default: the configuration's audit.database]
    #[arg(long, value_name = "FILE", global = true)]
    database: Option<PathBuf>,

    /// The configuration file [default: $TOLLGATE_CONFIG, else ./tollgate.toml if it is there]
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "database")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List events, newest first
    #[command(
        after_help = "Example: who changed group 7 in the last two days?\n  tollgate audit list --group 7 --since 2d"
    )]
    List(list::ListArgs),

    /// Show one event whole, with its difference
    #[command(
        after_help = "Example:\n  tollgate audit show 0193f0a2-7c11-7000-8000-3b1a5c0e9d42\n  tollgate audit show 42"
    )]
    Show(show::ShowArgs),

    /// Check the chain of hashes over all events
    #[command(
        after_help = "Ends with exit code 1 and names the first bad row if one was edited, removed or moved.\n\nExample:\n  tollgate audit verify --database /var/lib/tollgate/tollgate.db"
    )]
    Verify,
}

// === impl AuditArgs ===

impl AuditArgs {
    fn database(&self) -> Result<PathBuf, ConfigError> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        let (config, _) = FileArgs {
            file: self.config.clone(),
        }
        .load()?;
        Ok(config.audit.database.path().to_owned())
    }

    /// Runs the command and writes to standard output.
    ///
    /// # Errors
    ///
    /// What went wrong, as a sentence. A reader that hangs up early, such as `head`, is no error.
    pub async fn run(&self, clock: &Clock) -> anyhow::Result<()> {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(table::terminal_width).flatten();
        let mut out = BufWriter::new(stdout);
        let result = match self.run_to(&mut out, width, clock).await {
            Ok(()) => out.flush().map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if hung_up(&error) => Ok(()),
            result => result,
        }
    }

    /// Runs the command and writes to `out`, which is `width` columns wide if it is a terminal.
    ///
    /// # Errors
    ///
    /// What went wrong, as a sentence.
    pub async fn run_to(
        &self,
        out: &mut impl Write,
        width: Option<u16>,
        clock: &Clock,
    ) -> anyhow::Result<()> {
        let reader = Reader::open(&self.database()?).await?;
        match &self.command {
            Command::List(args) => list::run(args, &reader, out, width, clock).await,
            Command::Show(args) => show::run(args, &reader, out).await,
            Command::Verify => verify::run(&reader, out).await,
        }
    }
}

fn hung_up(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
