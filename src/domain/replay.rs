//! What a group was like at a time, from what the trail tells of it.
//!
//! **Guarantee**: what comes out was true at that time, as far as the trail knows, or is said to be
//! unknown. Nothing is filled in: members that no event and no list told of are `None`, not empty.
//!
//! What the last event before the time left is what was there, with the differences of those behind it
//! made anew. What no event before tells comes from those after it: the next one that says what it found,
//! or else the newest knowledge, with the differences in between undone, newest first. An event that
//! changed nothing, because it was refused or because nobody knows, changes nothing here, but what it found
//! counts. What was done
//! elsewhere counts from when it was known on: a list, or an event that finds it, happened later than it.
//!
//! Pure: [`Step::of`] picks out of an event what it says of one group, [`at`] puts steps together.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::diff::{Change, Field, Kind};
use super::event::Event;
use super::group::{Group, Member};
use super::ids::{GroupId, UserId, WorkspaceId};

/// A group at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Nobody told.
    #[default]
    Unknown,
    /// It did not exist.
    Absent,
    /// It existed.
    Present(Facts),
}

/// What is known of a group that existed; `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Its name.
    pub name: Option<String>,
    /// Its members, sorted by number.
    pub users: Option<Vec<Member>>,
    /// Its workspaces, sorted.
    pub workspaces: Option<Vec<WorkspaceId>>,
    /// What it permits.
    pub permissions: Option<Value>,
}

/// A group that existed, as JSON and CSV readers get it. `null` is what nobody knows.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Standing {
    /// Which group.
    pub group_id: GroupId,
    /// Its name.
    pub name: Option<String>,
    /// Its members, sorted by number.
    pub users: Option<Vec<Named>>,
    /// Its workspaces, sorted.
    pub workspaces: Option<Vec<WorkspaceId>>,
    /// What it permits.
    pub permissions: Option<Value>,
}

/// A member of a [`Standing`] group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Named {
    /// Who.
    pub user_id: UserId,
    /// Their name, if anybody told.
    pub name: Option<String>,
}

/// What an event did to one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// The group as the event found it, where it says so.
    pub before: Option<Group>,
    /// The group as the event left it, where it says so.
    pub after: Option<Group>,
    /// The difference.
    pub changes: Vec<Change>,
}

/// The state at a time: between the steps `earlier` and the steps `later`, both oldest first. `now` is what
/// is known after the last of them.
#[must_use]
pub fn at(earlier: &[Step], later: &[Step], now: State) -> State {
    let state = earlier.iter().fold(State::Unknown, State::done);
    if state.is_complete() {
        return state;
    }
    state.or(later.iter().rev().fold(now, State::undone))
}

// === impl Standing ===

impl Standing {
    /// A group and what is known of it.
    #[must_use]
    pub fn of(group_id: GroupId, facts: Facts) -> Self {
        let named = |member: Member| Named {
            user_id: member.id,
            name: member.name,
        };
        Self {
            group_id,
            name: facts.name,
            users: facts
                .users
                .map(|users| users.into_iter().map(named).collect()),
            workspaces: facts.workspaces,
            permissions: facts.permissions,
        }
    }
}

// === impl Step ===

impl Step {
    /// What an event tells of `group`; `None` if nothing.
    #[must_use]
    pub fn of(event: &Event, group: GroupId) -> Option<Self> {
        let state = |value: &Option<Value>| {
            let state = value.as_ref().map(without_the_erased);
            let state = state.as_ref().and_then(Group::read);
            state.filter(|state| state.id == group)
        };
        if !matches!(event.outcome.as_str(), "applied" | "partial") {
            let found = state(&event.before)?;
            return Some(Self {
                before: Some(found.clone()),
                after: Some(found),
                changes: Vec::new(),
            });
        }
        let alone = event.target.group_id == Some(group);
        let all: Vec<Change> = serde_json::from_value(event.changes.clone()).unwrap_or_default();
        let changes: Vec<_> = all
            .into_iter()
            .filter(|change| match change.group_id {
                Some(of) => of == group,
                None => alone,
            })
            .collect();
        let step = Self {
            before: state(&event.before),
            after: state(&event.after),
            changes,
        };
        (step != Self::default()).then_some(step)
    }

    /// Whether it says all that there is to say of the group before it.
    #[must_use]
    pub fn tells_all_before(&self) -> bool {
        State::Unknown.undone(self).is_complete()
    }

    /// Whether it says all that there is to say of the group after it.
    #[must_use]
    pub fn tells_all_after(&self) -> bool {
        State::Unknown.done(self).is_complete()
    }

    fn says(&self, kind: Kind) -> Option<&Change> {
        let mut changes = self.changes.iter();
        changes.find(|change| change.field == Field::Group && change.change == kind)
    }
}

// === impl State ===

impl State {
    /// What a group's own description tells.
    #[must_use]
    pub fn told(group: &Group) -> Self {
        Self::Present(Facts::default().told(group))
    }

