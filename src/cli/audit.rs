//! `tollgate audit`: the trail in a terminal, in a pipe, in a spreadsheet.
//!
//! Reads the database file itself, beside a gateway that runs or without one; what only asks never
//! writes. `export`, `prune` and `redact` say in the trail that they were there. Through a pipe the output
//! is stable and plain; on a terminal the table fits its width, tells times from now, and colours what
//! went wrong.

mod backup;
mod checkpoint;
mod export;
mod groups;
mod history;
mod json;
mod list;
mod operator;
mod prune;
mod redact;
mod show;
pub(super) mod table;
mod tail;
pub(super) mod text;
mod verify;
mod which;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use self::table::Look;
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

    /// Whether to use colours; NO_COLOR in the environment is `never`
    #[arg(long, value_enum, global = true, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal
    Auto,
    /// Through a pipe too
    Always,
    /// Not at all
    Never,
}

/// The widest that a table gets: what is wider than a book is hard to read.
const WIDEST: u16 = 100;

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

    /// Tell the life of one group, oldest first
    #[command(
        after_help = "Also what happened to it behind the gateway, and its part of changes of several groups.\n\nExample: the life of group 9001 of organization 4123\n  tollgate audit history 4123 9001"
    )]
    History(history::HistoryArgs),

    /// Show the groups of an organization as they stood at a time
    #[command(
        after_help = "Put together from what the events before and after that time say; a group without events is shown as it was last seen. What nobody told is not known, and said to be.\n\nExample: who was in which group on Monday at nine?\n  tollgate audit groups 4123 --at 2026-11-23T09:00:00Z"
    )]
    Groups(groups::GroupsArgs),

    /// Follow new events as they come
    #[command(
        after_help = "Ends with Ctrl-C. Takes the filters of `list`.\n\nExample: what is refused, as it happens\n  tollgate audit tail --outcome rejected --lines 0"
    )]
    Tail(tail::TailArgs),

    /// Stream events out, oldest first, and record that it was done
    #[command(
        after_help = "Takes the filters of `list`. A file appears when it is complete. That somebody exported, and what, is an event of its own.\n\nExample:\n  tollgate audit export --format csv --since 30d --output november.csv"
    )]
    Export(export::ExportArgs),

    /// Copy the database, also while the gateway runs
    #[command(
        after_help = "The copy is one moment of the trail: `tollgate audit verify --database FILE` checks it, and `tollgate serve` can go on with it.\n\nExample:\n  tollgate audit backup /backup/tollgate-2026-11-24.db"
    )]
    Backup(backup::BackupArgs),

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
        let terminal = stdout.is_terminal();
        let width = terminal.then(table::terminal_width).flatten();
        let look = Look {
            width: width.map(|width| width.min(WIDEST)),
            colour: self.colour(terminal, std::env::var_os("NO_COLOR")),
            now: terminal.then(|| clock.now()),
        };
        let mut out = BufWriter::new(stdout);
        let result = match self.run_to(&mut out, look, clock).await {
            Ok(()) => out.flush().map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if hung_up(&error) => Ok(()),
            result => result,
        }
    }

    // https://no-color.org: set, and not to nothing. What somebody says on the command line beats it.
    fn colour(&self, terminal: bool, no_color: Option<OsString>) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && no_color.is_none_or(|value| value.is_empty()),
        }
    }

    /// Runs the command and writes to `out`, tables with that look.
    ///
    /// # Errors
    ///
    /// What went wrong, as a sentence.
    async fn run_to(&self, out: &mut impl Write, look: Look, clock: &Clock) -> anyhow::Result<()> {
        let database = self.database()?;
        // Also before writing: what is no database of ours, or a newer version's, is not touched.
        let reader = Reader::open(&database).await?;
        match &self.command {
            Command::List(args) => list::run(args, &reader, out, look, clock).await,
            Command::Show(args) => show::run(args, &reader, out).await,
            Command::History(args) => history::run(args, &reader, out, look).await,
            Command::Groups(args) => groups::run(args, &reader, out, look, clock).await,
            Command::Tail(args) => tail::run(args, &database, &reader, out, look, clock).await,
            Command::Export(args) => export::run(args, &database, &reader, out, look, clock).await,
            Command::Backup(args) => backup::run(args, &database, &reader, out).await,
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
