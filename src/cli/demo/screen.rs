//! What the demo prints: lines of at most [`WIDTH`] columns, in colour on a terminal alone.

use std::io::{self, IsTerminal as _, Write};

/// How wide a line may be.
pub(super) const WIDTH: u16 = 100;

/// How wide a step's words may be.
const WORDS: usize = 41;

/// One thing that happened.
pub(super) struct Line<'a> {
    pub(super) time: &'a str,
    pub(super) who: &'a str,
    pub(super) tool: &'a str,
    pub(super) words: &'a str,
    pub(super) status: &'a str,
    pub(super) cache: &'a str,
    /// Calls that upstream got so far, and calls that it was spared.
    pub(super) calls: Option<(u64, u64)>,
}

/// What is written to.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    colour: bool,
}

#[derive(Clone, Copy)]
enum Paint {
    None,
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

// === impl Screen ===

impl Screen {
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        // https://no-color.org: set to anything but nothing.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = out.is_terminal() && !refused;
        let out = Box::new(out);
        Self { out, colour }
    }

    /// Elsewhere, without colours.
    pub(super) fn to(out: impl Write + Send + 'static) -> Self {
        let out = Box::new(out);
        Self { out, colour: false }
    }

    /// Some text as it is.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// What comes next.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = Paint::Bold.on(text, self.colour);
        writeln!(self.out, "\n{text}")
    }

    /// The names of the columns.
    pub(super) fn columns(&mut self) -> io::Result<()> {
        let line = Line {
            time: "time UTC",
            who: "who",
            tool: "tool",
            words: "does",
            status: "status",
            cache: "cache",
            calls: None,
        };
        let text = line.show(("calls", "saved"), false);
        let text = Paint::Dim.on(&text, self.colour);
        writeln!(self.out, "{text}")
    }

    /// What happened.
    pub(super) fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let (calls, saved) = line.calls.unzip();
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let (calls, saved) = (text(calls), text(saved));
        let shown = (
            calls.as_deref().unwrap_or_default(),
            saved.as_deref().unwrap_or_default(),
        );
        writeln!(self.out, "{}", line.show(shown, self.colour))
    }
}

// === impl Line ===

impl Line<'_> {
    fn show(&self, (calls, saved): (&str, &str), colour: bool) -> String {
        let of_status = match self.status.as_bytes().first() {
            Some(b'2' | b'3') => Paint::Green,
            Some(b'4') => Paint::Yellow,
            Some(b'5') => Paint::Red,
            _ => Paint::None,
        };
        let of_cache = match self.cache {
            "hit" | "shared" => Paint::Green,
            _ => Paint::None,
        };
        // Padded before it is painted: what paints has no width on the screen.
        let (status, cache) = (format!("{:<6}", self.status), format!("{:<8}", self.cache));
        format!(
            "{:<8}  {:<4}  {:<9}  {:<WORDS$}  {}  {}  {calls:>5}  {saved:>5}",
            self.time,
            self.who,
            self.tool,
            self.words,
            of_status.on(&status, colour),
            of_cache.on(&cache, colour),
        )
        .trim_end()
        .to_owned()
    }
}

// === impl Paint ===

impl Paint {
    fn on(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::None => return text.to_owned(),
            _ if !colour => return text.to_owned(),
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'_> = Line {
        time: "08:30:00",
        who: "Bob",
        tool: "dashboard",
        words: "reads the groups",
        status: "200",
        cache: "hit",
        calls: None,
    };

    #[test]
    fn a_line_with_the_longest_of_everything_fits() {
        let words = "x".repeat(WORDS);
        let line = Line {
            words: &words,
            who: "Cleo",
            cache: "no-cache",
            ..LINE
        };
        let shown = line.show(("12345", "12345"), false);
        assert!(shown.len() <= usize::from(WIDTH), "{}", shown.len());
    }

    #[test]
    fn colour_moves_nothing() {
        let plain = LINE.show(("1", "2"), false);
        let painted = LINE.show(("1", "2"), true);
        assert!(!plain.contains('\x1b'));
        let bare = painted.replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(bare, plain);
    }
}
