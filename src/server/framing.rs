//! Refuses what the HTTP library lets through though somebody else could read it as another request.
//!
//! **Guarantee**: a request of HTTP/1 that goes on has one `Host` (RFC 9112 §3.2) and, if it is chunked, nothing
//! but that (§6.1): upstream is sent its bytes without the chunks, and a coding below them would be lost. All else
//! about its framing the library has refused before it gets here; `tests/it/hostile` has all of it.
//!
//! Beside chunks the library takes a `Content-Length` away before anybody can see it. So what comes between two
//! requests is [kept](Head), and the head of one with chunks is read from it again, by the parser that the library
//! has. Where a caller did not wait for the answer before, it lies in the library's buffer and not there: then
//! what §6.1 allows as well is done. The library goes by the chunks, upstream is sent these alone, and the
//! connection ends with the answer, so that nobody's next request is found behind it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::{Request, Version};

use super::protocol::HEAD;

/// What came on a connection of HTTP/1 since its last request was answered: as a rule, the head of the next. There
/// is a credential in it, and as soon as there is a request, it is [forgotten](Head::forget).
#[derive(Default)]
pub(super) struct Head(Mutex<Vec<u8>>);

/// As many bytes of it are kept: no head has more.
const MOST: usize = HEAD as usize;

/// The library refuses a head with more of them.
const FIELDS: usize = 100;

/// As much room is kept for the next one.
const USUAL: usize = 1 << 10;

// === impl Head ===

impl Head {
    /// These bytes came.
    pub(super) fn hear(&self, bytes: &[u8]) {
        let mut head = self.lock();
        let room = MOST - head.len();
        head.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// The request has begun: what comes now is another.
    pub(super) fn forget(&self) {
        let mut head = self.lock();
        head.clear();
        head.shrink_to(USUAL);
    }

    // Whether it has both chunks and a length.
    fn is_framed_twice(&self) -> bool {
        let head = self.lock();
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        if !request
            .parse(&head)
            .is_ok_and(|status| status.is_complete())
        {
            return false;
        }
        let has = |name: HeaderName| {
            let mut fields = request.headers.iter();
            fields.any(|field| field.name.eq_ignore_ascii_case(name.as_str()))
        };
        has(TRANSFER_ENCODING) && has(CONTENT_LENGTH)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} bytes)", self.lock().len())
    }
}

/// Whether a request, of which this is the head as it came, could mean two things.
pub(super) fn is_ambiguous<B>(request: &Request<B>, head: &Head) -> bool {
    let version = request.version();
    if version > Version::HTTP_11 {
        return false;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let has_host = hosts.next().is_some() || version < Version::HTTP_11;
    if !has_host || hosts.next().is_some() {
        return true;
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return false;
    };
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    !is_chunked || codings.next().is_some() || head.is_framed_twice()
}
