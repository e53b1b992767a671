//! `tollgate audit tail`: new events as they come, whoever writes them.
//!
//! Another process writes the file, and nobody tells this one. So it looks at the newest row's number a
//! few times a second, which costs one step along the primary key, and reads when that has grown. It ends
//! with Ctrl-C, when nobody reads what it prints, or when the file is another one.

use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{MissedTickBehavior, interval};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::json::write_line;
use super::table::{Look, colour_of_outcome};
use super::text::{plain, time, who_with_what};
use super::which::Which;
use crate::clock::Clock;
use crate::domain::event::Event;
use crate::store::filter::Cursor;
use crate::store::pages::News;
use crate::store::sqlite::Reader;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// How many events are in memory at once.
const PAGE: u32 = 500;

#[derive(Args, Debug)]
pub(super) struct TailArgs {
    #[command(flatten)]
    which: Which,

    /// Begin with so many that are there already
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    lines: u32,

    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people, a line each
    Table,
    /// An object a line
    Ndjson,
}

pub(super) async fn run(
    args: &TailArgs,
    database: &Path,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
    clock: &Clock,
) -> anyhow::Result<()> {
    tokio::select! {
        result = follow(args, database, reader, out, look, clock) => result,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

async fn follow(
    args: &TailArgs,
    database: &Path,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
    clock: &Clock,
) -> anyhow::Result<()> {
    let filter = args.which.filter(clock);
    let file = identity(database);
    // First the place, then what is before it: what comes meanwhile is after it, and not lost.
    let last = reader.last().await?;
    if args.lines > 0 {
        let there = reader
            .next_events(&filter, Cursor::Before(last + 1), args.lines)
            .await?;
        for event in there.events.iter().rev() {
            print(args, event, out, look)?;
        }
    }
    out.flush()?;
    let mut news = News {
        reader: reader.clone(),
        filter,
        last,
    };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if nobody_reads() {
            return Ok(());
        }
        // Nobody writes to the old one any more, and nothing would ever come.
        if identity(database) != file {
            bail!("{} was replaced by another file", database.display());
        }
        loop {
            let events = news.next(PAGE).await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                print(args, event, out, look)?;
            }
            out.flush()?;
        }
    }
}

// Device and number of the file: another one of the same name may take its place.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

fn print(args: &TailArgs, event: &Event, out: &mut impl Write, look: Look) -> io::Result<()> {
    match args.format {
        Format::Table => writeln!(out, "{}", line(event, look)),
        Format::Ndjson => write_line(out, event),
    }
}

// The columns of a table whose next row nobody knows yet: wide enough for most.
fn line(event: &Event, look: Look) -> String {
    let outcome = padded(&plain(&event.outcome), 8);
    let outcome = match colour_of_outcome(&event.outcome) {
        Some(colour) if look.colour => {
            let mut cell = comfy_table::Table::new();
            cell.load_style(comfy_table::presets::NOTHING)
                .enforce_styling()
                .add_row([comfy_table::Cell::new(outcome).fg(colour)]);
            for column in cell.column_iter_mut() {
                column.set_padding((0, 0));
            }
            cell.to_string()
        }
        _ => outcome,
    };
    let before = format!(
        "{}  {}  {}",
        time(&event.occurred_at),
        padded(&who_with_what(event), 24),
        padded(&plain(&event.action), 17),
    );
    let what = plain(&event.summary);
    let what = match look.width {
        // 2 + 8 + 2 for the outcome, which may have a colour and then is longer than it is wide.
        Some(width) => cut(
            &what,
            usize::from(width).saturating_sub(before.width() + 12),
        ),
        None => what.into_owned(),
    };
    format!("{before}  {outcome}  {what}").trim_end().to_owned()
}

fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

// One line each, so a long sentence ends early; `audit show` has it whole.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = text.chars().take_while(|char| {
        let wide = char.width().unwrap_or(0);
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    });
    fits.chain(['…']).collect()
}

// Whether the pipe was closed at the other end. Without new events nothing is written, and nothing would
// be noticed.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return false;
    }
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_by_how_wide_it_is() {
        assert_eq!(cut("renamed", 7), "renamed");
        assert_eq!(cut("renamed", 6), "renam…");
        assert_eq!(cut("設計設計", 6), "設計…");
        assert_eq!(cut("設計", 1), "…");
        assert_eq!(padded("設計", 6), "設計  ");
    }
}
