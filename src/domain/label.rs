//! The short name that a tool goes by: `hr-sync` in `/~hr-sync/api/v9/…`.
//!
//! A value of this type can stand in a path, a header, a metric and a table as it is: nothing in it
//! needs escaping, and it is never longer than [`Label::MAX_LENGTH`].

use std::fmt;
use std::str::FromStr;

/// 1 to 32 characters out of `a-z`, `0-9` and `-`; not what has the shape of an API token, 32 hexadecimal
/// digits: somebody may have put theirs into the base URL, and a label is shown and kept in clear.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

/// The text is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label is 1 to 32 characters out of a-z, 0-9 and -, and no API token")]
pub struct NotALabel;

// === impl Label ===

impl Label {
    /// As many characters a label may have.
    pub const MAX_LENGTH: usize = 32;
}

impl FromStr for Label {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed);
        if fits && !is_token(text) {
            Ok(Self(text.into()))
        } else {
            Err(NotALabel)
        }
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_told_as_it_was_given() {
        for text in ["a", "hr-sync", "-", "0123456789", &"x".repeat(32)] {
            assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_would_need_escaping_or_has_no_bound_is_no_label() {
        for text in [
            "",
            "HR",
            "hr_sync",
            "a b",
            "a/b",
            "ä",
            "a%20b",
            &"x".repeat(33),
        ] {
            assert_eq!(text.parse::<Label>(), Err(NotALabel), "{text:?}");
        }
    }

    #[test]
    fn a_token_in_the_place_of_a_label_is_none() {
        let token = "1971800d4d82861d8f2c1651fea4d212";
        assert_eq!(token.parse::<Label>(), Err(NotALabel));
        assert!(token[1..].parse::<Label>().is_ok(), "too short for a token");
        assert!(token.replace('d', "x").parse::<Label>().is_ok());
    }
}
