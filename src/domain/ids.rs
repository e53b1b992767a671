//! Numbers and names that mean one thing each, so that one cannot be passed for another.
//!
//! Upstream's identifiers are positive integers in JSON and in paths. A value of one of these types
//! came from either and is only ever compared, stored and shown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! upstream_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

upstream_id! {
    /// An organization: what a group belongs to and what a quota is counted for.
    OrganizationId
}
upstream_id! {
    /// A workspace of an organization.
    WorkspaceId
}
upstream_id! {
    /// A group of an organization.
    GroupId
}
upstream_id! {
    /// A person, the same in every organization.
    UserId
}
upstream_id! {
    /// A project of a workspace.
    ProjectId
}
upstream_id! {
    /// The row that gives a group access to a project.
    ProjectGroupId
}

/// An audit event's name, a UUIDv7: unique, and sorted by the time at which it was made.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct EventId(uuid::Uuid);

// === impl EventId ===

impl EventId {
    /// A new one, later than all that this process made before.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl Default for EventId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
