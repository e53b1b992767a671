//! The moment that a page tells of: now, or another one that somebody chose.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{assets, layout};
use crate::admin::problem::Problem;
use crate::clock::rfc3339;
use crate::domain::moment::Moment;

/// What is asked for, and when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// The moment.
    pub(super) time: Timestamp,
    now: Timestamp,
}

// So many places for the slider: each is some pixels wide, and an arrow key moves by one.
const PLACES: i64 = 500;

// === impl At ===

impl At {
    /// As the address says it: as the API takes it, or as the field of a form writes it, in UTC. Now, if
    /// nothing is said.
    pub(super) fn of(text: Option<&str>, now: Timestamp) -> Result<Self, Problem> {
        let time = match text.filter(|text| !text.is_empty()) {
            None => now,
            Some(text) => text
                .parse::<Moment>()
                .map_err(|why| Problem::bad_request(format!("at: {why}")))?
                .before(now),
        };
        Ok(Self { time, now })
    }

    /// Whether it is not a past one.
    pub(super) fn is_now(self) -> bool {
        self.time >= self.now
    }

    /// As it stands in an address; `None` for now.
    pub(super) fn query(self) -> Option<String> {
        (!self.is_now()).then(|| rfc3339(self.time))
    }

    /// The moment in words.
    pub(super) fn said(self) -> Markup {
        html! {
            @if self.is_now() { "now" } @else { (layout::time(&rfc3339(self.time), false)) }
        }
    }

    /// The form that chooses another one for the page at `path`. With `first`, a slider from then to now
    /// beside it, which the script shows.
    pub(super) fn form(self, path: &str, first: Option<Timestamp>) -> Markup {
        // The next whole second: what happened in this one has happened.
        let second = self.time.as_second() + i64::from(self.time.subsec_nanosecond() > 0);
        let second = Timestamp::from_second(second).unwrap_or(self.time);
        let value = second.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        html! {
            form.moment method="get" action=(path) {
                label for="at" { "As of " span.hint data-zone { "UTC" } }
                input #at type="datetime-local" name="at" step="1" value=(value);
                button type="submit" { "Show" }
                @if !self.is_now() { a href=(path) { "Now" } }
                @if let Some(first) = first.filter(|first| *first < self.now) {
                    @let (first, step, now) = self.places(first);
                    input type="range" hidden min=(first) max=(now) step=(step)
                        value=(second.as_second().clamp(first, now))
                        aria-label="The moment, from the first change until now";
                }
            }
            script src=(assets::MOMENT.path()) defer {}
        }
    }

    // Whole steps back from now, so that the slider comes to its end.
    fn places(self, first: Timestamp) -> (i64, i64, i64) {
        let (first, now) = (first.as_second(), self.now.as_second());
        let step = ((now - first) / PLACES).max(1);
        let steps = (now - first + step - 1) / step;
        (now - steps * step, step, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T16:30:00.250Z";

    fn at(text: &str) -> Result<At, Problem> {
        At::of(Some(text), NOW.parse().unwrap())
    }

    #[test]
    fn a_moment_is_said_as_a_form_says_it_and_as_the_api_takes_it() {
        let said = |text| rfc3339(at(text).unwrap().time);
        assert_eq!(said("2026-11-24T16:00"), "2026-11-24T16:00:00.000Z");
        assert_eq!(said("2026-11-24T16:00:07"), "2026-11-24T16:00:07.000Z");
        assert_eq!(said("2026-11-24T16:00:07.5Z"), "2026-11-24T16:00:07.500Z");
        assert_eq!(
            said("2026-11-24T18:00:00+02:00"),
            "2026-11-24T16:00:00.000Z"
        );
        assert_eq!(said("2026-11-24"), "2026-11-24T00:00:00.000Z");
        assert_eq!(said("30m"), "2026-11-24T16:00:00.250Z");
        assert_eq!(said(""), NOW);
        assert!(at("yesterday").unwrap_err().detail().starts_with("at: "));
    }

    #[test]
    fn the_slider_comes_to_its_end() {
        let now = at("").unwrap();
        let first = "2026-11-01T00:00:07Z".parse().unwrap();
        let (first, step, end) = now.places(first);
        assert_eq!((end - first) % step, 0);
        assert!(
            (500..=502).contains(&((end - first) / step)),
            "{first} {step}"
        );
    }

    #[test]
    fn the_field_does_not_go_back_behind_what_it_shows() {
        let form = at("2026-11-24T16:00:07.001Z").unwrap().form("/x", None);
        assert!(form.into_string().contains("2026-11-24T16:00:08"));
    }
}
