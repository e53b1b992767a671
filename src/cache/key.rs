//! What a cached list is filed under: the exact caller, the list, and the query.
//!
//! **Guarantee** (DESIGN §1.2): two requests have equal keys only if upstream would be asked the same
//! thing in the same name. The parts are fields and are never joined, so no value of one can look like
//! another.

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use percent_encoding::percent_decode;

use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::List;

/// A query's names and values, decoded and in order.
type Pairs = Box<[(Box<[u8]>, Box<[u8]>)]>;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// Who asks.
    pub caller: Fingerprint,
    /// For what.
    pub list: List,
    query: Pairs,
}

// Longer queries than any list's are not worth the memory of a key.
const LONGEST_QUERY: usize = 1024;

// === impl CacheKey ===

impl CacheKey {
    /// The key of a request; `None` for a query that cannot be told apart from others for sure.
    #[must_use]
    pub fn new(caller: Fingerprint, list: List, query: Option<&str>) -> Option<Self> {
        let query = match query {
            None | Some("") => Box::default(),
            Some(query) => canonical(query)?,
        };
        Some(Self {
            caller,
            list,
            query,
        })
    }

    /// Whether it asks for the whole list, rather than for a part of it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.query.is_empty()
    }

    /// A number for it, to tell lists apart where one taken for another does no harm.
    #[must_use]
    pub fn digest(&self) -> u64 {
        FixedState::default().hash_one(self)
    }

    /// The names and values of the query, decoded and in order.
    pub fn query(&self) -> impl Iterator<Item = &(Box<[u8]>, Box<[u8]>)> {
        self.query.iter()
    }

    /// Bytes of memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let pairs = self
            .query
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32);
        size_of::<Self>() + pairs.sum::<usize>()
    }
}

// Decoded and sorted by name; values of one name keep their order, which may mean something.
fn canonical(query: &str) -> Option<Pairs> {
    if query.len() > LONGEST_QUERY || !is_well_formed(query) {
        return None;
    }
    let decode = |text: &str| -> Box<[u8]> {
        let spaces = text.replace('+', " ");
        percent_decode(spaces.as_bytes()).collect()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect();
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some(pairs.into())
}

// Servers differ in what they make of a stray percent sign and of a semicolon.
fn is_well_formed(query: &str) -> bool {
    let encoded = query.split('%').skip(1);
    !query.contains(';')
        && encoded
            .into_iter()
            .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::{OrganizationId, WorkspaceId};
    use crate::layers::testing;

    fn caller(name: &str) -> Fingerprint {
        testing::get(name, "/").caller.unwrap().fingerprint
    }

    fn key(query: &str) -> Option<CacheKey> {
        CacheKey::new(
            caller("ann"),
            List::Organization(OrganizationId(1)),
            Some(query),
        )
    }

    #[test]
    fn spellings_of_one_question_share_a_key() {
        assert_eq!(key("b=2&a=1"), key("a=1&b=2"));
        assert_eq!(key("name=a%20b"), key("name=a+b"));
        assert_eq!(key("name=%61"), key("&name=a&"));
        assert_eq!(
            key(""),
            CacheKey::new(caller("ann"), List::Organization(OrganizationId(1)), None)
        );
    }

    #[test]
    fn different_questions_do_not() {
        let questions = [
            "",
            "a=1",
            "a=2",
            "a=1&a=2",
            "a=2&a=1",
            "a=1%26b=2",
            "a=1&b=2",
            "a=%ff",
            "a=%fe",
            "date=1",
        ];
        for (index, one) in questions.iter().enumerate() {
            assert!(
                questions[index + 1..]
                    .iter()
                    .all(|other| key(one) != key(other)),
                "{one}"
            );
        }
    }

    #[test]
    fn every_part_counts() {
        let of = |name, list| CacheKey::new(caller(name), list, None);
        let list = List::Workspace(WorkspaceId(1));
        assert_ne!(of("ann", list), of("bob", list));
        assert_ne!(
            of("ann", list),
            of("ann", List::ProjectGroups(WorkspaceId(1)))
        );
        assert_ne!(
            of("ann", list),
            of("ann", List::Organization(OrganizationId(1)))
        );
    }

    #[test]
    fn what_servers_read_differently_has_no_key() {
        for query in ["a=%", "a=%4", "a=%zz", "a=1;b=2", &"x".repeat(1025)] {
            assert_eq!(key(query), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn order_between_names_never_matters(mut pairs in proptest::collection::btree_map("[a-f]", "[0-9]{0,3}", 0..5)) {
            let text = |pairs: &mut dyn Iterator<Item = (String, String)>| {
                pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
            };
            let forward = text(&mut pairs.clone().into_iter());
            let backward = text(&mut std::mem::take(&mut pairs).into_iter().rev());
            prop_assert_eq!(key(&forward), key(&backward));
        }
    }
}
