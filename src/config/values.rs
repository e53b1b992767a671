//! The values that were set, on their way into the sections.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::{Mistake, Origin, Origins};
use super::operation::AdminToken;
use super::setting::{Raw, Setting};
use super::watch::Watch;

/// What was set, by key, and what was found out about it.
#[derive(Debug, Default)]
pub(super) struct Values {
    set: BTreeMap<&'static str, Vec<(Raw, Origin)>>,
    /// The tables that may stand several times.
    pub(super) watch: Vec<Watch>,
    pub(super) tokens: Vec<AdminToken>,
    pub(super) origins: Origins,
    pub(super) mistakes: Vec<Mistake>,
}

// === impl Values ===

impl Values {
    /// Sets a key; a later call beats an earlier one, which must be free of mistakes all the same.
    pub(super) fn set(&mut self, key: &'static str, raw: Raw, origin: Origin) {
        self.set.entry(key).or_default().push((raw, origin));
    }

    /// Notes a mistake.
    pub(super) fn wrong(&mut self, origin: Origin, key: &str, problem: String) {
        self.mistakes.push(Mistake {
            origin,
            key: Some(key.to_owned()),
            problem,
        });
    }

    /// The value of `key`, or `default` if it was not set or is wrong, which is noted.
    pub(super) fn take<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let mut value = default;
        for (raw, origin) in self.set.remove(key).unwrap_or_default() {
            self.origins.note(key, origin.clone());
            match T::read(&raw) {
                Ok(read) => value = read,
                Err(problem) => {
                    let raw = if T::SECRET {
                        "the value".to_owned()
                    } else {
                        raw.to_string()
                    };
                    self.wrong(
                        origin,
                        key,
                        format!("{raw} {problem}; allowed: {}", T::allowed()),
                    );
                }
            }
        }
        value
    }

    /// The keys with mistakes so far.
    pub(super) fn broken(&self) -> BTreeSet<String> {
        self.mistakes
            .iter()
            .filter_map(|mistake| mistake.key.clone())
            .collect()
    }
}
