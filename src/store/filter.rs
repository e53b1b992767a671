//! Which events a reader asks for, and a page of them.

use jiff::Timestamp;

use crate::domain::event::Event;
use crate::domain::ids::{GroupId, OrganizationId};

/// Which events: those that meet all that is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these organizations: what a reader may see at all. `None` is all, and also what is of
    /// no organization that anybody knows.
    pub within: Option<Vec<OrganizationId>>,
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this group, also where it is one of several.
    pub group: Option<GroupId>,
    /// By this person or credential: a name or an address in any case, a user's number, or the
    /// beginning of a credential's fingerprint. Who a credential belongs to may have become known
    /// after the event.
    pub actor: Option<String>,
    /// Of one of these kinds, as they stand in the column `action`; of any, if there are none.
    pub actions: Vec<String>,
    /// With this outcome, as it stands in the column `outcome`.
    pub outcome: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// With this text in what is told of it: its sentence, its path, a name in it. In any case, of the
    /// letters of English. No index helps with it, so a page looks at [a bounded number](Self::LOOKED_AT)
    /// of those that meet all else.
    pub text: Option<String>,
}

// === impl Filter ===

impl Filter {
    /// How many events a page looks at for a text. It may end early then, and its `next` goes on.
    pub const LOOKED_AT: u32 = 5_000;

    /// The organizations that are asked for; `None` is any.
    #[must_use]
    pub fn organizations(&self) -> Option<Vec<OrganizationId>> {
        match (self.organization, &self.within) {
            (None, within) => within.clone(),
            (Some(one), None) => Some(vec![one]),
            (Some(one), Some(within)) => {
                Some(within.iter().copied().filter(|id| *id == one).collect())
            }
        }
    }
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
