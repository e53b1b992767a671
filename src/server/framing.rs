//! Refuses what the HTTP library lets through though somebody else could read it as another request.
//!
//! **Guarantee**: a request of HTTP/1 that goes on has one `Host` (RFC 9112 §3.2) and, if it is chunked, nothing
//! but that (§6.1): upstream is sent its bytes without the chunks, and a coding below them would be lost. All else
//! about its framing the library has refused before it gets here; `tests/it/hostile` has all of it.
//!
//! Chunks beside a `Content-Length` are not refused, as §6.1 allows: the library goes by the chunks, upstream is sent
//! these alone, and the connection ends with the answer, so that nobody's next request is found behind it. It takes
//! the length away before anybody can see it. To refuse it, its bytes would have to be read here as well, all of
//! them, bodies included, since only so it is known where a head begins: a second reader beside the library's, that
//! could come to think otherwise, which is the very thing that an attacker looks for.

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
