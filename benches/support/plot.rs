//! Pictures of what was measured, as SVG that is legible on light and dark pages: it brings its own ground.

use maud::{Markup, PreEscaped, html};

/// From where to where an axis goes, in values and in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) values: (f64, f64),
    pub(crate) pixels: (f64, f64),
    /// Equal ratios, in place of equal differences, are equally long.
    pub(crate) logarithmic: bool,
}

const COLOURS: [&str; 4] = ["#1f6f54", "#c0392b", "#2c5aa0", "#8a5a00"];

// === impl Axis ===

impl Axis {
    /// In pixels.
    pub(crate) fn place(self, value: f64) -> String {
        let scaled = |value: f64| if self.logarithmic { value.ln() } else { value };
        let (from, to) = (scaled(self.values.0), scaled(self.values.1));
        let share = (scaled(value) - from) / (to - from);
        let pixel = self.pixels.0 + share * (self.pixels.1 - self.pixels.0);
        format!("{pixel:.1}")
    }
}

/// The ground, with a title and a legend of these names, each in its colour.
pub(crate) fn frame(
    title: &str,
    note: &str,
    (width, height): (f64, f64),
    names: &[&str],
    inside: &Markup,
) -> Markup {
    html! {
        (PreEscaped(format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="13">"#)))
        title { (title) }
        rect width=(width) height=(height) fill="#ffffff" {}
        text x="16" y="24" fill="#444444" font-weight="bold" { (title) }
        text x="16" y="42" fill="#444444" { (note) }
        @for (index, name) in names.iter().enumerate() {
            @let x = 16 + 110 * index;
            circle cx=(x + 5) cy="57" r="5" fill=(colour(index)) {}
            text x=(x + 16) y="62" fill="#444444" { (name) }
        }
        (inside)
        (PreEscaped("</svg>"))
    }
}

/// Of the so manieth name.
pub(crate) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}
