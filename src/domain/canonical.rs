//! The bytes of a row that are hashed: RFC 8785 JSON of `seq` and the columns, and what stands in it
//! for the values that can name a person.
//!
//! For an object of ASCII names, strings and integers, as this is, RFC 8785 asks for no more than
//! sorted names, no white space and the shortest escapes. So a row is written member by member, in an
//! order that is sorted once, into a buffer that is used again: a walk along millions of rows
//! allocates nothing here. `docs/audit-format.md` says the same for readers of other languages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::row::{COLUMNS, PERSONAL, Salt};
use super::sha256;

/// How many members the object has: the columns, and `seq`.
pub const MEMBERS: usize = COLUMNS.len() + 1;

// In rows of format 1 these were hashed as they are.
const PERSONAL_SINCE_2: [&str; 4] = ["credential_id", "tool", "request_id", "group_name"];

/// A member of the object.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name: a column's, or `seq`.
    pub name: &'static str,
    /// Which of [`COLUMNS`]; `None` for `seq`.
    pub column: Option<usize>,
    // What stands before its value: `,"name":`.
    opening: String,
    personal: Personal,
    // What its key is the hash of, padded, with room for the salt at the beginning.
    key: [u8; sha256::BLOCK],
}

/// From which format on a column enters as a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Personal {
    Never,
    Since2,
    Always,
}

/// The members in the order of their names, in which they are written.
pub static SORTED: LazyLock<[Member; MEMBERS]> = LazyLock::new(|| {
    let mut order: [(&str, Option<usize>); MEMBERS] = [("seq", None); MEMBERS];
    for (index, name) in COLUMNS.iter().enumerate() {
        order[index] = (name, Some(index));
    }
    order.sort_unstable_by_key(|(name, _)| *name);
    let mut opening = '{';
    order.map(|(name, column)| Member {
        name,
        column,
        opening: format!("{}\"{name}\":", std::mem::replace(&mut opening, ',')),
        personal: if !PERSONAL.contains(&name) {
            Personal::Never
        } else if PERSONAL_SINCE_2.contains(&name) {
            Personal::Since2
        } else {
            Personal::Always
        },
        key: {
            let mut message = [&Salt::default(), name.as_bytes()].concat();
            sha256::pad(&mut message);
            message.try_into().expect("a short name")
        },
    })
});

/// A member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Not known, or not kept.
    Null,
    /// A number.
    Integer(i64),
    /// Text as it is.
    Text(&'a str),
    /// Text as it stands between the quotes of JSON.
    Escaped(&'a str),
}

/// The values of a row, in the order of [`SORTED`].
pub type Pieces<'a> = [Piece<'a>; MEMBERS];

