//! `tollgate audit verify`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::checkpoint::KeyArgs;
use crate::cli::environment::FileArgs;
use crate::clock::rfc3339;
use crate::domain::checkpoint::{Checkpoint, VerifierKey};
use crate::store::sqlite::{Reader, Verdict};

/// What stands below the options.
pub(super) const HELP: &str = "\
Ends with exit code 1 and names the first bad row if one was edited, removed, added or moved. A chain
that was cut off at its end or computed anew as a whole is a valid chain: give a checkpoint from before
to prove that it was not.

Examples:
  tollgate audit verify --database /var/lib/tollgate/tollgate.db
  tollgate audit verify --checkpoint checkpoint.txt
  tollgate audit verify --checkpoint checkpoint.txt --public-key tollgate+c74f20a3+ARpc2Q…";

/// A walk that takes less is over before anybody could read how far it is.
const SLOW: i64 = 100_000;

/// Of a file that is larger than any note, no more is read, in bytes.
const LARGEST: u64 = 64 * 1024;

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// A signed checkpoint from before, which the trail must still extend
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    #[command(flatten)]
    key: KeyArgs,

    /// Check the signature with this key, as `audit checkpoint --public-key` prints it, not with the key file
    #[arg(
        long,
        value_name = "KEY",
        requires = "checkpoint",
        conflicts_with = "key_file"
    )]
    public_key: Option<VerifierKey>,
}

pub(super) async fn run(
    args: &VerifyArgs,
    reader: &Reader,
    configuration: &FileArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    // First, so that nobody waits for a walk to learn that a file cannot be read.
    let checkpoint = match &args.checkpoint {
        Some(path) => Some(opened(args, path, configuration)?),
        None => None,
    };
    let bar = progress_bar();
    let walked = reader
        .verify_with(|done, of| {
            if of >= SLOW {
                bar.set_length(u64::try_from(of).unwrap_or_default());
                bar.set_position(u64::try_from(done).unwrap_or_default());
            }
        })
        .await;
    bar.finish_and_clear();
    let verdict = walked?;
    tell(&verdict, out)?;
    match checkpoint {
        Some(checkpoint) => {
            if let Err(differs) = reader.extends(&checkpoint, &verdict).await? {
                bail!("{differs}");
            }
            writeln!(
                out,
                "It extends the checkpoint of {}: all up to row {} is as it was then.\n\
                 Not proved: that no row behind that one is missing at the end, or was written anew.",
                rfc3339(checkpoint.at),
                checkpoint.seq
            )?;
        }
        None => writeln!(
            out,
            "Not proved: that no row is missing at the end, and that the trail was not written anew as a whole.\n\
             For that, give a checkpoint from before: tollgate audit verify --checkpoint FILE"
        )?,
    }
    Ok(())
}

fn opened(
    args: &VerifyArgs,
    path: &PathBuf,
    configuration: &FileArgs,
) -> anyhow::Result<Checkpoint> {
    let about = || format!("the checkpoint {}", path.display());
    let mut note = String::new();
    let file = File::open(path).with_context(about)?;
    file.take(LARGEST)
        .read_to_string(&mut note)
        .with_context(about)?;
    let key = match &args.public_key {
        Some(key) => key.clone(),
        None => args.key.load(configuration)?.verifier(),
    };
    Checkpoint::open(&note, &key).with_context(about)
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let template = "{bar:40} {human_pos} of {human_len} rows, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn tell(verdict: &Verdict, out: &mut impl Write) -> anyhow::Result<()> {
    match verdict {
        Verdict::Intact { head: None, .. } => {
            writeln!(out, "The trail is intact: it has no rows.")?;
        }
        Verdict::Intact {
            rows,
            head: Some(head),
            pruned,
            redacted,
        } => {
            writeln!(
                out,
                "The trail is intact: {}, the last one {} with the hash {}.",
                counted(*rows),
                head.seq,
                head.hash
            )?;
            if *pruned > 0 {
                writeln!(
                    out,
                    "All up to row {pruned} were pruned, as an event of the trail says."
                )?;
            }
            if *redacted > 0 {
                writeln!(
                    out,
                    "From {} a person was erased, as events of the trail say.",
                    counted(*redacted)
                )?;
            }
        }
        Verdict::Broken { rows, fault } => {
            let before = match rows {
                0 => "no row comes before it".to_owned(),
                1 => "the one row before it is as it was written".to_owned(),
                rows => format!("the {rows} rows before it are as they were written"),
            };
            bail!("the trail is broken: {fault}; {before}");
        }
    }
    Ok(())
}

fn counted(rows: i64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}
