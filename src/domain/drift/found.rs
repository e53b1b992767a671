//! What an event of ours came upon.
//!
//! **Guarantee**: what was done elsewhere and was found by a change of ours has a row of its own, before
//! that change's. No list has shown it to a view, and none will, because the change goes on from there.
//! It may also be what became of an earlier change of the group whose outcome nobody told.

use jiff::Timestamp;

use super::open::Explains;
use super::{Finding, Open, Tone, Witness, difference};
use crate::domain::action::{Action, Outcome};
use crate::domain::event::{Actor, Draft};
use crate::domain::group::Group;

/// What happened to the group that `draft` changes, since the last list of those who see it whole: `draft`
/// was received `at` that time and found the group otherwise, or found one that nobody had seen: `missed_at`
/// is when the last list was asked for that would have shown it and did not. Whose doing it was tells
/// [`Finding::claiming`].
#[must_use]
pub fn found_by(
    draft: &Draft,
    witnesses: &[Witness],
    missed_at: Option<Timestamp>,
    at: Timestamp,
) -> Option<Finding> {
    let action = draft.intent.action;
    let went_well = matches!(draft.outcome, Outcome::Applied | Outcome::Partial);
    let is_of_a_group = action.is_of_a_group() || action == Action::MembershipChange;
    if !went_well || !is_of_a_group || action == Action::GroupCreate {
        return None;
    }
    let found = draft.before.as_ref().and_then(Group::read)?;
    let since = |witness: &Witness| witness.seen_at.max(witness.shown.since);
    let whole = witnesses.iter().filter_map(|witness| {
        let state = witness.shown.state.as_ref()?;
        state.users.is_some().then(|| (since(witness), state))
    });
    let shown = whole.max_by_key(|(since, _)| *since);
    let not_before = match shown {
        Some((since, _)) => since,
        None => missed_at.filter(|_| witnesses.is_empty())?,
    };
    if not_before > at {
        return None;
    }
    let state = shown.map(|(_, state)| state);
    let after = match state {
        // Workspaces are left to the next list: who told of the group may have seen but some of them.
        Some(state) => Group {
            name: found.name,
            users: found.users.or_else(|| state.users.clone()),
            ..state.clone()
        },
        None => found,
    };
    let changes = difference(state, Some(&after));
    if changes.is_empty() {
        return None;
    }
    Some(Finding {
        group: Some(after.id),
        name: Some(after.name.clone()),
        before: state.cloned(),
        after: Some(after),
        changes,
        not_before,
        outcome: Outcome::Applied,
        settles: Vec::new(),
        actor: Actor::default(),
        tone: Tone::Elsewhere,
    })
}

// === impl Finding ===

impl Finding {
    /// The same, where it may be what became of one of these, which concern its organization; `None` where
    /// the next list, which shows all groups, will tell it better. None will if `draft` ends the group.
    #[must_use]
    pub fn claiming(mut self, open: &[Open], draft: &Draft) -> Option<Self> {
        for open in open {
            // Names are unique in an organization.
            let makes_one = open.action == Action::GroupCreate && open.group_name.is_some();
            let is_of_another = match open.group {
                Some(group) => self.group != Some(group),
                None => makes_one && (self.before.is_some() || self.name != open.group_name),
            };
            if is_of_another {
                continue;
            }
            let is_of_one = open.group.is_some() || makes_one;
            if is_of_one && open.is_unknown() && open.explains(&self) != Explains::Nothing {
                self.claim(open);
            } else if draft.intent.action != Action::GroupDelete {
                // It may have touched any group.
                return None;
            } else if self.tone == Tone::Elsewhere {
                self.tone = Tone::Open;
            }
        }
        Some(self)
    }
}
