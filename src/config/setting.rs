//! How one value is read from text and written as text again.
//!
//! A [`Setting`] is parsed from the same text wherever it comes from; the file's own types only
//! decide whether it was written as its kind is written in TOML (`true` and not `"true"`).

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use crate::domain::label::Label;

/// A value as somebody wrote it.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// The text of a variable, which has no type.
    Variable(String),
    /// `"…"` in the file.
    Text(String),
    /// A number in the file, in decimal.
    Number(String),
    /// `true` or `false` in the file.
    Boolean(bool),
    /// `[…]` in the file.
    List(Vec<Raw>),
    /// What no key takes; the name says what it is.
    Other(&'static str),
}

/// How TOML writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In quotes.
    Text,
    /// Without quotes.
    Number,
    /// `true` or `false`, without quotes.
    Boolean,
    /// In brackets.
    List,
}

/// A type that a key's value can have.
pub(super) trait Setting: Sized {
    /// How the file writes it.
    const KIND: Kind = Kind::Text;
    /// Whether the value is never shown, not even when it is wrong.
    const SECRET: bool = false;

    /// What is allowed, as it follows "allowed:" in a message.
    fn allowed() -> String;

    /// Reads it; the error says what the text is or lacks, as it follows the text in a message.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text that [`Setting::parse`] reads as this value, or nothing if there is none.
    fn show(&self) -> Option<String>;

    /// Reads what stands in the file or in a variable.
    fn read(raw: &Raw) -> Result<Self, String> {
        let (text, kind) = match raw {
            Raw::Variable(text) => return Self::parse(text),
            Raw::Text(text) => (text.as_str(), Kind::Text),
            Raw::Number(text) => (text.as_str(), Kind::Number),
            Raw::Boolean(true) => ("true", Kind::Boolean),
            Raw::Boolean(false) => ("false", Kind::Boolean),
            Raw::List(_) => return Err("is not a single value".to_owned()),
            Raw::Other(what) => return Err(format!("is {what}")),
        };
        // Parsed first: that `60` has no unit says more than that it has no quotes.
        let value = Self::parse(text)?;
        match (kind, Self::KIND) {
            (written, wanted) if written == wanted => Ok(value),
            (Kind::Text, _) => Err("is text; take the quotes away".to_owned()),
            _ => Err("is not text; put it in quotes".to_owned()),
        }
    }
}

// === impl Raw ===

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(text) | Self::Text(text) => match user_in(text) {
                Some(user) => write!(f, "{:?}", text.replacen(user, "…", 1)),
                None => write!(f, "{text:?}"),
            },
            Self::Number(text) => f.write_str(text),
            Self::Boolean(value) => value.fmt(f),
            Self::List(_) => f.write_str("the list"),
            Self::Other(_) => f.write_str("the value"),
        }
    }
}

/// User and password of a URL, which no message may repeat.
fn user_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    rest.rsplit_once('@')
        .map(|(user, _)| user)
        .filter(|user| !user.is_empty())
}

// === Values of the standard library ===

impl Setting for bool {
    const KIND: Kind = Kind::Boolean;

    fn allowed() -> String {
        "true or false".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is neither".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => { $(
        impl Setting for $type {
            const KIND: Kind = Kind::Number;

            fn allowed() -> String {
                "a whole number, 0 or more".to_owned()
            }

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| match text.parse::<f64>() {
                    Ok(number) if number < 0.0 => "is negative".to_owned(),
                    Ok(number) if number.fract() == 0.0 => format!("is more than {}", <$type>::MAX),
                    _ => "is not a whole number".to_owned(),
                })
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}
whole_number!(u32, usize);

impl Setting for PathBuf {
    fn allowed() -> String {
        "the path of a file".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is empty".to_owned()),
            path => Ok(path.into()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

/// A value that need not be there.
impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const SECRET: bool = T::SECRET;

    fn allowed() -> String {
        T::allowed()
    }

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

/// In the file a list, in a variable text with commas in between.
impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = Kind::List;

    fn allowed() -> String {
        format!("a list, each {}", T::allowed())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        match text.trim() {
            "" | "[]" => Ok(Vec::new()),
            _ => parts
                .map(|part| element(&Raw::Variable(part.to_owned())))
                .collect(),
        }
    }

    fn show(&self) -> Option<String> {
        match self.is_empty() {
            true => Some("[]".to_owned()),
            false => Some(
                self.iter()
                    .filter_map(T::show)
                    .collect::<Vec<_>>()
                    .join(","),
            ),
        }
    }

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Variable(text) => Self::parse(text),
            Raw::List(parts) => parts.iter().map(element).collect(),
            Raw::Text(_) | Raw::Number(_) | Raw::Boolean(_) => {
                Err("is not a list; put it in brackets".to_owned())
            }
            Raw::Other(what) => Err(format!("is {what}")),
        }
    }
}

fn element<T: Setting>(raw: &Raw) -> Result<T, String> {
    T::read(raw).map_err(|problem| format!("has {raw}, which {problem}"))
}

// === Values of this crate and of others ===

impl Setting for IpNet {
    fn allowed() -> String {
        "an IP address or a network, such as `10.0.0.1` or `10.0.0.0/8`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        IpNet::from_str(text)
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| "is neither an address nor a network".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for Label {
    fn allowed() -> String {
        "1 to 32 characters out of a-z, 0-9 and -, but none like an API token".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is not a label".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}