/// What stands for the personal values: made of the row's values, or kept from before a redaction.
#[derive(Clone, Copy, Debug)]
pub enum Hidden<'a> {
    /// Commitments under this salt.
    Salted(&'a Salt),
    /// Commitments to what the row held when it was written.
    Kept(&'a Commitments),
}

/// The commitments of one row: by the column's name, `None` where it was null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitments(pub BTreeMap<String, Option<String>>);

/// Writes and hashes rows, one after the other.
#[derive(Debug, Default)]
pub struct Canonical {
    bytes: Vec<u8>,
    // What a commitment is the hash of.
    committed: Vec<u8>,
}

// === impl Member ===

impl Member {
    /// Whether its value enters as a commitment in a row of this format.
    #[must_use]
    pub fn is_personal(&self, format: i64) -> bool {
        match self.personal {
            Personal::Never => false,
            Personal::Since2 => format != 1,
            Personal::Always => true,
        }
    }

    /// The key of its commitments: SHA-256 over the salt and its name.
    fn key(&self, salt: &Salt) -> [u8; 32] {
        let mut block = self.key;
        block[..salt.len()].copy_from_slice(salt);
        sha256::digest_block(block)
    }
}

// === impl Commitments ===

impl Commitments {
    /// Commits to the personal values of a row.
    #[must_use]
    pub fn to(pieces: &Pieces<'_>, salt: &Salt) -> Self {
        let format = format_of(pieces);
        let personal = SORTED.iter().zip(pieces);
        let personal = personal.filter(|(member, _)| member.is_personal(format));
        let mut committed = Vec::new();
        Self(
            personal
                .map(|(member, piece)| {
                    let commitment = match piece {
                        Piece::Null => None,
                        piece => {
                            let key = member.key(salt);
                            Some(hex::encode(commitment(&mut committed, &key, piece)))
                        }
                    };
                    (member.name.to_owned(), commitment)
                })
                .collect(),
        )
    }
}

// === impl Canonical ===

impl Canonical {
    /// One with room for a usual row.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(8 * 1024),
            committed: Vec::with_capacity(8 * 1024),
        }
    }

    /// The hash of a row behind the row whose hash is `prev_hash`.
    pub fn link(&mut self, prev_hash: &str, pieces: &Pieces<'_>, hidden: Hidden<'_>) -> [u8; 32] {
        self.bytes.clear();
        self.bytes.extend_from_slice(prev_hash.as_bytes());
        self.bytes.push(b'\n');
        self.write(pieces, hidden);
        sha256::digest(&mut self.bytes)
    }

    /// The hash of a row's own bytes, wherever it stands.
    pub fn content(&mut self, pieces: &Pieces<'_>, salt: &Salt) -> [u8; 32] {
        self.bytes.clear();
        self.write(pieces, Hidden::Salted(salt));
        sha256::digest(&mut self.bytes)
    }

    /// The bytes themselves.
    pub fn row(&mut self, pieces: &Pieces<'_>, hidden: Hidden<'_>) -> &[u8] {
        self.bytes.clear();
        self.write(pieces, hidden);
        &self.bytes
    }

    fn write(&mut self, pieces: &Pieces<'_>, hidden: Hidden<'_>) {
        let format = format_of(pieces);
        let members = &*SORTED;
        // All keys first: hashes of which none waits for another run side by side in a processor.
        let mut keys = [[0; 32]; MEMBERS];
        if let Hidden::Salted(salt) = hidden {
            for (key, (member, piece)) in keys.iter_mut().zip(members.iter().zip(pieces)) {
                if *piece != Piece::Null && member.is_personal(format) {
                    *key = member.key(salt);
                }
            }
        }
        for (key, (member, piece)) in keys.iter().zip(members.iter().zip(pieces)) {
            self.bytes.extend_from_slice(member.opening.as_bytes());
            match (hidden, piece) {
                (Hidden::Kept(commitments), _) if member.is_personal(format) => {
                    match commitments.0.get(member.name) {
                        Some(Some(commitment)) => string(&mut self.bytes, commitment),
                        Some(None) | None => self.bytes.extend_from_slice(b"null"),
                    }
                }
                (_, Piece::Null) => self.bytes.extend_from_slice(b"null"),
                (Hidden::Salted(_), piece) if member.is_personal(format) => {
                    let commitment = commitment(&mut self.committed, key, piece);
                    self.bytes.push(b'"');
                    self.bytes.extend_from_slice(&hexadecimal(&commitment));
                    self.bytes.push(b'"');
                }
                (_, Piece::Integer(number)) => decimal(&mut self.bytes, *number),
                (_, Piece::Text(text)) => string(&mut self.bytes, text),
                (_, Piece::Escaped(text)) => string(&mut self.bytes, &unescaped(text)),
            }
        }
        self.bytes.push(b'}');
    }
}

// The number in `format`; what is none is no format that anybody wrote.
fn format_of(pieces: &Pieces<'_>) -> i64 {
    static AT: LazyLock<usize> = LazyLock::new(|| {
        let format = SORTED.iter().position(|member| member.name == "format");
        format.unwrap_or_default()
    });
    match pieces[*AT] {
        Piece::Integer(format) => format,
        Piece::Null | Piece::Text(_) | Piece::Escaped(_) => 0,
    }
}

/// What stands for a personal value in the hash: SHA-256 over the key of its column and the value.
fn commitment(committed: &mut Vec<u8>, key: &[u8; 32], piece: &Piece<'_>) -> [u8; 32] {
    committed.clear();
    committed.extend_from_slice(key);
    match piece {
        Piece::Null => {}
        Piece::Integer(number) => decimal(committed, *number),
        Piece::Text(text) => committed.extend_from_slice(text.as_bytes()),
        Piece::Escaped(text) => committed.extend_from_slice(unescaped(text).as_bytes()),
    }
    sha256::digest(committed)
}

