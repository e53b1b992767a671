//! What was changed in the last minutes, for the relations between events (DESIGN §4).
//!
//! An event that undoes what *somebody else* did a little earlier names theirs (`overwrote`): two tools
//! that fight over one group show at a glance. The same request once more, after one that failed or
//! whose answer nobody took, names that (`retries`). In memory, bounded, and seeded from the trail at
//! start; what is forgotten costs a relation and never an event.
//!
//! **Guarantee** (DESIGN §1.8): whatever was sent, a request takes up no more than a hash of it, and all changes
//! together no more than [`MOST_CHANGES`].

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::domain::action::Outcome;
use crate::domain::diff::{Change as Difference, Field, Kind};
use crate::domain::event::{Actor, Draft, Event, Flag, Relation, RelationKind, RequestRecord};
use crate::domain::ids::{EventId, GroupId};

/// How far back.
pub const RECENT: Duration = Duration::from_secs(600);

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub struct Recent {
    groups: Cache<GroupId, Arc<[Done]>>,
    failed: Cache<Asked, EventId>,
}

/// A change that was made.
#[derive(Clone, Debug)]
struct Done {
    event: EventId,
    actor: Actor,
    changes: Arc<[Difference]>,
}

/// A request, as far as it takes to recognize it: a hash of who asked for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked([u8; 32]);

const MOST_REQUESTS: u64 = 10_000;

// Differences, of all groups together.
const MOST_CHANGES: u64 = 100_000;

// Events of one group; older ones were undone or confirmed by these.
const MOST_EVENTS: usize = 16;

// === impl Recent ===

impl Recent {
    /// What the trail's newest events tell, given oldest first.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let recent = Self {
            groups: Cache::builder()
                .max_capacity(MOST_CHANGES)
                .weigher(|_, done: &Arc<[Done]>| {
                    let changes: usize = done.iter().map(|done| 1 + done.changes.len()).sum();
                    u32::try_from(changes).unwrap_or(u32::MAX)
                })
                .time_to_live(RECENT)
                .build(),
            failed: Cache::builder()
                .max_capacity(MOST_REQUESTS)
                .time_to_live(RECENT)
                .build(),
        };
        for event in events {
            let changes: Vec<Difference> =
                serde_json::from_value(event.changes.clone()).unwrap_or_default();
            let went_well = matches!(&*event.outcome, "applied" | "partial");
            let answered = event
                .flags
                .as_array()
                .is_none_or(|flags| !flags.iter().any(|flag| flag == "caller-left"));
            let asked = Asked::of(&event.actor, &event.request);
            recent.take(
                event.id,
                &event.actor,
                event.target.group_id,
                &changes,
                went_well,
            );
            recent.request(asked, event.id, went_well && answered);
        }
        recent
    }

    /// Says in `draft` what it has to do with events before it, and remembers it for those that come after it.
    /// To be called in the group's turn.
    pub(super) fn relate(&self, draft: &mut Draft) {
        let asked = Asked::of(&draft.intent.actor, &draft.intent.request);
        draft.relations = self.relations(asked, draft);
        let intent = &draft.intent;
        let answered = !intent.flags.contains(&Flag::CallerLeft);
        let went_well = went_well(draft);
        self.request(asked, intent.id, went_well && answered);
        let group = intent.target.group_id;
        self.take(intent.id, &intent.actor, group, &draft.changes, went_well);
    }

    fn relations(&self, asked: Asked, draft: &Draft) -> Vec<Relation> {
        let mut relations = Vec::new();
        if let Some(id) = self.failed.get(&asked) {
            relations.push(Relation {
                kind: RelationKind::Retries,
                id,
            });
        }
        if !went_well(draft) {
            return relations;
        }
        for change in &draft.changes {
            let group = change.group_id.or(draft.intent.target.group_id);
            let Some(done) = group.and_then(|group| self.groups.get(&group)) else {
                continue;
            };
            // Only what the latest of them left counts: what was put right since is nobody's loss.
            let last = done.iter().rev().find_map(|done| {
                let old = done
                    .changes
                    .iter()
                    .find(|old| is_about_the_same(old, change))?;
                Some((done, old))
            });
            if let Some((done, old)) = last
                && undoes(change, old)
                && is_somebody_else(&done.actor, &draft.intent.actor)
                && relations.iter().all(|relation| relation.id != done.event)
            {
                relations.push(Relation {
                    kind: RelationKind::Overwrote,
                    id: done.event,
                });
            }
        }
        relations
    }

    fn request(&self, asked: Asked, event: EventId, is_done: bool) {
        if is_done {
            self.failed.invalidate(&asked);
        } else {
            self.failed.insert(asked, event);
        }
    }

    fn take(
        &self,
        event: EventId,
        actor: &Actor,
        group: Option<GroupId>,
        changes: &[Difference],
        went_well: bool,
    ) {
        if !went_well {
            return;
        }
        let mut groups: Vec<GroupId> = changes
            .iter()
            .filter_map(|change| change.group_id.or(group))
            .collect();
        groups.sort_unstable();
        groups.dedup();
        for id in groups {
            let of = changes
                .iter()
                .filter(|change| change.group_id.or(group) == Some(id));
            let done = Done {
                event,
                actor: actor.clone(),
                changes: of.cloned().collect(),
            };
            let known = self.groups.get(&id);
            let known = known.as_deref().unwrap_or_default();
            let kept = known
                .iter()
                .skip((known.len() + 1).saturating_sub(MOST_EVENTS));
            self.groups
                .insert(id, kept.cloned().chain([done]).collect());
        }
    }
}

