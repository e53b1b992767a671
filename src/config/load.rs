//! Puts the configuration together from its sources.
//!
//! Defaults first, the file over them, variables over the file. Everything is looked at before
//! anything is told, so that nobody has to start five times to find five mistakes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::mistake::{ConfigError, Mistake, Origin, Origins};
use super::names::{self, Names};
use super::setting::Raw;
use super::values::Values;
use super::{Config, check, file, later};

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file's name, for messages, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; what does not begin with `TOLLGATE_` is ignored.
    pub variables: BTreeMap<String, String>,
}

// === impl Config ===

impl Config {
    /// The configuration that `sources` describe, and where each value comes from; or all mistakes.
    pub fn load(sources: &Sources) -> Result<(Self, Origins), ConfigError> {
        let names = Names::known();
        let mut values = Values::default();
        if let Some((path, text)) = &sources.file {
            file::read(path, text, &names, &mut values);
        }
        read_variables(&sources.variables, &names, &mut values);
        let config = Self::read(&mut values);
        later::refuse(&config, &mut values);
        let broken = values.broken();
        let Values {
            origins,
            mut mistakes,
            ..
        } = values;
        mistakes.extend(check::all(&config, &origins, &broken));
        if mistakes.is_empty() {
            return Ok((config, origins));
        }
        // In the order in which they are met in an editor.
        mistakes.sort_by(|one, other| one.origin.cmp(&other.origin));
        Err(ConfigError::Wrong(mistakes))
    }
}

fn read_variables(variables: &BTreeMap<String, String>, names: &Names, values: &mut Values) {
    let ours = variables
        .iter()
        .filter(|(name, _)| name.starts_with("TOLLGATE_"));
    for (name, text) in ours {
        let origin = Origin::Variable(name.clone());
        if let Some(key) = names.key_of_variable(name) {
            values.set(key, Raw::Variable(text.clone()), origin);
        } else if let Some(problem) = unknown(name, names) {
            values.mistakes.push(Mistake {
                origin,
                key: None,
                problem,
            });
        }
    }
}

/// What is wrong with the name of a variable, if it is meant for us.
fn unknown(name: &str, names: &Names) -> Option<String> {
    let did_you_mean = |key| format!("sets no key; did you mean `{}`?", names::variable(key));
    // Kubernetes sets `TOLLGATE_PORT` and `TOLLGATE_SERVICE_HOST` for a service called `tollgate`:
    // without two underscores, only what comes from a key is taken for a mistake.
    let Some((section, key)) = name.strip_prefix("TOLLGATE_")?.split_once("__") else {
        return names.key_of_flat_variable(name).map(did_you_mean);
    };
    let key = format!("{section}.{key}").to_lowercase();
    Some(match names.key_like(&key) {
        Some(meant) => did_you_mean(meant),
        None => format!("sets no key; {}", names.instead_of(&key)),
    })
}
