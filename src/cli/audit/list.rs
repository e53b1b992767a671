//! `tollgate audit list`.

use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::moment::Moment;
use super::table::table_within;
use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::store::StoreError;
use crate::store::filter::Filter;
use crate::store::sqlite::Reader;

/// How many events are in memory at once.
const PAGE: u32 = 500;

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Only of this organization
    #[arg(long, value_name = "ID")]
    org: Option<OrganizationId>,

    /// Only of this group
    #[arg(long, value_name = "ID")]
    group: Option<GroupId>,

    /// Only by this person: name, address, user number, or the first digits of a credential
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,

    /// Only of this kind, such as group.update
    #[arg(long)]
    action: Option<String>,

    /// Only with this outcome
    #[arg(long, value_parser = PossibleValuesParser::new(["applied", "partial", "rejected", "unknown", "not_sent"]))]
    outcome: Option<String>,

    /// Only from this time on: 2d, 3h, 2026-11-24 or 2026-11-24T16:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,

    /// Only before this time, written in the same ways
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,

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
    width: Option<u16>,
    clock: &Clock,
) -> anyhow::Result<()> {
    let now = clock.now();
    let mut pages = Pages {
        reader,
        filter: Filter {
            organization: args.org,
            group: args.group,
            actor: args.actor.clone(),
            action: args.action.clone(),
            outcome: args.outcome.clone(),
            since: args.since.map(|moment| moment.before(now)),
            until: args.until.map(|moment| moment.before(now)),
        },
        left: args.limit,
        before: None,
    };
    match args.format {
        Format::Table => {
            let events = pages.rest().await?;
            if events.is_empty() {
                writeln!(out, "No events.")?;
            } else {
                writeln!(out, "{}", table_within(&events, width))?;
            }
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &pages.rest().await?)?;
            writeln!(out)?;
        }
        Format::Ndjson => {
            while let Some(events) = pages.next().await? {
                for event in events {
                    serde_json::to_writer(&mut *out, &event)?;
                    writeln!(out)?;
                }
            }
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(CSV_COLUMNS.map(|(name, _)| name))?;
            while let Some(events) = pages.next().await? {
                for event in events {
                    csv.write_record(csv_record(&event)?)?;
                }
            }
            csv.flush()?;
        }
    }
    Ok(())
}

/// The events page by page, so that a long list needs no more memory than a short one.
struct Pages<'a> {
    reader: &'a Reader,
    filter: Filter,
    left: u32,
    before: Option<i64>,
}

// === impl Pages ===

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let size = self.left.min(PAGE);
        let page = self.reader.events(&self.filter, self.before, size).await?;
        self.left = match page.next {
            Some(_) => self.left - size,
            None => 0,
        };
        self.before = page.next;
        Ok(Some(page.events))
    }

    async fn rest(&mut self) -> Result<Vec<Event>, StoreError> {
        let mut rest = Vec::new();
        while let Some(events) = self.next().await? {
            rest.extend(events);
        }
        Ok(rest)
    }
}

// The names of the table's columns, and where each is in an event's JSON.
pub(super) const CSV_COLUMNS: [(&str, &str); 35] = [
    ("seq", "/seq"),
    ("id", "/id"),
    ("occurred_at", "/occurred_at"),
    ("completed_at", "/completed_at"),
    ("duration_ms", "/duration_ms"),
    ("action", "/action"),
    ("outcome", "/outcome"),
    ("actor_user_id", "/actor/user_id"),
    ("actor_email", "/actor/email"),
    ("actor_name", "/actor/name"),
    ("credential_id", "/actor/credential_id"),
    ("tool", "/actor/tool"),
    ("on_behalf_of", "/actor/on_behalf_of"),
    ("client_ip", "/source/ip"),
    ("user_agent", "/source/user_agent"),
    ("request_id", "/source/request_id"),
    ("upstream_request_id", "/response/upstream_request_id"),
    ("organization_id", "/target/organization_id"),
    ("workspace_id", "/target/workspace_id"),
    ("group_id", "/target/group_id"),
    ("group_name", "/target/group_name"),
    ("project_id", "/target/project_id"),
    ("project_group_id", "/target/project_group_id"),
    ("method", "/request/method"),
    ("path", "/request/path"),
    ("query", "/request/query"),
    ("status", "/response/status"),
    ("request_body", "/request/body"),
    ("response_body", "/response/body"),
    ("relations", "/relations"),
    ("flags", "/flags"),
    ("before", "/before"),
    ("after", "/after"),
    ("changes", "/changes"),
    ("summary", "/summary"),
];

fn csv_record(event: &Event) -> anyhow::Result<Vec<String>> {
    let json = serde_json::to_value(event)?;
    let cell = |(_, place): &(&str, &str)| match json.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => inert(text),
        Some(other) => other.to_string(),
    };
    Ok(CSV_COLUMNS.iter().map(cell).collect())
}

// A spreadsheet computes what begins like a formula; behind an apostrophe it is text.
fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
