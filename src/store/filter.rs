//! Which events a reader asks for, and a page of them.

use jiff::Timestamp;

use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};

/// Which events: those that meet all that is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this group, also where it is one of several.
    pub group: Option<GroupId>,
    /// By this person or credential: a name or an address in any case, a user's number, or the
    /// beginning of a credential's fingerprint. Who a credential belongs to may have become known
    /// after the event.
    pub actor: Option<String>,
    /// Of this kind, as it stands in the column `action`.
    pub action: Option<String>,
    /// With this outcome, as it stands in the column `outcome`.
    pub outcome: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
}

/// Some events, in the order that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// What to ask the next page with; `None` if this was the last.
    pub next: Option<i64>,
}

/// Where in the trail a page begins, and in which direction it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Before this row, newest first.
    Before(i64),
    /// After this row, oldest first.
    After(i64),
}

// === impl Cursor ===

impl Cursor {
    /// The newest events first.
    pub const NEWEST: Self = Self::Before(i64::MAX);
    /// The oldest events first.
    pub const OLDEST: Self = Self::After(0);

    /// The same direction from another row on: from a page's `next`, say.
    #[must_use]
    pub fn moved_to(self, seq: i64) -> Self {
        match self {
            Self::Before(_) => Self::Before(seq),
            Self::After(_) => Self::After(seq),
        }
    }
}
