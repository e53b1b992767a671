//! Values that have no type elsewhere: a secret, a share, a log filter, a time to keep events.

use std::fmt;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::setting::{Kind, Setting};
use super::units;

/// Text that must not be seen: it has no `Display`, and `Debug` does not tell it.
#[derive(Clone)]
pub struct Secret(Box<str>);

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

/// Directives for the log that can be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// How long events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// For good: they never expire.
    Never,
    /// For so long after they occurred.
    For(Duration),
}

// === impl Secret ===

impl Secret {
    /// The text itself, for whoever compares it or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn allowed() -> String {
        "visible ASCII characters without a space, as they can stand in a header".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("is empty".to_owned())
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err("has a space, or a character that is not ASCII".to_owned())
        }
    }

    fn show(&self) -> Option<String> {
        Some("(hidden)".to_owned())
    }
}

// === impl Share ===

impl Share {
    /// One in four.
    pub const QUARTER: Self = Self(0.25);

    /// The number, from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Setting for Share {
    const KIND: Kind = Kind::Number;

    fn allowed() -> String {
        "a number from 0 to 1".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(Self(number)),
            Ok(_) => Err("is out of range".to_owned()),
            Err(_) => Err("is not a number".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

// === impl LogFilter ===

impl LogFilter {
    /// The directives.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Setting for LogFilter {
    fn allowed() -> String {
        "a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or directives such as \
         `info,tollgate=debug`"
            .to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The library takes any word for a module's name: `verbose` would silence all others.
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let is_word = |part: &&str| !part.contains(['=', '[', '{', '}', ']']);
        let mut words = text.split(',').filter(is_word);
        match words.find(|word| !is_level(word)) {
            Some(word) if word == text => return Err("is not a level".to_owned()),
            Some(word) => return Err(format!("has {word:?}, which is not a level")),
            None => {}
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("is not a filter ({error})")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

// === impl Retention ===

impl Setting for Retention {
    fn allowed() -> String {
        format!("`never` or {}", Duration::allowed())
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            text => units::parse_duration(text)
                .map(Self::For)
                .map_err(|error| error.to_string()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::Never => "never".to_owned(),
            Self::For(duration) => units::format_duration(*duration),
        })
    }
}
