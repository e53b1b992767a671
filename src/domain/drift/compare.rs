//! A list against what its view showed before.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    Comparison, Elsewhere, Finding, List, Open, Shown, Tone, View, Witness, difference, tells_users,
};
use crate::domain::action::Outcome;
use crate::domain::event::Actor;
use crate::domain::group::Group;
use crate::domain::ids::{EventId, GroupId};

/// What `list` tells after `view`; `None`: nothing, and the view stays as it is.
///
/// `open` is what concerns this organization. No change of it may be under way.
#[must_use]
pub fn compare(
    list: &List<'_>,
    view: Option<&View>,
    elsewhere: &Elsewhere,
    open: &[Open],
) -> Option<Comparison> {
    // Of a list that was fetched while one of these was out nobody knows which side of it it shows.
    let half_way = |open: &Open| (open.occurred_at..=open.completed_at).contains(&list.at);
    if view.is_some_and(|view| view.seen_at > list.at) || open.iter().any(half_way) {
        return None;
    }
    let told = tells_users(list.groups);
    let emptied_at = view.and_then(|view| view.emptied_at);
    if let Some(view) = view
        && list.groups.is_empty()
        && view.shows_any()
        && emptied_at.is_none()
    {
        return Some(Comparison {
            seen_at: view.seen_at,
            tells_users: view.tells_users,
            emptied_at: Some(list.at),
            groups: Vec::new(),
            findings: Vec::new(),
            settled: Vec::new(),
        });
    }
    // With other rights it is another view. Of who has never seen a group nobody knows the rights: that
    // there are some now may be a creation, or a promotion.
    let like = view.filter(|view| told.is_none() || view.tells_users == told);
    let tells_users = told.or(like.and_then(|view| view.tells_users));
    let mut round = Round {
        list,
        view: like,
        elsewhere,
        open: open
            .iter()
            .filter(|open| open.completed_at < list.at)
            .collect(),
        whole: tells_users == Some(true),
        missed_at: emptied_at.unwrap_or(list.at),
        groups: Vec::new(),
        findings: Vec::new(),
        settled: Vec::new(),
    };
    if let Some(view) = view {
        round.missing(view);
    }
    round.listed(view);
    if round.whole {
        round.settle();
    } else {
        round.attribute();
    }
    let Round {
        groups,
        findings,
        settled,
        ..
    } = round;
    Some(Comparison {
        seen_at: list.at,
        tells_users,
        emptied_at: None,
        groups,
        findings,
        settled,
    })
}

/// One comparison.
pub(super) struct Round<'a> {
    pub(super) list: &'a List<'a>,
    /// The view, if the list is like it.
    pub(super) view: Option<&'a View>,
    pub(super) elsewhere: &'a Elsewhere,
    pub(super) open: Vec<&'a Open>,
    /// Whether the list shows the whole organization.
    pub(super) whole: bool,
    /// Since when what is missing is missing.
    pub(super) missed_at: Timestamp,
    pub(super) groups: Vec<(GroupId, Option<Shown>)>,
    pub(super) findings: Vec<Finding>,
    pub(super) settled: Vec<EventId>,
}

// === impl Round ===

