//! The command line: parses it, runs one command, explains what went wrong.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. What a command prints goes to
//! standard output; the log and the reason of a failure go to standard error.

pub mod audit;
pub mod config;
pub mod demo;
pub mod environment;
pub mod healthcheck;
pub mod manual;
pub mod quota;
pub mod serve;
pub mod simulate;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::clock::Clock;
use crate::config::ConfigError;

/// A caching reverse proxy with an audit log for the Toggl Track Groups API.
///
/// Point your tools at Tollgate's address instead of Toggl's: lists of groups come from its cache,
/// and every change is recorded with who made it, when, from where, from what to what.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  tollgate demo                  see all of it, with no account and no network
  tollgate serve                 stand in front of https://api.track.toggl.com
  tollgate audit list --since 1d what was changed since yesterday")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: the proxy, and the admin side beside it
    Serve(serve::Args),
    /// See all of it at work, with no account and no network
    Demo(demo::Args),
    /// Serve a simulated Toggl API, to try things out
    Simulate(simulate::Args),
    /// Ask the audit trail
    Audit(audit::AuditArgs),
    /// Tell who spent the quota, what is left and when it will be gone
    Quota(quota::Args),
    /// Check or show the configuration
    Config(config::ConfigArgs),
    /// Ask whether the gateway on this machine is ready
    Healthcheck(healthcheck::Args),
    /// Print a shell's completions
    #[command(after_help = "\
Example:
  tollgate completions bash > /etc/bash_completion.d/tollgate")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages, one for each command
    Man(manual::Args),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    // clap itself ends with 2 on wrong usage.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has read enough: `tollgate audit list | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tollgate: {error:#}");
            let wrong_configuration = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if wrong_configuration { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Config(args) => config::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
            Ok(io::stdout().write_all(&script)?)
        }
        Command::Man(args) => manual::run(&args, Cli::command()),
        Command::Healthcheck(args) => in_runtime(healthcheck::run(args)),
        Command::Serve(args) => match in_runtime(serve::run(args))? {
            None => Ok(()),
            // Not before the runtime has ended, and every thread of it.
            Some(successor) => {
                Err(successor.take_over()).context("the new binary could not take over")
            }
        },
        Command::Demo(args) => in_runtime(demo::run(args)),
        Command::Audit(args) => in_runtime(async move { args.run(&Clock::system()).await }),
        Command::Quota(args) => in_runtime(async move { args.run(&Clock::system()).await }),
        Command::Simulate(args) => in_runtime(simulate::run(args)),
    }
}

fn in_runtime<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_each_command_says_what_it_does() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
