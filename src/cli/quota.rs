//! `tollgate quota`: who spent the quota, in a terminal or a script.
//!
//! Reads the database file itself, beside a gateway that runs or without one, and never writes. What a
//! gateway counted in the last seconds is not there yet; `GET /api/quota` tells that as well.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::CellAlignment;
use jiff::Timestamp;

use super::audit::table::{self, Look};
use super::audit::text::{plain, time};
use super::environment::FileArgs;
use crate::clock::{Clock, rfc3339};
use crate::domain::moment::Moment;
use crate::domain::spending::{self, Report, Spending};
use crate::domain::usage::Counts;
use crate::store::sqlite::Reader;

/// Who spent the quota: by person, tool and endpoint, what is left and when it will be gone.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
UPSTREAM was sent to Toggl and costs quota, CACHED was answered here and costs none, REFUSED was not
sent because nothing was left. GONE is when nothing will be left at the rate of the last hour.

Examples:
  tollgate quota
  tollgate quota --since 7d
  tollgate quota --format json | jq '.people[] | select(.remaining < 10)'")]
pub struct Args {
    /// The audit database [default: the configuration's audit.database]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,

    /// The configuration file [default: $TOLLGATE_CONFIG, else ./tollgate.toml if it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "database")]
    config: Option<PathBuf>,

    /// From when on: how long ago, such as 3h or 7d, or a time. Thirty days are kept
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: Moment,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// As `GET /api/quota` has it
    Json,
}

// === impl Args ===

impl Args {
    /// Runs the command and writes to standard output.
    ///
    /// # Errors
    ///
    /// What went wrong, as a sentence.
    pub async fn run(&self, clock: &Clock) -> anyhow::Result<()> {
        let stdout = io::stdout();
        let look = Look {
            width: stdout.is_terminal().then(table::terminal_width).flatten(),
            ..Look::default()
        };
        let mut out = BufWriter::new(stdout);
        self.run_to(&mut out, look, clock.now()).await?;
        Ok(out.flush()?)
    }

    async fn run_to(&self, out: &mut impl Write, look: Look, now: Timestamp) -> anyhow::Result<()> {
        let database = match &self.database {
            Some(path) => path.clone(),
            None => {
                let file = FileArgs {
                    file: self.config.clone(),
                };
                file.load()?.0.audit.database.path().to_owned()
            }
        };
        let reader = Reader::open(&database).await?;
        let since = self.since.before(now);
        let ledger = reader.ledger(spending::from(since, now)).await;
        reader.close().await;
        let report = ledger?.report(since, now);
        match self.format {
            Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
            Format::Table if report.people.is_empty() => {
                let since = time(&rfc3339(since));
                writeln!(out, "Nothing was asked yet since {since}.")?;
            }
            Format::Table => writeln!(
                out,
                "{}\n\n{}",
                standings(&report, look),
                spenders(&report, look)
            )?,
        }
        Ok(())
    }
}

// What is left of each quota.
fn standings(report: &Report, look: Look) -> String {
    let mut table = table::empty(
        look,
        [
            "WHO",
            "QUOTA",
            "LEFT",
            "RESETS (UTC)",
            "GONE (UTC)",
            "UPSTREAM",
            "CACHED",
            "REFUSED",
            "SAVED",
        ],
    );
    for one in &report.people {
        let told = |at: Option<Timestamp>| at.map(|at| time(&rfc3339(at)));
        let gone = match (one.remaining, told(one.gone_at)) {
            (None, _) => "-".to_owned(),
            (Some(0), _) => "it is".to_owned(),
            (Some(_), None) => "it lasts".to_owned(),
            (Some(_), Some(gone)) => gone,
        };
        let mut row = vec![
            who(one),
            quota(one),
            one.remaining
                .map_or("-".to_owned(), |left| left.to_string()),
            told(one.resets_at).unwrap_or("-".to_owned()),
            gone,
        ];
        row.extend(figures(one.total));
        table.add_row(row);
    }
    aligned(table, &[2, 5, 6, 7, 8])
}

// Which tool asked for what.
fn spenders(report: &Report, look: Look) -> String {
    let titles = [
        "WHO", "QUOTA", "TOOL", "ENDPOINT", "UPSTREAM", "CACHED", "REFUSED", "SAVED",
    ];
    let mut table = table::empty(look, titles);
    for one in &report.people {
        let mut by_tool: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
        for hour in &one.hours {
            let key = (hour.tool.as_deref().unwrap_or("-"), hour.endpoint.as_str());
            let counts = by_tool.entry(key).or_default();
            *counts = counts.plus(hour.counts);
        }
        let mut rows: Vec<_> = by_tool.into_iter().collect();
        // Who spends most is what somebody looks for.
        rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.upstream));
        for ((tool, endpoint), counts) in rows {
            let mut row = vec![
                who(one),
                quota(one),
                plain(tool).into_owned(),
                plain(endpoint).into_owned(),
            ];
            row.extend(figures(counts));
            table.add_row(row);
        }
    }
    aligned(table, &[4, 5, 6, 7])
}

