//! What an event does to the views: a change of ours is no news to them, and neither is what one of
//! them has noticed.

use serde_json::Value;

use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change, Field, Kind};
use crate::domain::endpoint::Touches;
use crate::domain::event::{Draft, Flag};
use crate::domain::group::{Group, Member};
use crate::domain::ids::{GroupId, OrganizationId, UserId, WorkspaceId};

/// What an event leaves behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consequences {
    /// What it did to which group.
    pub groups: Vec<(GroupId, Effect)>,
    /// Whose groups it may have changed besides, in their members; `None` within: anybody's.
    pub doubtful: Option<Option<OrganizationId>>,
    /// What it left open.
    pub open: Option<Opening>,
}

/// What an event did to a group, as a view would show it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It differs by this.
    Changed(Vec<Change>),
    /// It looks like this, as far as this tells.
    Shown(Box<Group>),
    /// It came into being. Who made it sees it like this; whether others do is not to be told.
    Created(Box<Group>),
    /// It is gone.
    Deleted,
    /// It may look like anything now.
    Doubtful,
    /// It may have other members now.
    MembersDoubtful,
}

/// Something that an event left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What became of this group; `None`: of any.
    pub group: Option<GroupId>,
    /// Whether it concerns all organizations that are looked at, where it names none.
    pub everywhere: bool,
}

/// What may have changed without anybody telling how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A group.
    Group(GroupId),
    /// Any group of an organization; `None`: any at all.
    Organization(Option<OrganizationId>),
}

/// What an event of ours does to the views; `doubts` is what it left nobody to know.
#[must_use]
pub fn consequences(draft: &Draft, doubts: &[Doubt]) -> Consequences {
    let action = draft.intent.action;
    match draft.outcome {
        Outcome::Rejected | Outcome::NotSent => Consequences::default(),
        _ if action == Action::ApiWrite => leaves_open(draft)
            .then_some(Opening {
                group: None,
                everywhere: true,
            })
            .map_or_else(Consequences::default, Consequences::open),
        Outcome::Unknown => unknown(draft),
        Outcome::Applied | Outcome::Partial if action == Action::MembershipChange => {
            memberships(draft, doubts)
        }
        Outcome::Applied | Outcome::Partial => of_a_group(draft, doubts),
    }
}

fn unknown(draft: &Draft) -> Consequences {
    let group = draft.intent.target.group_id;
    match (draft.intent.action, group) {
        (Action::GroupCreate, _) => Consequences::open(Opening {
            group: None,
            everywhere: false,
        }),
        (Action::MembershipChange, _) => Consequences::open(Opening {
            group: None,
            everywhere: true,
        }),
        (action, Some(_)) if action.is_of_a_group() => Consequences::open(Opening {
            group,
            everywhere: false,
        }),
        // Access to projects does not show in lists of groups, so these tell nothing of it.
        _ => Consequences::default(),
    }
}

fn of_a_group(draft: &Draft, doubts: &[Doubt]) -> Consequences {
    let target = &draft.intent.target;
    let has = |flag| draft.intent.flags.contains(&flag);
    let after = draft.after.as_ref().and_then(Group::read);
    let after = after.filter(|_| !has(Flag::AfterAssumed)).map(Box::new);
    let effect = match (draft.intent.action, target.group_id) {
        (Action::GroupCreate, _) => match after {
            Some(group) => return Consequences::of(group.id, Effect::Created(group)),
            // Made, but which it is was not told.
            None => {
                return Consequences::open(Opening {
                    group: target.group_id,
                    everywhere: false,
                });
            }
        },
        (Action::GroupDelete, Some(_)) => Effect::Deleted,
        (Action::GroupUpdate | Action::GroupPatch, Some(id)) => match after {
            _ if has(Flag::AfterAssumed) || doubts.contains(&Doubt::Group(id)) => Effect::Doubtful,
            // Without what was before there is no difference to go by.
            Some(group) if has(Flag::BeforeUnknown) => Effect::Shown(group),
            _ => Effect::Changed(draft.changes.clone()),
        },
        _ => return Consequences::default(),
    };
    target
        .group_id
        .map_or_else(Consequences::default, |id| Consequences::of(id, effect))
}

