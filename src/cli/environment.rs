//! Looks at the real environment and the real file: the one place that does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{Config, ConfigError, Mistake, Origin, Origins, Sources};

/// The file that is read if nothing names another and it is there.
const USUAL_FILE: &str = "tollgate.toml";

/// The variable that names the file.
const FILE_VARIABLE: &str = "TOLLGATE_CONFIG";

/// Which file the configuration is read from.
#[derive(Args, Clone, Debug, Default)]
pub struct FileArgs {
    /// The configuration file [default: $TOLLGATE_CONFIG, else ./tollgate.toml if it is there].
    #[arg(long = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

// === impl FileArgs ===

impl FileArgs {
    /// The configuration of this process, and where each value comes from.
    pub fn load(&self) -> Result<(Config, Origins), ConfigError> {
        Config::load(&self.sources()?)
    }

    /// The words of a command that checks it.
    pub fn check(&self) -> Vec<OsString> {
        let mut words = vec!["config".into(), "check".into()];
        if let Some(file) = &self.file {
            words.extend(["--config".into(), file.into()]);
        }
        words
    }

    /// What it is read from.
    pub fn sources(&self) -> Result<Sources, ConfigError> {
        sources_from(
            self.file.as_deref(),
            Path::new(USUAL_FILE),
            std::env::vars_os(),
        )
    }
}

fn sources_from(
    file: Option<&Path>,
    usual: &Path,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Sources, ConfigError> {
    let variables = ours(variables)?;
    // Set to nothing is how a compose file or a unit leaves a variable out.
    let named = variables
        .get(FILE_VARIABLE)
        .filter(|name| !name.is_empty())
        .map(Path::new);
    let read = |path: &Path| fs::read_to_string(path).map(|text| (path.to_owned(), text));
    let file = match file.or(named) {
        Some(path) => Some(read(path).map_err(|source| unreadable(path, source))?),
        None => match read(usual) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.map_err(|source| unreadable(usual, source))?),
        },
    };
    Ok(Sources { file, variables })
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::Unreadable {
        path: PathBuf::from(path),
        source,
    }
}

/// The variables that are meant for us. Others may hold anything, our own must be text.
fn ours(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut ours = BTreeMap::new();
    let mut mistakes = Vec::new();
    let named = variables
        .into_iter()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text)));
    for (name, text) in named.filter(|(name, _)| name.starts_with("TOLLGATE_")) {
        match text.into_string() {
            Ok(text) => {
                ours.insert(name, text);
            }
            Err(_) => mistakes.push(Mistake {
                origin: Origin::Variable(name),
                key: None,
                problem: "is not UTF-8".to_owned(),
            }),
        }
    }
    if mistakes.is_empty() {
        Ok(ours)
    } else {
        Err(ConfigError::Wrong(mistakes))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn with(files: &[&str]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            for file in files {
                fs::write(directory.path().join(file), format!("# {file}")).unwrap();
            }
            Self(directory)
        }

        fn path(&self, file: &str) -> PathBuf {
            self.0.path().join(file)
        }

        /// The text of the file that is taken, with `--config argument` and `TOLLGATE_CONFIG=variable`.
        fn taken(&self, argument: Option<&str>, variable: Option<&str>) -> Option<String> {
            let argument = argument.map(|file| self.path(file));
            let variable = variable.map(|file| (FILE_VARIABLE.into(), self.path(file).into()));
            let sources =
                sources_from(argument.as_deref(), &self.path("usual.toml"), variable).unwrap();
            sources.file.map(|(_, text)| text)
        }
    }

    #[test]
    fn the_argument_beats_the_variable_and_both_beat_the_usual_file() {
        let directory = Directory::with(&["argument", "variable", "usual.toml"]);
        let taken = |argument, variable| directory.taken(argument, variable).unwrap();
        assert_eq!(taken(Some("argument"), Some("variable")), "# argument");
        assert_eq!(taken(None, Some("variable")), "# variable");
        assert_eq!(taken(None, None), "# usual.toml");
    }

    #[test]
    fn without_any_file_there_is_none() {
        assert_eq!(Directory::with(&[]).taken(None, None), None);
    }

    #[test]
    fn an_empty_variable_names_no_file() {
        let directory = Directory::with(&["usual.toml"]);
        let empty = [(FILE_VARIABLE.into(), OsString::new())];
        let sources = sources_from(None, &directory.path("usual.toml"), empty).unwrap();
        assert!(sources.file.is_some());
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let directory = Directory::with(&["usual.toml"]);
        let path = directory.path("gone.toml");
        let by_argument = sources_from(Some(&path), &directory.path("usual.toml"), []);
        assert!(
            matches!(by_argument, Err(ConfigError::Unreadable { path: named, .. }) if named == path)
        );
        let variable = [(FILE_VARIABLE.into(), path.clone().into())];
        let by_variable = sources_from(None, &directory.path("usual.toml"), variable);
        assert!(
            matches!(by_variable, Err(ConfigError::Unreadable { path: named, .. }) if named == path)
        );
    }

    #[test]
    fn others_variables_are_left_alone_and_ours_must_be_text() {
        let bytes = || OsString::from_vec(vec![0xff]);
        let usual = Path::new("not-there.toml");
        let sources = sources_from(None, usual, [("PATH".into(), bytes())]).unwrap();
        assert_eq!(sources.variables, BTreeMap::new());
        let error = sources_from(None, usual, [("TOLLGATE_LOG__FILTER".into(), bytes())]);
        insta::assert_snapshot!(error.unwrap_err(), @r"
        the configuration has a mistake:
          TOLLGATE_LOG__FILTER: is not UTF-8
        ");
    }
}
