//! `tollgate audit history`: the life of one group, oldest first.

use std::io::Write;

use super::json::{write_line, write_pretty};
use super::table::{Column, Look, table_as};
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::life;
use crate::store::filter::{Cursor, Filter};
use crate::store::pages::Pages;
use crate::store::sqlite::Reader;
use clap::{Args, ValueEnum};

// One group's name is at the top of mind, and its changes name it where it got another.
const COLUMNS: [Column; 6] = [
    Column::Seq,
    Column::Time,
    Column::Who,
    Column::Action,
    Column::Outcome,
    Column::What,
];

#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// The organization
    #[arg(value_name = "ORG")]
    organization: OrganizationId,

    /// The group
    #[arg(value_name = "GROUP")]
    group: GroupId,

    /// How to print it
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
}

pub(super) async fn run(
    args: &HistoryArgs,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
) -> anyhow::Result<()> {
    let mut pages = Pages {
        reader,
        filter: Filter {
            group: Some(args.group),
            ..Filter::default()
        },
        cursor: Some(Cursor::OLDEST),
        left: u64::MAX,
        last: i64::MAX,
    };
    let mut life = Vec::new();
    while let Some(events) = pages.next().await? {
        // An event by a workspace's path may not know the organization; a group has one alone.
        let ours = events.into_iter().filter(|event| {
            let organization = event.target.organization_id;
            organization.is_none_or(|organization| organization == args.organization)
        });
        let parts = ours.map(|event| life::part(event, args.group));
        match args.format {
            Format::Ndjson => {
                for event in parts {
                    write_line(out, &event)?;
                }
            }
            Format::Table | Format::Json => life.extend(parts),
        }
    }
    match args.format {
        Format::Table if life.is_empty() => writeln!(
            out,
            "No events about group {} of organization {}.",
            args.group, args.organization
        )?,
        Format::Table => writeln!(out, "{}", table_as(&life, &COLUMNS, look))?,
        Format::Json => write_pretty(out, &life)?,
        Format::Ndjson => {}
    }
    Ok(())
}
