//! Bodies in a content coding, read.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

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
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(coding: &str, body: Vec<u8>, limit: usize) -> Option<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        decoded(&headers, &body.into(), limit)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_larger_than_allowed_or_broken_is_not_read() {
        let body = gzip(&[b'x'; 1000]);
        assert_eq!(read("GZip", body.clone(), 1000).unwrap().len(), 1000);
        assert_eq!(read("gzip", body.clone(), 999), None);
        assert_eq!(read("gzip", body[..body.len() / 2].to_vec(), 1000), None);
        assert_eq!(read("br", body, 1000), None);
        assert_eq!(read("identity", b"[]".to_vec(), 1000).unwrap(), "[]");
    }
}