fn figures(counts: Counts) -> [String; 4] {
    [
        counts.upstream.to_string(),
        counts.cached.to_string(),
        counts.refused.to_string(),
        counts
            .saved()
            .map_or("-".to_owned(), |share| format!("{share}%")),
    ]
}

fn aligned(mut table: comfy_table::Table, right: &[usize]) -> String {
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table::lines(&mut table)
}

fn who(one: &Spending) -> String {
    let person = one.person.as_ref();
    let name = person
        .and_then(|person| person.name.clone().or_else(|| person.email.clone()))
        .or_else(|| Some(format!("user {}", person?.user_id?)))
        // As `audit list` shows who is not known.
        .or_else(|| Some(one.credential_ids.first()?.chars().take(12).collect()))
        .unwrap_or_else(|| "-".to_owned());
    plain(&name).into_owned()
}

fn quota(one: &Spending) -> String {
    match (one.organization_id, one.workspace_id) {
        (Some(organization), _) => format!("organization {organization}"),
        (None, Some(workspace)) => format!("workspace {workspace}"),
        (None, None) => one.quota.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use insta::assert_snapshot;

    use super::*;
    use crate::domain::caller::Person;
    use crate::domain::ids::{OrganizationId, UserId};
    use crate::domain::usage::{Left, Pool, Usage};
    use crate::store::sqlite::SqliteStore;
    use crate::store::suite::{at, clock};
    use crate::store::{Expenses as _, Identities as _, Spent};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    async fn printed(path: &Path, words: &[&str]) -> String {
        let database = path.to_str().unwrap();
        let words = ["quota", "--database", database]
            .into_iter()
            .chain(words.iter().copied());
        let cli = Cli::try_parse_from(words).unwrap();
        let mut out = Vec::new();
        let run = cli.args.run_to(&mut out, Look::default(), at(1800));
        run.await.unwrap();
        String::from_utf8(out).unwrap()
    }

    fn usage(hour: i64, tool: &str, endpoint: &str, upstream: i64, cached: i64) -> Usage {
        Usage {
            hour: at(hour * 3600),
            credential_id: "ab".repeat(32),
            pool: Pool::Organization(OrganizationId(4123)),
            tool: tool.to_owned(),
            endpoint: endpoint.to_owned(),
            counts: Counts {
                upstream,
                cached,
                refused: 1,
                limited: 0,
            },
        }
    }

    async fn database(spent: Option<Spent>) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
        if let Some(spent) = spent {
            store.spend(spent).await.unwrap();
            let ann = Person {
                user_id: Some(UserId(5)),
                name: Some("Ann\u{1b}[2J".into()),
                email: None,
            };
            store.remember(&"ab".repeat(32), &ann, at(0)).await.unwrap();
        }
        store.close().await;
        (directory, path)
    }

    fn spent() -> Spent {
        const GROUPS: &str = "GET /organizations/{organization_id}/groups";
        Spent {
            usage: vec![
                usage(-1, "", GROUPS, 2, 9),
                usage(0, "hr-sync", GROUPS, 16, 12),
                usage(0, "hr-sync", "GET /me", 1, 0),
            ],
            left: vec![Left {
                credential_id: "ab".repeat(32),
                pool: Pool::Organization(OrganizationId(4123)),
                remaining: 6,
                resets_at: at(5400),
                told_at: at(1700),
                message: None,
            }],
            forget_before: None,
        }
    }

    #[tokio::test]
    async fn who_spent_it_is_told_in_two_tables() {
        let (_directory, path) = database(Some(spent())).await;
        assert_snapshot!(printed(&path, &[]).await, @r"
        WHO           QUOTA              LEFT  RESETS (UTC)         GONE (UTC)           UPSTREAM  CACHED  REFUSED  SAVED
        Ann\u{1b}[2J  organization 4123     6  2026-11-24 13:30:00  2026-11-24 12:50:00        19      21        3    52%

        WHO           QUOTA              TOOL     ENDPOINT                                     UPSTREAM  CACHED  REFUSED  SAVED
        Ann\u{1b}[2J  organization 4123  hr-sync  GET /organizations/{organization_id}/groups        16      12        1    42%
        Ann\u{1b}[2J  organization 4123  -        GET /organizations/{organization_id}/groups         2       9        1    81%
        Ann\u{1b}[2J  organization 4123  hr-sync  GET /me                                             1       0        1     0%
        ");
    }

    #[tokio::test]
    async fn a_script_gets_what_the_admin_side_tells() {
        let (_directory, path) = database(Some(spent())).await;
        let text = printed(&path, &["--format", "json", "--since", "10m"]).await;
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ann = &report["people"][0];
        assert_eq!(ann["person"]["user_id"], 5);
        assert_eq!(ann["organization_id"], 4123);
        assert_eq!(ann["remaining"], 6);
        assert_eq!(ann["gone_at"], "2026-11-24T12:50:00Z");
        assert_eq!(ann["total"]["upstream"], 17);
        assert_eq!(ann["hours"][0]["tool"], "hr-sync");
        assert_eq!(ann["hours"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_empty_ledger_says_so() {
        let (_directory, path) = database(None).await;
        assert_eq!(
            printed(&path, &["--since", "1h"]).await,
            "Nothing was asked yet since 2026-11-24 11:30:00.\n"
        );
    }
}
