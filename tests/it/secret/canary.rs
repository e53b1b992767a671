//! Texts that stand for secrets, each one of its kind, and the search for them.
//!
//! A canary is found as it is, percent-encoded, in hexadecimal and in base64 at any offset, because a
//! credential that somebody wrote down in another form has been written down.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

/// No path of the reference and no header has it, and it is allowed in all of them as it is.
const MARK: &str = "Kanarie!";

/// Digits of a canary's number.
const DIGITS: usize = 6;

/// All that were given out.
#[derive(Default)]
pub(super) struct Canaries(Vec<Canary>);

/// One of them.
pub(super) struct Canary {
    /// Where it was put.
    pub(super) what: String,
    /// Whether TOGGL.md's allow-list lets the database keep it.
    pub(super) may_be_kept: bool,
}

// === impl Canaries ===

impl Canaries {
    /// A new one, which nothing may keep.
    pub(super) fn secret(&mut self, what: impl Into<String>) -> String {
        self.make(what.into(), false)
    }

    /// A new one, which the database may keep if `may_be_kept`.
    pub(super) fn make(&mut self, what: String, may_be_kept: bool) -> String {
        self.0.push(Canary { what, may_be_kept });
        format!("{MARK}{:0DIGITS$}!", self.0.len() - 1)
    }

    pub(super) fn get(&self, number: usize) -> &Canary {
        &self.0[number]
    }

    /// The numbers of those that may be kept.
    pub(super) fn keepable(&self, wanted: impl Fn(&Canary) -> bool) -> BTreeSet<usize> {
        let all = self.0.iter().enumerate();
        let kept = all.filter(|(_, canary)| canary.may_be_kept && wanted(canary));
        kept.map(|(number, _)| number).collect()
    }
}

/// The numbers of the canaries that are in `bytes`, in any form.
pub(super) fn find(bytes: &[u8]) -> BTreeSet<usize> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = plain(&text);
    found.extend(plain(&percent_decode_str(&text).decode_utf8_lossy()));
    for (at, _) in text.match_indices(&hex::encode(MARK)) {
        let digits = text.get(at..at + 2 * (MARK.len() + DIGITS));
        let digits = digits.and_then(|digits| hex::decode(digits).ok());
        found.extend(plain(&String::from_utf8_lossy(&digits.unwrap_or_default())));
    }
    for pattern in in_base64() {
        for (at, _) in text.match_indices(&pattern) {
            found.extend(plain(&decoded_around(&text, at)));
        }
    }
    found
}

fn plain(text: &str) -> BTreeSet<usize> {
    let places = text.match_indices(MARK);
    let numbers = places.filter_map(|(at, _)| {
        let start = at + MARK.len();
        text.get(start..start + DIGITS)?.parse().ok()
    });
    numbers.collect()
}

/// What stays the same of the mark in base64, whatever stands before and behind it.
fn in_base64() -> [String; 3] {
    [0, 1, 2].map(|before| {
        let whole = STANDARD.encode([&b"   "[..before], MARK.as_bytes()].concat());
        let bits = (before * 8, (before + MARK.len()) * 8);
        whole[bits.0.div_ceil(6)..bits.1 / 6].to_owned()
    })
}

fn decoded_around(text: &str, at: usize) -> String {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let part_of_it = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let bytes = text.as_bytes();
    let start = (0..at).rev().take_while(|&i| part_of_it(bytes[i])).last();
    let end = (at..bytes.len())
        .take_while(|&i| part_of_it(bytes[i]))
        .last();
    let run = &bytes[start.unwrap_or(at)..=end.unwrap_or(at)];
    let readings = (0..4).map(|skipped| {
        let run = run.get(skipped..).unwrap_or_default();
        // One letter more than a multiple of four is no byte yet.
        let run = &run[..run.len() - usize::from(run.len() % 4 == 1)];
        let decoded = engine.decode(run).unwrap_or_default();
        String::from_utf8_lossy(&decoded).into_owned()
    });
    readings.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_canary_is_found_in_every_form() {
    let mut canaries = Canaries::default();
    let (_, canary) = (canaries.secret("another"), canaries.secret("this one"));
    let encoded = "before=Kanarie%21000001%21";
    let mut forms = vec![
        format!("x{canary}x"),
        encoded.to_owned(),
        hex::encode(&canary),
        format!("\u{fffd}{}", hex::encode(format!("a{canary}"))),
    ];
    for before in ["", "a", "ab", "abc", "ann@acme.example:"] {
        forms.push(format!(
            "Basic {}, x",
            STANDARD.encode(format!("{before}{canary}:api_token"))
        ));
    }
    for form in forms {
        assert_eq!(find(form.as_bytes()), BTreeSet::from([1]), "{form}");
    }
    assert_eq!(
        find(b"nothing of the kind, Kanarie! or not"),
        BTreeSet::new()
    );
}
