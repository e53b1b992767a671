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
/// was received `at` that time and found the group otherwise. `open` is what concerns its organization.
#[must_use]
pub fn found_by(
    draft: &Draft,
    witnesses: &[Witness],
    open: &[Open],
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
    let mut finding = Finding {
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
    };
    for open in open {
        // What may have touched any group is left to the next list, which shows all of them.
        match open.group {
            Some(group) if finding.group != Some(group) => {}
            Some(_) if open.is_unknown() && open.explains(&finding) != Explains::Nothing => {
                finding.claim(open);
            }
            Some(_) | None => return None,
        }
    }
    Some(finding)
}
