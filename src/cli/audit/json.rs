//! JSON for a terminal or a pipe.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

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
