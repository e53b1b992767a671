//! What a request asks for, decided once: method and path become an [`Endpoint`].
//!
//! **Guarantee** (DESIGN §2). Nothing that upstream would take for a change is taken for a read here,
//! whatever its spelling. So a path is matched in its normal form (percent-decoded, slashes merged, no
//! trailing slash), a change whose path upstream might read in another way than we do is refused, a
//! method that a header names counts as much as the one on the request line, and whatever the table
//! does not know is a change unless it is `GET`, `HEAD` or `OPTIONS`.
//!
//! A *list* is the opposite case: only its exact spelling is one, because only that may be answered
//! from the cache; any other spelling of it is a read and goes upstream as it came. The path that is
//! forwarded is never the normal form but the bytes that came.

mod normal_form;
mod routes;

use std::str::FromStr;

use http::Method;
use matchit::Params;
use serde::{Deserialize, Serialize};

use self::normal_form::{NormalForm, normal_form};
use self::routes::{Kind, ROUTES, Route};
use super::action::Action;
use super::door::Door;
use super::ids::{GroupId, OrganizationId, ProjectGroupId, ProjectId, UserId, WorkspaceId};
use super::operations::{Class, Operation, Scope};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A list that may be answered from the cache.
    List(List),
    /// A change: recorded, and it closes what it touches.
    Change(Change),
    /// A read about the caller, which has a quota of its own: passed through. With the endpoint's
    /// [name](Self::name).
    Me(&'static str),
    /// Anything else: passed through.
    Read(Read),
}

/// A read that is passed through, as far as method and path tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// `{organization_id}`
    pub organization: Option<OrganizationId>,
    /// `{workspace_id}`
    pub workspace: Option<WorkspaceId>,
    /// See [`Endpoint::name`].
    pub name: &'static str,
}

/// A list that may be answered from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `/organizations/{organization_id}/groups`
    Organization(OrganizationId),
    /// `/organizations/{organization_id}/workspaces/{workspace_id}/groups`
    OrganizationWorkspace(OrganizationId, WorkspaceId),
    /// `/workspaces/{workspace_id}/groups`, deprecated
    Workspace(WorkspaceId),
    /// `/workspaces/{workspace_id}/project_groups`
    ProjectGroups(WorkspaceId),
}

/// A change, as far as method and path tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind.
    pub action: Action,
    /// What its path names.
    pub ids: Ids,
    /// Whose lists it may change.
    pub touches: Touches,
    /// By which door, where memberships change by another endpoint than a group's.
    pub door: Option<Door>,
    /// Whether somebody's credentials may be worth nothing after it.
    pub renews: bool,
    /// See [`Endpoint::name`].
    pub name: &'static str,
}

/// The numbers in a path, by the names the reference gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// `{organization_id}`
    pub organization: Option<OrganizationId>,
    /// `{workspace_id}`
    pub workspace: Option<WorkspaceId>,
    /// `{group_id}`
    pub group: Option<GroupId>,
    /// `{project_id}`
    pub project: Option<ProjectId>,
    /// `{project_group_id}`
    pub project_group: Option<ProjectGroupId>,
    /// `{user_id}`
    pub user: Option<UserId>,
}

/// Whose lists a change may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Touches {
    /// Nobody's.
    Nothing,
    /// A workspace's, and those of the organization it belongs to.
    Workspace(WorkspaceId),
    /// An organization's and all that hangs on it; the workspace, where the path names one too.
    Organization(OrganizationId, Option<WorkspaceId>),
    /// Everybody's: the path does not say.
    Everything,
}

/// A change was asked for by a path that upstream might read in another way than we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path of a change must not contain {0}")]
pub struct Ambiguous(&'static str);

/// Decides what `method` and `path` ask for. `overrides` are the methods that headers name besides.
///
/// # Errors
///
/// When it is a change, and its path could mean two things.
pub fn classify<'a>(
    method: &Method,
    overrides: impl IntoIterator<Item = &'a str>,
    path: &str,
) -> Result<Endpoint, Ambiguous> {
    let normal = normal_form(path);
    let mut endpoint = classify_one(method, &normal)?;
    for named in overrides {
        // A name that is no method at all is taken for a change too: for `PATCH`, because upstream
        // might read it as any.
        let named = Method::from_str(&named.trim().to_ascii_uppercase()).unwrap_or(Method::PATCH);
        let other = classify_one(&named, &normal)?;
        // Whether upstream obeys the header is not known, so the graver of the two counts, and the
        // answer to such a request is no list.
        endpoint = match endpoint {
            Endpoint::List(list) => Endpoint::Read(list.passed_through()),
            other => other,
        };
        if gravity(&other) >= gravity(&endpoint) && !matches!(other, Endpoint::List(_)) {
            endpoint = other;
        }
    }
    Ok(endpoint)
}

