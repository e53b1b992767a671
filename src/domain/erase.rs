//! Takes a person out of a row: whoever reads it afterwards learns what was done, and not by whom.
//!
//! **Guarantee**: what [`Eraser::erase`] gives back names the person nowhere: not by their number, their
//! names, their addresses or the hash of a credential of theirs, in no spelling in which a tool, a path
//! or a log may have put them. Where it is in doubt, it takes more.
//!
//! A number is a person only where the text speaks of people, as behind `user_id` or below `users`;
//! with five digits or more it is one wherever it is not said to be something else. Who has the same
//! name and another number is somebody else, and stays.
//!
//! Pure. Which rows there are, and how a redacted one is still verified, is the store's.

mod json;
mod spelling;

use std::collections::BTreeSet;

use serde_json::Value;

use self::json::Context;
use self::spelling::Spelling;
use super::row::{COLUMNS, Cell, Row};

/// What stands in place of a person in a text.
pub const MASK: &str = "[redacted]";

/// Columns that hold JSON, or what a tool sent as such.
const JSON: [&str; 5] = [
    "before",
    "after",
    "changes",
    "request_body",
    "response_body",
];

/// Columns that hold text.
const TEXT: [&str; 8] = [
    "tool",
    "on_behalf_of",
    "user_agent",
    "request_id",
    "group_name",
    "path",
    "query",
    "summary",
];

/// A person, by all that is known to name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Their number upstream.
    pub id: i64,
    /// What they are or were called.
    pub names: BTreeSet<String>,
    /// Their addresses.
    pub emails: BTreeSet<String>,
    /// The hashes of their credentials.
    pub credentials: BTreeSet<String>,
}

/// Takes one person out of rows.
#[derive(Clone, Debug)]
pub struct Eraser {
    person: Named,
    digits: String,
    spelling: Spelling,
}

/// What could not be erased; the column says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the person could not be taken out of the column {0}")]
pub struct Stuck(pub &'static str);

// === impl Named ===

impl Named {
    /// A person of whom nothing but the number is known.
    #[must_use]
    pub fn numbered(id: i64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Takes over what a row says of the person; tells whether it was new.
    pub fn gather(&mut self, row: &Row) -> bool {
        let known = self.count();
        if self.acts_in(row) {
            self.extend(
                text(row, "actor_name"),
                text(row, "actor_email"),
                text(row, "credential_id"),
            );
        }
        for column in JSON {
            let text = text(row, column).filter(|text| text.contains(&self.id.to_string()));
            if let Some(value) = text.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
                self.gather_from(&value);
            }
        }
        self.count() > known
    }

    /// Takes over what JSON says of the person, such as a group's state.
    pub fn gather_from(&mut self, value: &Value) {
        json::gather(self, value, Context::Unsaid);
    }

    /// Takes over a name, an address, a credential.
    pub fn extend(&mut self, name: Option<&str>, email: Option<&str>, credential: Option<&str>) {
        let real = |text: &&str| !text.is_empty() && !text.starts_with("redacted");
        self.names.extend(name.filter(real).map(str::to_owned));
        self.emails.extend(email.filter(real).map(str::to_owned));
        let credential = credential.filter(real).map(str::to_owned);
        self.credentials.extend(credential);
    }

    /// How much is known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len() + self.emails.len() + self.credentials.len()
    }

    /// Whether it was they who acted.
    #[must_use]
    pub fn acts_in(&self, row: &Row) -> bool {
        if let Cell::Integer(id) = cell(row, "actor_user_id") {
            return *id == self.id;
        }
        let held = |column, set: &BTreeSet<String>| {
            text(row, column).is_some_and(|text| set.contains(text))
        };
        let email = text(row, "actor_email");
        held("credential_id", &self.credentials)
            || email.is_some_and(|email| self.has_email(email))
            || held("actor_name", &self.names)
    }

    pub(super) fn has_email(&self, email: &str) -> bool {
        let mut own = self.emails.iter();
        own.any(|own| own.to_lowercase() == email.to_lowercase())
    }
}

// === impl Eraser ===

impl Eraser {
    /// One that takes out this person.
    #[must_use]
    pub fn of(person: Named) -> Self {
        let digits = person.id.to_string();
        let spelling = Spelling::of(&person);
        Self {
            person,
            digits,
            spelling,
        }
    }

