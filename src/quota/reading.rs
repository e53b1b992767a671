//! What one answer told of the quota.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// What one answer told of the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Requests left in this hour.
    pub remaining: u64,
    /// When there will be more.
    pub resets_at: Instant,
}

/// That the quota is gone, as upstream said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// In which words, if they are fit to be repeated.
    pub message: Option<Arc<str>>,
    /// For how long.
    pub resets_in: Duration,
}

/// Upstream's window: an older reading says nothing, and no reset is further away.
pub(super) const WINDOW: Duration = Duration::from_secs(3600);

// Where upstream says that the quota is gone and not until when: soon enough to notice that it is
// back, seldom enough to cost next to nothing.
const UNTOLD: Duration = Duration::from_secs(300);

// What is repeated to everybody for up to an hour is a sentence or two, no page.
const LONGEST_MESSAGE: usize = 300;

// An API token has 32 characters; no word of a sentence has so many.
const LONGEST_WORD: usize = 24;

// === impl Reading ===

impl Reading {
    /// Reads `X-Toggl-Quota-Remaining` and `X-Toggl-Quota-Resets-In`; `None` unless both are there.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Instant) -> Option<Self> {
        Some(Self {
            remaining: number(headers, "x-toggl-quota-remaining")?,
            resets_at: now + resets_in(headers)?,
        })
    }
}

// === impl Exhausted ===

impl Exhausted {
    /// Reads a `402`. `None` where nothing in it speaks of the quota: then it is the plan's, and says
    /// nothing of other requests.
    #[must_use]
    pub fn of(headers: &HeaderMap, body: &str) -> Option<Self> {
        let text = body.trim().trim_matches('"').trim();
        let lower = text.to_ascii_lowercase();
        let is_the_quotas = lower.contains("hourly limit")
            || lower.contains("quota will reset")
            || lower.contains("quota exceeded");
        let gone = match number(headers, "x-toggl-quota-remaining") {
            // What is left cannot be what this is about.
            Some(1..) => false,
            Some(0) => true,
            None => is_the_quotas,
        };
        gone.then(|| Self {
            message: is_the_quotas.then(|| repeatable(text)).flatten(),
            resets_in: resets_in(headers)
                .or_else(|| seconds(&lower))
                .unwrap_or(UNTOLD),
        })
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn resets_in(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, "x-toggl-quota-resets-in")?;
    Some(Duration::from_secs(seconds).min(WINDOW))
}

// `… will reset in 1800 seconds`
fn seconds(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once("reset in ")?;
    let (number, unit) = rest.split_once(' ')?;
    let seconds = unit.starts_with("second").then(|| number.parse().ok())??;
    Some(Duration::from_secs(seconds).min(WINDOW))
}

// A sentence, and nothing in it that could be somebody's: it is kept, and shown to others.
fn repeatable(text: &str) -> Option<Arc<str>> {
    let plain = |char: char| !char.is_control() && !matches!(char, '<' | '>' | '@');
    let words_are_words = text
        .split_whitespace()
        .all(|word| word.len() <= LONGEST_WORD);
    let fits = !text.is_empty() && text.len() <= LONGEST_MESSAGE;
    (fits && words_are_words && text.chars().all(plain)).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "You have hit your hourly limit of 30 API requests for organization 4123. \
                           The quota will reset in 1800 seconds.";

    fn headers(remaining: Option<&str>, resets_in: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(remaining) = remaining {
            headers.insert("x-toggl-quota-remaining", remaining.parse().unwrap());
        }
        if let Some(resets_in) = resets_in {
            headers.insert("x-toggl-quota-resets-in", resets_in.parse().unwrap());
        }
        headers
    }

    fn gone(remaining: Option<&str>, resets_in: Option<&str>, body: &str) -> Option<(bool, u64)> {
        Exhausted::of(&headers(remaining, resets_in), body)
            .map(|gone| (gone.message.is_some(), gone.resets_in.as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_needs_both_figures() {
        let now = Instant::now();
        let reading = Reading::of(&headers(Some("7"), Some("60")), now).unwrap();
        assert_eq!(reading.remaining, 7);
        assert_eq!(reading.resets_at, now + Duration::from_secs(60));
        assert_eq!(Reading::of(&headers(Some("seven"), Some("60")), now), None);
        assert_eq!(Reading::of(&headers(Some("7"), None), now), None);
        let far = Reading::of(&headers(Some("7"), Some("99999999999")), now).unwrap();
        assert_eq!(far.resets_at, now + WINDOW);
    }

    #[test]
    fn a_402_counts_with_evidence_alone() {
        assert_eq!(gone(Some("0"), Some("60"), MESSAGE), Some((true, 60)));
        assert_eq!(gone(None, None, MESSAGE), Some((true, 1800)));
        assert_eq!(gone(Some("0"), None, "no"), Some((false, 300)));
        let quoted = format!("\"{MESSAGE}\"\n");
        assert_eq!(gone(None, Some("5"), &quoted), Some((true, 5)));
        let plan = "This feature is not available on your current plan";
        assert_eq!(gone(None, None, plan), None);
        assert_eq!(gone(Some("17"), Some("60"), plan), None);
        assert_eq!(gone(Some("17"), Some("60"), MESSAGE), None, "17 are left");
    }

    #[test]
    fn a_message_that_could_hold_a_secret_is_not_repeated() {
        for secret in [
            "hourly limit of 1971800d4d82861d8f2c1651fea4d212 reached",
            "hourly limit of ann@acme.example reached",
            "<h1>hourly limit</h1>",
            "hourly limit\u{1b}[2J",
            &format!("hourly limit {}", "x ".repeat(200)),
        ] {
            assert_eq!(
                gone(Some("0"), Some("9"), secret),
                Some((false, 9)),
                "{secret}"
            );
        }
    }
}