    /// The state before a step that led to this one.
    #[must_use]
    fn undone(self, step: &Step) -> Self {
        if step.says(Kind::Created).is_some() {
            return Self::Absent;
        }
        let facts = match step.says(Kind::Deleted) {
            Some(deleted) => Facts {
                name: text(deleted.from.as_ref()),
                ..Facts::default()
            },
            None => {
                let mut facts = self.facts();
                for change in step.changes.iter().rev() {
                    facts.undo(change);
                }
                facts
            }
        };
        Self::Present(match &step.before {
            Some(before) => facts.told(before),
            None => facts,
        })
    }

    /// The state after a step from this one.
    #[must_use]
    fn done(self, step: &Step) -> Self {
        if step.says(Kind::Deleted).is_some() {
            return Self::Absent;
        }
        let facts = match step.says(Kind::Created) {
            Some(created) => Facts {
                name: text(created.to.as_ref()),
                ..Facts::default()
            },
            None => {
                let mut facts = self.facts();
                for change in &step.changes {
                    facts.redo(change);
                }
                facts
            }
        };
        Self::Present(match &step.after {
            Some(after) => facts.told(after),
            None => facts,
        })
    }

    // A step about a group says that it was there, whatever else is known of it.
    fn facts(self) -> Facts {
        match self {
            Self::Present(facts) => facts,
            Self::Unknown | Self::Absent => Facts::default(),
        }
    }

    /// Whether there is nothing more to find out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Absent => true,
            // Not every form of a group tells what it permits.
            Self::Present(facts) => {
                facts.name.is_some() && facts.users.is_some() && facts.workspaces.is_some()
            }
        }
    }

    /// What this one tells, and the other one where this one does not.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, other) => other,
            (Self::Present(one), Self::Present(other)) => Self::Present(Facts {
                name: one.name.or(other.name),
                users: one.users.or(other.users),
                workspaces: one.workspaces.or(other.workspaces),
                permissions: one.permissions.or(other.permissions),
            }),
            (state, _) => state,
        }
    }
}

// === impl Facts ===

impl Facts {
    fn told(self, group: &Group) -> Self {
        Self {
            name: Some(group.name.clone()),
            users: group.users.clone().or(self.users),
            workspaces: group.workspaces.clone().or(self.workspaces),
            permissions: group.permissions.clone().or(self.permissions),
        }
    }

    fn undo(&mut self, change: &Change) {
        match change.change {
            Kind::Set => self.set(change.field, change.from.as_ref()),
            Kind::Added => self.remove(change),
            Kind::Removed => self.add(change),
            Kind::Created | Kind::Deleted => {}
        }
    }

    fn redo(&mut self, change: &Change) {
        match change.change {
            Kind::Set => self.set(change.field, change.to.as_ref()),
            Kind::Added => self.add(change),
            Kind::Removed => self.remove(change),
            Kind::Created | Kind::Deleted => {}
        }
    }

    fn set(&mut self, field: Field, value: Option<&Value>) {
        match field {
            Field::Name => self.name = text(value).or_else(|| self.name.take()),
            // JSON's `null` is a value here, and left out where it stands in `changes`.
            Field::Permissions => self.permissions = Some(value.cloned().unwrap_or_default()),
            Field::Group | Field::Users | Field::Workspaces | Field::Project => {}
        }
    }

    // One more in a set that nobody knows makes no set that somebody knows.
    fn add(&mut self, change: &Change) {
        let Some(id) = change.id else { return };
        match (change.field, &mut self.users, &mut self.workspaces) {
            (Field::Users, Some(users), _) => {
                let id = UserId(id);
                if let Err(place) = users.binary_search_by_key(&id, |member| member.id) {
                    let name = change.label.clone();
                    let member = Member {
                        name,
                        ..Member::unnamed(id)
                    };
                    users.insert(place, member);
                }
            }
            (Field::Workspaces, _, Some(workspaces)) => {
                if let Err(place) = workspaces.binary_search(&WorkspaceId(id)) {
                    workspaces.insert(place, WorkspaceId(id));
                }
            }
            _ => {}
        }
    }

    fn remove(&mut self, change: &Change) {
        match (change.field, &mut self.users, &mut self.workspaces) {
            (Field::Users, Some(users), _) => {
                users.retain(|member| Some(member.id.0) != change.id);
            }
            (Field::Workspaces, _, Some(workspaces)) => {
                workspaces.retain(|workspace| Some(workspace.0) != change.id);
            }
            _ => {}
        }
    }
}

// Of a person who was erased from the trail a member without a number is left.
fn without_the_erased(state: &Value) -> Value {
    let mut state = state.clone();
    if let Some(users) = state.get_mut("users").and_then(Value::as_array_mut) {
        users.retain(|member| member.get("user_id").is_none_or(|id| !id.is_null()));
    }
    state
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests;
