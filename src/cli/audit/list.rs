//! `tollgate audit list`.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::json::{write_line, write_pretty};
use super::table::{Look, USUAL, table_as};
use super::text::as_told;
use super::which::Which;
use crate::clock::Clock;
use crate::export::Csv;
use crate::store::filter::Cursor;
use crate::store::pages::Pages;
use crate::store::sqlite::Reader;

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    which: Which,

    /// At most this many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One array
    Json,
    /// An object a line
    Ndjson,
    /// For spreadsheets
    Csv,
}

pub(super) async fn run(
    args: &ListArgs,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
    clock: &Clock,
) -> anyhow::Result<()> {
    let mut pages = Pages {
        reader,
        filter: args.which.filter(clock),
        cursor: Some(Cursor::NEWEST),
        left: args.limit.into(),
        last: i64::MAX,
    };
    match args.format {
        Format::Table => {
            let events = pages.rest().await?;
            if events.is_empty() {
                writeln!(out, "No events.")?;
                args.which.doubt();
            } else {
                writeln!(out, "{}", table_as(&events, &USUAL, look))?;
            }
        }
        Format::Json => {
            write_pretty(out, &pages.rest().await?)?;
        }
        Format::Ndjson => {
            while let Some(events) = pages.next().await? {
                for event in events {
                    write_line(out, &event)?;
                }
            }
        }
        Format::Csv => {
            let mut csv = Csv::to(out, as_told(look.now.is_some()))?;
            while let Some(events) = pages.next().await? {
                for event in events {
                    csv.event(&event)?;
                }
            }
            csv.flush()?;
        }
    }
    Ok(())
}
