//! Makes answers of lists: of kept ones, and of those just fetched.

use http::header::{AGE, ETAG, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{Answer, CACHE_STATUS, Call};
use crate::body::Body;
use crate::cache::entry::{Entry, matches};
use crate::cache::fills::Fetched;
use crate::cache::verdict::{self, Why};

/// The answer to a read that the kept list `entry` answers, fresh for `ttl` more seconds.
pub(super) fn hit(entry: &Entry, asked: &HeaderMap, ttl: u64) -> Answer {
    let mut answer = of_entry(entry, entry.headers.clone(), asked);
    let headers = answer.headers_mut();
    headers.insert(AGE, HeaderValue::from(entry.age(Instant::now()).as_secs()));
    headers.append(CACHE_STATUS, verdict::hit(ttl));
    answer
}

/// The answer to a read that `fetched` answers; whoever `began` the fetch gets all of upstream's
/// headers, the others none that belong to one request alone.
pub(super) fn fetched(fetched: &Fetched, asked: &HeaderMap, why: Why, began: bool) -> Answer {
    let (mut answer, stored) = match fetched {
        Fetched::List {
            entry,
            headers,
            stored,
        } => {
            let headers = if began {
                headers.clone()
            } else {
                entry.headers.clone()
            };
            (of_entry(entry, headers, asked), *stored)
        }
        Fetched::Other {
            status,
            headers,
            body,
        } => {
            let mut answer = Response::new(Body::full(body.clone()));
            *answer.status_mut() = *status;
            *answer.headers_mut() = headers.clone();
            if !began {
                answer.headers_mut().remove(SET_COOKIE);
            }
            (answer, false)
        }
        // Taken by whoever called; nothing is left of it.
        Fetched::Stream(_) => (Response::new(Body::empty()), false),
    };
    answer
        .headers_mut()
        .append(CACHE_STATUS, verdict::forwarded(why, stored, !began));
    answer
}

fn of_entry(entry: &Entry, headers: HeaderMap, asked: &HeaderMap) -> Answer {
    let unchanged = matches(asked, &entry.etag);
    let body = if unchanged {
        Body::empty()
    } else {
        Body::full(entry.body.clone())
    };
    let mut answer = Response::new(body);
    if unchanged {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    *answer.headers_mut() = headers;
    answer.headers_mut().insert(ETAG, entry.etag.clone());
    answer
}

/// The same call once more, for a caller who cannot share an answer after all. It has no body.
pub(super) fn again(call: &Call) -> Call {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = call.request.method().clone();
    *request.uri_mut() = call.request.uri().clone();
    *request.version_mut() = call.request.version();
    *request.headers_mut() = call.request.headers().clone();
    Call {
        endpoint: call.endpoint,
        caller: call.caller.clone(),
        request,
        origin: call.origin.clone(),
    }
}
