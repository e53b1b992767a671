//! A path in its normal form, and whether upstream could read it in another way.
//!
//! **Guarantee** (DESIGN §2): what is said to be exact and not ambiguous, is the same path for every reader.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path as upstream's router is expected to see it.
pub(super) struct NormalForm<'a> {
    pub(super) path: Cow<'a, str>,
    /// Whether that is the path to the byte.
    pub(super) exact: bool,
    /// What in it upstream might read in another way.
    pub(super) ambiguity: Option<&'static str>,
}

/// Not what stands for itself in a path, wherever it is read.
const ODD: u8 = 1;
const SLASH: u8 = 2;
/// Odd where a slash is before it. The bit above that of [`SLASH`].
const ODD_BEHIND_SLASH: u8 = SLASH << 1;

static TRAITS: [u8; 256] = {
    let mut traits = [ODD; 256];
    let mut byte = 0;
    while byte < traits.len() {
        if (byte as u8).is_ascii_alphanumeric() {
            traits[byte] = 0;
        }
        byte += 1;
    }
    let mut others = b"-_~,:@!$&'()*+=".as_slice();
    while let [first, rest @ ..] = others {
        traits[*first as usize] = 0;
        others = rest;
    }
    traits[b'/' as usize] = SLASH | ODD_BEHIND_SLASH;
    traits[b'.' as usize] = ODD_BEHIND_SLASH;
    traits
};

// Each byte is plain, and what follows a slash is neither another one, nor a dot, nor nothing. Without a branch
// for each byte: it is asked of every path.
fn is_tidy(path: &str) -> bool {
    let (mut before, mut odd) = (0, 0);
    for byte in path.bytes() {
        let traits = TRAITS[usize::from(byte)];
        odd |= traits & (ODD | ((before & SLASH) << 1));
        before = traits;
    }
    path.len() > 1 && odd == 0 && before & SLASH == 0
}

pub(super) fn normal_form(raw: &str) -> NormalForm<'_> {
    if is_tidy(raw) {
        return NormalForm {
            path: Cow::Borrowed(raw),
            exact: true,
            ambiguity: None,
        };
    }
    let decoded = percent_decode_str(raw).decode_utf8();
    let ambiguity = ambiguity(raw, decoded.as_deref().ok());
    let mut path = String::with_capacity(raw.len());
    for segment in decoded
        .unwrap_or_default()
        .split('/')
        .filter(|segment| !segment.is_empty())
    {
        path.push('/');
        path.push_str(segment);
    }
    NormalForm {
        path: Cow::Owned(path),
        exact: false,
        ambiguity,
    }
}

fn ambiguity(raw: &str, decoded: Option<&str>) -> Option<&'static str> {
    let Some(decoded) = decoded else {
        return Some("bytes that are not UTF-8");
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    if slashes(raw) != slashes(decoded) {
        return Some("an encoded slash");
    }
    if decoded.contains('%') {
        // Either a percent sign that encodes nothing, or one that decodes to another encoding.
        return Some("a percent sign that is not part of one encoded character");
    }
    if decoded
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        return Some("dot segments");
    }
    if decoded.contains(['\\', ';', '?', '#']) {
        return Some("a backslash, a semicolon, or an encoded question mark or number sign");
    }
    if decoded.chars().any(char::is_control) {
        return Some("control characters");
    }
    None
}
