//! What is read from where, and how each kind of mistake is told.

use insta::assert_snapshot;

use super::*;

mod precedence;
mod renew;
mod together;
mod tokens;
mod watch;
mod wrong;

fn sources(file: &str, variables: &[(&str, &str)]) -> Sources {
    let variables = variables
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Sources {
        file: Some(("tollgate.toml".into(), file.to_owned())),
        variables: variables.collect(),
    }
}

#[track_caller]
fn load(file: &str, variables: &[(&str, &str)]) -> (Config, Origins) {
    Config::load(&sources(file, variables)).unwrap()
}

/// All mistakes, a line each.
#[track_caller]
fn mistakes(file: &str, variables: &[(&str, &str)]) -> String {
    Config::load(&sources(file, variables))
        .unwrap_err()
        .to_string()
}

fn value(config: &Config, key: &str) -> Option<String> {
    config
        .rows()
        .into_iter()
        .find(|row| row.key == key)
        .unwrap()
        .value
}

mod reference {
    use std::collections::BTreeSet;

    use super::*;

    const FILE: &str = include_str!("../../config/tollgate.toml");

    #[test]
    fn the_file_in_the_repository_says_the_defaults() {
        let (config, _) = load(FILE, &[]);
        assert_eq!(config.rows(), Config::default().rows());
    }

    #[test]
    fn it_sets_each_key_that_has_a_default_and_names_each_other_key() {
        let (_, origins) = load(FILE, &[]);
        let mut section = "";
        let mut named = BTreeSet::new();
        for line in FILE.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, _)) = line
                .strip_prefix('#')
                .and_then(|line| line.split_once(" = "))
                && !key.starts_with(' ')
            {
                named.insert(format!("{section}.{key}"));
            }
        }
        for row in Config::default().rows() {
            let set = *origins.of(row.key) != Origin::Default;
            assert_eq!(set, row.value.is_some(), "{} is set", row.key);
            assert_eq!(
                named.remove(row.key),
                row.value.is_none(),
                "{} is a comment",
                row.key
            );
        }
        assert_eq!(named, BTreeSet::new(), "no key has this name");
    }

    #[test]
    fn each_key_stands_under_a_line_that_says_why() {
        let lines: Vec<_> = FILE.lines().collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            let is_key = line.contains(" = ") && !line.starts_with("# ");
            let says_why = above.starts_with("# ") || line.starts_with("#tls_key");
            assert!(!is_key || says_why, "{line}");
        }
    }
}

#[test]
fn the_sources_say_the_true_defaults() {
    let docs = [
        Listen::docs(),
        Upstream::docs(),
        Cache::docs(),
        Quota::docs(),
        Audit::docs(),
        Identity::docs(),
        Guard::docs(),
        Limits::docs(),
        Admin::docs(),
        Log::docs(),
    ];
    let rows = Config::default().rows();
    let (mode, rows) = rows.split_first().unwrap();
    assert_eq!(mode.value.as_deref(), Some("active"), "as its field says");
    let docs = docs.concat();
    assert_eq!(rows.len(), docs.len());
    for (row, (key, doc)) in rows.iter().zip(docs) {
        assert_eq!(row.key, key);
        let default = row
            .value
            .as_ref()
            .map_or("none".to_owned(), |value| format!("`{value}`"));
        assert!(doc.contains(&format!("Default: {default}")), "{key}:{doc}");
    }
}

#[test]
fn what_this_version_does_not_have_is_told_plainly() {
    let file = "\
mode = \"observe\"
[guard]
mode = \"refuse\"
[[sink]]
url = \"syslog://host\"
";
    assert_snapshot!(mistakes(file, &[]), @r"
    the configuration has 3 mistakes:
      tollgate.toml:1: mode: `observe` is not available in this version; leave it at `active`
      tollgate.toml:3: guard.mode: `refuse` is not available in this version; leave it at `off`
      tollgate.toml:4: sink: `[[sink]]` is not available in this version; take it out
    ");
}

#[test]
fn what_takes_effect_later_is_taken() {
    let file = "\
[cache]
stale_while_revalidate = \"1m\"
stale_if_error = \"0s\"
refusal_ttl = \"0s\"
[quota]
reserve = 0
pace = \"off\"
max_wait = \"0s\"
[guard]
max_removed_share = 1
max_removed = 0
";
    load(file, &[]);
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(\\[?\\[?[a-z.]{0,6}\\]?\\]?|[a-z]{1,4} ?= ?.{0,6}|.{0,8}|\n){0,8}") {
        let _ = Config::load(&sources(&text, &[]));
    }
}