fn classify_one(method: &Method, normal: &NormalForm<'_>) -> Result<Endpoint, Ambiguous> {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if let Some(ambiguity) = normal.ambiguity {
        // What its path names is not known either.
        return if safe {
            Ok(Endpoint::Read(Read::default()))
        } else {
            Err(Ambiguous(ambiguity))
        };
    }
    let Some((route, params)) = ROUTES.find(method, &normal.path) else {
        return Ok(if safe {
            unlisted_read(&normal.path)
        } else {
            unlisted(&normal.path)
        });
    };
    let (operation, name) = (route.operation, route.name.as_str());
    let read = || {
        let ids = Ids::of(&params);
        Endpoint::Read(Read {
            organization: ids.organization,
            workspace: ids.workspace,
            name,
        })
    };
    let change = |action| {
        let ids = Ids::of(&params);
        Change {
            action,
            ids,
            touches: touches(operation.scope, &ids),
            door: Door::of(method, operation.path).filter(|_| operation.class == Class::Membership),
            // The others that end credentials (a password by `PUT /me`, a logout that the table does not know)
            // touch everything as it is.
            renews: operation.path == "/api/v9/me/reset_token",
            name,
        }
    };
    Ok(match operation.class {
        Class::Read if is_about_the_caller(operation.path) => Endpoint::Me(name),
        Class::Read => read(),
        Class::List if normal.exact => list(route, &params).map_or_else(read, Endpoint::List),
        Class::List => read(),
        Class::Group => Endpoint::Change(change(match *method {
            Method::POST => Action::GroupCreate,
            Method::PUT => Action::GroupUpdate,
            Method::PATCH => Action::GroupPatch,
            _ => Action::GroupDelete,
        })),
        Class::ProjectGroup if *method == Method::POST => {
            Endpoint::Change(change(Action::ProjectGroupAdd))
        }
        Class::ProjectGroup => Endpoint::Change(change(Action::ProjectGroupRemove)),
        Class::Membership => Endpoint::Change(change(Action::MembershipChange)),
        Class::Touching | Class::Change => Endpoint::Change(change(Action::ApiWrite)),
    })
}

fn is_about_the_caller(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v9/me");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn gravity(endpoint: &Endpoint) -> u8 {
    match endpoint {
        Endpoint::Read(_) | Endpoint::Me(_) | Endpoint::List(_) => 0,
        Endpoint::Change(change) => match change.touches {
            Touches::Nothing => 1,
            Touches::Workspace(_) => 2,
            Touches::Organization(..) => 3,
            Touches::Everything => 4,
        },
    }
}

fn touches(scope: Scope, ids: &Ids) -> Touches {
    match (scope, ids.organization, ids.workspace) {
        (Scope::None, ..) => Touches::Nothing,
        (Scope::Org, Some(organization), workspace) => {
            Touches::Organization(organization, workspace)
        }
        (Scope::Workspace, _, Some(workspace)) => Touches::Workspace(workspace),
        // A number that is none: upstream will refuse it, or read it as we do not.
        (Scope::Org | Scope::Workspace | Scope::All, ..) => Touches::Everything,
    }
}

// Only digits as upstream itself writes them: `05` would be the same list under another key.
fn list(route: &Route, params: &Params<'_, '_>) -> Option<List> {
    let number = |name: &str| {
        let text = params.get(name)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits.starts_with(|first| ('1'..='9').contains(&first)) || text == "0";
        // Which takes a `+` and leading zeros.
        text.parse().ok().filter(|_| is_plain)
    };
    let organization = || number("organization_id").map(OrganizationId);
    let workspace = || number("workspace_id").map(WorkspaceId);
    Some(match route.list? {
        Kind::Organization => List::Organization(organization()?),
        Kind::OrganizationWorkspace => List::OrganizationWorkspace(organization()?, workspace()?),
        Kind::Workspace => List::Workspace(workspace()?),
        Kind::ProjectGroups => List::ProjectGroups(workspace()?),
    })
}

// The numbers in a path that the table does not know, by the words before them.
fn named(path: &str) -> Ids {
    let mut ids = Ids::default();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let number = segments.peek().and_then(|next| next.parse().ok());
        match segment {
            "organizations" | "organization" => {
                ids.organization = ids.organization.or(number.map(OrganizationId));
            }
            "workspaces" | "workspace" => ids.workspace = ids.workspace.or(number.map(WorkspaceId)),
            _ => {}
        }
    }
    ids
}

// A read that the table does not know counts against the quota that its path names.
fn unlisted_read(path: &str) -> Endpoint {
    if is_about_the_caller(path) {
        return Endpoint::Me(UNLISTED_READ);
    }
    let ids = named(path);
    Endpoint::Read(Read {
        organization: ids.organization,
        workspace: ids.workspace,
        name: UNLISTED_READ,
    })
}

