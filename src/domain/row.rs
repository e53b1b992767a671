//! An event as the columns of `audit_events`, and the chain of hashes over them.
//!
//! **Guarantee** (DESIGN §1.6): a row that was edited, removed or moved no longer fits the hash of
//! its successor, and [`Link::check`] says so. `docs/audit-format.md` gives the bytes for readers of
//! other languages.
//!
//! The hash covers each column by its name. Columns that can name a person enter it as salted
//! commitments, so that a person can be erased one day and the chain still verifies.

use super::canonical::{Canonical, Hidden, Piece, Pieces, SORTED};
use super::event::{Draft, Flag};
use crate::clock::rfc3339;

/// A value of a column: SQLite's integer, text or null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Not known, or not kept.
    Null,
    /// A number.
    Integer(i64),
    /// Text; JSON columns too.
    Text(String),
}

/// The columns of `audit_events` between `seq` and the chain's own, in the table's order.
pub const COLUMNS: [&str; 36] = [
    "id",
    "occurred_at",
    "completed_at",
    "duration_ms",
    "action",
    "outcome",
    "actor_user_id",
    "actor_email",
    "actor_name",
    "credential_id",
    "tool",
    "on_behalf_of",
    "client_ip",
    "user_agent",
    "request_id",
    "upstream_request_id",
    "organization_id",
    "workspace_id",
    "group_id",
    "group_name",
    "project_id",
    "project_group_id",
    "method",
    "path",
    "query",
    "status",
    "request_body",
    "response_body",
    "body_digest",
    "relations",
    "flags",
    "before",
    "after",
    "changes",
    "summary",
    "format",
];

/// The columns that can name a person.
pub const PERSONAL: [&str; 18] = [
    "actor_user_id",
    "actor_email",
    "actor_name",
    "credential_id",
    "tool",
    "on_behalf_of",
    "client_ip",
    "user_agent",
    "request_id",
    "group_name",
    "path",
    "query",
    "request_body",
    "response_body",
    "before",
    "after",
    "changes",
    "summary",
];

/// The hash before the first row.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The version of this layout, in the column `format`.
pub const FORMAT: i64 = 2;

/// A row's salt: without it, a commitment to a short value could be found by trying.
pub type Salt = [u8; 16];

/// The cells of one event, in the order of [`COLUMNS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Cell>);

/// A row's place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The row's number, from 1, without gaps.
    pub seq: i64,
    /// The hash of the row before.
    pub prev_hash: String,
    /// This row's hash.
    pub hash: String,
}

// === impl Row ===

impl Row {
    /// Lays an event out in columns.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        let intent = &draft.intent;
        let flags: Vec<&Flag> = intent.flags.iter().collect();
        Self(vec![
            text(intent.id.to_string()),
            text(rfc3339(intent.occurred_at)),
            text(rfc3339(draft.completed_at)),
            Cell::Integer(draft.duration_ms),
            text(intent.action.as_str()),
            text(draft.outcome.as_str()),
            integer(intent.actor.user_id.map(|id| id.0)),
            maybe(intent.actor.email.as_ref()),
            maybe(intent.actor.name.as_ref()),
            maybe(intent.actor.credential_id.as_ref()),
            maybe(intent.actor.tool.as_ref()),
            maybe(intent.actor.on_behalf_of.as_ref()),
            maybe(intent.source.ip.as_ref()),
            maybe(intent.source.user_agent.as_ref()),
            maybe(intent.source.request_id.as_ref()),
            maybe(draft.response.upstream_request_id.as_ref()),
            integer(intent.target.organization_id.map(|id| id.0)),
            integer(intent.target.workspace_id.map(|id| id.0)),
            integer(intent.target.group_id.map(|id| id.0)),
            maybe(intent.target.group_name.as_ref()),
            integer(intent.target.project_id.map(|id| id.0)),
            integer(intent.target.project_group_id.map(|id| id.0)),
            text(&intent.request.method),
            text(&intent.request.path),
            maybe(intent.request.query.as_ref()),
            integer(draft.response.status.map(i64::from)),
            maybe(intent.request.body.as_ref()),
            maybe(draft.response.body.as_ref()),
            maybe(intent.request.body_digest.as_ref()),
            json(&draft.relations),
            json(&flags),
            draft.before.as_ref().map_or(Cell::Null, json),
            draft.after.as_ref().map_or(Cell::Null, json),
            json(&draft.changes),
            text(&draft.summary),
            Cell::Integer(FORMAT),
        ])
    }

    /// The values in the order in which they are hashed.
    #[must_use]
    pub fn pieces(&self, seq: i64) -> Pieces<'_> {
        std::array::from_fn(|index| {
            let cell = SORTED[index].column.map(|column| self.0.get(column));
            match cell {
                None => Piece::Integer(seq),
                Some(None | Some(Cell::Null)) => Piece::Null,
                Some(Some(Cell::Integer(number))) => Piece::Integer(*number),
                Some(Some(Cell::Text(text))) => Piece::Text(text),
            }
        })
    }
}

fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn maybe(text: Option<&String>) -> Cell {
    text.map_or(Cell::Null, |text| Cell::Text(text.clone()))
}

fn integer(number: Option<i64>) -> Cell {
    number.map_or(Cell::Null, Cell::Integer)
}

fn json(value: &impl serde::Serialize) -> Cell {
    // Maps with string keys and finite numbers: what `serde_json` cannot write is not among them.
    Cell::Text(serde_json::to_string(value).unwrap_or_default())
}

// === impl Link ===

impl Link {
    /// The link that puts `row` behind the row whose hash is `prev_hash`.
    #[must_use]
    pub fn new(seq: i64, prev_hash: &str, row: &Row, salt: &Salt) -> Self {
        let hash = Canonical::new().link(prev_hash, &row.pieces(seq), Hidden::Salted(salt));
        Self {
            seq,
            prev_hash: prev_hash.to_owned(),
            hash: hex::encode(hash),
        }
    }

    /// Whether this link, read from disk, fits `row` and follows `previous` (`None`: the first row).
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    pub fn check(&self, previous: Option<&Self>, row: &Row, salt: &Salt) -> Result<(), Broken> {
        let (expected, prev_hash) =
            previous.map_or((1, GENESIS), |link| (link.seq + 1, &link.hash));
        if self.seq != expected {
            return Err(Broken::Gap {
                expected,
                found: self.seq,
            });
        }
        if self.prev_hash != prev_hash {
            return Err(Broken::Unlinked { seq: self.seq });
        }
        if Self::new(self.seq, prev_hash, row, salt).hash != self.hash {
            return Err(Broken::Edited { seq: self.seq });
        }
        Ok(())
    }
}

/// The first thing that is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is skipped.
    #[error("{} missing: the next row there is {found}", rows(*expected, *found - 1))]
    Gap {
        /// The number that should have come.
        expected: i64,
        /// The number that came.
        found: i64,
    },
    /// The row does not follow the one before it.
    #[error("row {seq} does not follow the row before it: one of the two was put there or moved")]
    Unlinked {
        /// The row.
        seq: i64,
    },
    /// The row's columns are not those that were hashed.
    #[error("row {seq} was edited: its columns do not match its hash")]
    Edited {
        /// The row.
        seq: i64,
    },
}

// `row 3 is`, `rows 3 to 5 are`
fn rows(first: i64, last: i64) -> String {
    if last > first {
        format!("rows {first} to {last} are")
    } else {
        format!("row {first} is")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    fn row(n: i64) -> Row {
        let mut cells = vec![Cell::Null; COLUMNS.len()];
        cells[0] = Cell::Text(format!("event {n}"));
        cells[7] = Cell::Text("ann@acme.example".into());
        Row(cells)
    }

    const SALT: Salt = [7; 16];

    fn canonical(salt: &Salt) -> String {
        let bytes = Canonical::new()
            .row(&row(1).pieces(1), Hidden::Salted(salt))
            .to_vec();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_column_is_covered() {
        let original = Link::new(1, GENESIS, &row(1), &SALT);
        for (column, name) in COLUMNS.iter().enumerate() {
            let mut edited = row(1);
            edited.0[column] = Cell::Text("forged".into());
            let verdict = original.check(None, &edited, &SALT);
            assert_eq!(verdict, Err(Broken::Edited { seq: 1 }), "{name}");
        }
        assert_eq!(original.check(None, &row(1), &SALT), Ok(()));
    }

    #[test]
    fn a_missing_or_moved_row_is_named() {
        let first = Link::new(1, GENESIS, &row(1), &SALT);
        let second = Link::new(2, &first.hash, &row(2), &SALT);
        let third = Link::new(3, &second.hash, &row(3), &SALT);
        assert_eq!(third.check(Some(&second), &row(3), &SALT), Ok(()));
        let gap = third.check(Some(&first), &row(3), &SALT);
        assert_eq!(
            gap,
            Err(Broken::Gap {
                expected: 2,
                found: 3
            })
        );
        let swapped = Link { seq: 2, ..third };
        assert_eq!(
            swapped.check(Some(&first), &row(3), &SALT),
            Err(Broken::Unlinked { seq: 2 })
        );
    }

    #[test]
    fn a_person_stands_in_the_hashed_bytes_as_a_commitment_alone() {
        let hashed = canonical(&SALT);
        assert!(!hashed.contains("acme"), "{hashed}");
        assert_ne!(hashed, canonical(&[8; 16]), "salted");
    }

    #[test]
    fn the_canonical_form_sorts_names_and_has_no_white_space() {
        let canonical = canonical(&SALT);
        assert!(
            canonical.starts_with(r#"{"action":null,"actor_email":""#),
            "{canonical}"
        );
        let parsed: Map<String, Value> = serde_json::from_str(&canonical).unwrap();
        assert_eq!(parsed.len(), COLUMNS.len() + 1);
        assert!(parsed.keys().is_sorted());
    }
}
