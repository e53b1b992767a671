//! Tables that may stand in the file several times, such as `[[watch]]`.
//!
//! Their keys are no keys of their own: no variable sets them, and none has a default.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Origin;
use super::setting::{Kind, Raw, Setting};
use super::values::Values;
use crate::domain::ids::OrganizationId;

/// Where a byte of the file stands, and how a value in it was written.
pub(super) struct Written<'f> {
    pub(super) origin: &'f dyn Fn(usize) -> Origin,
    pub(super) raw: &'f dyn Fn(&DeValue<'_>) -> Raw,
}

/// One of the tables.
pub(super) struct Table<'a, 'd> {
    name: &'static str,
    entries: &'a DeTable<'d>,
    /// Where it begins.
    header: Origin,
    written: &'a Written<'a>,
    pub(super) values: &'a mut Values,
}

/// Hands each table of this name to `take`, after what is no key of theirs was told.
pub(super) fn each(
    (name, keys): (&'static str, &[&str]),
    (place, value): (&Spanned<impl Sized>, &DeValue<'_>),
    written: &Written<'_>,
    values: &mut Values,
    take: impl Fn(&mut Table<'_, '_>),
) {
    let tables = match value {
        DeValue::Array(tables) => tables.iter().map(|table| match table.get_ref() {
            DeValue::Table(entries) => Some((table.span().start, entries)),
            _ => None,
        }),
        _ => return not_tables(name, (written.origin)(place.span().start), values),
    };
    let Some(tables) = tables.collect::<Option<Vec<_>>>() else {
        return not_tables(name, (written.origin)(place.span().start), values);
    };
    for (start, entries) in tables {
        let mut table = Table {
            name,
            entries,
            header: (written.origin)(start),
            written,
            values: &mut *values,
        };
        table.unknown(keys);
        take(&mut table);
    }
}

fn not_tables(name: &str, origin: Origin, values: &mut Values) {
    let problem = format!("may stand several times; write its keys below `[[{name}]]`");
    values.wrong(origin, name, problem);
}

// === impl Table ===

impl Table<'_, '_> {
    fn unknown(&mut self, keys: &[&str]) {
        for (name, _) in self.entries {
            let key = name.get_ref().as_ref();
            if !keys.contains(&key) {
                let origin = (self.written.origin)(name.span().start);
                let problem = format!("is no key; `[[{}]]` has {}", self.name, keys.join(", "));
                let full = format!("{}.{key}", self.name);
                self.values.wrong(origin, &full, problem);
            }
        }
    }

    /// The value of a key that has to be there; nothing if it is missing or wrong, which is noted.
    pub(super) fn take<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let is_there = self
            .entries
            .iter()
            .any(|(name, _)| name.get_ref().as_ref() == key);
        if !is_there {
            let full = format!("{}.{key}", self.name);
            let problem = format!("is missing; allowed: {}", T::allowed());
            self.values.wrong(self.header.clone(), &full, problem);
            return None;
        }
        self.take_or(key, || None)
    }

    /// The value of a key, or else `default`; nothing if it is wrong, which is noted.
    pub(super) fn take_or<T: Setting>(
        &mut self,
        key: &'static str,
        default: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let mut entries = self.entries.iter();
        let Some((name, value)) = entries.find(|(name, _)| name.get_ref().as_ref() == key) else {
            return default();
        };
        let raw = (self.written.raw)(value.get_ref());
        match T::read(&raw) {
            Ok(value) => Some(value),
            Err(problem) => {
                let origin = (self.written.origin)(name.span().start);
                let problem = format!("{raw} {problem}; allowed: {}", T::allowed());
                let full = format!("{}.{key}", self.name);
                self.values.wrong(origin, &full, problem);
                None
            }
        }
    }

    /// Notes what is wrong with the table as a whole.
    pub(super) fn wrong(&mut self, key: &str, problem: String) {
        let full = format!("{}.{key}", self.name);
        self.values.wrong(self.header.clone(), &full, problem);
    }
}

/// An organization's number.
pub(super) struct Organization(pub(super) OrganizationId);

impl Setting for Organization {
    const KIND: Kind = Kind::Number;

    fn allowed() -> String {
        "the number of an organization, such as `4123`".to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(OrganizationId(number))),
            _ => Err("is no such number".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}
