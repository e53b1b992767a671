//! A list against what its view showed before.

use std::collections::HashMap;

use jiff::Timestamp;

use super::open::Explains;
use super::{
    Comparison, Elsewhere, Finding, List, Open, Shown, Tone, View, Witness, difference, tells_users,
};
use crate::domain::action::{Action, Outcome};
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
struct Round<'a> {
    list: &'a List<'a>,
    /// The view, if the list is like it.
    view: Option<&'a View>,
    elsewhere: &'a Elsewhere,
    open: Vec<&'a Open>,
    /// Whether the list shows the whole organization.
    whole: bool,
    /// Since when what is missing is missing.
    missed_at: Timestamp,
    groups: Vec<(GroupId, Option<Shown>)>,
    findings: Vec<Finding>,
    settled: Vec<EventId>,
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

    fn witnesses(&self, id: GroupId) -> impl Iterator<Item = &Witness> {
        self.elsewhere.witnesses.get(&id).into_iter().flatten()
    }

    fn was_known(&self, id: GroupId, at: Timestamp) -> bool {
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
            |open: &&Open| open.is_unknown() && open.group.is_none_or(|group| group == id);
        !self.whole && self.view.is_some() && self.open.iter().any(|open| concerns(&open))
    }

    fn settle(&mut self) {
        // First those about one group or one name: what they explain is not the others'.
        let (of_one, of_any): (Vec<&Open>, Vec<&Open>) = self
            .open
            .iter()
            .partition(|open| open.group.is_some() || open.action == Action::GroupCreate);
        for open in of_one {
            if self.settle_one(open) {
                self.settled.push(open.id);
            }
        }
        // What of any group they did shows only against a list from before them.
        let comparable = |open: &&&Open| {
            self.view
                .is_some_and(|view| view.seen_at <= open.occurred_at)
        };
        let of_any: Vec<_> = of_any.iter().filter(comparable).copied().collect();
        let unclaimed: Vec<usize> = (0..self.findings.len())
            .filter(|index| self.findings[*index].settles.is_empty())
            .collect();
        for open in of_any {
            for index in &unclaimed {
                self.claim(*index, open);
            }
            if unclaimed.is_empty() && open.is_unknown() && !open.elsewhere {
                self.no_effect(open, None);
            }
            self.settled.push(open.id);
        }
    }

    // What a part of the organization shows ends nothing, but it need not be a stranger's.
    fn attribute(&mut self) {
        let Some(view) = self.view else { return };
        let recent = |open: &&&Open| !open.is_unknown() && view.seen_at <= open.occurred_at;
        for open in self.open.iter().filter(recent).copied().collect::<Vec<_>>() {
            for index in 0..self.findings.len() {
                self.claim(index, open);
            }
        }
    }

    // Whether it is settled.
    fn settle_one(&mut self, open: &Open) -> bool {
        if open.action == Action::GroupCreate {
            return self.settle_creation(open);
        }
        let Some(id) = open.group else { return true };
        let now = self.list.groups.iter().find(|group| group.id == id);
        // A list of another organization says nothing of it.
        if open.elsewhere && now.is_none() && self.row(id).is_none() {
            return false;
        }
        let found = self
            .findings
            .iter()
            .position(|finding| finding.group == Some(id));
        let baseline = self.view.filter(|view| view.seen_at <= open.occurred_at);
        if let Some(index) = found {
            match open.explains(&self.findings[index]) {
                Explains::Nothing if open.is_unknown() => self.no_effect(open, now),
                Explains::Nothing => {}
                Explains::Some | Explains::All => self.claim(index, open),
            }
            return true;
        }
        if !open.is_unknown() {
            return true;
        }
        let shown = baseline
            .and_then(|view| view.groups.get(&id))
            .and_then(|row| row.state.as_ref());
        let before = shown.cloned().or_else(|| self.before(open, id));
        match (&before, now) {
            // It was not there before either.
            (_, None) if baseline.is_some() && self.row(id).is_none() => self.no_effect(open, None),
            (Some(before), now) if !difference(Some(before), now).is_empty() => {
                self.found_against(open, before, now);
            }
            (Some(_), now) => self.no_effect(open, now),
            (None, Some(now)) if open.action == Action::GroupDelete => {
                self.no_effect(open, Some(now))
            }
            (None, now) => self.found_without(open, now),
        }
        true
    }

    // Names are unique in an organization, so this needs no list from before.
    fn settle_creation(&mut self, open: &Open) -> bool {
        let Some(name) = &open.group_name else {
            return true;
        };
        let made =
            |finding: &Finding| finding.before.is_none() && finding.name.as_ref() == Some(name);
        if let Some(index) = self.findings.iter().position(made) {
            self.claim(index, open);
            return true;
        }
        if !open.is_unknown() {
            return !open.elsewhere;
        }
        let named = self.list.groups.iter().find(|group| group.name == *name);
        let new = named.filter(|group| {
            self.row(group.id).is_none() && !self.was_known(group.id, open.occurred_at)
        });
        match new {
            Some(group) if self.view.is_none() => {
                let mut finding = self.finding(open, None, Some(group));
                finding.actor = open.actor.clone();
                self.findings.push(finding);
                true
            }
            // Another organization's lists do not have it either.
            _ if open.elsewhere => false,
            _ => {
                self.no_effect(open, None);
                true
            }
        }
    }

    fn row(&self, id: GroupId) -> Option<&Shown> {
        self.view.and_then(|view| view.groups.get(&id))
    }

    // What the group was like before the change, where this view does not say.
    fn before(&self, open: &Open, id: GroupId) -> Option<Group> {
        let earlier = self
            .witnesses(id)
            .filter(|witness| witness.seen_at.max(witness.shown.since) <= open.occurred_at);
        let latest = earlier.max_by_key(|witness| witness.seen_at);
        let shown = latest.and_then(|witness| witness.shown.state.clone());
        shown
            .filter(|group| group.users.is_some())
            .or_else(|| open.before.clone())
    }

    fn finding(&self, open: &Open, before: Option<&Group>, after: Option<&Group>) -> Finding {
        let group = after.or(before);
        Finding {
            group: open.group.or(group.map(|group| group.id)),
            name: group
                .map(|group| group.name.clone())
                .or_else(|| open.group_name.clone()),
            before: before.cloned(),
            after: after.cloned(),
            changes: difference(before, after),
            not_before: open.occurred_at,
            outcome: Outcome::Applied,
            settles: vec![open.id],
            actor: Actor::default(),
            tone: Tone::Settled,
        }
    }

    fn found_against(&mut self, open: &Open, before: &Group, now: Option<&Group>) {
        let mut finding = self.finding(open, Some(before), now);
        match open.explains(&finding) {
            Explains::Nothing => return self.no_effect(open, now),
            Explains::Some => {}
            Explains::All => finding.actor = open.actor.clone(),
        }
        self.findings.push(finding);
    }

    fn found_without(&mut self, open: &Open, now: Option<&Group>) {
        let mut finding = self.finding(open, None, now);
        finding.changes.clear();
        finding.tone = Tone::BeforeUnknown(open.words());
        let met = match now {
            Some(now) => open.is_met_by(now),
            None => open.action == Action::GroupDelete,
        };
        if met {
            finding.actor = open.actor.clone();
        } else {
            finding.outcome = Outcome::Rejected;
        }
        self.findings.push(finding);
    }

    fn claim(&mut self, index: usize, open: &Open) {
        let explains = open.explains(&self.findings[index]);
        let finding = &mut self.findings[index];
        if open.is_unknown() {
            finding.tone = Tone::Settled;
        } else if finding.tone == Tone::Elsewhere {
            finding.tone = Tone::Open;
        }
        // One that explains all of it did it; of two nobody knows which.
        finding.actor = match (explains, finding.settles.is_empty()) {
            (Explains::All, true) => {
                finding.not_before = finding.not_before.max(open.occurred_at);
                open.actor.clone()
            }
            _ => Actor::default(),
        };
        finding.settles.push(open.id);
    }

    fn no_effect(&mut self, open: &Open, now: Option<&Group>) {
        let mut finding = self.finding(open, now, now);
        finding.changes.clear();
        finding.outcome = Outcome::Rejected;
        finding.tone = Tone::NoEffect(open.words());
        self.findings.push(finding);
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
