//! A number of places that nobody waits for: there is one at once, or there is none.
//!
//! What a semaphore has besides, for those who wait, takes a lock for each place that is given back, and all
//! requests would share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the [module](self). Cloning shares them.
#[derive(Clone, Debug)]
pub struct Slots(Arc<AtomicUsize>);

/// A place that is taken. It is free again when this is dropped.
#[derive(Debug)]
pub struct Slot(Slots);

// === impl Slots ===

impl Slots {
    /// So many places, all of them free.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    /// Takes a place, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less);
        taken.ok().map(|_| Slot(self.clone()))
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_so_many_at_once() {
        let slots = Slots::new(2);
        let one = slots.take();
        let other = slots.clone().take();
        assert!(one.is_some() && other.is_some() && slots.take().is_none());
        drop(one);
        let again = slots.take();
        assert!(again.is_some() && slots.take().is_none());
    }
}
