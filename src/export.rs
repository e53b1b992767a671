//! Events as a spreadsheet takes them: a header, a row an event, nothing that computes.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use crate::domain::event::Event;

/// Writes events as CSV.
#[derive(Debug)]
pub struct Csv<W: Write> {
    csv: csv::Writer<W>,
    told: fn(&str) -> Cow<'_, str>,
}

// === impl Csv ===

impl<W: Write> Csv<W> {
    /// Begins with the names of the columns. What a cell says goes through `told`, which may escape what
    /// a reader must not see as it is.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn to(out: W, told: fn(&str) -> Cow<'_, str>) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(COLUMNS.map(|(name, _)| name))
            .map_err(as_io)?;
        Ok(Self { csv, told })
    }

    /// One row.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        let record = record(event)?;
        let cells = record.iter().map(|cell| (self.told)(cell));
        let cells: Vec<_> = cells.collect();
        let cells = cells.iter().map(|cell| cell.as_bytes());
        self.csv.write_record(cells).map_err(as_io)
    }

    /// Hands on what is still held back.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

impl Csv<Vec<u8>> {
    /// What was written since the last time.
    ///
    /// # Errors
    ///
    /// Never, into memory.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        let empty = csv::Writer::from_writer(Vec::new());
        let csv = std::mem::replace(&mut self.csv, empty);
        csv.into_inner()
            .map_err(|error| io::Error::other(error.to_string()))
    }
}

/// The names of the table's columns, and where each is in an event's JSON.
pub const COLUMNS: [(&str, &str); 35] = [
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

// The writer's own error, by which a reader that hung up is known.
fn as_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn record(event: &Event) -> io::Result<Vec<String>> {
    let json = serde_json::to_value(event)?;
    let cell = |(_, place): &(&str, &str)| match json.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => inert(text),
        Some(other) => other.to_string(),
    };
    Ok(COLUMNS.iter().map(cell).collect())
}

// A spreadsheet computes what begins like a formula; behind an apostrophe it is text.
fn inert(text: &str) -> String {
    // Some skip white space first, some take the full-width signs for the usual ones.
    let first = text
        .trim_start_matches([' ', '\u{a0}', '\n', '\0'])
        .chars()
        .next();
    let computes = |char: char| {
        matches!(
            char,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠'
        )
    };
    if first.is_some_and(computes) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
