//! Every refusal of the simulated service, with the text and the status that it has there.
//!
//! **Guarantee**: a text stands here once and nowhere else, and [`Refusal::status`] has no `_` arm,
//! so that a refusal without a status does not compile. Which of them is a bare JSON string and
//! which is plain text is decided in [`Reply`](super::answer::Reply), not by whoever refuses.

use http::StatusCode;

use crate::domain::ids::{OrganizationId, UserId, WorkspaceId};

/// Why a request is not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// An id in the path or the query that is no number.
    #[error("Invalid number {0}")]
    InvalidNumber(String),
    /// A body that does not parse, or parses as something else.
    #[error("Invalid JSON input")]
    InvalidJson,
    /// A group without a name, or with a blank one.
    #[error("Group name must be present")]
    NameMissing,
    /// A name of more than 200 characters.
    #[error("Group name too long, maximum length is 200")]
    NameTooLong,
    /// Another group of the organization has that name.
    #[error("Name has already been taken")]
    NameTaken,
    /// A user who is not in the organization.
    #[error("User {0} not exists in the organization {1}")]
    UnknownUser(UserId, OrganizationId),
    /// A workspace that is not in the organization.
    #[error("Workspace {0} not exists in the organization {1}")]
    UnknownWorkspace(WorkspaceId, OrganizationId),
    /// A patch whose `op` is missing or unheard of.
    #[error("Empty or invalid patch operation")]
    PatchOperation,
    /// A patch whose `path` is missing or unheard of.
    #[error("Empty or invalid patch path")]
    PatchPath,
    /// A patch for a group of another organization.
    #[error("Unknown group at organization")]
    PatchGroup,
    /// More patches in a request than [`MAX_PATCHES`](super::patches::MAX_PATCHES).
    #[error("Too many patches")]
    TooManyPatches,
    /// More values in a patch than [`MAX_VALUES`](super::patches::MAX_VALUES).
    #[error("Too many values per patch")]
    TooManyValues,
    /// A change, or a look, that takes more rights than the person has.
    #[error("User does not have access to this resource")]
    NoAccess,
    /// A place where the person has no business at all.
    #[error("Forbidden")]
    Forbidden,
    /// No such group.
    #[error("Invalid group ID.")]
    UnknownGroup,
    /// No such thing.
    #[error("Resource can not be found")]
    NotFound,
    /// The service broke over the request.
    #[error("Internal Server Error")]
    Broken,
}

// === impl Refusal ===

impl Refusal {
    /// The status that goes with the text.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::InvalidNumber(_)
            | Self::InvalidJson
            | Self::NameMissing
            | Self::NameTooLong
            | Self::NameTaken
            | Self::UnknownUser(..)
            | Self::UnknownWorkspace(..)
            | Self::PatchOperation
            | Self::PatchPath
            | Self::PatchGroup
            | Self::TooManyPatches
            | Self::TooManyValues => StatusCode::BAD_REQUEST,
            Self::NoAccess | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::UnknownGroup | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
