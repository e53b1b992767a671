//! Lets the changes of one group go one at a time, in the order in which they came.
//!
//! **Guarantee** (DESIGN §4): between what a change finds known of its group and the row that says what
//! became of it, no other change of that group comes, so that each row's *before* is the one before's
//! *after*. A change of memberships by another door may touch any group of its organization, so it has
//! that to itself. Other groups do not wait. Bounded by the slots of changes under way; nothing is kept
//! of a group that nobody changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::domain::ids::{GroupId, OrganizationId};

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Queues>>);

/// tokio's lock lets those who wait have it in the order in which they came.
type Queues = HashMap<Of, Arc<RwLock<()>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Organization(OrganizationId),
    Group(GroupId),
}

/// What a change has to itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// Nothing.
    Free,
    /// A group, or none where it is about to be made, in an organization that is only shared.
    Group(Option<OrganizationId>, Option<GroupId>),
    /// All groups of an organization.
    Organization(OrganizationId),
}

/// A change's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    _group: Option<Place>,
    _organization: Option<Place>,
}

#[derive(Debug)]
struct Place {
    turns: Turns,
    of: Of,
    guard: Option<Guard>,
}

#[expect(dead_code, reason = "held, and never looked at")]
#[derive(Debug)]
enum Guard {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

// === impl Turns ===

impl Turns {
    /// Waits until all who came before and may touch the same are done. The organization always first,
    /// so that no two wait for each other.
    pub(super) async fn wait(&self, turn: Turn) -> Held {
        let (organization, group) = match turn {
            Turn::Free => (None, None),
            Turn::Group(organization, group) => (organization.map(|id| (id, false)), group),
            Turn::Organization(organization) => (Some((organization, true)), None),
        };
        let organization = match organization {
            Some((id, alone)) => Some(self.place(Of::Organization(id), alone).await),
            None => None,
        };
        let group = match group {
            Some(id) => Some(self.place(Of::Group(id), true).await),
            None => None,
        };
        Held {
            _group: group,
            _organization: organization,
        }
    }

    async fn place(&self, of: Of, alone: bool) -> Place {
        let queue = Arc::clone(self.queues().entry(of).or_default());
        // Made before the wait: a change that is given up while it waits cleans up as well.
        let mut place = Place {
            turns: self.clone(),
            of,
            guard: None,
        };
        place.guard = Some(if alone {
            Guard::Alone(queue.write_owned().await)
        } else {
            Guard::Shared(queue.read_owned().await)
        });
        place
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.queues();
        // Whoever waits has a part in it, and takes that part only with `queues` locked.
        if queues
            .get(&self.of)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            queues.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    const ORG: OrganizationId = OrganizationId(1);

    fn group(id: i64) -> Turn {
        Turn::Group(Some(ORG), Some(GroupId(id)))
    }

    #[test]
    fn a_group_has_one_turn_at_a_time_in_order_and_others_do_not_wait() {
        let turns = Turns::default();
        let first = assert_ready!(spawn(turns.wait(group(7))).poll());
        let mut second = spawn(turns.wait(group(7)));
        let mut third = spawn(turns.wait(group(7)));
        assert_pending!(second.poll());
        assert_pending!(third.poll());
        let other = assert_ready!(spawn(turns.wait(group(8))).poll());
        drop(first);
        assert_pending!(third.poll());
        let second = assert_ready!(second.poll());
        drop(second);
        drop(assert_ready!(third.poll()));
        drop(other);
        assert!(turns.queues().is_empty(), "nothing is kept");
    }

    #[test]
    fn an_organization_waits_for_its_groups_and_they_for_it() {
        let turns = Turns::default();
        let first = assert_ready!(spawn(turns.wait(group(7))).poll());
        let mut all = spawn(turns.wait(Turn::Organization(ORG)));
        assert_pending!(all.poll());
        let mut later = spawn(turns.wait(group(8)));
        assert_pending!(later.poll());
        let elsewhere = Turn::Group(Some(OrganizationId(2)), Some(GroupId(9)));
        assert_ready!(spawn(turns.wait(elsewhere)).poll());
        drop(first);
        assert_pending!(later.poll());
        drop(assert_ready!(all.poll()));
        assert_ready!(later.poll());
    }

    #[test]
    fn who_gives_up_while_waiting_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = assert_ready!(spawn(turns.wait(group(7))).poll());
        let mut second = spawn(turns.wait(group(7)));
        assert_pending!(second.poll());
        drop(first);
        drop(second);
        assert!(turns.queues().is_empty());
    }
}
