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
/// was received `at` that time and found the group otherwise. Whose doing it was tells [`Finding::claiming`].
#[must_use]
pub fn found_by(draft: &Draft, witnesses: &[Witness], at: Timestamp) -> Option<Finding> {
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
    let (not_before, state) = whole.max_by_key(|(since, _)| *since)?;
    if not_before > at {
        return None;
    }
    // Workspaces are left to the next list: who told of the group may have seen but some of them.
    let after = Group {
        name: found.name,
        users: found.users.or_else(|| state.users.clone()),
        ..state.clone()
    };
    let changes = difference(Some(state), Some(&after));
    if changes.is_empty() {
        return None;
    }
    Some(Finding {
        group: Some(after.id),
        name: Some(after.name.clone()),
        before: Some(state.clone()),
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
    /// the next list, which shows all groups, will tell it better.
    #[must_use]
    pub fn claiming(mut self, open: &[Open]) -> Option<Self> {
        for open in open {
            match open.group {
                Some(group) if self.group != Some(group) => {}
                Some(_) if open.is_unknown() && open.explains(&self) != Explains::Nothing => {
                    self.claim(open);
                }
                // It may have touched any group.
                Some(_) | None => return None,
            }
        }
        Some(self)
    }
}
