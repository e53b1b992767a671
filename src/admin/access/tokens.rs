//! The tokens, as their hashes: all that is needed to recognize one.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::Principal;

/// A token's text, hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Whom each token stands for. Cloning shares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens(Arc<[(Token, Principal)]>);

// === impl Token ===

impl Token {
    /// The token with this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

// === impl Tokens ===

impl Tokens {
    /// These.
    #[must_use]
    pub fn new(tokens: Vec<(Token, Principal)>) -> Self {
        Self(tokens.into())
    }

    /// The keys of the configuration whose tokens, or those whom they stand for, are others in `new`. The first token is
    /// the administrator's.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<&'static str> {
        let first = (self.0.first() != new.0.first()).then_some("admin.token");
        let further = (self.0.get(1..) != new.0.get(1..)).then_some("admin.tokens");
        first.into_iter().chain(further).collect()
    }

    /// Whom the token with this text stands for.
    // Hashes are compared, and all of them: neither time nor length tells anything of a token.
    pub(in crate::admin) fn recognize(&self, text: &str) -> Option<&Principal> {
        let Token(hash) = Token::new(text);
        let mut found = u32::MAX;
        for (number, (Token(known), _)) in (0..).zip(self.0.iter()) {
            let same: Choice = hash.ct_eq(known);
            found.conditional_assign(&number, same);
        }
        let (_, principal) = self.0.get(usize::try_from(found).ok()?)?;
        Some(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    #[test]
    fn a_token_is_known_by_all_of_its_text() {
        let named = |name: &str| Principal {
            name: name.into(),
            role: Role::Reader,
            organizations: None,
        };
        let tokens = Tokens::new(vec![
            (Token::new("first"), named("one")),
            (Token::new("second"), named("two")),
        ]);
        let name = |text| tokens.recognize(text).map(|principal| &*principal.name);
        assert_eq!(name("first"), Some("one"));
        assert_eq!(name("second"), Some("two"));
        for wrong in ["", "f", "first ", "First", "firstsecond"] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
        assert!(!format!("{tokens:?}").contains("first"));
    }
}
