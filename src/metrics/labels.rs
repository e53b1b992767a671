//! What tells the series of one metric apart. Each label has few values, and none that a caller could make up.

use prometheus_client::encoding::EncodeLabelSet;

use crate::domain::ids::OrganizationId;

/// How a request was answered, as far as the cache has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// A list from the cache, and fresh.
    Hit,
    /// A list from the cache that is past its time, or that another was asked in place of.
    Stale,
    /// A list that upstream was asked for.
    Miss,
    /// A list that the cache had to leave alone: no credential, or a change under way.
    Bypass,
    /// A change.
    Change,
    /// Anything else that passed through.
    Pass,
    /// Tollgate's own answer: a refusal, or that upstream gave none.
    Own,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Result {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Cause {
    pub(super) cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Upstream {
    pub(super) status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Event {
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Write {
    pub(super) write: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Organization {
    pub(super) organization: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Status {
    pub(super) status: u16,
}

/// The label `method`: a word of HTTP, however inventive the caller was.
pub(super) fn method(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "GET",
        http::Method::HEAD => "HEAD",
        http::Method::POST => "POST",
        http::Method::PUT => "PUT",
        http::Method::PATCH => "PATCH",
        http::Method::DELETE => "DELETE",
        http::Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

// === impl Way ===

impl Way {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::Miss,
        Self::Bypass,
        Self::Change,
        Self::Pass,
        Self::Own,
    ];

    /// The label `cache`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Change => "change",
            Self::Pass => "pass",
            Self::Own => "own",
        }
    }
}

// === impl Organization ===

impl Organization {
    pub(super) fn of(id: Option<OrganizationId>) -> Self {
        let organization = id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        Self { organization }
    }
}
