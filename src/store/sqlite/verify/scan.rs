//! Rows as they lie in the table, many at once, for a walk that hashes all of them.
//!
//! A row costs sqlx a few dozen allocations, one a column. So the database itself puts a run of rows
//! into one text: for each row a JSON array. Of a row with much JSON, the array holds only what is short,
//! and the kind and length in bytes of what is long; that follows, as it is, and need not be unescaped.
//!
//! What such a text cannot hold, a blob or a number with a fraction, is nothing that is ever written
//! there: the caller reads such a run row by row, to name the one that holds it.

use std::sync::LazyLock;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::domain::canonical::{MEMBERS, Member, Piece, Pieces, SORTED, plain};
use crate::domain::row::Salt;
use crate::store::StoreError;

/// Columns that are JSON or prose, and long.
const LONG: [&str; 8] = [
    "relations",
    "flags",
    "request_body",
    "response_body",
    "before",
    "after",
    "changes",
    "summary",
];

/// Columns that hold numbers; the others hold text.
const NUMBERS: [&str; 10] = [
    "seq",
    "duration_ms",
    "actor_user_id",
    "organization_id",
    "workspace_id",
    "group_id",
    "project_id",
    "project_group_id",
    "status",
    "format",
];

/// What a member's column is like.
#[derive(Clone, Copy)]
struct Kind {
    is_long: bool,
    is_number: bool,
}

// In the order of `SORTED`: looked up once, not for each row.
static KINDS: LazyLock<[Kind; MEMBERS]> = LazyLock::new(|| {
    std::array::from_fn(|index| Kind {
        is_long: LONG.contains(&SORTED[index].name),
        is_number: NUMBERS.contains(&SORTED[index].name),
    })
});

/// What stands before a row whose long values follow its array.
const APART: char = '+';

static RUN: LazyLock<String> = LazyLock::new(|| {
    let (mut all, mut short, mut long) = (Vec::new(), Vec::new(), Vec::new());
    for Member { name, .. } in SORTED.iter() {
        all.push((*name).to_owned());
        if LONG.contains(name) {
            short.push(format!("typeof({name}), octet_length({name})"));
            long.push(*name);
        } else {
            short.push((*name).to_owned());
        }
    }
    let array = |values: Vec<String>| {
        format!(
            "json_array(CASE typeof(salt) WHEN 'blob' THEN hex(salt) END, prev_hash, hash, {})",
            values.join(", ")
        )
    };
    // Most rows have nothing that is long, and kinds and lengths would cost them more than escapes.
    // `concat` takes null for nothing, and copies each value once: `||` would do so for each behind it.
    format!(
        "SELECT group_concat(
             iif(coalesce(before, after, response_body) IS NULL, {}, concat('{APART}', {}, {})), '')
         FROM audit_events WHERE seq BETWEEN ? AND ?",
        array(all),
        array(short),
        long.join(", ")
    )
});

/// Whether values of these kinds are written into these columns.
pub(super) fn fits(pieces: &Pieces<'_>) -> bool {
    KINDS.iter().zip(pieces).all(|(kind, piece)| match piece {
        Piece::Null => true,
        Piece::Integer(_) => kind.is_number,
        Piece::Text(_) | Piece::Escaped(_) => !kind.is_number,
    })
}

/// A row as it lies in the table.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    pub(super) salt: Salt,
    pub(super) prev_hash: &'a str,
    pub(super) hash: &'a str,
    pub(super) pieces: Pieces<'a>,
    pub(super) seq: i64,
}

/// A run of rows where the database put it: a copy would be as long, and is not needed.
pub(super) struct Text(SqliteRow);

// === impl Text ===

impl Text {
    /// `None` if there is none, or one that is no text.
    pub(super) fn as_str(&self) -> Option<&str> {
        let bytes: Option<&[u8]> = self.0.try_get(0).ok()?;
        std::str::from_utf8(bytes?).ok()
    }
}

/// The rows from `first` to `last` as one text; `None` if there is one that such a text cannot hold.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    first: i64,
    last: i64,
) -> Result<Option<Text>, StoreError> {
    let row = sqlx::query(RUN.as_str())
        .bind(first)
        .bind(last)
        .fetch_one(connection)
        .await;
    match row {
        Ok(row) => Ok(Some(Text(row))),
        // "JSON cannot hold BLOB values"
        Err(sqlx::Error::Database(error)) if error.message().contains("BLOB") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes the next row off the beginning of `text`; `None` if it holds what is never written.
pub(super) fn next<'a>(text: &mut &'a str) -> Option<Raw<'a>> {
    let apart = text.strip_prefix(APART);
    let mut values = Values {
        rest: apart.unwrap_or(text).strip_prefix('[')?,
    };
    let mut salt = Salt::default();
    hex::decode_to_slice(values.text()?, &mut salt).ok()?;
    let (prev_hash, hash) = (values.text()?, values.text()?);
    let mut pieces = [Piece::Null; MEMBERS];
    let mut lengths = [None; LONG.len()];
    let (mut seq, mut long) = (0, 0);
    let members = SORTED.iter().zip(KINDS.iter());
    for (piece, (member, column)) in pieces.iter_mut().zip(members) {
        if column.is_long && apart.is_some() {
            let kind = values.text()?;
            let length = values.next()?;
            lengths[long] = match (kind, length) {
                ("text", Piece::Integer(length)) => Some(usize::try_from(length).ok()?),
                ("null", Piece::Null) => None,
                _ => return None,
            };
            long += 1;
            continue;
        }
        *piece = values.next()?;
        if let (Piece::Integer(number), None) = (&piece, member.column) {
            seq = *number;
        }
    }
    let mut rest = values.rest.strip_prefix(']')?;
    let mut lengths = lengths.into_iter();
    for (piece, column) in pieces.iter_mut().zip(KINDS.iter()) {
        if column.is_long
            && let Some(length) = lengths.next().flatten()
        {
            let (value, behind) = rest.split_at_checked(length)?;
            *piece = Piece::Text(value);
            rest = behind;
        }
    }
    *text = rest;
    fits(&pieces).then_some(Raw {
        salt,
        prev_hash,
        hash,
        pieces,
        seq,
    })
}

// The values of a JSON array without its opening bracket.
struct Values<'a> {
    rest: &'a str,
}

// === impl Values ===

impl<'a> Values<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
        if let Some(rest) = self.rest.strip_prefix("null") {
            self.rest = rest;
            return Some(Piece::Null);
        }
        let Some(rest) = self.rest.strip_prefix('"') else {
            let is_end = |byte: &u8| matches!(byte, b',' | b']');
            let end = self.rest.as_bytes().iter().position(is_end)?;
            let (number, rest) = self.rest.split_at(end);
            self.rest = rest;
            return number.parse().ok().map(Piece::Integer);
        };
        let mut end = 0;
        let mut escaped = false;
        loop {
            end += plain(rest.as_bytes().get(end..)?);
            match rest.as_bytes().get(end)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    end += 2;
                }
                _ => return None,
            }
        }
        let (text, behind) = rest.split_at_checked(end)?;
        self.rest = &behind[1..];
        Some(if escaped {
            Piece::Escaped(text)
        } else {
            Piece::Text(text)
        })
    }

    // One that needs no escapes.
    fn text(&mut self) -> Option<&'a str> {
        match self.next()? {
            Piece::Text(text) => Some(text),
            Piece::Null | Piece::Integer(_) | Piece::Escaped(_) => None,
        }
    }
}
