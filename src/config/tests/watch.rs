//! The tables that may stand several times.

use std::time::Duration;

use super::*;
use crate::domain::ids::OrganizationId;

#[test]
fn each_watch_is_taken() {
    let file = "\
[[watch]]
organization = 4123
credential_file = \"ann.token\"
every = \"5m\"

[[watch]]
every = \"1s\"
credential_file = \"/run/secrets/bob\"
organization = 5
";
    let (config, _) = load(file, &[]);
    let watch = |organization, file: &str, seconds| Watch {
        organization: OrganizationId(organization),
        credential_file: file.into(),
        every: Duration::from_secs(seconds),
    };
    let both = [
        watch(4123, "ann.token", 300),
        watch(5, "/run/secrets/bob", 1),
    ];
    assert_eq!(config.watch, both);
    assert_eq!(load("watch = []", &[]).0.watch, []);
}

#[test]
fn all_mistakes_in_all_of_them_are_told() {
    let file = "\
[cache]
enabled = false
[[watch]]
organization = \"4123\"
credential_file = \"\"
evry = \"5m\"
[[watch]]
organization = 0
credential_file = 5
every = \"60\"
[[watch]]
organization = 1
credential_file = \"ann.token\"
every = \"999ms\"
[[watch]]
organization = 1
credential_file = \"ann.token\"
every = \"1s\"
";
    assert_snapshot!(mistakes(file, &[]), @r#"
    the configuration has 9 mistakes:
      tollgate.toml:2: cache.enabled: a `[[watch]]` notices nothing without the cache; turn it on
      tollgate.toml:3: watch.every: is missing; allowed: a duration of at least 1s, such as `60s` or `5m`
      tollgate.toml:4: watch.organization: "4123" is text; take the quotes away; allowed: the number of an organization, such as `4123`
      tollgate.toml:5: watch.credential_file: "" is empty; allowed: the path of a file
      tollgate.toml:6: watch.evry: is no key; `[[watch]]` has organization, credential_file, every
      tollgate.toml:8: watch.organization: 0 is no such number; allowed: the number of an organization, such as `4123`
      tollgate.toml:9: watch.credential_file: 5 is not text; put it in quotes; allowed: the path of a file
      tollgate.toml:10: watch.every: "60" has no unit; allowed: a duration of at least 1s, such as `60s` or `5m`
      tollgate.toml:14: watch.every: "999ms" is too short; allowed: a duration of at least 1s, such as `60s` or `5m`
    "#);
    for file in ["[watch]\norganization = 5", "watch = 5", "watch = [5]"] {
        let told = mistakes(file, &[]);
        assert!(told.contains("may stand several times"), "{told}");
    }
}
