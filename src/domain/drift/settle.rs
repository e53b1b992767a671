//! What a list tells of changes that left something open.
//!
//! A change of one group is settled by that group, as it is now against what it was before: in this
//! view, in another one, or in the change's own event. A creation is settled by its name. What may have
//! touched any group owns all differences to a list from before it that nothing else explains.

use super::compare::Round;
use super::open::Explains;
use super::{Finding, Open, Shown, Tone, difference};
use crate::domain::action::{Action, Outcome};
use crate::domain::event::Actor;
use crate::domain::group::Group;
use crate::domain::ids::GroupId;

// === impl Round ===

impl Round<'_> {
    pub(super) fn settle(&mut self) {
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
    pub(super) fn attribute(&mut self) {
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
        self.findings[index].claim(open);
    }

    fn no_effect(&mut self, open: &Open, now: Option<&Group>) {
        let mut finding = self.finding(open, now, now);
        finding.changes.clear();
        finding.outcome = Outcome::Rejected;
        finding.tone = Tone::NoEffect(open.words());
        self.findings.push(finding);
    }
}

// === impl Finding ===

impl Finding {
    /// Takes it for what became of `open`, or for some of it.
    pub(super) fn claim(&mut self, open: &Open) {
        if open.is_unknown() {
            self.tone = Tone::Settled;
        } else if self.tone == Tone::Elsewhere {
            self.tone = Tone::Open;
        }
        // One that explains all of it did it; of two nobody knows which.
        self.actor = match (open.explains(self), self.settles.is_empty()) {
            (Explains::All, true) => {
                self.not_before = self.not_before.max(open.occurred_at);
                open.actor.clone()
            }
            _ => Actor::default(),
        };
        self.settles.push(open.id);
    }
}