// A change that the table does not know touches what its path names.
fn unlisted(path: &str) -> Endpoint {
    let ids = named(path);
    let touches = match (ids.organization, ids.workspace) {
        (Some(organization), workspace) => Touches::Organization(organization, workspace),
        (None, Some(workspace)) => Touches::Workspace(workspace),
        (None, None) => Touches::Everything,
    };
    Endpoint::Change(Change {
        action: Action::ApiWrite,
        ids,
        touches,
        door: None,
        renews: false,
        name: UNLISTED_CHANGE,
    })
}

// === impl Ids ===

impl Ids {
    fn of(params: &Params<'_, '_>) -> Self {
        // Read as upstream reads numbers: a sign and leading zeros allowed.
        fn number<T: FromStr>(params: &Params<'_, '_>, name: &str) -> Option<T> {
            params.get(name)?.parse().ok()
        }
        Self {
            organization: number(params, "organization_id"),
            workspace: number(params, "workspace_id"),
            group: number(params, "group_id"),
            project: number(params, "project_id"),
            project_group: number(params, "project_group_id"),
            user: number(params, "user_id"),
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// What logs and metrics call it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Change(_) => "change",
            Self::Me(_) | Self::Read(_) => "read",
        }
    }

    /// The operation as the reference has it, `/api/v9` left out; of a bounded number of texts, so that
    /// they can be counted by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::List(list) => list.name(),
            Self::Change(change) => change.name,
            Self::Me(name) => name,
            Self::Read(read) => read.name,
        }
    }
}

// === impl Read ===

impl Default for Read {
    fn default() -> Self {
        Self {
            organization: None,
            workspace: None,
            name: UNLISTED_READ,
        }
    }
}

// === impl List ===

impl List {
    /// What each kind is called, see [`Endpoint::name`].
    pub const NAMES: [&'static str; 4] = [
        "GET /organizations/{organization_id}/groups",
        "GET /organizations/{organization_id}/workspaces/{workspace_id}/groups",
        "GET /workspaces/{workspace_id}/groups",
        "GET /workspaces/{workspace_id}/project_groups",
    ];

    /// The organization in the path.
    #[must_use]
    pub fn organization(&self) -> Option<OrganizationId> {
        match *self {
            Self::Organization(organization) | Self::OrganizationWorkspace(organization, _) => {
                Some(organization)
            }
            Self::Workspace(_) | Self::ProjectGroups(_) => None,
        }
    }

    /// The path, as upstream has it.
    #[must_use]
    pub fn path(&self) -> String {
        match *self {
            Self::Organization(organization) => {
                format!("/api/v9/organizations/{organization}/groups")
            }
            Self::OrganizationWorkspace(organization, workspace) => {
                format!("/api/v9/organizations/{organization}/workspaces/{workspace}/groups")
            }
            Self::Workspace(workspace) => format!("/api/v9/workspaces/{workspace}/groups"),
            Self::ProjectGroups(workspace) => {
                format!("/api/v9/workspaces/{workspace}/project_groups")
            }
        }
    }

    /// The same as a read that is not answered from the cache.
    #[must_use]
    pub fn passed_through(&self) -> Read {
        Read {
            organization: self.organization(),
            workspace: self.workspace(),
            name: self.name(),
        }
    }

    fn name(&self) -> &'static str {
        let [organization, of_workspace, workspace, project_groups] = Self::NAMES;
        match self {
            Self::Organization(_) => organization,
            Self::OrganizationWorkspace(..) => of_workspace,
            Self::Workspace(_) => workspace,
            Self::ProjectGroups(_) => project_groups,
        }
    }

    /// The workspace in the path.
    #[must_use]
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match *self {
            Self::Organization(_) => None,
            Self::OrganizationWorkspace(_, workspace)
            | Self::Workspace(workspace)
            | Self::ProjectGroups(workspace) => Some(workspace),
        }
    }
}

// What the table does not know is counted together: a path can be made up.
const UNLISTED_READ: &str = "unlisted read";
const UNLISTED_CHANGE: &str = "unlisted change";

/// The operation behind `path` as the reference writes it, `/api/v9/organizations/{organization_id}/groups`;
/// `None` for a path that is in no list.
#[must_use]
pub fn route(method: &Method, path: &str) -> Option<&'static str> {
    operation(method, path).map(|operation| operation.path)
}

/// The operation of the table behind `path`: of this method, else of any.
pub(super) fn operation(method: &Method, path: &str) -> Option<&'static Operation> {
    let path = &normal_form(path).path;
    ROUTES
        .find(method, path)
        .or_else(|| ROUTES.find_any(path))
        .map(|(route, _)| route.operation)
}

#[cfg(test)]
mod tests;
