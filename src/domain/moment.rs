//! A time as people write it: `2d` ago, a day, or RFC 3339.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

// How a day is written.
const DAY: &str = "2026-11-24";

/// A point in time, perhaps said from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This long ago.
    Ago(SignedDuration),
    /// Then.
    At(Timestamp),
}

// === impl Moment ===

impl Moment {
    /// Which time that is.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            // Further back than time goes is the beginning of time.
            Self::Ago(duration) => now.checked_sub(duration).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(duration) => write!(f, "{}s", duration.as_secs()),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(duration) = ago(text) {
            return Ok(Self::Ago(duration));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        // A day alone, or a time of it without a zone, which is UTC. Asked in this order and by length: the
        // parsers would read past what they do not know, a zone or the time of the day.
        let then = if text.len() == DAY.len() {
            text.parse::<Date>().ok().map(|day| day.at(0, 0, 0, 0))
        } else {
            let zoned = text.ends_with(['Z', 'z', ']'])
                || text
                    .get(DAY.len()..)
                    .is_some_and(|time| time.contains(['+', '-']));
            text.parse::<DateTime>().ok().filter(|_| !zoned)
        };
        then.and_then(|then| TimeZone::UTC.to_timestamp(then).ok())
            .map(Self::At)
            .ok_or_else(|| {
                "write how long ago, such as 30m, 3h or 2d, or a time such as 2026-11-24 or 2026-11-24T16:00:00Z"
                    .to_owned()
            })
    }
}

fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let now = "2026-11-24T16:48:29Z".parse().unwrap();
        match text.parse::<Moment>() {
            Ok(moment) => moment.before(now).to_string(),
            Err(why) => why,
        }
    }

    #[test]
    fn a_time_is_said_from_now_as_a_day_or_exactly() {
        assert_eq!(told("2d"), "2026-11-22T16:48:29Z");
        assert_eq!(told("3h"), "2026-11-24T13:48:29Z");
        assert_eq!(told("90s"), "2026-11-24T16:46:59Z");
        assert_eq!(told("4294967295w"), Timestamp::MIN.to_string());
        assert_eq!(told("2026-11-24"), "2026-11-24T00:00:00Z");
        assert_eq!(told("2026-11-24T16:00:00+01:00"), "2026-11-24T15:00:00Z");
        assert_eq!(told("2026-11-24T16:00"), "2026-11-24T16:00:00Z");
        assert_eq!(told("2026-11-24T16:00:30"), "2026-11-24T16:00:30Z");
    }

    #[test]
    fn what_is_no_time_is_answered_with_what_would_be() {
        for text in [
            "",
            "d",
            "-2d",
            "2 d",
            "yesterday",
            "2026-13-01",
            "1.5h",
            "2ä",
            "2026-11-24T16:00:00+",
            "2026-11-24T25:00",
            "2026-11-24 and more",
        ] {
            assert!(told(text).starts_with("write how long ago"), "{text}");
        }
    }
}
