//! `tollgate audit groups`: the groups of an organization as they stood at a time.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::json::{write_line, write_pretty};
use super::table::{Look, empty, lines};
use super::text::plain;
use crate::clock::Clock;
use crate::domain::ids::{GroupId, OrganizationId};
use crate::domain::moment::Moment;
use crate::domain::replay::{Facts, Standing, State};
use crate::store::sqlite::Reader;

const NOT_KNOWN: &str = "not known";

#[derive(Args, Debug)]
pub(super) struct GroupsArgs {
    /// The organization
    #[arg(value_name = "ORG")]
    organization: OrganizationId,

    /// As they stood then: 2d, 3h, 2026-11-24 or 2026-11-24T16:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,

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
}

pub(super) async fn run(
    args: &GroupsArgs,
    reader: &Reader,
    out: &mut impl Write,
    look: Look,
    clock: &Clock,
) -> anyhow::Result<()> {
    let now = clock.now();
    let time = args.at.map_or(now, |moment| moment.before(now));
    let groups = reader.groups_at(args.organization, time).await?;
    let groups: Vec<(GroupId, Facts)> = groups
        .into_iter()
        .filter_map(|(id, state)| match state {
            State::Present(facts) => Some((id, facts)),
            State::Absent | State::Unknown => None,
        })
        .collect();
    match args.format {
        Format::Table if groups.is_empty() => {
            writeln!(
                out,
                "No groups are known of organization {}.",
                args.organization
            )?;
        }
        Format::Table => {
            let mut table = empty(look, ["GROUP", "NAME", "MEMBERS", "WORKSPACES"]);
            for (id, facts) in &groups {
                table.add_row([
                    id.to_string(),
                    plain(facts.name.as_deref().unwrap_or(NOT_KNOWN)).into_owned(),
                    members(facts),
                    workspaces(facts),
                ]);
            }
            writeln!(out, "{}", lines(&mut table))?;
        }
        Format::Json => {
            let all: Vec<_> = groups
                .iter()
                .map(|(id, facts)| Standing::of(*id, facts.clone()))
                .collect();
            write_pretty(out, &all)?;
        }
        Format::Ndjson => {
            for (id, facts) in &groups {
                write_line(out, &Standing::of(*id, facts.clone()))?;
            }
        }
    }
    Ok(())
}

// `Ann (5), Bob (6)`
fn members(facts: &Facts) -> String {
    let names = facts.users.as_ref().map(|users| {
        let names = users.iter().map(|member| match &member.name {
            Some(name) => format!("{name} ({})", member.id),
            None => format!("user {}", member.id),
        });
        names.collect::<Vec<_>>()
    });
    told(names, "nobody")
}

fn workspaces(facts: &Facts) -> String {
    let ids = facts.workspaces.as_ref();
    told(
        ids.map(|ids| ids.iter().map(ToString::to_string).collect()),
        "none",
    )
}

fn told(elements: Option<Vec<String>>, none: &str) -> String {
    match elements {
        None => NOT_KNOWN.to_owned(),
        Some(elements) if elements.is_empty() => none.to_owned(),
        Some(elements) => plain(&elements.join(", ")).into_owned(),
    }
}
