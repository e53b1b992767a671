//! `[[watch]]`: the one table so far that may stand in the file several times.
//!
//! Its keys are no keys of their own: no variable sets them, and none has a default.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Origin;
use super::setting::{Kind, Raw, Setting};
use super::values::Values;
use crate::domain::ids::OrganizationId;

/// `[[watch]]`: a list fetched regularly, to notice changes made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The organization whose groups are fetched.
    pub organization: OrganizationId,
    /// The file with the credential to fetch them with: one line, `EMAIL:PASSWORD` or an API token.
    pub credential_file: PathBuf,
    /// The time between two fetches.
    pub every: Duration,
}

/// The table's name.
pub(super) const NAME: &str = "watch";

const KEYS: [&str; 3] = ["organization", "credential_file", "every"];

// Faster than this, upstream answers 429.
const SHORTEST: Duration = Duration::from_secs(1);

/// Takes all tables of this name; `origin` is where a byte stands, and `raw` how a value was written.
pub(super) fn read(
    name: &Spanned<impl Sized>,
    value: &DeValue<'_>,
    origin: impl Fn(usize) -> Origin,
    raw: impl Fn(&DeValue<'_>) -> Raw,
    values: &mut Values,
) {
    let tables = match value {
        DeValue::Array(tables) => tables.iter().map(|table| match table.get_ref() {
            DeValue::Table(entries) => Some((table.span().start, entries)),
            _ => None,
        }),
        _ => return not_tables(origin(name.span().start), values),
    };
    let Some(tables) = tables.collect::<Option<Vec<_>>>() else {
        return not_tables(origin(name.span().start), values);
    };
    for (start, entries) in tables {
        let mut table = Table {
            entries,
            header: origin(start),
            origin: &origin,
            raw: &raw,
            values: &mut *values,
        };
        table.unknown();
        // All three are looked at before any is missed.
        let organization = table.take::<Organization>("organization");
        let credential_file = table.take::<PathBuf>("credential_file");
        let every = table.take::<Every>("every");
        if let (Some(organization), Some(credential_file), Some(every)) =
            (organization, credential_file, every)
        {
            values.watch.push(Watch {
                organization: OrganizationId(organization.0),
                credential_file,
                every: every.0,
            });
        }
    }
}

fn not_tables(origin: Origin, values: &mut Values) {
    let problem = "may stand several times; write its keys below `[[watch]]`".to_owned();
    values.wrong(origin, NAME, problem);
}

/// One `[[watch]]`.
struct Table<'a, 'd, O, R> {
    entries: &'a DeTable<'d>,
    /// Where it begins.
    header: Origin,
    origin: &'a O,
    raw: &'a R,
    values: &'a mut Values,
}

// === impl Table ===

impl<O: Fn(usize) -> Origin, R: Fn(&DeValue<'_>) -> Raw> Table<'_, '_, O, R> {
    fn unknown(&mut self) {
        for (name, _) in self.entries {
            let key = name.get_ref().as_ref();
            if !KEYS.contains(&key) {
                let origin = (self.origin)(name.span().start);
                let problem = format!("is no key; `[[watch]]` has {}", KEYS.join(", "));
                self.values.wrong(origin, &format!("{NAME}.{key}"), problem);
            }
        }
    }

    fn take<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let full = format!("{NAME}.{key}");
        let mut entries = self.entries.iter();
        let Some((name, value)) = entries.find(|(name, _)| name.get_ref().as_ref() == key) else {
            let problem = format!("is missing; allowed: {}", T::allowed());
            self.values.wrong(self.header.clone(), &full, problem);
            return None;
        };
        let raw = (self.raw)(value.get_ref());
        match T::read(&raw) {
            Ok(value) => Some(value),
            Err(problem) => {
                let origin = (self.origin)(name.span().start);
                let problem = format!("{raw} {problem}; allowed: {}", T::allowed());
                self.values.wrong(origin, &full, problem);
                None
            }
        }
    }
}

/// An organization's number.
struct Organization(i64);

impl Setting for Organization {
    const KIND: Kind = Kind::Number;

    fn allowed() -> String {
        "the number of an organization, such as `4123`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err("is no such number".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// The time between two fetches.
struct Every(Duration);

impl Setting for Every {
    fn allowed() -> String {
        "a duration of at least 1s, such as `60s` or `5m`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match Duration::parse(text)? {
            every if every < SHORTEST => Err("is too short".to_owned()),
            every => Ok(Self(every)),
        }
    }

    fn show(&self) -> Option<String> {
        self.0.show()
    }
}