impl Round<'_> {
    fn missing(&mut self, view: &View) {
        let listed = |id: &GroupId| self.list.groups.iter().any(|group| group.id == *id);
        let missing = view.groups.iter().filter(|(id, _)| !listed(id));
        for (id, shown) in missing.collect::<Vec<_>>() {
            if shown.since > self.list.at || self.is_withheld(*id) {
                continue;
            }
            self.groups.push((*id, None));
            let seen_since = |witness: &&Witness| {
                let seen = witness.seen_at.max(witness.shown.since);
                witness.shown.state.is_some() && seen >= self.missed_at
            };
            if let (Some(view), Some(before), true) = (self.view, &shown.state, self.whole)
                && !self.witnesses(*id).any(|witness| seen_since(&witness))
            {
                self.find(view, Some(before), None);
            }
        }
    }

    fn listed(&mut self, old: Option<&View>) {
        for group in self.list.groups {
            let row = old.and_then(|view| view.groups.get(&group.id));
            if row.is_some_and(|shown| shown.since > self.list.at) {
                continue;
            }
            let state = row.and_then(|shown| shown.state.as_ref());
            let mut since = self.list.at;
            match (self.view, row, state) {
                (Some(_), _, Some(state)) if state == group => continue,
                (Some(view), Some(row), Some(state)) => {
                    if difference(Some(state), Some(group)).is_empty() {
                        since = row.since;
                    } else if self.is_withheld(group.id) {
                        continue;
                    } else {
                        self.find(view, Some(state), Some(group));
                    }
                }
                // New in this view: made, or this person was put into it.
                (Some(view), None, _) if self.whole && !self.was_known(group.id, view.seen_at) => {
                    self.find(view, None, Some(group));
                }
                _ => {}
            }
            let state = Some(group.clone());
            self.groups.push((group.id, Some(Shown { state, since })));
        }
    }

    fn find(&mut self, view: &View, before: Option<&Group>, after: Option<&Group>) {
        let changes = difference(before, after);
        let group = after.or(before);
        let id = group.map(|group| group.id);
        // Who has shown the same as this view, and later, has narrowed the window.
        let agrees = |witness: &&Witness| {
            let state = witness.shown.state.as_ref();
            state.is_some()
                && witness.seen_at <= self.list.at
                && difference(state, after) == changes
        };
        let agreeing = id
            .into_iter()
            .flat_map(|id| self.witnesses(id))
            .filter(|witness| agrees(witness));
        let not_before = agreeing
            .map(|witness| witness.seen_at)
            .fold(view.seen_at, Timestamp::max);
        self.findings.push(Finding {
            group: id,
            name: group.map(|group| group.name.clone()),
            before: before.cloned(),
            after: after.cloned(),
            changes,
            not_before,
            outcome: Outcome::Applied,
            settles: Vec::new(),
            actor: Actor::default(),
            tone: Tone::Elsewhere,
        });
    }

    pub(super) fn witnesses(&self, id: GroupId) -> impl Iterator<Item = &Witness> {
        self.elsewhere.witnesses.get(&id).into_iter().flatten()
    }

    pub(super) fn was_known(&self, id: GroupId, at: Timestamp) -> bool {
        let known = self
            .elsewhere
            .known
            .get(&id)
            .is_some_and(|since| *since <= at);
        known || self.witnesses(id).any(|witness| witness.shown.since <= at)
    }

    // Who sees but a part cannot tell the end of a change, and must not take it for a stranger's.
    fn is_withheld(&self, id: GroupId) -> bool {
        let concerns =
            |open: &Open| open.is_unknown() && open.group.is_none_or(|group| group == id);
        !self.whole && self.view.is_some() && self.open.iter().copied().any(concerns)
    }
}

// === impl View ===

impl View {
    fn shows_any(&self) -> bool {
        self.groups.values().any(|shown| shown.state.is_some())
    }

    /// The groups of which a list says something new, and so those of which more has to be known.
    #[must_use]
    pub fn differing(&self, list: &[Group]) -> Vec<GroupId> {
        let listed: HashMap<GroupId, &Group> = list.iter().map(|group| (group.id, group)).collect();
        let missing = self
            .groups
            .keys()
            .filter(|id| !listed.contains_key(id))
            .copied();
        let same = |group: &Group| {
            let row = self.groups.get(&group.id);
            let state = row.and_then(|shown| shown.state.as_ref());
            state.is_some_and(|state| {
                state == group || difference(Some(state), Some(group)).is_empty()
            })
        };
        let other = list
            .iter()
            .filter(|group| !same(group))
            .map(|group| group.id);
        missing.chain(other).collect()
    }
}
