//! Lets the changes of one group go one at a time, in the order in which they came.
//!
//! **Guarantee** (DESIGN §4): between what a change finds known of its group and the row that says what
//! became of it, no other change of that group comes, so that each row's *before* is the one before's
//! *after*. Other groups do not wait. Bounded by the slots of changes under way; nothing is kept of a
//! group that nobody changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use crate::domain::ids::GroupId;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<Groups>>);

/// tokio's mutex lets those who wait have it in the order in which they came.
type Groups = HashMap<GroupId, Arc<Queue<()>>>;

/// A change's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    group: GroupId,
    held: Option<OwnedMutexGuard<()>>,
}

// === impl Turns ===

impl Turns {
    /// Waits until all who came before for this group are done.
    pub(super) async fn wait(&self, group: GroupId) -> Turn {
        let queue = Arc::clone(self.groups().entry(group).or_default());
        // Made before the wait: a change that is given up while it waits cleans up as well.
        let mut turn = Turn {
            turns: self.clone(),
            group,
            held: None,
        };
        turn.held = Some(queue.lock_owned().await);
        turn
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut groups = self.turns.groups();
        // Whoever waits has a part in it, and takes that part only with `groups` locked.
        if groups
            .get(&self.group)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            groups.remove(&self.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    #[test]
    fn a_group_has_one_turn_at_a_time_in_order_and_others_do_not_wait() {
        let turns = Turns::default();
        let first = assert_ready!(spawn(turns.wait(GroupId(7))).poll());
        let mut second = spawn(turns.wait(GroupId(7)));
        let mut third = spawn(turns.wait(GroupId(7)));
        assert_pending!(second.poll());
        assert_pending!(third.poll());
        let other = assert_ready!(spawn(turns.wait(GroupId(8))).poll());
        drop(first);
        assert_pending!(third.poll());
        let second = assert_ready!(second.poll());
        drop(second);
        drop(assert_ready!(third.poll()));
        drop(other);
        assert!(turns.groups().is_empty(), "nothing is kept");
    }

    #[test]
    fn who_gives_up_while_waiting_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = assert_ready!(spawn(turns.wait(GroupId(7))).poll());
        let mut second = spawn(turns.wait(GroupId(7)));
        assert_pending!(second.poll());
        drop(first);
        drop(second);
        assert!(turns.groups().is_empty());
    }
}
