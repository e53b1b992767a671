//! A person in a text: `Ann (5)`, `users/5`, `name=Ann%20B.`, `J\u00fcrgen`.

use super::json::Context;
use super::{MASK, Named};

/// From so many digits on, a number in a text is the person's, whatever stands before it.
const DISTINCTIVE: usize = 5;

/// All ways in which a person may be spelled.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    /// In lower case, longest first.
    names: Vec<String>,
    /// In lower case: addresses and hashes, which mean nobody else.
    exact: Vec<String>,
    digits: String,
}

/// Whether a number of these digits is no other number by chance.
pub(super) fn is_distinctive(digits: &str) -> bool {
    digits.trim_start_matches('-').len() >= DISTINCTIVE
}

// === impl Spelling ===

impl Spelling {
    pub(super) fn of(person: &Named) -> Self {
        let all = |texts: &std::collections::BTreeSet<String>| {
            let mut all: Vec<String> = texts.iter().flat_map(|text| variants(text)).collect();
            all.sort_by_key(|text| std::cmp::Reverse(text.len()));
            all.dedup();
            all
        };
        let mut exact = all(&person.emails);
        exact.extend(person.credentials.iter().map(|id| folded(id)));
        Self {
            names: all(&person.names),
            exact,
            digits: person.id.to_string(),
        }
    }

    /// The text with the person masked; `None` if they are not in it. Read `loose`ly, their number
    /// counts wherever it is not said to be something else's.
    pub(super) fn mask(&self, text: &str, loose: bool) -> Option<String> {
        let lower = folded(text);
        let spelled = |needle: &String| lower.contains(needle.as_str());
        let named = self.exact.iter().chain(&self.names).any(spelled);
        if !named && !text.contains(&self.digits) {
            return None;
        }
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        let mut found = false;
        while let Some(char) = rest.chars().next() {
            let before = &text[..text.len() - rest.len()];
            match self.at_beginning(before, rest, loose) {
                Some(length) => {
                    masked.push_str(MASK);
                    rest = &rest[length..];
                    found = true;
                }
                None => {
                    masked.push(char);
                    rest = &rest[char.len_utf8()..];
                }
            }
        }
        found.then_some(masked)
    }

    // How many bytes of `rest` name the person.
    fn at_beginning(&self, before: &str, rest: &str, loose: bool) -> Option<usize> {
        if before.ends_with(is_word) && rest.starts_with(is_word) && !ends_in_escape(before) {
            return None;
        }
        let whole = |length: &usize| !rest[*length..].starts_with(is_word);
        for needle in &self.exact {
            if let Some(length) = begins(rest, needle).filter(whole) {
                return Some(length);
            }
        }
        for needle in &self.names {
            let Some(length) = begins(rest, needle).filter(whole) else {
                continue;
            };
            match number_behind(&rest[length..]) {
                Some((number, more)) if number == self.digits => return Some(length + more),
                // Somebody else of the same name.
                Some(_) => {}
                None => return Some(length),
            }
        }
        let behind = rest.strip_prefix(self.digits.as_str())?;
        if behind.starts_with(is_word) {
            return None;
        }
        // Not the fraction of another number, nor a part of a time or an address.
        let is_part = before.ends_with(['.', '-']) || behind.starts_with(['.', ':']);
        let is_theirs = match said_before(before) {
            Context::People => true,
            Context::Others => false,
            Context::Unsaid => is_distinctive(&self.digits) || loose && !is_part,
        };
        is_theirs.then_some(self.digits.len())
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

// `%20` and `\n` end in a letter that is none.
fn ends_in_escape(before: &str) -> bool {
    let bytes = before.as_bytes();
    let at = |back: usize| bytes.len().checked_sub(back).map(|index| bytes[index]);
    at(3) == Some(b'%') || at(2) == Some(b'\\') || at(6) == Some(b'\\')
}

// In lower case letter by letter: `str::to_lowercase` writes a sigma by what stands behind it.
fn folded(text: &str) -> String {
    text.chars().flat_map(lower).collect()
}

fn lower(char: char) -> impl Iterator<Item = char> {
    let lower = char.to_lowercase();
    lower.map(|char| if char == 'ς' { 'σ' } else { char })
}

// How many bytes of `text` are `needle`, which is in lower case.
fn begins(text: &str, needle: &str) -> Option<usize> {
    let mut needle = needle.chars().peekable();
    for (at, char) in text.char_indices() {
        if needle.peek().is_none() {
            return Some(at);
        }
        for lower in lower(char) {
            if needle.next() != Some(lower) {
                return None;
            }
        }
    }
    needle.peek().is_none().then_some(text.len())
}

// ` (5)` behind a name: the digits, and the length of all of it.
fn number_behind(text: &str) -> Option<(&str, usize)> {
    let (number, _) = text.strip_prefix(" (")?.split_once(')')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, number.len() + 3))
}

// What the word before a number, as in `users/5` or `user_id=5`, says that it is.
fn said_before(before: &str) -> Context {
    let before = before.trim_end_matches(['/', ' ', '=', ':', '"', '\\', '#', '[']);
    let start = before
        .rfind(|char: char| !is_word(char))
        .map_or(0, |at| at + 1);
    match before.get(start..) {
        Some(word) => Context::Unsaid.within(word),
        None => Context::Unsaid,
    }
}

// In lower case: as it is, and as JSON, a terminal, a path and a form write it.
fn variants(text: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(text).to_string();
    let json = quoted.trim_matches('"').to_owned();
    let ascii: String = json
        .chars()
        .flat_map(|char| {
            let mut units = [0; 2];
            let units = char.encode_utf16(&mut units);
            if char.is_ascii() {
                char.to_string()
            } else {
                units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
            .chars()
            .collect::<Vec<_>>()
        })
        .collect();
    let percent = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    let percent = percent.to_string();
    let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    // What needs no escape in a path is mostly left as it is.
    let path = percent
        .replace("%2E", ".")
        .replace("%2D", "-")
        .replace("%5F", "_");
    let debug = text.escape_debug().to_string();
    let mut all: Vec<String> = [
        text.to_owned(),
        json,
        ascii,
        percent,
        path.clone(),
        form,
        debug,
    ]
    .into_iter()
    .chain([path.replace("%40", "@")])
    .map(|text| folded(&text))
    .filter(|text| !text.is_empty())
    .collect();
    all.sort();
    all.dedup();
    all
}