fn memberships(draft: &Draft, doubts: &[Doubt]) -> Consequences {
    let mut consequences = Consequences::default();
    let mut named: Vec<GroupId> = Vec::new();
    for change in &draft.changes {
        let group = change.group_id.or(draft.intent.target.group_id);
        named.extend(group.filter(|group| !named.contains(group)));
    }
    for group in &named {
        let of_it = |change: &&Change| {
            change.group_id.or(draft.intent.target.group_id).as_ref() == Some(group)
        };
        let changes = draft.changes.iter().filter(of_it).cloned().collect();
        consequences.groups.push((*group, Effect::Changed(changes)));
    }
    for doubt in doubts {
        match doubt {
            Doubt::Group(group) => consequences.groups.push((*group, Effect::MembersDoubtful)),
            Doubt::Organization(organization) => consequences.doubtful = Some(*organization),
        }
    }
    let has = |flag| draft.intent.flags.contains(&flag);
    if has(Flag::AfterAssumed) && named.is_empty() {
        let all = Some(draft.intent.target.organization_id);
        consequences.doubtful = consequences.doubtful.or(all);
    } else if has(Flag::AfterAssumed) {
        let doubtful = |group| (group, Effect::MembersDoubtful);
        consequences.groups.extend(named.into_iter().map(doubtful));
    }
    consequences
}

// A change that is not about groups and may show in them all the same. Projects have groups and not
// the other way round.
fn leaves_open(draft: &Draft) -> bool {
    let path = &draft.intent.request.path;
    draft.intent.touches != Touches::Nothing
        && !path.contains("/projects/")
        && !path.ends_with("/projects")
}

// === impl Consequences ===

impl Consequences {
    fn open(opening: Opening) -> Self {
        Self {
            open: Some(opening),
            ..Self::default()
        }
    }

    fn of(group: GroupId, effect: Effect) -> Self {
        Self {
            groups: vec![(group, effect)],
            ..Self::default()
        }
    }
}

// === impl Effect ===

impl Effect {
    /// The group as a view shows it from now on that has shown `state`; `None`: not to be told.
    #[must_use]
    pub fn on(&self, state: Option<&Group>) -> Option<Group> {
        let state = state?;
        match self {
            Self::Changed(changes) => changed(state, changes),
            Self::Shown(after) => Some(Group {
                name: after.name.clone(),
                users: state.users.as_ref().and(after.users.clone()),
                workspaces: state.workspaces.as_ref().and(after.workspaces.clone()),
                permissions: state.permissions.as_ref().and(after.permissions.clone()),
                ..state.clone()
            }),
            Self::Created(_) | Self::Deleted | Self::Doubtful => None,
            Self::MembersDoubtful => Some(Group {
                users: None,
                workspaces: None,
                permissions: None,
                ..state.clone()
            }),
        }
    }
}

/// The group after `changes`, in what it tells; `None` if it is gone or was not there.
pub(super) fn changed(group: &Group, changes: &[Change]) -> Option<Group> {
    let mut group = group.clone();
    for change in changes {
        match (change.field, change.change) {
            (Field::Group, _) => return None,
            (Field::Name, _) => {
                if let Some(Value::String(name)) = &change.to {
                    group.name.clone_from(name);
                }
            }
            (Field::Permissions, _) => {
                if group.permissions.is_some() {
                    group.permissions.clone_from(&change.to);
                }
            }
            (Field::Users, kind) => {
                if let (Some(users), Some(id)) = (&mut group.users, change.id.map(UserId)) {
                    users.retain(|member| member.id != id);
                    if kind == Kind::Added {
                        users.push(Member {
                            name: change.label.clone(),
                            ..Member::unnamed(id)
                        });
                    }
                }
            }
            (Field::Workspaces, kind) => {
                if let (Some(ids), Some(id)) = (&mut group.workspaces, change.id.map(WorkspaceId)) {
                    ids.retain(|workspace| *workspace != id);
                    if kind == Kind::Added {
                        ids.push(id);
                    }
                }
            }
            (Field::Project, _) => {}
        }
    }
    group.sort();
    Some(group)
}
