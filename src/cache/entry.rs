//! A list as it is kept: everything that an answer needs, made ready at the fill.
//!
//! **Guarantee** (DESIGN §1.2, §3): of upstream's answer only the headers in [`KEPT`] are kept, so that
//! no cookie, quota figure, request id or date is ever replayed, nor a header that upstream may add
//! one day. A hit copies no body and compresses none: both codings lie ready, each with a validator of its
//! own, and [`Bytes`] are shared.
//!
//! A refusal (403, 404) is kept in the same way, for a shorter time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES, LAST_MODIFIED, PRAGMA, SERVER, VARY,
    VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant};

use super::epochs::Snapshot;
use super::told::Told;
use crate::coding::{Accepted, gzipped};

/// The headers of upstream's answer that are worth keeping.
static KEPT: [HeaderName; 9] = [
    CACHE_CONTROL,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    EXPIRES,
    LAST_MODIFIED,
    PRAGMA,
    SERVER,
    VIA,
    HeaderName::from_static("x-service-level"),
];

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it depends on, from before its fetch; `None` if something of that was closed then, in
    /// which case the list may be given to those who waited for it and to nobody later.
    pub snapshot: Option<Snapshot>,
    /// When its fetch began: it shows nothing later than that.
    pub fetched: Instant,
    /// 200 for a list; 403 or 404 where upstream refused it.
    pub status: StatusCode,
    /// The headers of an answer made of it.
    pub headers: HeaderMap,
    /// The body as it is.
    pub identity: Form,
    /// The body in `gzip`.
    pub gzip: Form,
    /// How old it is, as answers say it.
    pub told_age: Told,
    /// How long it is fresh, as they say it.
    pub told_ttl: Told,
    // When it may be fetched anew again, after that failed; with what is cut out of it, which is fetched by
    // fetching it.
    pub(super) rests_until: Arc<Mutex<Option<Instant>>>,
}

/// A body in one coding (RFC 9110 §8.4.1).
#[derive(Clone, Debug)]
pub struct Form {
    /// The bytes that are sent.
    pub body: Bytes,
    /// Their strong validator (RFC 9110 §8.8.3.3: one for each coding).
    pub etag: HeaderValue,
    /// What `Content-Encoding` says.
    pub coding: Option<HeaderValue>,
}

// === impl Entry ===

impl Entry {
    /// Makes an entry of upstream's answer, whose body is `body` without an encoding.
    #[must_use]
    pub fn new(
        snapshot: Option<Snapshot>,
        fetched: Instant,
        status: StatusCode,
        upstream: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let mut headers = kept(upstream);
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        // Copied for the same reason.
        let body = Bytes::from(Box::<[u8]>::from(body));
        let gzip = Form {
            body: Bytes::from(gzipped(&body).into_boxed_slice()),
            etag: tag(&body, "-gzip"),
            coding: Some(HeaderValue::from_static("gzip")),
        };
        Self {
            snapshot,
            fetched,
            status,
            headers,
            identity: Form {
                etag: etag(&body),
                body,
                coding: None,
            },
            gzip,
            told_age: Told::default(),
            told_ttl: Told::default(),
            rests_until: Arc::default(),
        }
    }

    /// A list that was cut out of this one: as old as it is, and fetched anew with it.
    #[must_use]
    pub fn cut(&self, body: &[u8]) -> Self {
        let cut = Self::new(
            self.snapshot.clone(),
            self.fetched,
            self.status,
            &self.headers,
            body,
        );
        Self {
            rests_until: Arc::clone(&self.rests_until),
            ..cut
        }
    }

    /// Whether it was cut out of `whole`, and not out of one from before.
    #[must_use]
    pub fn is_cut_of(&self, whole: &Self) -> bool {
        Arc::ptr_eq(&self.rests_until, &whole.rests_until)
    }

    /// Not to be fetched anew in the background before `then`: it just failed.
    pub fn rest_until(&self, then: Instant) {
        *self.resting() = Some(then);
    }

    /// Whether fetching it anew has failed a moment ago.
    #[must_use]
    pub fn rests(&self, now: Instant) -> bool {
        self.resting().is_some_and(|then| now < then)
    }

