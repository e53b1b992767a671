//! A change's body as it is recorded, and as it is understood.
//!
//! **Guarantee** (DESIGN §2): a change is not excused by a body that cannot be read. What upstream might
//! read in another way than we do (broken JSON, another coding, a name that stands twice in one object,
//! be it in other capitals) is kept as text, flagged `body-unread`, and never taken for what was done.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::coding::decoded;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct RequestBody {
    /// As it is kept; bytes that are no text stand as `base64:…`.
    pub(super) text: Option<String>,
    /// As it is understood.
    pub(super) json: Option<Value>,
    /// Whether there is a body that is not understood.
    pub(super) unread: bool,
}

// === impl RequestBody ===

impl RequestBody {
    pub(super) fn read(headers: &HeaderMap, body: &Bytes, limit: usize) -> Self {
        if body.is_empty() {
            return Self::default();
        }
        let plain = decoded(headers, body, limit);
        let json = plain.as_ref().and_then(|plain| {
            let json = serde_json::from_slice(plain).ok()?;
            (!repeats_a_name(plain)).then_some(json)
        });
        let bytes = plain.unwrap_or_else(|| body.clone());
        let text = match String::from_utf8(bytes.to_vec()) {
            Ok(text) => text,
            Err(_) => format!("base64:{}", STANDARD.encode(&bytes)),
        };
        Self {
            text: Some(text),
            unread: json.is_none(),
            json,
        }
    }
}

fn repeats_a_name(json: &[u8]) -> bool {
    let object = serde_json::from_slice::<Names>(json).map(|names| vec![names]);
    let objects = object
        .or_else(|_| serde_json::from_slice::<Vec<Names>>(json))
        .unwrap_or_default();
    objects.iter().any(|Names(names)| {
        let earlier = |index: usize| names[..index].iter();
        names
            .iter()
            .enumerate()
            .any(|(index, name)| earlier(index).any(|other| other.eq_ignore_ascii_case(name)))
    })
}

/// The names of an object, as often as they stand there.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> RequestBody {
        RequestBody::read(&HeaderMap::new(), &Bytes::copy_from_slice(body), 1 << 10)
    }

    #[test]
    fn what_upstream_might_read_in_another_way_is_kept_and_not_understood() {
        for body in [
            &br#"{"name":"A","name":"B"}"#[..],
            br#"{"group_id":7,"GROUP_ID":8}"#,
            br#"[{"op":"add"},{"op":"add","Op":"remove"}]"#,
            br#"{"name":"A""#,
            b"name=A&users=5",
        ] {
            let read = read(body);
            assert!(read.unread && read.json.is_none(), "{read:?}");
            assert_eq!(read.text.unwrap().as_bytes(), body);
        }
        let bytes = read(&[0xff, 0xfe]);
        assert_eq!(
            (bytes.unread, bytes.text.as_deref()),
            (true, Some("base64://4="))
        );
    }

    #[test]
    fn plain_json_and_no_body_are() {
        let read_one = read(br#"{"name":"A","users":[{"name":"B"}]}"#);
        assert!(!read_one.unread && read_one.json.is_some());
        assert!(!read(br#"[{"op":"add"},{"op":"add"}]"#).unread);
        let nothing = read(b"");
        assert!(!nothing.unread && nothing.text.is_none());
    }
}
