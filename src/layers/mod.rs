//! The layers of the proxy's side, each a tower service with one guarantee.
//!
//! What an outer layer found out is a type, so that a stack in the wrong order does not compile:
//! `observe` turns what is [`Inbound`] into [`Received`], `classify` turns that into a [`Call`] of nobody yet,
//! `identify` into a [`Call`]. Their order, and why, stands in [`stack`](crate::stack).

pub mod audit;
pub mod cache;
pub mod classify;
pub mod forward;
mod hop_by_hop;
pub mod identify;
pub mod invalidate;
pub mod limit;
pub mod observe;
pub mod pace;
pub mod quota;
pub mod rescue;
#[cfg(test)]
pub mod testing;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue, Method, Request, Response};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::body::Body;
use crate::domain::caller::Caller;
use crate::domain::endpoint::Endpoint;
use crate::domain::label::Label;
use crate::domain::once;
use crate::quota::Priority;

/// What goes back to the caller.
pub type Answer = Response<Body>;

/// The id of a request, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The audit event's id, on the answer to a change.
pub const EVENT_ID: HeaderName = HeaderName::from_static("x-tollgate-event");

/// What upstream says is left of the quota, and for how many seconds.
pub const QUOTA_REMAINING: HeaderName = HeaderName::from_static("x-toggl-quota-remaining");
/// See [`QUOTA_REMAINING`].
pub const QUOTA_RESETS_IN: HeaderName = HeaderName::from_static("x-toggl-quota-resets-in");

/// How the answer came about (RFC 9211), on every answer.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A request, and who is at the other end of its connection.
pub struct Inbound {
    /// The other end.
    pub peer: SocketAddr,
    /// The request.
    pub request: Request<Body>,
}

/// A request as it came in.
pub struct Received {
    /// The request.
    pub request: Request<Body>,
    /// From where and when.
    pub origin: Origin,
}

/// From where and when a request came.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The request's id.
    pub request_id: RequestId,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The caller's address, behind proxies that are trusted to tell it.
    pub client: IpAddr,
    /// When, for people.
    pub received_at: Timestamp,
    /// When, for measuring.
    pub started: Instant,
    /// The label that the path began with.
    pub tool: Option<Label>,
    /// For whom a trusted tool says that it acts.
    pub on_behalf_of: Option<String>,
    /// Whether somebody waits for it: in the line of a spaced token, what a change needs comes with the
    /// changes. A change itself comes first, whatever this says.
    pub priority: Priority,
}

/// A request whose meaning is known; everything inside asks that, never the path.
pub struct Call<Who = Option<Caller>> {
    /// What it asks for.
    pub endpoint: Endpoint,
    /// Who asks; `None` without a credential.
    pub caller: Who,
    /// The request, as it came but for the label.
    pub request: Request<Body>,
    /// From where and when.
    pub origin: Origin,
}

/// Nobody has looked yet who is asking: a [`Call`] between `classify` and `identify`.
#[derive(Clone, Copy, Debug)]
pub struct Unidentified;

/// A request's id: the caller's if it is well-formed, else a UUIDv7.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Id);

// A new one lies where it is carried: most requests bring none.
#[derive(Clone, PartialEq, Eq)]
enum Id {
    Sent(HeaderValue),
    New([u8; uuid::fmt::Hyphenated::LENGTH]),
}

// Requests carry credentials, so their `Debug` shows neither headers nor path.

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl<Who: fmt::Debug> fmt::Debug for Call<Who> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("endpoint", &self.endpoint)
            .field("caller", &self.caller)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

// === impl Call ===

impl Call {
    /// Whether upstream may be asked twice: it changes nothing, and uses nothing up.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        let is_safe = matches!(
            *self.request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        is_safe
            && !matches!(self.endpoint, Endpoint::Change(_))
            && !once::uses_up(&self.endpoint, self.request.uri().query())
    }

    /// The same once more, without a body: for what is asked twice, or for somebody else besides.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.request.method().clone();
        *request.uri_mut() = self.request.uri().clone();
        *request.version_mut() = self.request.version();
        *request.headers_mut() = self.request.headers().clone();
        Self {
            endpoint: self.endpoint,
            caller: self.caller.clone(),
            request,
            origin: self.origin.clone(),
        }
    }
}

// === impl RequestId ===

impl RequestId {
    /// The id that the caller sent, if it is short and plain enough to be shown anywhere; else a new one,
    /// for what came at `received_at`.
    #[must_use]
    pub fn of(sent: Option<&HeaderValue>, received_at: Timestamp) -> Self {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        match sent {
            Some(id) if (1..=128).contains(&id.len()) && id.as_bytes().iter().all(plain) => {
                Self(Id::Sent(id.clone()))
            }
            _ => Self::new(received_at),
        }
    }

    // Behind the time a number that is counted up from anywhere (RFC 9562 §6.2): no two of a process are the
    // same, those of two processes by chance alone, and it takes less than a random number for each.
    fn new(received_at: Timestamp) -> Self {
        static NEXT: LazyLock<AtomicU64> =
            LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(())));
        let milliseconds = u64::try_from(received_at.as_millisecond()).unwrap_or(0);
        let mut rest = [0; 10];
        rest[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut text);
        Self(Id::New(text))
    }

    /// The id as a header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        match &self.0 {
            Id::Sent(id) => id.clone(),
            Id::New(id) => HeaderValue::from_bytes(id).expect("hexadecimal digits and hyphens"),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Id::Sent(id) => id.to_str().unwrap_or_default(),
            Id::New(id) => str::from_utf8(id).unwrap_or_default(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