fn went_well(draft: &Draft) -> bool {
    matches!(draft.outcome, Outcome::Applied | Outcome::Partial)
}

fn is_about_the_same(one: &Difference, other: &Difference) -> bool {
    one.field == other.field && one.id == other.id
        || one.field == Field::Group
        || other.field == Field::Group
}

fn undoes(new: &Difference, old: &Difference) -> bool {
    match (new.change, old.change) {
        (Kind::Added, Kind::Removed) | (Kind::Removed, Kind::Added) => new.field == old.field,
        (Kind::Set, Kind::Set) => new.from == old.to,
        (Kind::Deleted, _) => true,
        _ => false,
    }
}

// By the person, where both are known: one person's two tools do not overwrite each other.
fn is_somebody_else(one: &Actor, other: &Actor) -> bool {
    match (one.user_id, other.user_id) {
        (Some(one), Some(other)) => one != other,
        _ => one.credential_id != other.credential_id,
    }
}

// === impl Asked ===

impl Asked {
    fn of(actor: &Actor, request: &RequestRecord) -> Self {
        // As the trail gives them back: of what is kept there it has no digest.
        let body = request.body.as_ref().or(request.body_digest.as_ref());
        let mut hash = Sha256::new();
        for field in [
            actor.credential_id.as_ref(),
            Some(&request.method),
            Some(&request.path),
            request.query.as_ref(),
            body,
        ] {
            // With its length, so that no two requests are one text.
            let length = field.map_or(u64::MAX, |field| field.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(field.map_or("", String::as_str));
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::domain::ids::UserId;
    use crate::store::suite::{applied, intent};

    /// A change of group 7 by the person `user`.
    fn change(seconds: i64, user: i64, changes: serde_json::Value) -> Draft {
        let mut draft = applied(intent(seconds));
        draft.intent.actor.user_id = Some(UserId(user));
        draft.intent.request.body = Some(format!("request {seconds}"));
        draft.changes = serde_json::from_value(changes).unwrap();
        draft
    }

    /// What each has to do with those before it, by their numbers.
    fn related(drafts: &[Draft]) -> String {
        let recent = Recent::of([]);
        let number = |id| {
            drafts
                .iter()
                .position(|draft| draft.intent.id == id)
                .unwrap()
        };
        let lines = drafts.iter().enumerate().map(|(index, draft)| {
            let mut draft = draft.clone();
            recent.relate(&mut draft);
            let told: Vec<_> = draft
                .relations
                .iter()
                .map(|relation| format!("{:?} {}", relation.kind, number(relation.id)))
                .collect();
            format!("{index}: {}", told.join(", "))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn added(id: i64) -> serde_json::Value {
        json!([{"field": "users", "change": "added", "id": id}])
    }

    fn removed(id: i64) -> serde_json::Value {
        json!([{"field": "users", "change": "removed", "id": id}])
    }

    fn renamed(from: &str, to: &str) -> serde_json::Value {
        json!([{"field": "name", "change": "set", "from": from, "to": to}])
    }

    #[test]
    fn who_undoes_what_somebody_else_did_is_told_so() {
        let told = related(&[
            change(0, 1, added(5)),
            change(1, 1, removed(5)), // their own
            change(2, 2, added(5)),   // what 1 took out
            change(3, 2, added(6)),
            change(4, 1, removed(6)),
            change(5, 1, renamed("A", "B")),
            change(6, 2, renamed("B", "A")),
            change(
                7,
                1,
                json!([{"field": "group", "change": "deleted", "from": "A"}]),
            ),
        ]);
        assert_snapshot!(told, @"
        0: 
        1: 
        2: Overwrote 1
        3: 
        4: Overwrote 3
        5: 
        6: Overwrote 5
        7: Overwrote 6
        ");
    }

    #[test]
    fn what_was_not_done_is_not_overwritten_and_its_repetition_is_a_retry() {
        let mut failed = change(0, 1, added(5));
        failed.outcome = Outcome::Unknown;
        let mut again = change(0, 1, added(5));
        again.intent.flags.push(Flag::CallerLeft);
        let told = related(&[
            failed,
            change(1, 2, removed(5)),
            again.clone(),
            change(0, 1, added(5)),
            change(0, 1, added(5)),
        ]);
        assert_snapshot!(told, @"
        0: 
        1: 
        2: Retries 0, Overwrote 1
        3: Retries 2
        4: 
        ");
    }

    #[test]
    fn a_request_that_differs_in_one_field_is_another() {
        let actor = change(0, 1, added(5)).intent.actor;
        let request = RequestRecord {
            method: "PUT".into(),
            path: "/a".into(),
            query: Some("b".into()),
            body: Some("c".into()),
            body_digest: None,
        };
        let asked = Asked::of(&actor, &request);
        assert_eq!(asked, Asked::of(&actor, &request.clone()));
        let stranger = Actor {
            credential_id: Some("somebody else".into()),
            ..actor.clone()
        };
        assert_ne!(asked, Asked::of(&stranger, &request));
        let differs: [fn(&mut RequestRecord); 5] = [
            |request| request.method = "POST".into(),
            |request| request.query = None,
            |request| request.body = None,
            |request| request.body = Some(String::new()),
            // The same letters in other fields.
            |request| (request.path, request.query) = ("/ab".into(), Some(String::new())),
        ];
        for (index, change) in differs.into_iter().enumerate() {
            let mut other = request.clone();
            change(&mut other);
            assert_ne!(asked, Asked::of(&actor, &other), "{index}");
        }
    }

    #[test]
    fn however_large_changes_are_so_many_are_remembered_and_no_more() {
        const EACH: u64 = 1000;
        let recent = Recent::of([]);
        let changes: Vec<_> = (0..EACH)
            .map(|id| json!({"field": "users", "change": "added", "id": id}))
            .collect();
        let mut draft = change(0, 1, changes.into());
        for group in 0..2 * MOST_CHANGES / EACH {
            draft.intent.target.group_id = Some(GroupId(group.cast_signed()));
            recent.relate(&mut draft);
        }
        recent.groups.run_pending_tasks();
        let of = |done: Arc<[Done]>| done.iter().map(|done| done.changes.len()).sum::<usize>();
        let remembered: usize = recent.groups.iter().map(|(_, done)| of(done)).sum();
        assert!(
            remembered > 0 && remembered as u64 <= MOST_CHANGES,
            "{remembered}"
        );
    }
}
