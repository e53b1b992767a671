//! The views, in memory: what the database does by statements, done over the same pure code.

use jiff::Timestamp;

use super::Held;
use crate::domain::action::{Action, Outcome};
use crate::domain::drift::{
    Effect, Elsewhere, List, Open, Opening, Shown, View, Witness, compare, consequences, found_by,
};
use crate::domain::event::Draft;
use crate::domain::group::Group;
use crate::domain::ids::{EventId, GroupId, OrganizationId};
use crate::store::views::{MOST_UNSETTLED, MOST_VIEWS, doubts, in_milliseconds, log, overlaps};
use crate::store::{Fact, Learned, Seen, StoreError};

/// A change that left something open.
#[derive(Debug)]
pub(super) struct Unsettled {
    event: EventId,
    organization: Option<OrganizationId>,
    group: Option<GroupId>,
    elsewhere: bool,
}

// === impl Held ===

impl Held {
    pub(super) fn observe(&mut self, learned: &[Learned]) -> Result<(), StoreError> {
        for Learned { at, fact } in learned {
            if let Fact::View(seen) = fact
                && !self
                    .intents
                    .iter()
                    .any(|intent| overlaps(intent.touches, seen.organization))
            {
                self.observe_one(seen, in_milliseconds(*at))?;
            }
        }
        Ok(())
    }

    pub(super) fn precede(&mut self, draft: &Draft) -> Result<(), StoreError> {
        let target = &draft.intent.target;
        let (Some(organization), Some(group)) = (target.organization_id, target.group_id) else {
            return Ok(());
        };
        let at = in_milliseconds(draft.intent.occurred_at);
        let nobody = (String::new(), organization);
        let Elsewhere { witnesses, known } = self.elsewhere(&nobody);
        let witnesses = witnesses.get(&group).map_or(&[][..], Vec::as_slice);
        let known = known.get(&group);
        let views = self.views.iter();
        let whole =
            views.filter(|((_, of), view)| *of == organization && view.tells_users == Some(true));
        let last = whole.map(|(_, view)| view.seen_at).max();
        let missed_at = last.filter(|last| known.is_none_or(|known| known > last));
        let found = found_by(draft, witnesses, missed_at, at);
        let open = self.open(organization);
        let Some(finding) = found.and_then(|found| found.claiming(&open, draft)) else {
            return Ok(());
        };
        self.append(finding.draft(EventId::new(), organization, at))?;
        let effect = Effect::Changed(finding.changes);
        match finding.before {
            Some(_) => self.affect(group, &effect, at, None),
            None => self.appear(organization, group, &effect, at, None),
        }
        self.close(organization, &finding.settles);
        Ok(())
    }

    // Takes out what these left open.
    fn close(&mut self, organization: OrganizationId, settled: &[EventId]) {
        self.unsettled.retain(|unsettled| {
            let here = unsettled.organization.is_none_or(|id| id == organization);
            !here || !settled.contains(&unsettled.event)
        });
    }

    fn observe_one(&mut self, seen: &Seen, at: Timestamp) -> Result<(), StoreError> {
        let organization = seen.organization;
        let list = List {
            organization,
            at,
            groups: &seen.groups,
        };
        let key = (seen.credential_id.clone(), organization);
        let (elsewhere, open) = (self.elsewhere(&key), self.open(organization));
        let Some(comparison) = compare(&list, self.views.get(&key), &elsewhere, &open) else {
            return Ok(());
        };
        let view = self.views.entry(key).or_insert_with(|| View {
            seen_at: at,
            tells_users: None,
            emptied_at: None,
            groups: Default::default(),
        });
        view.seen_at = comparison.seen_at;
        view.tells_users = comparison.tells_users;
        view.emptied_at = comparison.emptied_at;
        for (group, shown) in comparison.groups {
            match shown {
                Some(shown) => view.groups.insert(group, shown),
                None => view.groups.remove(&group),
            };
        }
        for finding in &comparison.findings {
            self.append(finding.draft(EventId::new(), organization, at))?;
            if let Some(group) = finding.group.filter(|_| !finding.changes.is_empty()) {
                let effect = Effect::Changed(finding.changes.clone());
                self.affect(group, &effect, at, Some(&seen.credential_id));
                if finding.before.is_none() {
                    self.appear(organization, group, &effect, at, None);
                }
            }
            if let Some(gone) = finding.deleted() {
                let fact = Fact::NoGroup(gone);
                self.learn(vec![Learned { at, fact }]);
            }
        }
        self.close(organization, &comparison.settled);
        self.make_room(organization);
        log(organization, comparison.findings.len());
        Ok(())
    }

