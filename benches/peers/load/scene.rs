//! What is measured: a scene is a piece of work in one form, as a value.
//!
//! Not all that can be combined: a base point, hits of a 2.5 KB list as it is, over HTTP/1.1 and 64
//! connections, and from there one thing changed at a time.

use std::fmt;

use self::Coding::{Gzip, Identity};
use self::Protocol::{Http1, Http2};
use self::Size::{Large, Medium, Small};
use self::Work::{Changes, Hits, Reads};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) work: Work,
    pub(crate) size: Size,
    pub(crate) coding: Coding,
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
}

/// What the server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A list of groups that is in the cache.
    Hits,
    /// A read that no cache may answer.
    Reads,
    /// A rename of a group, each of another than those that are under way.
    Changes,
}

/// Of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Medium,
    Large,
}

/// In which the client wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// Without TLS, with prior knowledge, one stream at a time on each connection.
    Http2,
}

/// Many groups are changed in turn, because Tollgate sends changes of one group one after the other.
pub(crate) const CHANGED_GROUPS: usize = 1_000;

// === impl Scene ===

impl Scene {
    pub(crate) const ALL: [Self; 15] = [
        Self::new(Hits, Small, Identity, Http1, 64),
        Self::new(Hits, Medium, Identity, Http1, 64),
        Self::new(Hits, Large, Identity, Http1, 64),
        Self::new(Hits, Small, Gzip, Http1, 64),
        Self::new(Hits, Medium, Gzip, Http1, 64),
        Self::new(Hits, Large, Gzip, Http1, 64),
        Self::new(Hits, Small, Identity, Http2, 64),
        Self::new(Hits, Medium, Identity, Http2, 64),
        Self::new(Hits, Small, Identity, Http1, 1),
        Self::new(Hits, Small, Identity, Http1, 1_000),
        Self::new(Reads, Small, Identity, Http1, 1),
        Self::new(Reads, Small, Identity, Http1, 64),
        Self::new(Reads, Small, Identity, Http1, 1_000),
        Self::new(Changes, Small, Identity, Http1, 1),
        Self::new(Changes, Small, Identity, Http1, 64),
    ];

    pub(crate) const fn new(
        work: Work,
        size: Size,
        coding: Coding,
        protocol: Protocol,
        connections: usize,
    ) -> Self {
        Self {
            work,
            size,
            coding,
            protocol,
            connections,
        }
    }

    /// The path that is asked for; a change's ends with the number of a group.
    pub(crate) fn path(self) -> String {
        let organization = self.size.organization();
        match self.work {
            Hits => format!("/api/v9/organizations/{organization}/groups"),
            Reads => format!("/api/v9/organizations/{organization}/users"),
            // Of the organization that has so many.
            Changes => format!("/api/v9/organizations/{}/groups/", Large.organization()),
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.work {
            Hits => write!(f, "hits, {}, {}", self.size.name(), self.coding.name())?,
            Reads => write!(f, "passed through, {}", self.size.name())?,
            Changes => write!(f, "changes")?,
        }
        if self.protocol == Http2 {
            write!(f, ", HTTP/2")?;
        }
        match self.connections {
            1 => write!(f, ", 1 connection"),
            1_000 => write!(f, ", 1 000 connections"),
            many => write!(f, ", {many} connections"),
        }
    }
}

// === impl Size ===

impl Size {
    pub(crate) const ALL: [Self; 3] = [Small, Medium, Large];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Small => "2.5 KB",
            Medium => "72 KB",
            Large => "1.1 MB",
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Small => 2_500,
            Medium => 72_000,
            Large => 1_100_000,
        }
    }

    /// The organization whose list it is.
    pub(crate) fn organization(self) -> usize {
        match self {
            Small => 1,
            Medium => 2,
            Large => 3,
        }
    }
}

// === impl Coding ===

impl Coding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Identity => "identity",
            Gzip => "gzip",
        }
    }
}
