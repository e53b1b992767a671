//! `tollgate audit`: the trail in a terminal, in a pipe, in a spreadsheet.
//!
//! Reads the database file itself, beside a gateway that runs or without one. `prune` and `redact` write
//! to it, and say so in the trail; the others never do.
//! Through a pipe the output is stable and plain; on a terminal the table fits its width.

mod checkpoint;
mod list;
mod moment;
mod operator;
mod prune;
mod redact;
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
    #[command(after_help = verify::HELP)]
    Verify(verify::VerifyArgs),

    /// Print a signed note of where the trail ends, to be kept elsewhere
    #[command(after_help = checkpoint::HELP)]
    Checkpoint(checkpoint::CheckpointArgs),

    /// Erase a person's data from the trail
    #[command(after_help = redact::HELP)]
    Redact(redact::RedactArgs),

    /// Remove old events without breaking the chain
    #[command(after_help = prune::HELP)]
    Prune(prune::PruneArgs),
}

// === impl AuditArgs ===

impl AuditArgs {
    fn database(&self) -> Result<PathBuf, ConfigError> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        let (config, _) = self.file().load()?;
        Ok(config.audit.database.path().to_owned())
    }

    fn file(&self) -> FileArgs {
        FileArgs {
            file: self.config.clone(),
        }
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
        let database = self.database()?;
        // Also before writing: what is no database of ours, or a newer version's, is not touched.
        let reader = Reader::open(&database).await?;
        match &self.command {
            Command::List(args) => list::run(args, &reader, out, width, clock).await,
            Command::Show(args) => show::run(args, &reader, out).await,
            Command::Verify(args) => verify::run(args, &reader, &self.file(), out).await,
            Command::Checkpoint(args) => {
                checkpoint::run(args, &reader, &self.file(), out, clock).await
            }
            Command::Redact(args) => redact::run(args, &reader, &database, out, clock).await,
            Command::Prune(args) => prune::run(args, &database, out, clock).await,
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