    fn resting(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The form for who takes these codings. Who takes neither gets the body as it is.
    #[must_use]
    pub fn form(&self, accepted: Accepted) -> &Form {
        // A short list is shorter as it is.
        let is_shorter = self.gzip.body.len() < self.identity.body.len();
        if accepted.gzip && (is_shorter || !accepted.identity) {
            &self.gzip
        } else {
            &self.identity
        }
    }

    /// Whether it is what was asked for, and not a refusal.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }

    /// Bytes of memory, with what it takes to keep them (`benches/memory.rs` measures how true it is).
    #[must_use]
    pub fn weight(&self) -> usize {
        let values = self.headers.values().map(|value| value.len() + ALLOCATION);
        let headers = self.headers.capacity() * HEADER + values.sum::<usize>();
        let bodies = self.identity.body.len() + self.gzip.body.len() + 4 * ALLOCATION;
        size_of::<Self>() + headers + bodies + KEEPING
    }
}

// Headers that an answer made of it has besides: the table is not built anew for each. `Vary`, `ETag`,
// `Content-Encoding`, `Age`, the quota's two, `Cache-Status`, `X-Request-Id`.
const ADDED: usize = 8;

// What an allocation takes besides its bytes, and the counter of a shared one.
const ALLOCATION: usize = 48;

// A place in a map of headers.
const HEADER: usize = 112;

// What the tables take for each list: its place, in the queues for eviction and expiry too, and that of its
// caller in the table of epochs.
const KEEPING: usize = 850;

/// Of upstream's headers those that may be given to others than who asked.
#[must_use]
pub fn kept(upstream: &HeaderMap) -> HeaderMap {
    let kept = || {
        let of = |name| {
            upstream
                .get_all(name)
                .iter()
                .map(move |value| (name, value))
        };
        KEPT.iter().flat_map(of)
    };
    let mut headers = HeaderMap::with_capacity(kept().count() + ADDED);
    for (name, value) in kept() {
        // A copy, for what came is a piece of the connection's buffer, which would stay with it.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name.clone(), value);
        }
    }
    // What a clone leaves out is room for more values; the table of where they are stays as large.
    headers.clone()
}

/// The validator of a body as it is: half a SHA-256, which no two lists share by chance.
#[must_use]
pub fn etag(body: &[u8]) -> HeaderValue {
    tag(body, "")
}

fn tag(body: &[u8], coding: &str) -> HeaderValue {
    let digest = hex::encode(&Sha256::digest(body)[..16]);
    HeaderValue::from_str(&format!("\"{digest}{coding}\"")).expect("quoted plain characters")
}

/// The validator of the same list as it is, whichever coding `tag` was given out for.
#[must_use]
pub fn uncoded(tag: &HeaderValue) -> HeaderValue {
    let whole = tag.as_bytes().strip_suffix(b"-gzip\"");
    let whole = whole.and_then(|start| HeaderValue::from_bytes(&[start, b"\""].concat()).ok());
    whole.unwrap_or_else(|| tag.clone())
}

/// Whether `If-None-Match` names this validator (RFC 9110 §13.1.2: the weak comparison).
#[must_use]
pub fn matches(if_none_match: &[HeaderValue], etag: &HeaderValue) -> bool {
    let mut tags = if_none_match
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
        let entry = Entry::new(None, Instant::now(), StatusCode::OK, &upstream, b"[]");
        assert_eq!(
            entry.headers.keys().collect::<Vec<_>>(),
            [CACHE_CONTROL, VARY]
        );
    }

    #[test]
    fn a_validator_matches_itself_in_any_list_and_weakly() {
        let etag = etag(b"[]");
        let asked = |value: &str| matches(&[value.parse().unwrap()], &etag);
        let tag = etag.to_str().unwrap();
        assert!(asked(tag) && asked(&format!("\"x\", W/{tag}")) && asked("*"));
        assert!(!asked("\"x\"") && !asked(tag.trim_matches('"')));
        assert!(!matches(&[], &etag));
    }

    #[tokio::test]
    async fn each_coding_has_its_validator_and_is_given_to_who_takes_it() {
        let body = format!("[{}]", " ".repeat(500));
        let entry = |body: &str| {
            let none = HeaderMap::new();
            Entry::new(None, Instant::now(), StatusCode::OK, &none, body.as_bytes())
        };
        let (long, short) = (entry(&body), entry("[]"));
        let (gzip, identity) = (true, true);
        let any = Accepted { gzip, identity };
        let plain = Accepted {
            gzip: false,
            identity,
        };
        let only_gzip = Accepted {
            gzip,
            identity: false,
        };
        assert_eq!(long.form(any).coding.as_ref().unwrap(), "gzip");
        assert_eq!(long.form(plain).body, body);
        assert_eq!(short.form(any).body, "[]");
        assert_eq!(short.form(only_gzip).coding.as_ref().unwrap(), "gzip");
        assert_ne!(long.form(any).etag, long.form(plain).etag);
        assert_eq!(uncoded(&long.form(any).etag), long.form(plain).etag);
        assert_eq!(uncoded(&long.form(plain).etag), long.form(plain).etag);
    }
}
