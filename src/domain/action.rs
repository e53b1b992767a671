//! What kind of change it is, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of change an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// A group was made.
    #[serde(rename = "group.create")]
    GroupCreate,
    /// A group was replaced by what the request says.
    #[serde(rename = "group.update")]
    GroupUpdate,
    /// Patches were applied to a group, each of which may have failed.
    #[serde(rename = "group.patch")]
    GroupPatch,
    /// A group was deleted.
    #[serde(rename = "group.delete")]
    GroupDelete,
    /// A group got access to a project.
    #[serde(rename = "project_group.add")]
    ProjectGroupAdd,
    /// A group lost access to a project.
    #[serde(rename = "project_group.remove")]
    ProjectGroupRemove,
    /// Memberships changed through an endpoint that is not a group's.
    #[serde(rename = "membership.change")]
    MembershipChange,
    /// A change that was made behind the gateway, noticed in a list.
    #[serde(rename = "group.observed")]
    GroupObserved,
    /// Any other change.
    #[serde(rename = "api.write")]
    ApiWrite,
    /// Old events were dropped.
    #[serde(rename = "tollgate.prune")]
    TollgatePrune,
    /// A person was erased from the trail.
    #[serde(rename = "tollgate.redact")]
    TollgateRedact,
    /// The trail was streamed out.
    #[serde(rename = "tollgate.export")]
    TollgateExport,
    /// Somebody logged in to the admin side, or tried to.
    #[serde(rename = "tollgate.login")]
    TollgateLogin,
    /// Cached lists were dropped.
    #[serde(rename = "tollgate.purge")]
    TollgatePurge,
    /// The configuration was read anew, and what changed was taken over.
    #[serde(rename = "tollgate.reload")]
    TollgateReload,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Upstream did it.
    Applied,
    /// Upstream did some of it.
    Partial,
    /// Upstream refused it; nothing changed.
    Rejected,
    /// It was sent, and no answer tells what became of it.
    Unknown,
    /// It never left; nothing changed.
    NotSent,
}

// === impl Action ===

impl Action {
    /// All that this version writes.
    pub const ALL: [Self; 15] = [
        Self::GroupCreate,
        Self::GroupUpdate,
        Self::GroupPatch,
        Self::GroupDelete,
        Self::ProjectGroupAdd,
        Self::ProjectGroupRemove,
        Self::MembershipChange,
        Self::GroupObserved,
        Self::ApiWrite,
        Self::TollgatePrune,
        Self::TollgateRedact,
        Self::TollgateExport,
        Self::TollgateLogin,
        Self::TollgatePurge,
        Self::TollgateReload,
    ];

    /// As it stands in the column `action`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GroupCreate => "group.create",
            Self::GroupUpdate => "group.update",
            Self::GroupPatch => "group.patch",
            Self::GroupDelete => "group.delete",
            Self::ProjectGroupAdd => "project_group.add",
            Self::ProjectGroupRemove => "project_group.remove",
            Self::MembershipChange => "membership.change",
            Self::GroupObserved => "group.observed",
            Self::ApiWrite => "api.write",
            Self::TollgatePrune => "tollgate.prune",
            Self::TollgateRedact => "tollgate.redact",
            Self::TollgateExport => "tollgate.export",
            Self::TollgateLogin => "tollgate.login",
            Self::TollgatePurge => "tollgate.purge",
            Self::TollgateReload => "tollgate.reload",
        }
    }

    /// Whether it is about the trail or the gateway itself, and is never sent upstream.
    #[must_use]
    pub fn is_own(self) -> bool {
        match self {
            Self::TollgatePrune
            | Self::TollgateRedact
            | Self::TollgateExport
            | Self::TollgateLogin
            | Self::TollgatePurge
            | Self::TollgateReload => true,
            Self::GroupCreate
            | Self::GroupUpdate
            | Self::GroupPatch
            | Self::GroupDelete
            | Self::ProjectGroupAdd
            | Self::ProjectGroupRemove
            | Self::MembershipChange
            | Self::GroupObserved
            | Self::ApiWrite => false,
        }
    }

    /// Whether it is about groups, which is what `audit.scope = "groups"` records.
    #[must_use]
    pub fn touches_groups(self) -> bool {
        self.is_of_a_group()
            || matches!(
                self,
                Self::ProjectGroupAdd
                    | Self::ProjectGroupRemove
                    | Self::MembershipChange
                    | Self::GroupObserved
            )
    }

    /// Whether the request's body is known to hold no secret and may be kept.
    #[must_use]
    pub fn keeps_request_body(self) -> bool {
        self.touches_groups()
    }

    /// Whether the answer's body tells what became of the change.
    #[must_use]
    pub fn reads_response_body(self) -> bool {
        self.is_of_a_group() || matches!(self, Self::ProjectGroupAdd | Self::ProjectGroupRemove)
    }

    /// Whether the answer's body is known to hold no secret and may be kept. What the project-group
    /// and membership endpoints answer is not documented, so theirs is not.
    #[must_use]
    pub fn keeps_response_body(self) -> bool {
        self.is_of_a_group()
    }

    /// Whether it is a change of one group itself.
    #[must_use]
    pub fn is_of_a_group(self) -> bool {
        matches!(
            self,
            Self::GroupCreate | Self::GroupUpdate | Self::GroupPatch | Self::GroupDelete
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Outcome ===

impl Outcome {
    /// All that there are.
    pub const ALL: [Self; 5] = [
        Self::Applied,
        Self::Partial,
        Self::Rejected,
        Self::Unknown,
        Self::NotSent,
    ];

    /// As it stands in the column `outcome`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Partial => "partial",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
        }
    }

    /// What a status says of a change. Only `4xx` says that it was refused: a redirect is also the answer
    /// to something that was done, and behind a `5xx` of a gateway upstream may have gone on.
    #[must_use]
    pub fn of_status(status: http::StatusCode) -> Self {
        if status.is_success() {
            Self::Applied
        } else if status.is_client_error() {
            Self::Rejected
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
