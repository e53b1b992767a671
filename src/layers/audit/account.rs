//! What a change has come to: the group before and after, the difference, and the event as a sentence.
//!
//! Pure: from what was known before ([`Facts`]) and what upstream told ([`Told`]). What cannot be told
//! is flagged and left out, never guessed.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::facts::Facts;
use super::membership::{self, Shown};
use super::patch::{Patch, Results, requested};
use super::summary::summary;
use super::told::Told;
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change as Difference, Kind, diff};
use crate::domain::endpoint::Change;
use crate::domain::event::{Flag, Target};
use crate::domain::group::{Group, Member, ProjectGroup};
use crate::domain::ids::{UserId, WorkspaceId};
use crate::store::{Fact, Learned};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Account {
    /// When all this was known.
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) target: Target,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) changes: Vec<Difference>,
    pub(super) summary: String,
    pub(super) flags: Vec<Flag>,
    pub(super) learned: Vec<Learned>,
}

/// The state after an applied change, and what of it is an assumption.
#[derive(Default)]
struct After {
    group: Option<Group>,
    assumed: bool,
    /// Patches that upstream did not apply, and why.
    refused: Vec<(Option<Patch>, String)>,
    /// Whether it applied any.
    any_applied: bool,
}

// === impl Account ===

impl Account {
    /// Says what became of `change`.
    pub(super) fn of(
        change: &Change,
        facts: &Facts,
        told: &Told,
        shown: Option<&Shown>,
        at: Timestamp,
    ) -> Self {
        let mut outcome = told.outcome();
        let mut after = match outcome {
            Outcome::Applied => after(change, facts, told),
            _ => After::default(),
        };
        if outcome == Outcome::Applied && !after.refused.is_empty() {
            outcome = if after.any_applied {
                Outcome::Partial
            } else {
                Outcome::Rejected
            };
        }
        // The head said yes, but which of the patches it meant stood in the part that is lost; and a
        // page for people comes from something that stands in front of upstream.
        let lost = told.incomplete && change.action == Action::GroupPatch;
        if outcome == Outcome::Applied
            && (lost || told.is_page() && change.action.reads_response_body())
        {
            outcome = Outcome::Unknown;
            after = After::default();
        }
        let is_group = change.action.is_of_a_group();
        let applied = matches!(outcome, Outcome::Applied | Outcome::Partial);
        let before = facts
            .before
            .clone()
            .filter(|_| is_group && change.action != Action::GroupCreate)
            .map(|before| as_it_was(before, change, facts, &after));
        let changes = if applied {
            changes(change, facts, told, before.as_ref(), &after)
        } else {
            Vec::new()
        };
        let mut flags = Vec::new();
        let needs_before = is_group && change.action != Action::GroupCreate
            || change.action == Action::ProjectGroupRemove && facts.project_group.is_none();
        if needs_before && !(is_group && facts.knows_before()) {
            flags.push(Flag::BeforeUnknown);
        }
        let unshown = change.action == Action::ProjectGroupAdd
            && told.body.as_ref().and_then(ProjectGroup::read).is_none();
        if applied && (after.assumed || unshown) {
            flags.push(Flag::AfterAssumed);
        }
        let target = target(change, facts, told, &after);
        let summary = summary(
            change,
            facts,
            told,
            outcome,
            &target,
            &changes,
            &after.refused,
        );
        let learned = match outcome {
            Outcome::Applied | Outcome::Partial => learned(change, facts, told, &after),
            Outcome::Unknown => doubtful(change, facts),
            Outcome::Rejected | Outcome::NotSent => Vec::new(),
        };
        // What was not changed is after the change as it was before it.
        let unchanged = matches!(outcome, Outcome::Rejected | Outcome::NotSent);
        let after = if unchanged {
            before.clone()
        } else {
            after.group
        };
        let mut account = Self {
            at,
            outcome,
            target,
            before: before.map(|group| group.to_json()),
            after: after.map(|group| group.to_json()),
            changes,
            summary,
            flags,
            learned: learned
                .into_iter()
                .map(|fact| Learned { at, fact })
                .collect(),
        };
        if let Some(door) = change.door.filter(|_| applied) {
            membership::tell(&mut account, change, door, facts, shown);
        }
        account
    }
}

fn after(change: &Change, facts: &Facts, told: &Told) -> After {
    let before = facts.before.as_ref();
    match change.action {
        Action::GroupCreate | Action::GroupUpdate => {
            match told.body.as_ref().and_then(Group::read_changed) {
                Some(seen) => {
                    let group = match before.filter(|_| change.action == Action::GroupUpdate) {
                        Some(before) => before.updated_by(&seen),
                        None => seen,
                    };
                    After {
                        group: Some(group),
                        ..After::default()
                    }
                }
                None => After {
                    group: assumed(change, facts),
                    assumed: true,
                    ..After::default()
                },
            }
        }
        Action::GroupPatch => {
            let results = told.body.as_ref().and_then(Results::read);
            let assumed = results.is_none();
            let results = results.unwrap_or_else(|| Results {
                applied: facts.request.as_ref().map(requested).unwrap_or_default(),
                ..Results::default()
            });
            let group = before.cloned().map(|mut group| {
                for patch in &results.applied {
                    patch.apply(&mut group, &|id| facts.name_of(id));
                }
                group
            });
            After {
                // With a patch that cannot be read nobody knows what the group looks like.
                group: group.filter(|_| results.unread == 0),
                assumed: assumed || results.unread > 0,
                any_applied: !results.applied.is_empty() || results.unread > 0,
                refused: results.refused,
            }
        }
        _ => After::default(),
    }
}

