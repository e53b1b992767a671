//! Durations (`150ms`, `60s`, `24h`, `400d`) and sizes (`64KiB`, `256MiB`) as people write them.
//!
//! A number without a unit is refused, because one program means seconds by it and the next one
//! milliseconds. A day is 24 hours; months and years, which have no one length, are refused.
//! Printing and parsing give back the same value, to the nanosecond and to the byte.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

use super::setting::Setting;

/// No duration is longer: a hundred years. Any instant plus one is still a date.
pub const LONGEST: Duration = Duration::from_secs(36_500 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// What is wrong with the text of a duration or a size; follows the text in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A number alone.
    #[error("has no unit")]
    NoUnit,
    /// Less than nothing.
    #[error("is negative")]
    Negative,
    /// Longer than [`LONGEST`], or more bytes than there are numbers for.
    #[error("is too large")]
    TooLarge,
    /// In months or years.
    #[error("has a unit without a fixed length; count in days")]
    Calendar,
    /// Something else.
    #[error("is not a duration")]
    NotADuration,
    /// Something else.
    #[error("is not a size")]
    NotASize,
}

/// Reads a duration.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    check_number(text)?;
    let span = SpanParser::new()
        .parse_span(text)
        .map_err(|_| UnitError::NotADuration)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(UnitError::Calendar);
    }
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| UnitError::NotADuration)?;
    match Duration::try_from(signed) {
        Err(_) => Err(UnitError::Negative),
        Ok(duration) if duration > LONGEST => Err(UnitError::TooLarge),
        Ok(duration) => Ok(duration),
    }
}

/// Writes a duration in the largest unit that takes no fraction, as people write it: `60s` and
/// `24h`, not `1m` and `1d`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    // The unit, its nanoseconds, and from how many of them on it is used.
    const UNITS: [(&str, u128, u128); 7] = [
        ("d", DAY as u128 * 1_000_000_000, 2),
        ("h", 60 * 60 * 1_000_000_000, 1),
        ("m", 60 * 1_000_000_000, 2),
        ("s", 1_000_000_000, 1),
        ("ms", 1_000_000, 1),
        ("us", 1_000, 1),
        ("ns", 1, 1),
    ];
    let nanoseconds = duration.as_nanos();
    UNITS
        .iter()
        .find(|(_, length, from)| {
            nanoseconds.is_multiple_of(*length) && nanoseconds / length >= *from
        })
        // Only nothing at all is less than one of the smallest.
        .map_or_else(
            || "0s".to_owned(),
            |(unit, length, _)| format!("{}{unit}", nanoseconds / length),
        )
}

/// Reads a size in bytes.
pub fn parse_size(text: &str) -> Result<ByteSize, UnitError> {
    check_number(text)?;
    match text.parse::<ByteSize>() {
        Err(_) => Err(UnitError::NotASize),
        // What does not fit is cut off at the end, not refused.
        Ok(size) if size.as_u64() == u64::MAX => Err(UnitError::TooLarge),
        Ok(size) => Ok(size),
    }
}

/// Writes a size in the largest binary unit that takes no fraction.
#[must_use]
pub fn format_size(size: ByteSize) -> String {
    const UNITS: [(&str, u64); 6] = [
        ("EiB", bytesize::EIB),
        ("PiB", bytesize::PIB),
        ("TiB", bytesize::TIB),
        ("GiB", bytesize::GIB),
        ("MiB", bytesize::MIB),
        ("KiB", bytesize::KIB),
    ];
    let bytes = size.as_u64();
    UNITS
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor))
        .map_or_else(
            || format!("{bytes}B"),
            |(unit, factor)| format!("{}{unit}", bytes / factor),
        )
}

/// Refuses numbers alone and those below zero: both parsers have other words for them.
fn check_number(text: &str) -> Result<(), UnitError> {
    match text.trim() {
        text if text.parse::<f64>().is_ok_and(f64::is_finite) => Err(UnitError::NoUnit),
        text if text.starts_with('-') => Err(UnitError::Negative),
        _ => Ok(()),
    }
}

impl Setting for Duration {
    fn allowed() -> String {
        "a duration such as `150ms`, `60s`, `24h` or `400d`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<String> {
        Some(format_duration(*self))
    }
}

impl Setting for ByteSize {
    fn allowed() -> String {
        "a size such as `64KiB` or `256MiB`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        parse_size(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<String> {
        Some(format_size(*self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_in_their_unit() {
        let seconds = Duration::from_secs;
        for (text, duration) in [
            ("150ms", Duration::from_millis(150)),
            ("0s", Duration::ZERO),
            ("60s", seconds(60)),
            ("5m", seconds(300)),
            ("1h 30m", seconds(5400)),
            ("1.5h", seconds(5400)),
            ("24h", seconds(86_400)),
            ("1d", seconds(86_400)),
            ("2w", seconds(14 * 86_400)),
            ("400d", seconds(400 * 86_400)),
        ] {
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        for (text, error) in [
            ("60", UnitError::NoUnit),
            ("0", UnitError::NoUnit),
            ("-5", UnitError::NoUnit),
            ("1.5", UnitError::NoUnit),
            ("-5s", UnitError::Negative),
            ("5s ago", UnitError::Negative),
            ("1y", UnitError::Calendar),
            ("3mo", UnitError::Calendar),
            ("40000d", UnitError::TooLarge),
            ("", UnitError::NotADuration),
            ("soon", UnitError::NotADuration),
            ("5 parsecs", UnitError::NotADuration),
            ("never", UnitError::NotADuration),
            ("inf", UnitError::NotADuration),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_their_unit() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 64 << 10),
            ("256MiB", 256 << 20),
            ("1.5MiB", 3 << 19),
            ("1MB", 1_000_000),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(ByteSize::b(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_reason() {
        for (text, error) in [
            ("1048576", UnitError::NoUnit),
            ("0", UnitError::NoUnit),
            ("-5KiB", UnitError::Negative),
            ("16EiB", UnitError::TooLarge),
            ("99999999999999999999KiB", UnitError::TooLarge),
            ("", UnitError::NotASize),
            ("big", UnitError::NotASize),
            ("5 apples", UnitError::NotASize),
            ("5ääää", UnitError::NotASize),
        ] {
            assert_eq!(parse_size(text), Err(error), "{text}");
        }
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        for text in [
            "0s", "150ms", "5s", "60s", "90s", "2m", "24h", "400d", "1001us",
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["0B", "1000B", "64KiB", "1MiB", "1025KiB", "8MiB", "2GiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_being_written_and_read(
            seconds in 0..LONGEST.as_secs(),
            nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_u32],
        ) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_size_survives_being_written_and_read(bytes in 0..u64::MAX) {
            let size = ByteSize::b(bytes);
            prop_assert_eq!(parse_size(&format_size(size)), Ok(size));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
