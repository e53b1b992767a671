//! A value that may be replaced while it is used.
//!
//! **Guarantee**: whoever reads gets all of the old value or all of the new one, and is never made to wait, neither
//! by another reader nor by whoever replaces it. Reading costs a few instructions and no allocation, so that the way
//! of a hit can afford it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// See the [module](self). Cloning shares it.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

// === impl Live ===

impl<T> Live<T> {
    /// What it is at this moment. For as long as a question takes: an answer that needs it for longer
    /// [holds](Self::hold) it.
    #[must_use]
    pub fn read(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// What it is at this moment, to be kept.
    #[must_use]
    pub fn hold(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// From now on it is `value`. Gives back what it was.
    pub fn replace(&self, value: T) -> Arc<T> {
        self.0.swap(Arc::new(value))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shares_it_sees_the_new_value_and_who_holds_the_old_one_keeps_it() {
        let live = Live::from(1);
        let (shared, held) = (live.clone(), live.hold());
        assert_eq!(*live.replace(2), 1);
        assert_eq!((**shared.read(), *held), (2, 1));
    }
}
