//! Which list an `ETag` was given out for, so that `If-Match` can be held against that list.
//!
//! In memory and bounded, by its bytes: a tag that is forgotten is held against the organization's whole list.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use moka::sync::Cache;

use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::List;

/// A list, and the query that it was asked for with.
pub type Asked = (List, Option<Box<str>>);

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Tags(Cache<(Fingerprint, HeaderValue), Asked>);

/// Bytes of all of them: room for some 13 000 lists that differ.
const MOST: u64 = 4 << 20;

/// One without a query: in the map, and in the queues by which the oldest are forgotten.
const EACH: usize = 320;

// Who decides on what they saw longer ago should look again.
const KEPT: Duration = Duration::from_secs(24 * 3600);

// === impl Tags ===

impl Tags {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MOST)
                .weigher(|_, (_, query): &Asked| {
                    let bytes = EACH + query.as_deref().map_or(0, str::len);
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .time_to_live(KEPT)
                .build(),
        )
    }

    /// Remembers that `caller` is given `tag` for a list, or the tag of another coding of it.
    pub fn note(&self, caller: Fingerprint, tag: &HeaderValue, list: List, query: Option<&str>) {
        self.0
            .insert((caller, tag.clone()), (list, query.map(Box::from)));
    }

    /// The list for which `caller` was given `tag`.
    #[must_use]
    pub fn list_of(&self, caller: Fingerprint, tag: &HeaderValue) -> Option<Asked> {
        self.0.get(&(caller, tag.clone()))
    }
}

impl Default for Tags {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tags")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::OrganizationId;

    #[test]
    fn however_long_queries_are_their_tags_stay_within_their_bytes() {
        const QUERY: usize = 8 << 10;
        let tags = Tags::new();
        let query = "x".repeat(QUERY);
        let caller: Fingerprint = "00".repeat(32).parse().unwrap();
        let list = List::Organization(OrganizationId(1));
        for number in 0..2 * MOST / QUERY as u64 {
            let tag = HeaderValue::from(number);
            tags.note(caller, &tag, list, Some(&query));
        }
        tags.0.run_pending_tasks();
        let kept = tags.0.iter().count();
        assert!(kept > 0 && kept * QUERY <= MOST as usize, "{kept}");
    }
}
