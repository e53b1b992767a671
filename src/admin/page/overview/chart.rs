//! Changes a day, as a chart and as a table.

use jiff::ToSpan as _;
use jiff::civil::Date;
use maud::{Markup, html};

use super::{APPLIED, REFUSED, UNKNOWN};
use crate::admin::page::layout;
use crate::admin::tally::{Kind, Sums};

const WIDTH: u64 = 20;
const GAP: u64 = 4;
const HEIGHT: u64 = 140;
const BELOW: u64 = 20;

struct Bar {
    day: Date,
    applied: u64,
    refused: u64,
    unknown: u64,
}

/// The days, oldest first.
pub(super) fn chart(days: &[(Date, Sums)]) -> Markup {
    let bars: Vec<Bar> = days.iter().map(Bar::of).collect();
    let highest = bars.iter().map(Bar::all).max().unwrap_or(0).max(1);
    let width = bars.len() as u64 * WIDTH;
    let bottom = HEIGHT + 14;
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {width} {}", bottom + BELOW)) role="group" aria-label="Changes a day" {
                line x1="0" x2=(width) y1=(bottom) y2=(bottom) class="axis" {}
                text x="0" y="10" { (highest) " a day at most" }
                @for (place, bar) in bars.iter().enumerate() {
                    (bar.shown(place as u64 * WIDTH, bottom, highest))
                }
                @if let (Some(first), Some(last)) = (bars.first(), bars.last()) {
                    text x="0" y=(bottom + 15) { (first.day) }
                    text x=(width) y=(bottom + 15) text-anchor="end" { (last.day) }
                }
            }
            figcaption.legend {
                span.applied { "applied" } span.refused { "refused" } span.unknown { "unknown" }
            }
            details {
                summary { "The same as a table" }
                (table(&bars))
            }
        }
    }
}

fn table(bars: &[Bar]) -> Markup {
    html! {
        table.table {
            thead { tr {
                th scope="col" { "Day (UTC)" }
                th.number scope="col" { "Applied" }
                th.number scope="col" { "Refused" }
                th.number scope="col" { "Unknown" }
            } }
            tbody {
                @for bar in bars.iter().rev().filter(|bar| bar.all() > 0) {
                    tr {
                        th scope="row" { a href=(bar.path()) { (bar.day) } }
                        td.number { (bar.applied) }
                        td.number { (bar.refused) }
                        td.number { (bar.unknown) }
                    }
                }
            }
        }
    }
}

// === impl Bar ===

impl Bar {
    fn of((day, sums): &(Date, Sums)) -> Self {
        Self {
            day: *day,
            applied: sums.of(Kind::Change, &APPLIED),
            refused: sums.of(Kind::Change, &REFUSED),
            unknown: sums.of(Kind::Change, &UNKNOWN),
        }
    }

    fn all(&self) -> u64 {
        self.applied + self.refused + self.unknown
    }

    // The changes of that day.
    fn path(&self) -> String {
        let until = self.day.saturating_add(1.day());
        let (since, until) = (self.day.to_string(), until.to_string());
        layout::link("/", &[("since", &since), ("until", &until)])
    }

    fn shown(&self, x: u64, bottom: u64, highest: u64) -> Markup {
        let Self {
            day,
            applied,
            refused,
            unknown,
        } = self;
        let said = format!("{day}: {applied} applied, {refused} refused, {unknown} unknown");
        // What there is at all is seen, beside ten thousand others too.
        let height = |count: u64| match count {
            0 => 0,
            _ => (count * HEIGHT / highest).max(2),
        };
        let mut y = bottom;
        let parts = [
            ("applied", *applied),
            ("refused", *refused),
            ("unknown", *unknown),
        ];
        let parts = parts.map(|(class, count)| {
            y = y.saturating_sub(height(count));
            (class, y, height(count))
        });
        html! {
            @if self.all() > 0 {
                a href=(self.path()) aria-label=(said) {
                    title { (said) }
                    @for (class, y, height) in parts.into_iter().filter(|(_, _, height)| *height > 0) {
                        rect class=(class) x=(x + GAP / 2) y=(y) width=(WIDTH - GAP) height=(height) {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_change_is_seen_beside_many() {
        let bar = Bar {
            day: jiff::civil::date(2026, 11, 24),
            applied: 10_000,
            refused: 1,
            unknown: 0,
        };
        let shown = bar.shown(0, 154, 10_001).into_string();
        assert!(
            shown.contains("class=\"refused\" x=\"2\" y=\"13\" width=\"16\" height=\"2\""),
            "{shown}"
        );
        assert!(!shown.contains("class=\"unknown\""), "{shown}");
        assert!(
            shown.contains("since=2026-11-24&amp;until=2026-11-25"),
            "{shown}"
        );
    }
}
