//! What changed behind the gateway, told by two lists of one view; and what became of changes that
//! left something open.
//!
//! **Guarantee** (DESIGN §4): like is compared with like. A *view* is what one credential was shown of
//! one organization. A member sees less than an admin, and somebody whose rights change sees more or
//! less than before: neither is a change of a group, and neither is reported as one. What a list does
//! not tell (`None`, or `permissions` that are `null`) did not change.
//!
//! - A list that tells nobody's members comes from somebody who sees but a part of the organization.
//!   Names and workspaces in it are compared; that a group appears in it or is missing says only that
//!   this person was put into it or taken out, so it is no creation and no deletion.
//! - If one list tells members and the next does not, rights have changed: the view begins anew.
//! - A sudden empty list is believed when the next one is empty too.
//! - A group that another view has shown since is not deleted; one that was known before this view's
//!   last list is not created.
//!
//! **The window.** What is found happened after the last list that did not show it and before this one:
//! an observed event *occurred* at the earlier bound, was *completed* at the later one, and took the
//! time between them.
//!
//! Pure: [`compare()`] gets all that is known and tells what follows. The store calls it within the
//! transaction that also takes down events, so that a change of ours is either under way, and nothing
//! is compared, or in the view already ([`consequences`]).

mod compare;
mod effect;
mod found;
mod open;
mod record;
mod settle;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::action::Outcome;
use super::diff::{Change, diff};
use super::event::Actor;
use super::group::Group;
use super::ids::{EventId, GroupId, OrganizationId};

pub use self::compare::compare;
pub use self::effect::{Consequences, Doubt, Effect, Opening, consequences};
pub use self::found::found_by;
pub use self::open::Open;

/// What one credential was last shown of an organization, with our own changes since in it.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// When the last list that was believed was asked for.
    pub seen_at: Timestamp,
    /// Whether it told members; `None` if it was empty, so that nobody knows.
    pub tells_users: Option<bool>,
    /// When a list was first empty that had not been so before.
    pub emptied_at: Option<Timestamp>,
    /// The groups in it.
    pub groups: BTreeMap<GroupId, Shown>,
}

/// A group in a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// As it was shown; `None` if that is not to be told: whatever the next list shows is right.
    pub state: Option<Group>,
    /// From when on that is known; an older list says nothing of it.
    pub since: Timestamp,
}

/// A whole list that was fetched while no change of ours was under way.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// Of which organization.
    pub organization: OrganizationId,
    /// When it was asked for.
    pub at: Timestamp,
    /// Its groups.
    pub groups: &'a [Group],
}

/// What is known of groups besides the view.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// Other views that have the group.
    pub witnesses: HashMap<GroupId, Vec<Witness>>,
    /// Since when a group is known from any list or answer.
    pub known: HashMap<GroupId, Timestamp>,
}

/// A group in another view.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// When that view's last list was asked for.
    pub seen_at: Timestamp,
    /// The group in it.
    pub shown: Shown,
}

/// What a list comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// See [`View::seen_at`].
    pub seen_at: Timestamp,
    /// See [`View::tells_users`].
    pub tells_users: Option<bool>,
    /// See [`View::emptied_at`].
    pub emptied_at: Option<Timestamp>,
    /// The groups that the view now shows otherwise; `None`: no longer.
    pub groups: Vec<(GroupId, Option<Shown>)>,
    /// What is to be recorded.
    pub findings: Vec<Finding>,
    /// Changes that leave nothing open any more.
    pub settled: Vec<EventId>,
}

/// Something to be recorded: a difference, or that there is none where one was open.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which group; `None` where none was touched.
    pub group: Option<GroupId>,
    /// What it is called.
    pub name: Option<String>,
    /// The group before.
    pub before: Option<Group>,
    /// The group now.
    pub after: Option<Group>,
    /// The difference.
    pub changes: Vec<Change>,
    /// It happened after this.
    pub not_before: Timestamp,
    /// Whether it took place.
    pub outcome: Outcome,
    /// The changes that it tells the end of.
    pub settles: Vec<EventId>,
    /// Who did it, if one of those explains all of it.
    pub actor: Actor,
    /// How it is told.
    pub tone: Tone,
}

/// How a [`Finding`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Somebody did it who does not go through the gateway.
    Elsewhere,
    /// It may be what a change did that was not about this group.
    Open,
    /// It is what became of a change without an outcome.
    Settled,
    /// The same, but nobody knows what the group was like before.
    BeforeUnknown(String),
    /// That change, in a few words, had no effect.
    NoEffect(String),
}

/// The difference that one list makes to another, in what both tell.
#[must_use]
pub fn difference(before: Option<&Group>, after: Option<&Group>) -> Vec<Change> {
    let told = |group: Option<&Group>| {
        group.cloned().map(|mut group| {
            // Upstream writes `null` to those who may not see it, and to those who may where there is none.
            group.permissions = group.permissions.filter(|value| !value.is_null());
            group
        })
    };
    diff(told(before).as_ref(), told(after).as_ref())
}

/// Whether a list tells members; `None` for an empty one.
#[must_use]
pub fn tells_users(groups: &[Group]) -> Option<bool> {
    (!groups.is_empty()).then(|| groups.iter().any(|group| group.users.is_some()))
}
