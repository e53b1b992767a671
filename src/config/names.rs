//! The names of the keys, and which of them somebody meant who wrote another.

use super::Config;

/// The names of all keys.
#[derive(Debug)]
pub(super) struct Names(Vec<&'static str>);

/// The variable that sets `key`: `TOLLGATE_CACHE__TTL` for `cache.ttl`.
pub(super) fn variable(key: &str) -> String {
    format!("TOLLGATE_{}", key.replace('.', "__").to_uppercase())
}

// === impl Names ===

impl Names {
    /// Those of this version.
    pub(super) fn known() -> Self {
        Self(Config::default().rows().iter().map(|row| row.key).collect())
    }

    /// `key` itself, if it is one.
    pub(super) fn key(&self, key: &str) -> Option<&'static str> {
        self.0.iter().copied().find(|known| *known == key)
    }

    /// The key that the variable `name` sets.
    pub(super) fn key_of_variable(&self, name: &str) -> Option<&'static str> {
        self.0.iter().copied().find(|key| variable(key) == name)
    }

    /// The key that was meant by a variable with one underscore in place of two.
    pub(super) fn key_of_flat_variable(&self, name: &str) -> Option<&'static str> {
        self.0
            .iter()
            .copied()
            .find(|key| variable(key).replace("__", "_") == name)
    }

    /// Whether `section` has keys.
    pub(super) fn has_section(&self, section: &str) -> bool {
        self.keys_in(section).next().is_some()
    }

    /// What may stand in `section`, without its name.
    pub(super) fn keys_in(&self, section: &str) -> impl Iterator<Item = &'static str> {
        self.0
            .iter()
            .filter_map(move |key| key.split_once('.').filter(|(name, _)| *name == section))
            .map(|(_, key)| key)
    }

    /// The names of all sections.
    pub(super) fn sections(&self) -> Vec<&'static str> {
        let mut sections: Vec<_> = self.0.iter().filter_map(|key| section_of(key)).collect();
        sections.dedup();
        sections
    }

    /// The section whose name is closest to `section`.
    pub(super) fn section_like(&self, section: &str) -> Option<&'static str> {
        closest(section, self.sections().into_iter())
    }

    /// What may stand where `key` stands, which is none.
    pub(super) fn instead_of(&self, key: &str) -> String {
        let section = key.split('.').next().unwrap_or(key);
        let keys: Vec<_> = self.keys_in(section).collect();
        match keys.is_empty() {
            true => format!(
                "there are `mode` and the sections {}",
                self.sections().join(", ")
            ),
            false => format!("`{section}` has {}", keys.join(", ")),
        }
    }

    /// The key that is called the same in another section, or else one with a name close to `key`.
    pub(super) fn key_like(&self, key: &str) -> Option<&'static str> {
        fn name(key: &str) -> &str {
            key.rsplit('.').next().unwrap_or(key)
        }
        let same = self
            .0
            .iter()
            .copied()
            .filter(|known| name(known) == name(key));
        same.min_by_key(|known| strsim::damerau_levenshtein(key, known))
            .or_else(|| closest(key, self.0.iter().copied()))
    }
}

fn section_of(key: &'static str) -> Option<&'static str> {
    Some(key.split_once('.')?.0)
}

/// The closest of `names`, if it is so close that a slip of the fingers explains the difference.
fn closest(text: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let slips = (text.len() / 4).clamp(1, 3);
    names
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_after_its_section_and_key() {
        assert_eq!(variable("mode"), "TOLLGATE_MODE");
        assert_eq!(
            variable("limits.max_in_flight"),
            "TOLLGATE_LIMITS__MAX_IN_FLIGHT"
        );
    }

    #[test]
    fn no_two_keys_share_a_variable() {
        let names = Names::known();
        for key in &names.0 {
            assert_eq!(names.key_of_variable(&variable(key)), Some(*key));
        }
    }

    #[test]
    fn slips_are_understood() {
        let names = Names::known();
        for (written, meant) in [
            ("cache.tll", Some("cache.ttl")),
            ("cahce.ttl", Some("cache.ttl")),
            ("cache.max-size", Some("cache.max_size")),
            ("audit.on_fail", Some("audit.on_failure")),
            ("cache.url", Some("upstream.url")),
            ("identiy.ttl", Some("identity.ttl")),
            ("cache.colour", None),
        ] {
            assert_eq!(names.key_like(written), meant, "{written}");
        }
        assert_eq!(names.section_like("upsteam"), Some("upstream"));
        assert_eq!(names.section_like("database"), None);
    }
}
