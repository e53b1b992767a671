//! A list as it is kept: everything that an answer needs, made ready at the fill.
//!
//! **Guarantee** (DESIGN §1.2, §3): of upstream's answer only the headers in [`KEPT`] are kept, so that
//! no cookie, quota figure, request id or date is ever replayed, nor a header that upstream may add
//! one day. A hit copies no body: [`Bytes`] are shared.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, LAST_MODIFIED, PRAGMA, SERVER, VARY,
    VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant};

use super::epochs::Snapshot;

/// The headers of upstream's answer that are worth keeping.
const KEPT: [HeaderName; 10] = [
    CACHE_CONTROL,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    EXPIRES,
    LAST_MODIFIED,
    PRAGMA,
    SERVER,
    VARY,
    VIA,
    HeaderName::from_static("x-service-level"),
];

/// See the [module](self).
#[derive(Debug)]
pub struct Entry {
    /// What it depends on, from before its fetch; `None` if something of that was closed then, in
    /// which case the list may be given to those who waited for it and to nobody later.
    pub snapshot: Option<Snapshot>,
    /// When its fetch began: it shows nothing later than that.
    pub fetched: Instant,
    /// The headers of an answer made of it.
    pub headers: HeaderMap,
    /// Its strong validator.
    pub etag: HeaderValue,
    /// The list, without an encoding. (The gzipped form will stand beside it.)
    pub body: Bytes,
}

// === impl Entry ===

impl Entry {
    /// Makes an entry of upstream's answer, whose body is `body` without an encoding.
    #[must_use]
    pub fn new(
        snapshot: Option<Snapshot>,
        fetched: Instant,
        upstream: &HeaderMap,
        body: Bytes,
    ) -> Self {
        let mut headers = HeaderMap::with_capacity(KEPT.len() + 4);
        for name in &KEPT {
            for value in upstream.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Self {
            snapshot,
            fetched,
            headers,
            etag: etag(&body),
            body,
        }
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64);
        size_of::<Self>() + self.body.len() + headers.sum::<usize>()
    }
}

/// The validator of a body: half a SHA-256, which no two lists share by chance.
#[must_use]
pub fn etag(body: &[u8]) -> HeaderValue {
    let digest = hex::encode(&Sha256::digest(body)[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("quoted hexadecimal digits")
}

/// Whether `If-None-Match` names this validator (RFC 9110 §13.1.2: the weak comparison).
#[must_use]
pub fn matches(if_none_match: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = if_none_match.get_all(http::header::IF_NONE_MATCH);
    let mut tags = values
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tags.any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_that_belongs_to_one_request_is_kept() {
        let mut upstream = HeaderMap::new();
        for name in [
            "set-cookie",
            "x-toggl-quota-remaining",
            "x-toggl-quota-resets-in",
            "x-request-id",
            "x-toggl-request-id",
            "date",
            "alt-svc",
            "content-length",
            "content-encoding",
            "age",
            "x-new",
        ] {
            upstream.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        upstream.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let entry = Entry::new(None, Instant::now(), &upstream, Bytes::from_static(b"[]"));
        assert_eq!(entry.headers.keys().collect::<Vec<_>>(), [CACHE_CONTROL]);
        assert!(entry.weight() > 2);
    }

    #[test]
    fn a_validator_matches_itself_in_any_list_and_weakly() {
        let etag = etag(b"[]");
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("if-none-match", value.parse().unwrap());
            matches(&headers, &etag)
        };
        let tag = etag.to_str().unwrap();
        assert!(asked(tag) && asked(&format!("\"x\", W/{tag}")) && asked("*"));
        assert!(!asked("\"x\"") && !asked(tag.trim_matches('"')));
        assert!(!matches(&HeaderMap::new(), &etag));
    }
}