// Seldom: names with a quotation mark. What is no JSON came from nowhere, and fits no hash.
fn unescaped(text: &str) -> String {
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_default()
}

/// A hash as text.
#[must_use]
pub fn hexadecimal(hash: &[u8; 32]) -> [u8; 64] {
    // Without a table, so that a compiler makes many digits at once.
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(hash) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

fn decimal(bytes: &mut Vec<u8>, number: i64) {
    // As many as the longest number has.
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        bytes.push(b'-');
    }
    bytes.extend_from_slice(&digits[start..]);
}

/// How many bytes at the beginning of `text` stand for themselves in a JSON string.
#[must_use]
pub fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const fn each(byte: u8) -> u64 {
        ONES * byte as u64
    }
    // Eight at a time. A byte below another borrows from the bits above its own: so the lowest of the
    // high bits that this leaves is the first such byte's.
    let below = |word: u64, byte: u8| word.wrapping_sub(each(byte)) & !word;
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, 0x20) | below(word ^ each(b'"'), 1) | below(word ^ each(b'\\'), 1);
        let found = found & each(0x80);
        if found != 0 {
            return 8 * index + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    8 * words.len() + rest.iter().position(special).unwrap_or(rest.len())
}

// A JSON string with the shortest escapes.
fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let at = plain(rest);
        if at == rest.len() {
            break;
        }
        bytes.extend_from_slice(&rest[..at]);
        let short = match rest[at] {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            byte @ (b'"' | b'\\') => byte,
            byte => {
                bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                rest = &rest[at + 1..];
                continue;
            }
        };
        bytes.extend_from_slice(&[b'\\', short]);
        rest = &rest[at + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_escaped_as_serde_does(text in "(\\PC|[\\x00-\\x7f])*") {
            let mut bytes = Vec::new();
            string(&mut bytes, &text);
            prop_assert_eq!(
                String::from_utf8(bytes).unwrap(),
                serde_json::to_string(&text).unwrap()
            );
        }
    }

    #[test]
    fn numbers_and_hashes_are_written_as_usual() {
        for number in [0, 7, 10, -1, 4_100_007, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            decimal(&mut bytes, number);
            assert_eq!(bytes, number.to_string().as_bytes());
        }
        let hash = std::array::from_fn(|index| index.to_le_bytes()[0].wrapping_mul(37));
        assert_eq!(hexadecimal(&hash).as_slice(), hex::encode(hash).as_bytes());
    }

    #[test]
    fn the_members_are_sorted_and_each_has_its_column() {
        assert!(SORTED.is_sorted_by_key(|member| member.name));
        for member in SORTED.iter() {
            match member.column {
                Some(column) => assert_eq!(COLUMNS[column], member.name),
                None => assert_eq!(member.name, "seq"),
            }
        }
    }

    #[test]
    fn kept_commitments_stand_where_the_values_did() {
        let salt: Salt = [7; 16];
        let mut pieces: Pieces = [Piece::Null; MEMBERS];
        let at = |name| SORTED.iter().position(|member| member.name == name);
        pieces[at("format").unwrap()] = Piece::Integer(2);
        pieces[at("actor_user_id").unwrap()] = Piece::Integer(5);
        pieces[at("actor_name").unwrap()] = Piece::Text("Ann");
        let kept = Commitments::to(&pieces, &salt);
        let mut canonical = Canonical::new();
        let hash = canonical.link("", &pieces, Hidden::Salted(&salt));
        pieces[at("actor_user_id").unwrap()] = Piece::Null;
        pieces[at("actor_name").unwrap()] = Piece::Text("redacted");
        assert_eq!(canonical.link("", &pieces, Hidden::Kept(&kept)), hash);
        // What is not personal is still covered.
        pieces[at("action").unwrap()] = Piece::Text("api.write");
        assert_ne!(canonical.link("", &pieces, Hidden::Kept(&kept)), hash);
    }
}
