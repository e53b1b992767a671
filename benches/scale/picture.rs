//! The picture of what grows.

use maud::{Markup, html};

use crate::plot::{Axis, colour, frame};

/// A value for each of some sizes, in a picture of its own.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) dots: Vec<(u64, f64)>,
}

/// A picture for each line, two beside each other: sizes from left to right, one after the other, and values from
/// nothing to the largest.
pub(crate) fn lines(title: &str, note: &str, lines: &[Line]) -> Markup {
    const WIDTH: f64 = 390.0;
    const HEIGHT: f64 = 210.0;
    let inside = html! {
        @for (index, line) in lines.iter().enumerate() {
            @let left = WIDTH * (index % 2) as f64;
            @let top = 70.0 + HEIGHT * (index / 2) as f64;
            @let across = Axis {
                values: (0.0, line.dots.len().max(2) as f64 - 1.0),
                pixels: (left + 50.0, left + WIDTH - 50.0),
                logarithmic: false,
            };
            @let most = line.dots.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            @let up = Axis { values: (0.0, most), pixels: (top + 160.0, top + 40.0), logarithmic: false };
            @let places = line.dots.iter().enumerate().map(|(place, (_, value))| {
                format!("{},{}", across.place(place as f64), up.place(*value))
            });
            text x=(left + 16.0) y=(top + 10.0) fill="#444444" font-weight="bold" { (line.name) }
            line x1=(left + 30.0) y1=(top + 160.0) x2=(left + WIDTH - 30.0) y2=(top + 160.0) stroke="#444444" {}
            polyline points=(places.collect::<Vec<_>>().join(" ")) fill="none" stroke=(colour(0)) stroke-width="1.5" {}
            @for (place, (size, value)) in line.dots.iter().enumerate() {
                @let x = across.place(place as f64);
                circle cx=(x) cy=(up.place(*value)) r="4" fill=(colour(0)) {}
                text x=(x) y=(top + 178.0) text-anchor="middle" fill="#444444" { (short(*size)) }
                text x=(x) y=(up.place(*value).parse::<f64>().unwrap_or_default() - 9.0) text-anchor="middle" fill="#444444" {
                    (format!("{value:.0}"))
                }
            }
        }
    };
    let height = 70.0 + HEIGHT * lines.len().div_ceil(2) as f64;
    frame(title, note, (2.0 * WIDTH, height), &[], &inside)
}

/// As `10k` and `1M`.
fn short(size: u64) -> String {
    match size {
        1_000_000.. => format!("{}M", size / 1_000_000),
        1_000.. => format!("{}k", size / 1_000),
        _ => size.to_string(),
    }
}
