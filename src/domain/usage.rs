//! What a quota was spent on: who asked for what, and how it was answered.
//!
//! **Guarantee**: a row says what was counted in one hour and nothing of any request: a credential's
//! fingerprint, a tool's label, an operation's name, and numbers.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

use super::endpoint::{Endpoint, List};
use super::ids::{OrganizationId, WorkspaceId};

/// What upstream counts a request against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pool {
    /// The person's requests in an organization.
    Organization(OrganizationId),
    /// The same, where only a workspace of the organization is known.
    Workspace(WorkspaceId),
    /// The person's requests about themselves.
    Me,
    /// The request does not say.
    Unclear,
}

/// The text is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no pool of requests")]
pub struct NotAPool;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was sent upstream.
    Upstream,
    /// From the cache.
    Cached,
    /// Refused here, because the quota was gone or the token is spaced.
    Refused,
    /// Upstream refused it for the quota's or the rate's sake. Counted besides as sent.
    Limited,
}

/// How many requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// Sent upstream.
    pub upstream: i64,
    /// Answered from the cache.
    pub cached: i64,
    /// Refused here.
    pub refused: i64,
    /// Of those that were sent: refused by upstream for the quota's or the rate's sake.
    pub limited: i64,
}

/// What was counted in one hour of one credential, tool and operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// When the hour began.
    pub hour: Timestamp,
    /// The credential's fingerprint.
    pub credential_id: String,
    /// Against which quota.
    pub pool: Pool,
    /// The label of the tool; empty without one.
    pub tool: String,
    /// The operation's name.
    pub endpoint: String,
    /// How many.
    pub counts: Counts,
}

/// What upstream last told of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// With which credential it was asked.
    pub credential_id: String,
    /// Of which quota.
    pub pool: Pool,
    /// Requests left.
    pub remaining: u64,
    /// When there will be more.
    pub resets_at: Timestamp,
    /// When it was told.
    pub told_at: Timestamp,
    /// In which words, when nothing was left.
    pub message: Option<String>,
}

// === impl Pool ===

impl Pool {
    /// The pool of requests in `organization`, if they say which.
    #[must_use]
    pub fn of(organization: Option<OrganizationId>) -> Self {
        Self::of_path(organization, None)
    }

    /// The pool of requests whose path has these numbers.
    #[must_use]
    pub fn of_path(organization: Option<OrganizationId>, workspace: Option<WorkspaceId>) -> Self {
        match (organization, workspace) {
            (Some(organization), _) => Self::Organization(organization),
            (None, Some(workspace)) => Self::Workspace(workspace),
            (None, None) => Self::Unclear,
        }
    }

    /// The pool of a list's requests.
    #[must_use]
    pub fn of_list(list: List) -> Self {
        Self::of_path(list.organization(), list.workspace())
    }

    /// The pool of requests for an endpoint.
    #[must_use]
    pub fn of_endpoint(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::List(list) => Self::of_list(*list),
            Endpoint::Me(_) => Self::Me,
            Endpoint::Read(read) => Self::of_path(read.organization, read.workspace),
            Endpoint::Change(change) if is_about_the_caller(change.name) => Self::Me,
            Endpoint::Change(change) => {
                Self::of_path(change.ids.organization, change.ids.workspace)
            }
        }
    }

    /// What metrics call it: a word, and no number that anybody could make up.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Organization(_) => "organization",
            Self::Workspace(_) => "workspace",
            Self::Me => "me",
            Self::Unclear => "unclear",
        }
    }

    /// The organization, if it is known.
    #[must_use]
    pub fn organization(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(organization) => Some(organization),
            Self::Workspace(_) | Self::Me | Self::Unclear => None,
        }
    }
}

// By the name, because a change's numbers do not say it.
fn is_about_the_caller(name: &str) -> bool {
    let path = name.split_once(' ').map_or("", |(_, path)| path);
    let rest = path.strip_prefix("/me");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// As the database has it: `organization/4123`, `me`.
impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Organization(id) => write!(f, "/{id}"),
            Self::Workspace(id) => write!(f, "/{id}"),
            Self::Me | Self::Unclear => Ok(()),
        }
    }
}

impl FromStr for Pool {
    type Err = NotAPool;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |id: &str| id.parse::<i64>().map_err(|_| NotAPool);
        match text.split_once('/') {
            Some(("organization", id)) => Ok(Self::Organization(OrganizationId(number(id)?))),
            Some(("workspace", id)) => Ok(Self::Workspace(WorkspaceId(number(id)?))),
            None if text == "me" => Ok(Self::Me),
            None if text == "unclear" => Ok(Self::Unclear),
            _ => Err(NotAPool),
        }
    }
}

// === impl Counts ===

impl Counts {
    /// So many more; fewer, where one was counted that was never sent.
    pub fn add(&mut self, of: Use, count: i64) {
        let place = match of {
            Use::Upstream => &mut self.upstream,
            Use::Cached => &mut self.cached,
            Use::Refused => &mut self.refused,
            Use::Limited => &mut self.limited,
        };
        *place = place.saturating_add(count);
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            upstream: self.upstream.saturating_add(other.upstream),
            cached: self.cached.saturating_add(other.cached),
            refused: self.refused.saturating_add(other.refused),
            limited: self.limited.saturating_add(other.limited),
        }
    }

    /// Of the requests that got an answer, the share that cost nothing, in percent.
    #[must_use]
    pub fn saved(self) -> Option<i64> {
        let all = self.upstream.saturating_add(self.cached);
        (all > 0).then(|| self.cached.saturating_mul(100) / all)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::domain::endpoint::classify;

    #[test]
    fn a_request_counts_against_what_its_path_names() {
        let pool = |method: Method, path: &str| {
            Pool::of_endpoint(&classify(&method, [], path).unwrap()).to_string()
        };
        for (method, path, expected) in [
            (
                Method::GET,
                "/api/v9/organizations/1/groups",
                "organization/1",
            ),
            (
                Method::GET,
                "/api/v9/organizations/1/workspaces/2/groups",
                "organization/1",
            ),
            (
                Method::GET,
                "/api/v9/workspaces/2/project_groups",
                "workspace/2",
            ),
            (Method::GET, "/api/v9/workspaces/2/projects", "workspace/2"),
            (Method::GET, "/api/v9/me", "me"),
            (Method::GET, "/api/v9/me/time_entries", "me"),
            (Method::PUT, "/api/v9/me", "me"),
            (
                Method::PUT,
                "/api/v9/organizations/1/groups/7",
                "organization/1",
            ),
            (Method::POST, "/api/v9/meteors", "unclear"),
            (Method::GET, "/api/v9/countries", "unclear"),
        ] {
            assert_eq!(pool(method, path), expected, "{path}");
        }
    }

    #[test]
    fn a_pool_is_read_as_it_was_written() {
        for pool in [
            Pool::Organization(OrganizationId(4123)),
            Pool::Workspace(WorkspaceId(-1)),
            Pool::Me,
            Pool::Unclear,
        ] {
            assert_eq!(pool.to_string().parse(), Ok(pool));
        }
        for text in ["", "organization", "organization/", "me/1", "team/1"] {
            assert_eq!(text.parse::<Pool>(), Err(NotAPool), "{text}");
        }
    }

    #[test]
    fn what_is_saved_is_a_share_of_what_was_answered() {
        let mut counts = Counts::default();
        assert_eq!(counts.saved(), None);
        counts.add(Use::Upstream, 1);
        counts.add(Use::Cached, 3);
        counts.add(Use::Refused, 96);
        assert_eq!(counts.saved(), Some(75));
        assert_eq!(counts.plus(counts).cached, 6);
    }
}
