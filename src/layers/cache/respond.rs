//! Makes answers of lists: of kept ones, and of those just fetched.

use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
    VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{Answer, CACHE_STATUS, Call};
use crate::body::Body;
use crate::cache::entry::{self, Entry, matches};
use crate::cache::fills::Fetched;
use crate::cache::verdict::{self, Why};
use crate::coding::Accepted;
use crate::domain::endpoint::{Endpoint, List};
use crate::layers::{QUOTA_REMAINING, QUOTA_RESETS_IN};
use crate::quota::Reading;

/// What of a request decides how a list is given out.
pub(super) struct Reader {
    accepted: Accepted,
    none_match: Vec<HeaderValue>,
    is_head: bool,
}

// === impl Reader ===

impl Reader {
    /// Of this request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Self {
            accepted: Accepted::of(headers),
            none_match: headers.get_all(IF_NONE_MATCH).iter().cloned().collect(),
            is_head: *request.method() == Method::HEAD,
        }
    }

    fn body(&self, body: &Bytes) -> Body {
        if self.is_head {
            Body::empty()
        } else {
            Body::full(body.clone())
        }
    }

    // Of a body that is not sent nobody else could tell (RFC 9110 §9.3.2).
    fn say_length(&self, headers: &mut HeaderMap, body: &Bytes) {
        if self.is_head {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
    }
}

/// The answer to a read at `now` that a kept list answers; `status` is its `Cache-Status`.
pub(super) fn kept(
    entry: &Entry,
    reader: &Reader,
    reading: Option<Reading>,
    status: HeaderValue,
    now: Instant,
) -> Answer {
    let mut answer = of_entry(entry, entry.headers.clone(), reader);
    let headers = answer.headers_mut();
    let age = i64::try_from(entry.age(now).as_secs()).unwrap_or(i64::MAX);
    headers.insert(AGE, entry.told_age.or_make(age, HeaderValue::from));
    if let Some(reading) = reading {
        let resets_in = reading.resets_at.saturating_duration_since(now);
        headers.insert(QUOTA_REMAINING, HeaderValue::from(reading.remaining));
        headers.insert(QUOTA_RESETS_IN, HeaderValue::from(resets_in.as_secs()));
    }
    headers.append(CACHE_STATUS, status);
    answer
}

/// The answer to a read that `fetched` answers; whoever `began` the fetch gets all of upstream's
/// headers, the others none that belong to one request alone.
pub(super) fn fetched(fetched: &Fetched, reader: &Reader, why: Why, began: bool) -> Answer {
    let (mut answer, stored) = match fetched {
        Fetched::List {
            entry,
            headers,
            stored,
        } => {
            let headers = if began {
                let mut headers = headers.clone();
                headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
                headers
            } else {
                entry.headers.clone()
            };
            (of_entry(entry, headers, reader), *stored)
        }
        Fetched::Other {
            status,
            headers,
            body,
            stored,
        } => {
            let mut answer = Response::new(reader.body(body));
            *answer.status_mut() = *status;
            *answer.headers_mut() = if began {
                headers.clone()
            } else {
                shared(headers)
            };
            reader.say_length(answer.headers_mut(), body);
            (answer, *stored)
        }
        // Taken by whoever called; nothing is left of it.
        Fetched::Stream(_) => (Response::new(Body::empty()), false),
    };
    answer
        .headers_mut()
        .append(CACHE_STATUS, verdict::forwarded(why, stored, !began));
    answer
}

// Of an answer that is no list, for those who did not begin its fetch: what it says of itself.
fn shared(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = entry::kept(upstream);
    for name in [LOCATION, RETRY_AFTER, WWW_AUTHENTICATE] {
        for value in upstream.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

fn of_entry(entry: &Entry, headers: HeaderMap, reader: &Reader) -> Answer {
    let form = entry.form(reader.accepted);
    let unchanged = entry.is_list() && matches(&reader.none_match, &form.etag);
    let mut answer = Response::new(if unchanged {
        Body::empty()
    } else {
        reader.body(&form.body)
    });
    *answer.status_mut() = if unchanged {
        StatusCode::NOT_MODIFIED
    } else {
        entry.status
    };
    *answer.headers_mut() = headers;
    let headers = answer.headers_mut();
    if let Some(coding) = form.coding.as_ref().filter(|_| !unchanged) {
        headers.insert(CONTENT_ENCODING, coding.clone());
    }
    if entry.is_list() {
        headers.insert(ETAG, form.etag.clone());
    }
    if !unchanged {
        reader.say_length(headers, &form.body);
    }
    answer
}

/// The call of the same caller for the whole of `list`.
pub(super) fn of_list(call: &Call, list: List) -> Call {
    let mut call = call.again();
    if let Ok(target) = list.path().parse() {
        *call.request.uri_mut() = target;
        call.endpoint = Endpoint::List(list);
    }
    call
}
