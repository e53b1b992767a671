//! The events page by page, so that a long list needs no more memory than a short one.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::domain::event::Event;
use crate::store::StoreError;
use crate::store::filter::{Cursor, Filter};
use crate::store::sqlite::Reader;

/// How many events are in memory at once.
const PAGE: u32 = 500;

/// Events that match, from a place on.
pub(super) struct Pages<'a> {
    pub(super) reader: &'a Reader,
    pub(super) filter: Filter,
    /// Where the next page begins; `None` after the last.
    pub(super) cursor: Option<Cursor>,
    /// How many events are still wanted.
    pub(super) left: u32,
}

// === impl Pages ===

impl Pages<'_> {
    /// The next events; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        let Some(cursor) = self.cursor.filter(|_| self.left > 0) else {
            return Ok(None);
        };
        let size = self.left.min(PAGE);
        let page = self.reader.next_events(&self.filter, cursor, size).await?;
        self.left -= size;
        self.cursor = page.next.map(|seq| cursor.moved_to(seq));
        Ok(Some(page.events))
    }

    /// All of them at once.
    pub(super) async fn rest(&mut self) -> Result<Vec<Event>, StoreError> {
        let mut rest = Vec::new();
        while let Some(events) = self.next().await? {
            rest.extend(events);
        }
        Ok(rest)
    }
}

/// One JSON object on a line of its own.
pub(super) fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(value).map_err(io::Error::from)?;
    writeln!(out, "{}", without_controls(&json))
}

/// All of it as one JSON value, for people too.
pub(super) fn write_pretty(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    writeln!(out, "{}", without_controls(&json))
}

// JSON lets some controls stand in its strings that drive a terminal; escaped they mean the same.
fn without_controls(json: &str) -> Cow<'_, str> {
    let drives = |char: char| matches!(char, '\u{7f}'..='\u{9f}');
    if !json.contains(drives) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for char in json.chars() {
        if drives(char) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}
