//! Slots of which so many may be taken at once, a number that may change meanwhile.
//!
//! **Guarantee**: none is given out while as many are taken as there are, or more. Where there are fewer from now
//! on, whoever has one keeps it, and further ones wait or are refused until enough have come back; where there are
//! more, whoever waits is given one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// See the [module](self). Cloning shares them.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Slot(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: AtomicUsize,
    taken: AtomicUsize,
    /// One has come back, or there are more.
    freed: Notify,
    /// There are more or fewer.
    changed: Notify,
}

// === impl Slots ===

impl Slots {
    /// From now on there are `most`.
    pub fn set(&self, most: usize) {
        self.0.most.store(most, Ordering::SeqCst);
        self.0.freed.notify_waiters();
        self.0.changed.notify_waiters();
    }

    /// Ready when their number has been set since this was called.
    pub fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// One, if there is one.
    #[must_use]
    pub fn try_take(&self) -> Option<Slot> {
        let most = || self.0.most.load(Ordering::SeqCst);
        let one_more = |taken: usize| (taken < most()).then_some(taken + 1);
        let (set, fetched) = (Ordering::SeqCst, Ordering::Relaxed);
        let taken = self.0.taken.fetch_update(set, fetched, one_more);
        taken.is_ok().then(|| Slot(Arc::clone(&self.0)))
    }

    /// One, as soon as there is one.
    pub async fn take(&self) -> Slot {
        loop {
            // Before looking, so that what comes back after the look is heard of.
            let mut freed = std::pin::pin!(self.0.freed.notified());
            freed.as_mut().enable();
            match self.try_take() {
                Some(slot) => return slot,
                None => freed.await,
            }
        }
    }
}

impl From<usize> for Slots {
    /// So many.
    fn from(most: usize) -> Self {
        Self(Arc::new(Shared {
            most: most.into(),
            taken: 0.into(),
            freed: Notify::new(),
            changed: Notify::new(),
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    #[test]
    fn as_many_are_given_out_as_there_are() {
        let slots = Slots::from(2);
        let (first, second) = (slots.try_take().unwrap(), slots.try_take().unwrap());
        assert!(slots.try_take().is_none());
        drop(first);
        let third = slots.try_take().unwrap();
        assert!(slots.try_take().is_none());
        drop((second, third));
    }

    #[test]
    fn with_fewer_nobody_loses_one_and_further_ones_wait_until_enough_are_back() {
        let slots = Slots::from(3);
        let mut taken: Vec<_> = (0..3).map(|_| slots.try_take().unwrap()).collect();
        slots.set(1);
        let mut waiting = spawn(slots.take());
        for _ in 0..2 {
            assert_pending!(waiting.poll());
            assert!(slots.try_take().is_none());
            taken.pop();
        }
        assert_pending!(waiting.poll());
        taken.pop();
        assert!(waiting.is_woken());
        let _slot = assert_ready!(waiting.poll());
        assert!(slots.try_take().is_none());
    }

    #[test]
    fn with_more_who_waits_is_given_one_at_once() {
        let slots = Slots::from(1);
        let _first = slots.try_take().unwrap();
        let mut waiting = spawn(slots.take());
        assert_pending!(waiting.poll());
        slots.set(2);
        assert!(waiting.is_woken());
        let _second = assert_ready!(waiting.poll());
        assert!(slots.try_take().is_none());
    }
}
