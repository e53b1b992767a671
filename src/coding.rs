//! Content codings (RFC 9110 §8.4): which a caller takes, and bodies into and out of them.
//!
//! Two are enough: `identity` and `gzip`, which every client knows and upstream speaks itself.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

/// What `Accept-Encoding` says of the two codings (RFC 9110 §12.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// `gzip` is taken, and no less gladly than `identity`.
    pub gzip: bool,
    /// The body as it is will do.
    pub identity: bool,
}

// The levels above save a thirtieth of a long list (`docs/performance.md`).
const LEVEL: Compression = Compression::new(6);

// === impl Accepted ===

impl Accepted {
    /// Reads the header. Nobody who sends none expects a coding.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        for item in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
            let mut parts = item.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let weight = parts.next().map_or(1000, weight);
            let of = match name {
                _ if name.eq_ignore_ascii_case(b"gzip") => &mut gzip,
                _ if name.eq_ignore_ascii_case(b"x-gzip") => &mut gzip,
                _ if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                b"*" => &mut any,
                _ => continue,
            };
            *of = Some(weight);
        }
        let gzip = gzip.or(any).unwrap_or(0);
        Self {
            gzip: gzip > 0 && gzip >= identity.unwrap_or(0),
            identity: identity.or(any).unwrap_or(1) > 0,
        }
    }
}

// Thousandths; what cannot be read counts as if it were not there.
fn weight(parameter: &[u8]) -> u32 {
    let text = std::str::from_utf8(parameter).unwrap_or_default().trim();
    let number = text
        .strip_prefix(['q', 'Q'])
        .and_then(|rest| rest.trim_start().strip_prefix('='))
        .and_then(|number| number.trim().parse::<f32>().ok());
    // A saturating cast: nonsense becomes one of the ends.
    number.map_or(1000, |number| (number * 1000.0) as u32)
}

/// The body in `gzip`.
#[must_use]
pub fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), LEVEL);
    // Into memory, which does not fail; and what is not whole would be found so at once.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// The body without its coding; `None` if it is broken, in a coding that nobody here knows, or would
/// be larger than `limit` bytes.
#[must_use]
pub fn decoded(headers: &HeaderMap, body: &Bytes, limit: usize) -> Option<Bytes> {
    match headers
        .get(CONTENT_ENCODING)
        .map(|coding| coding.as_bytes().to_ascii_lowercase())
    {
        None => Some(body.clone()),
        Some(coding) if coding == b"identity" => Some(body.clone()),
        Some(coding) if coding == b"gzip" || coding == b"x-gzip" => {
            let mut decoded = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
            // One byte more than allowed tells that there is more, and a bomb stays small.
            let most = limit as u64 + 1;
            MultiGzDecoder::new(&body[..])
                .take(most)
                .read_to_end(&mut decoded)
                .ok()?;
            (decoded.len() <= limit).then(|| decoded.into())
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(coding: &str, body: Vec<u8>, limit: usize) -> Option<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        decoded(&headers, &body.into(), limit)
    }

    #[test]
    fn what_a_caller_takes_is_told_by_weights() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            let Accepted { gzip, identity } = Accepted::of(&headers);
            (gzip, identity)
        };
        let (gzip, plain, only_gzip) = ((true, true), (false, true), (true, false));
        assert_eq!(of("gzip"), gzip);
        assert_eq!(of("gzip, deflate, br"), gzip);
        assert_eq!(of("br, GZIP ; Q=0.5"), gzip);
        assert_eq!(of("x-gzip"), gzip);
        assert_eq!(of("*"), gzip);
        for refused in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0, identity"] {
            assert_eq!(of(refused), plain, "{refused}");
        }
        assert_eq!(of("gzip;q=0.5, identity;q=0.8"), plain, "rather as it is");
        assert_eq!(of("gzip;q=0.5, identity;q=0.5"), gzip);
        assert_eq!(of("gzip, identity;q=0"), only_gzip);
        assert_eq!(of("gzip, *;q=0"), only_gzip);
        assert_eq!(of("identity;q=0, *;q=0.1"), only_gzip);
        assert_eq!(of("*;q=0"), (false, false));
        assert_eq!(of("gzip;q=nonsense"), gzip);
        assert!(!Accepted::of(&HeaderMap::new()).gzip);
    }
    #[test]
    fn what_is_larger_than_allowed_or_broken_is_not_read() {
        let body = gzipped(&[b'x'; 1000]);
        assert_eq!(read("GZip", body.clone(), 1000).unwrap().len(), 1000);
        assert_eq!(read("gzip", body.clone(), 999), None);
        assert_eq!(read("gzip", body[..body.len() / 2].to_vec(), 1000), None);
        assert_eq!(read("br", body, 1000), None);
        assert_eq!(read("identity", b"[]".to_vec(), 1000).unwrap(), "[]");
    }
}