    pub(super) fn conclude(&mut self, draft: &Draft, learned: &[Learned]) {
        let at = in_milliseconds(draft.completed_at);
        let target = &draft.intent.target;
        let organization = match (target.organization_id, target.workspace_id) {
            (Some(organization), Some(id)) if draft.outcome == Outcome::Applied => {
                let fact = Fact::Workspace(organization, id);
                self.learn(vec![Learned { at, fact }]);
                Some(organization)
            }
            (None, Some(id)) => self
                .workspaces
                .get(&id)
                .map(|(_, organization)| *organization),
            (organization, _) => organization,
        };
        let consequences = consequences(draft, &doubts(learned));
        let mut open = consequences.open;
        for (group, effect) in &consequences.groups {
            self.affect(*group, effect, at, None);
            match (effect, organization) {
                (Effect::Created(_), Some(organization)) => {
                    let maker = draft.intent.actor.credential_id.as_deref();
                    self.appear(organization, *group, effect, at, maker);
                }
                (Effect::Created(_), None) => {
                    open = Some(Opening {
                        group: Some(*group),
                        everywhere: false,
                    });
                }
                _ => {}
            }
        }
        if let Some(organization) = consequences.doubtful {
            let views = self.views.iter();
            let views = views.filter(|((_, id), _)| organization.is_none_or(|of| of == *id));
            let groups: Vec<_> = views
                .flat_map(|(_, view)| view.groups.keys().copied())
                .collect();
            for group in groups {
                self.affect(group, &Effect::MembersDoubtful, at, None);
            }
        }
        if let Some(opening) = open {
            self.note(draft, opening, organization);
        }
    }

    fn note(&mut self, draft: &Draft, opening: Opening, organization: Option<OrganizationId>) {
        let mut watched: Vec<_> = self.views.keys().map(|(_, id)| *id).collect();
        watched.retain(|id| organization.is_none_or(|of| of == *id));
        watched.sort_unstable();
        watched.dedup();
        let concerned = match organization {
            Some(id) if draft.intent.action != Action::ApiWrite => vec![Some(id)],
            None if !opening.everywhere => vec![None],
            _ => watched.into_iter().map(Some).collect(),
        };
        let elsewhere = concerned.len() > 1 || concerned == [None];
        for organization in concerned {
            self.unsettled.push(Unsettled {
                event: draft.intent.id,
                organization,
                group: opening.group,
                elsewhere,
            });
        }
        let over = self.unsettled.len().saturating_sub(MOST_UNSETTLED);
        self.unsettled.drain(..over);
    }

    fn open(&self, organization: OrganizationId) -> Vec<Open> {
        let here =
            |unsettled: &&Unsettled| unsettled.organization.is_none_or(|id| id == organization);
        let open = |unsettled: &Unsettled| {
            let mut events = self.events.iter();
            let draft = events.find(|draft| draft.intent.id == unsettled.event)?;
            let intent = &draft.intent;
            let body = intent.request.body.as_ref();
            Some(Open {
                id: intent.id,
                occurred_at: in_milliseconds(intent.occurred_at),
                completed_at: in_milliseconds(draft.completed_at),
                action: intent.action,
                outcome: draft.outcome,
                group: unsettled.group,
                group_name: intent.target.group_name.clone(),
                before: draft.before.as_ref().and_then(Group::read),
                request: body.and_then(|body| serde_json::from_str(body).ok()),
                actor: intent.actor.clone(),
                shown: format!("{} {}", intent.request.method, intent.request.path),
                elsewhere: unsettled.elsewhere,
            })
        };
        self.unsettled
            .iter()
            .filter(here)
            .filter_map(open)
            .collect()
    }

    fn elsewhere(&self, but: &(String, OrganizationId)) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        for (key, view) in &self.views {
            if key.1 != but.1 || key.0 == but.0 {
                continue;
            }
            for (id, shown) in &view.groups {
                let witness = Witness {
                    seen_at: view.seen_at,
                    shown: shown.clone(),
                };
                elsewhere.witnesses.entry(*id).or_default().push(witness);
            }
        }
        for (id, (since, state)) in &self.groups {
            if let (Some(_), Ok(since)) = (state, since.parse()) {
                elsewhere.known.insert(*id, since);
            }
        }
        elsewhere
    }

    fn affect(&mut self, group: GroupId, effect: &Effect, at: Timestamp, except: Option<&str>) {
        for ((credential_id, _), view) in &mut self.views {
            if let Some(shown) = view.groups.get_mut(&group)
                && except != Some(credential_id)
                && shown.since <= at
            {
                let state = effect.on(shown.state.as_ref());
                *shown = Shown { state, since: at };
            }
        }
    }

    fn appear(
        &mut self,
        organization: OrganizationId,
        group: GroupId,
        effect: &Effect,
        at: Timestamp,
        maker: Option<&str>,
    ) {
        let made = match effect {
            Effect::Created(group) => Some(&**group),
            _ => None,
        };
        for ((credential_id, of), view) in &mut self.views {
            if *of == organization {
                let is_maker = maker == Some(credential_id) && view.tells_users == Some(true);
                view.groups.entry(group).or_insert_with(|| Shown {
                    state: made.filter(|_| is_maker).cloned(),
                    since: at,
                });
            }
        }
    }

    fn make_room(&mut self, organization: OrganizationId) {
        let mut seen: Vec<_> = self
            .views
            .iter()
            .filter(|((_, of), _)| *of == organization)
            .collect();
        seen.sort_by_key(|(_, view)| std::cmp::Reverse(view.seen_at));
        let old: Vec<_> = seen
            .into_iter()
            .skip(MOST_VIEWS)
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.views.remove(&key);
        }
    }
}