// What an update does not speak of stays as it is upstream. Where that has become something else since
// it was last seen, somebody did it elsewhere before this: it is no doing of this request.
fn as_it_was(mut before: Group, change: &Change, facts: &Facts, after: &After) -> Group {
    let (Some(request), Some(seen)) = (&facts.request, &after.group) else {
        return before;
    };
    if change.action != Action::GroupUpdate || after.assumed {
        return before;
    }
    let speaks_of = |name: &str| request.get(name).is_some();
    if !speaks_of("name") {
        before.name.clone_from(&seen.name);
    }
    if !speaks_of("users") {
        before.users = seen.users.clone().or(before.users);
    }
    if !speaks_of("workspaces") {
        before.workspaces = seen.workspaces.clone().or(before.workspaces);
    }
    if !speaks_of("permissions") {
        before.permissions = seen.permissions.clone().or(before.permissions);
    }
    before
}

// What the request asked for, where the answer does not show what came of it.
fn assumed(change: &Change, facts: &Facts) -> Option<Group> {
    let request = facts.request.as_ref()?;
    let id = change.ids.group?;
    let mut group = facts
        .before
        .clone()
        .or_else(|| Group::read(&json!({ "group_id": id, "name": "" })))?;
    group.name = request.get("name")?.as_str()?.to_owned();
    let numbers = |name: &str| {
        request
            .get(name)?
            .as_array()?
            .iter()
            .map(Value::as_i64)
            .collect::<Option<Vec<_>>>()
    };
    if let Some(users) = numbers("users") {
        let member = |id| Member {
            name: facts.name_of(UserId(id)),
            ..Member::unnamed(UserId(id))
        };
        group.users = Some(users.into_iter().map(member).collect());
    }
    if let Some(workspaces) = numbers("workspaces") {
        group.workspaces = Some(workspaces.into_iter().map(WorkspaceId).collect());
    }
    group.sort();
    Some(group)
}

fn changes(
    change: &Change,
    facts: &Facts,
    told: &Told,
    before: Option<&Group>,
    after: &After,
) -> Vec<Difference> {
    match (change.action, before, &after.group) {
        (Action::GroupCreate, _, Some(after)) => diff(None, Some(after)),
        (Action::GroupUpdate, Some(before), Some(after)) => diff(Some(before), Some(after)),
        (Action::GroupDelete, Some(before), _) => diff(Some(before), None),
        (Action::GroupPatch, before, after) => {
            let mut changes = match (before, after) {
                (Some(before), Some(after)) => diff(Some(before), Some(after)),
                _ => Vec::new(),
            };
            let results = told
                .body
                .as_ref()
                .and_then(Results::read)
                .unwrap_or_default();
            // Of what was not known before, what the patches did at the most.
            let is_known = |patch: &&Patch| {
                after.is_some() && before.is_some_and(|group| patch.is_known_in(group))
            };
            let unknown = results.applied.iter().filter(|patch| !is_known(patch));
            changes.extend(unknown.flat_map(|patch| patch.at_most(&|id| facts.name_of(id))));
            changes
        }
        (Action::ProjectGroupAdd, ..) => {
            let project = target(change, facts, told, after).project_id;
            project
                .map(|id| Difference::project(Kind::Added, id))
                .into_iter()
                .collect()
        }
        (Action::ProjectGroupRemove, ..) => {
            let project = facts.project_group.map(|row| row.project);
            project
                .map(|id| Difference::project(Kind::Removed, id))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn target(change: &Change, facts: &Facts, told: &Told, after: &After) -> Target {
    let mut target = facts.target(change);
    if let Some(group) = &after.group {
        target.group_id = Some(group.id);
        target.group_name = Some(group.name.clone());
    }
    if change.action == Action::ProjectGroupAdd {
        // The answer knows better than the request what was done.
        if let Some(row) = told.body.as_ref().and_then(ProjectGroup::read) {
            target.project_group_id = Some(row.id);
            target.project_id = Some(row.project);
            if target.group_id != Some(row.group) {
                target.group_id = Some(row.group);
                target.group_name = None;
            }
        }
    }
    target
}

// What may have changed without anybody telling how is no longer known.
fn doubtful(change: &Change, facts: &Facts) -> Vec<Fact> {
    match (change.action, change.ids.group) {
        (Action::MembershipChange, _) => vec![Fact::DoubtfulGroups(facts.organization)],
        (_, Some(group)) => vec![Fact::DoubtfulGroup(group)],
        (_, None) => Vec::new(),
    }
}

fn learned(change: &Change, facts: &Facts, told: &Told, after: &After) -> Vec<Fact> {
    let row = || told.body.as_ref().and_then(ProjectGroup::read);
    let fact = match change.action {
        Action::GroupDelete => change.ids.group.map(Fact::NoGroup),
        Action::ProjectGroupAdd => change
            .ids
            .workspace
            .zip(row())
            .map(|(workspace, row)| Fact::ProjectGroup(workspace, row)),
        Action::ProjectGroupRemove => change.ids.project_group.map(Fact::NoProjectGroup),
        // What a list showed of its groups is told apart.
        Action::MembershipChange => None,
        // An assumption is recorded as one, and never becomes knowledge; nor does it leave any.
        _ if after.assumed => return doubtful(change, facts),
        _ => after
            .group
            .clone()
            .map(|group| Fact::Group(facts.target(change).organization_id, Box::new(group))),
    };
    fact.into_iter().collect()
}
