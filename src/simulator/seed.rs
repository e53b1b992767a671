//! The world at the start, from a JSON file.
//!
//! **Guarantee**: a seed that names somebody or something that is not in it is refused with the name
//! of what is missing, as is one with a key that nobody reads; a world that was made hangs together.
//! A group alone may have further fields: they are shown as they came, as upstream's are.
//!
//! `config/simulator.seed.json` is the example and at the same time the built-in world, so that the
//! example cannot be out of date.
//!
//! ```json
//! {
//!   "people": [
//!     { "id": 7001, "name": "Ann Becker", "email": "ann@acme.example",
//!       "handle": "ann", "password": "…", "token": "…", "session": "…", "timezone": "…" }
//!   ],
//!   "organizations": [
//!     { "id": 4123, "name": "Acme",
//!       "workspaces": [
//!         { "id": 51001, "name": "Studio", "projects": [
//!           { "id": 30001, "name": "Website", "groups": [9001] } ] } ],
//!       "members": [
//!         { "user_id": 7001, "organization_user_id": 610001, "admin": true, "inactive": false,
//!           "joined": true, "workspaces": [51001] } ],
//!       "groups": [
//!         { "group_id": 9001, "name": "Design", "permissions": null, "users": [7001],
//!           "workspaces": [51001] } ] }
//!   ]
//! }
//! ```
//!
//! Ids, names and addresses are needed; of the rest, what is left out is made up, the same each time.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::ids::{GroupId, OrganizationId, ProjectId, UserId, WorkspaceId};

const BUILT_IN: &str = include_str!("../../config/simulator.seed.json");

/// A world to start with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    pub(super) people: Vec<PersonSeed>,
    pub(super) organizations: Vec<OrganizationSeed>,
}

/// Why a seed makes no world.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is not JSON, or not of this form.
    #[error("the seed cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It names what is not there.
    #[error("the seed has no {kind} {id}, which {by} names")]
    Missing {
        /// What kind of thing is missing.
        kind: &'static str,
        /// Its number.
        id: i64,
        /// Who names it.
        by: String,
    },
    /// It gives a number twice.
    #[error("the seed has two of {kind} {id}")]
    Twice {
        /// What kind of thing it is.
        kind: &'static str,
        /// Its number.
        id: i64,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonSeed {
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) handle: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    pub(super) session: Option<String>,
    pub(super) timezone: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationSeed {
    pub(super) id: OrganizationId,
    pub(super) name: String,
    #[serde(default)]
    pub(super) workspaces: Vec<WorkspaceSeed>,
    #[serde(default)]
    pub(super) members: Vec<MemberSeed>,
    #[serde(default)]
    pub(super) groups: Vec<GroupSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkspaceSeed {
    pub(super) id: WorkspaceId,
    pub(super) name: String,
    #[serde(default)]
    pub(super) projects: Vec<ProjectSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectSeed {
    pub(super) id: ProjectId,
    pub(super) name: String,
    #[serde(default)]
    pub(super) groups: Vec<GroupId>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberSeed {
    pub(super) user_id: UserId,
    pub(super) organization_user_id: Option<i64>,
    #[serde(default)]
    pub(super) admin: bool,
    #[serde(default)]
    pub(super) inactive: bool,
    #[serde(default = "yes")]
    pub(super) joined: bool,
    #[serde(default)]
    pub(super) workspaces: Vec<WorkspaceId>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct GroupSeed {
    pub(super) group_id: GroupId,
    pub(super) name: String,
    pub(super) at: Option<Timestamp>,
    #[serde(default)]
    pub(super) permissions: Value,
    #[serde(default)]
    pub(super) users: Vec<UserId>,
    #[serde(default)]
    pub(super) workspaces: Vec<WorkspaceId>,
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

fn yes() -> bool {
    true
}

// === impl Seed ===

impl Seed {
    /// Reads a seed file's text.
    ///
    /// # Errors
    /// When it is not JSON, or not of this form.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        Ok(serde_json::from_str(text)?)
    }
}

impl Default for Seed {
    /// The built-in company.
    fn default() -> Self {
        Self::parse(BUILT_IN).expect("the built-in seed is parsed by a test")
    }
}

// === impl SeedError ===

impl SeedError {
    pub(super) fn twice(kind: &'static str, id: i64) -> Self {
        Self::Twice { kind, id }
    }

    pub(super) fn missing(kind: &'static str, id: i64, by: String) -> Self {
        Self::Missing { kind, id, by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_built_in_seed_makes_a_world() {
        let world = Seed::default().world(Clock::system()).unwrap();
        let names: Vec<_> = world
            .groups(OrganizationId(4123))
            .iter()
            .map(|group| group.name.clone())
            .collect();
        assert_eq!(
            names,
            [
                "Design",
                "Engineering",
                "Leadership",
                "Marketing",
                "Support"
            ]
        );
        assert_eq!(world.version(), 0);
    }

    #[test]
    fn a_seed_that_names_a_stranger_says_whom() {
        let seed = Seed::parse(
            r#"{"people":[],"organizations":[{"id":1,"name":"A","groups":[
                {"group_id":2,"name":"B","users":[3]}]}]}"#,
        );
        let error = seed.unwrap().world(Clock::system()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the seed has no member 3, which group 2 names"
        );
    }

    #[test]
    fn what_comes_later_gets_a_number_above_those_of_the_seed() {
        let seed = r#"{"people":[{"id":1,"name":"Zoe","email":"z"}],"organizations":[
            {"id":2,"name":"A","groups":[{"group_id":2000000000,"name":"B"}]}]}"#;
        let mut world = Seed::parse(seed).unwrap().world(Clock::system()).unwrap();
        assert!(world.create_group(OrganizationId(2), "C").0 > 2_000_000_000);
    }

    #[test]
    fn a_key_that_nobody_reads_is_an_error() {
        let error = Seed::parse(r#"{"people":[],"organizations":[],"groups":[]}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `groups`"),
            "{error}"
        );
    }
}
