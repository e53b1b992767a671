//! `[[admin.tokens]]`.

use super::*;
use crate::config::{AdminToken, Role};
use crate::domain::ids::OrganizationId;

#[test]
fn each_token_is_taken() {
    let file = "\
[[admin.tokens]]
name = \"dashboard\"
token_file = \"dashboard.token\"
role = \"reader\"
organizations = [4123, 5]
[[admin.tokens]]
name = \"Ann Becker\"
token_file = \"/run/secrets/ann\"
role = \"admin\"
[admin]
public_metrics = true
";
    let (config, _) = load(file, &[]);
    let token = |name: &str, file: &str, role, organizations: &[i64]| AdminToken {
        name: name.to_owned(),
        token_file: file.into(),
        role,
        organizations: organizations.iter().copied().map(OrganizationId).collect(),
    };
    let both = [
        token("dashboard", "dashboard.token", Role::Reader, &[4123, 5]),
        token("Ann Becker", "/run/secrets/ann", Role::Admin, &[]),
    ];
    assert_eq!(config.admin.tokens, both);
    assert!(config.admin.public_metrics);
}

#[test]
fn what_is_wrong_with_a_token_is_told_with_its_line() {
    let file = "\
[[admin.tokens]]
name = \"admin\"
token = \"hush\"
[[admin.tokens]]
name = \"ann\"
token_file = \"ann.token\"
role = \"boss\"
organizations = 4123
[[admin.tokens]]
name = \"bob\"
token_file = \"bob.token\"
role = \"reader\"
organizations = [0]
[[admin.tokens]]
name = \"cleo\"
token_file = \"cleo.token\"
role = \"reader\"
[[admin.tokens]]
name = \"cleo\"
token_file = \"other.token\"
role = \"reader\"
[[admin.tokens]]
name = \"dan\"
token_file = \"dan.token\"
role = \"reader\"
organizations = []
";
    assert_snapshot!(mistakes(file, &[]), @r#"
    the configuration has 9 mistakes:
      tollgate.toml:1: admin.tokens.token_file: is missing; allowed: the path of a file
      tollgate.toml:1: admin.tokens.role: is missing; allowed: `reader` or `admin`
      tollgate.toml:2: admin.tokens.name: "admin" is taken; allowed: 1 to 64 visible characters, and not `admin`, which is the one of admin.token
      tollgate.toml:3: admin.tokens.token: is no key; `[[admin.tokens]]` has name, token_file, role, organizations
      tollgate.toml:7: admin.tokens.role: "boss" is none of them; allowed: `reader` or `admin`
      tollgate.toml:8: admin.tokens.organizations: 4123 is not a list; put it in brackets; allowed: a list, each the number of an organization, such as `4123`; leave the key out for all
      tollgate.toml:13: admin.tokens.organizations: the list has 0, which is no such number; allowed: a list, each the number of an organization, such as `4123`; leave the key out for all
      tollgate.toml:18: admin.tokens.name: "cleo" has a token already; give each a name of its own
      tollgate.toml:26: admin.tokens.organizations: the list is empty; allowed: a list, each the number of an organization, such as `4123`; leave the key out for all
    "#);
}
