//! Refuses what the configuration can say already and this version cannot do yet.
//!
//! Somebody who sets `guard.mode = "refuse"` relies on it, so a key without its feature must not be
//! taken in silence. A feature that arrives takes its line out here, and nothing else changes.

use super::values::Values;
use super::{Config, GuardMode, Mode};

/// The tables of a later version.
pub(super) const TABLES: [&str; 1] = ["sink"];

/// What is said of them, and of each value of a later version.
pub(super) const NOT_AVAILABLE: &str = "is not available in this version";

/// Notes a mistake for each key with a value of a later version.
pub(super) fn refuse(config: &Config, values: &mut Values) {
    // The key, whether it asks for more than there is, and what to do about it.
    let asked = [
        ("mode", config.mode != Mode::Active, "leave it at `active`"),
        (
            "guard.mode",
            config.guard.mode != GuardMode::Off,
            "leave it at `off`",
        ),
    ];
    for row in config.rows() {
        let asked = asked.iter().find(|(key, asks, _)| *key == row.key && *asks);
        if let (Some((key, _, instead)), Some(value)) = (asked, row.value) {
            let problem = format!("`{value}` {NOT_AVAILABLE}; {instead}");
            values.wrong(values.origins.of(key).clone(), key, problem);
        }
    }
}
