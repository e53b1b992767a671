//! The picture of ratios.

use maud::{Markup, html};

use crate::plot::{Axis, colour, frame};

/// A line of a picture of ratios.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) dots: Vec<Dot>,
}

pub(crate) struct Dot {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    /// What it should be at least.
    pub(crate) asked: Option<f64>,
}

const LINE: f64 = 24.0;
const TOP: f64 = 84.0;

/// A line of dots for each row, beside what they are divided by: 1.
pub(crate) fn ratios(title: &str, note: &str, rows: &[Row]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for dot in rows.iter().flat_map(|row| &row.dots) {
        if !names.contains(&dot.name) {
            names.push(dot.name);
        }
    }
    let values = || {
        let dots = rows.iter().flat_map(|row| &row.dots);
        dots.flat_map(|dot| [Some(dot.value), dot.asked]).flatten()
    };
    // Whole powers of two around all of them.
    let lowest = values().fold(0.5, f64::min).log2().floor();
    let highest = values().fold(2.0, f64::max).log2().ceil();
    let bottom = TOP + LINE * rows.len() as f64;
    let axis = Axis {
        values: (lowest.exp2(), highest.exp2()),
        pixels: (340.0, 760.0),
        logarithmic: true,
    };
    let ticks: Vec<f64> = (lowest as i32..=highest as i32)
        .map(|power| f64::from(power).exp2())
        .collect();
    let inside = html! {
        @for tick in &ticks {
            @let x = axis.place(*tick);
            @let stroke = if *tick == 1.0 { "#444444" } else { "#d0d0d0" };
            line x1=(x) y1=(TOP) x2=(x) y2=(bottom) stroke=(stroke) {}
            text x=(x) y=(bottom + 18.0) text-anchor="middle" fill="#444444" { (fraction(*tick)) }
        }
        @for (index, row) in rows.iter().enumerate() {
            @let y = TOP + LINE * (index as f64 + 0.5);
            text x="330" y=(y + 4.0) text-anchor="end" fill="#444444" { (row.name) }
            @for dot in &row.dots {
                @let colour = colour(names.iter().position(|name| *name == dot.name).unwrap_or_default());
                @if let Some(asked) = dot.asked {
                    circle cx=(axis.place(asked)) cy=(y) r="5" fill="none" stroke=(colour) stroke-width="1.5" {}
                }
                circle cx=(axis.place(dot.value)) cy=(y) r="5" fill=(colour) { title { (dot.name) ": " (format!("{:.2}", dot.value)) } }
            }
        }
    };
    frame(title, note, (780.0, bottom + 30.0), &names, &inside)
}

/// As `1/8` where it is less than one.
fn fraction(value: f64) -> String {
    if value < 1.0 {
        format!("1/{}", value.recip())
    } else {
        value.to_string()
    }
}
