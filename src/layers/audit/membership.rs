//! What a change of memberships by another door than a group's own has come to.
//!
//! **Guarantee** (DESIGN §4): the event names every group that the change touched, and who went in or
//! out. Upstream answers such a change with hardly a word, so what came of it is read from one list
//! afterwards; where none can be had, what the request makes certain is told and flagged
//! `after-assumed`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tower::Service;

use super::Answer;
use super::account::Account;
use super::facts::{Facts, all_told};
use super::lists::Lists;
use crate::domain::action::{Action, Outcome};
use crate::domain::diff::{Change as Difference, Field, difference_of_groups, sentence_of_groups};
use crate::domain::door::Door;
use crate::domain::endpoint::{Change, List};
use crate::domain::event::Flag;
use crate::domain::group::Group;
use crate::domain::ids::{GroupId, UserId};
use crate::error::ProxyError;
use crate::layers::Call;
use crate::store::{Fact, Learned, Seen};

/// An organization's groups after a change, as upstream showed them.
#[derive(Debug)]
pub(super) struct Shown {
    /// When they were asked for.
    at: Timestamp,
    list: Seen,
}

/// Asks for the groups after a change of memberships that upstream made.
pub(super) async fn look<S>(
    lists: &Lists<'_, S>,
    change: &Change,
    facts: &Facts,
    outcome: Outcome,
) -> Option<Shown>
where
    S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
{
    if change.action != Action::MembershipChange || outcome != Outcome::Applied {
        return None;
    }
    let at = lists.recorder.clock.now();
    let organization = facts.organization?;
    let groups = lists.groups(List::Organization(organization)).await?;
    // Who may see no members is shown none, and perhaps no group.
    let is_whole = all_told(&groups) && (!groups.is_empty() || facts.groups.is_empty());
    let credential_id = lists.caller?.fingerprint.to_string();
    is_whole.then_some(Shown {
        at,
        list: Seen {
            credential_id,
            organization,
            groups,
        },
    })
}

/// Adds to `account` what an applied change did to the groups.
pub(super) fn tell(
    account: &mut Account,
    change: &Change,
    door: Door,
    facts: &Facts,
    shown: Option<&Shown>,
) {
    let entry = facts.entry(change, door);
    let groups = shown.map(|shown| &shown.list.groups);
    let (mut changes, certain) = match groups {
        Some(groups) => {
            let found = difference_of_groups(&facts.groups, groups);
            entry.explained(found, groups)
        }
        None => (entry.certain(&facts.groups), false),
    };
    for change in &mut changes {
        if let (None, Some(id)) = (&change.label, change.id)
            && change.field == Field::Users
        {
            change.label = facts.name_of(UserId(id));
        }
    }
    if !certain {
        account.flags.push(Flag::AfterAssumed);
    }
    let is_known = |group: &Group| facts.groups.iter().any(|known| known.id == group.id);
    if groups.is_some_and(|groups| !groups.iter().all(is_known)) {
        account.flags.push(Flag::BeforeUnknown);
    }
    account.summary = if changes.is_empty() {
        format!("changed memberships by {}", facts.shown)
    } else {
        format!("{} (by {})", sentence_of_groups(&changes), facts.shown)
    };
    if let Some(id) = the_one_group(&changes) {
        name_it(account, &mut changes, facts, shown, id);
    }
    account.changes = changes;
    account.learned = match shown {
        // With nothing to hold it against, the list does not tell what this change did.
        Some(shown) if facts.groups.is_empty() && !shown.list.groups.is_empty() => {
            let doubtful = Learned {
                at: account.at,
                fact: Fact::DoubtfulGroups(facts.organization),
            };
            [doubtful].into_iter().chain(shown.learned()).collect()
        }
        Some(shown) => shown.learned(),
        None => doubtful(&account.changes, account.target.group_id, facts)
            .into_iter()
            .map(|fact| Learned {
                at: account.at,
                fact,
            })
            .collect(),
    };
}

// === impl Shown ===

impl Shown {
    // The list is one of the caller's view like any other: what is in it and no doing of this change was
    // somebody else's.
    fn learned(&self) -> Vec<Learned> {
        let group =
            |group: &Group| Fact::Group(Some(self.list.organization), Box::new(group.clone()));
        let view = Fact::View(Box::new(self.list.clone()));
        let groups = self.list.groups.iter().map(group);
        let at = self.at;
        let facts = [view].into_iter().chain(groups);
        facts.map(|fact| Learned { at, fact }).collect()
    }
}

// An assumption is recorded as one, and never becomes knowledge: what it is about is known no longer.
fn doubtful(changes: &[Difference], one: Option<GroupId>, facts: &Facts) -> Vec<Fact> {
    let named = changes.iter();
    let groups: BTreeSet<GroupId> = named.filter_map(|change| change.group_id.or(one)).collect();
    if groups.is_empty() {
        return vec![Fact::DoubtfulGroups(facts.organization)];
    }
    groups.into_iter().map(Fact::DoubtfulGroup).collect()
}

fn the_one_group(changes: &[Difference]) -> Option<GroupId> {
    let first = changes.first()?.group_id?;
    let same = changes.iter().all(|change| change.group_id == Some(first));
    same.then_some(first)
}

// An event about one group is that group's, with the state before and after.
fn name_it(
    account: &mut Account,
    changes: &mut [Difference],
    facts: &Facts,
    shown: Option<&Shown>,
    id: GroupId,
) {
    let find = |groups: &[Group]| groups.iter().find(|group| group.id == id).cloned();
    let before = find(&facts.groups);
    let after = shown.and_then(|shown| find(&shown.list.groups));
    account.target.group_id = Some(id);
    account.target.group_name = changes.iter().find_map(|change| change.group_name.clone());
    for change in changes {
        change.group_id = None;
        change.group_name = None;
    }
    account.before = before.map(|group| group.to_json());
    account.after = after.map(|group| group.to_json());
}
