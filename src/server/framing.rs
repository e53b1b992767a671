//! Refuses what the HTTP library lets through though somebody else could read it as another request.
//!
//! **Guarantee**: a request of HTTP/1 that goes on has one `Host` (RFC 9112 §3.2) and, if it is chunked, nothing
//! but that (§6.1): upstream is sent its bytes without the chunks, and a coding below them would be lost. All else
//! about its framing the library has refused before it gets here; `tests/it/hostile` has all of it.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Request, Version};

/// Whether it could mean two things.
pub(super) fn is_ambiguous<B>(request: &Request<B>) -> bool {
    let (version, headers) = (request.version(), request.headers());
    if version > Version::HTTP_11 {
        return false;
    }
    let mut hosts = headers.get_all(HOST).iter();
    let has_host = hosts.next().is_some() || version < Version::HTTP_11;
    if !has_host || hosts.next().is_some() {
        return true;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    !is_plain || codings.next().is_some()
}