    /// The row without the person; `None` if it does not name them. `stand_in` takes the place of
    /// their credential, so that their acts stay connected.
    ///
    /// # Errors
    ///
    /// If something is left of them.
    pub fn erase(&self, row: &Row, stand_in: &str) -> Result<Option<Row>, Stuck> {
        let mut erased = row.clone();
        let acts = self.person.acts_in(row);
        if acts {
            for column in ["actor_user_id", "actor_email", "actor_name", "client_ip"] {
                set(&mut erased, column, Cell::Null);
            }
            if !matches!(cell(row, "credential_id"), Cell::Null) {
                set(
                    &mut erased,
                    "credential_id",
                    Cell::Text(stand_in.to_owned()),
                );
            }
        }
        let action = text(row, "action");
        // Rows and hashes, which vouch for what is gone; a row's number may look like a person's.
        let counts = action == Some("tollgate.prune");
        let mut by_number = acts;
        for column in JSON.into_iter().filter(|_| !counts) {
            let Some(before) = text(row, column) else {
                continue;
            };
            if let Some(after) = self.json(before) {
                by_number = true;
                if self.json(&after).is_some() {
                    return Err(Stuck(column));
                }
                set(&mut erased, column, Cell::Text(after));
            }
        }
        for column in TEXT
            .into_iter()
            .filter(|column| !(counts && *column == "summary"))
        {
            let Some(before) = text(row, column) else {
                continue;
            };
            // A sentence about somebody whose name nobody knew has their number alone.
            let loose = by_number && column == "summary";
            if let Some(mut after) = self.text(before, loose) {
                if self.text(&after, loose).is_some() {
                    MASK.clone_into(&mut after);
                }
                set(&mut erased, column, Cell::Text(after));
            }
        }
        let moved = cell(&erased, "changes") != cell(row, "changes");
        if moved && action == Some("membership.change") {
            forget_places(&mut erased);
        }
        Ok((erased != *row).then_some(erased))
    }

    /// Whether text or JSON, such as a group's state or an intent, names the person.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.json(text).is_some()
    }

    // JSON, or text where it is none, without the person; `None` if they are not in it.
    fn json(&self, text: &str) -> Option<String> {
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) if value.is_object() || value.is_array() => {
                let found = json::erase(self, &mut value, Context::Unsaid);
                // What a reader of the parsed JSON does not see: a key that comes twice.
                let in_text = |text: &str| self.text(text, false).is_some();
                let hidden = !found && in_text(text) && !in_text(&value.to_string());
                (found || hidden).then(|| value.to_string())
            }
            Ok(_) | Err(_) => self.text(text, false).map(|after| {
                // Rather no body at all than half of one.
                match self.text(&after, false) {
                    Some(_) => MASK.to_owned(),
                    None => after,
                }
            }),
        }
    }

    fn text(&self, text: &str, loose: bool) -> Option<String> {
        self.spelling.mask(text, loose)
    }

    // A number of so many digits is nobody else's by chance.
    fn is_distinctive(&self) -> bool {
        spelling::is_distinctive(&self.digits)
    }
}

// At the other doors a person goes by a number that is theirs in one organization or workspace. Nobody
// here knows whose it is; in a row that moved the person it was most likely theirs.
fn forget_places(row: &mut Row) {
    for column in ["path", "summary"] {
        let Some(before) = text(row, column) else {
            continue;
        };
        let mut parts = before.split("users/");
        let mut after = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|char: char| char.is_ascii_digit());
            after.push_str("users/");
            after.push_str(if rest.len() < part.len() { MASK } else { "" });
            after.push_str(rest);
        }
        set(row, column, Cell::Text(after));
    }
    let body = text(row, "request_body");
    if let Some(Ok(mut body)) = body.map(serde_json::from_str::<Value>)
        && let Some(removed) = body.get_mut("delete").and_then(Value::as_array_mut)
    {
        removed.fill(Value::Null);
        set(row, "request_body", Cell::Text(body.to_string()));
    }
}

fn index(column: &str) -> usize {
    let index = COLUMNS.iter().position(|name| *name == column);
    index.unwrap_or_default()
}

fn cell<'a>(row: &'a Row, column: &str) -> &'a Cell {
    row.0.get(index(column)).unwrap_or(&Cell::Null)
}

fn set(row: &mut Row, column: &str, value: Cell) {
    if let Some(cell) = row.0.get_mut(index(column)) {
        *cell = value;
    }
}

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    match cell(row, column) {
        Cell::Text(text) => Some(text),
        Cell::Null | Cell::Integer(_) => None,
    }
}

#[cfg(test)]
mod tests;
