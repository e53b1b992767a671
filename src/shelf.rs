//! Values that several share, each for as long as anybody has it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One value for a key, however many ask for it. Not bounded by itself: it holds what others hold.
#[derive(Debug)]
pub(crate) struct Shelf<K, V>(Mutex<Held<K, V>>);

#[derive(Debug)]
struct Held<K, V> {
    values: HashMap<K, Weak<V>>,
    /// When there are so many, those that nobody has are thrown out.
    tidy_at: usize,
}

const TIDY_AT_LEAST: usize = 64;

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Held {
            values: HashMap::new(),
            tidy_at: TIDY_AT_LEAST,
        }))
    }
}

// === impl Shelf ===

impl<K: Eq + Hash, V> Shelf<K, V> {
    /// The value, if anybody has it.
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.held().values.get(key)?.upgrade()
    }

    /// The value that others have, or a new one.
    pub(crate) fn get_or_make(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut held = self.held();
        if let Some(value) = held.values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        if held.values.len() >= held.tidy_at {
            held.values.retain(|_, value| value.strong_count() > 0);
            held.tidy_at = TIDY_AT_LEAST.max(held.values.len() * 2);
        }
        let value = Arc::new(make());
        held.values.insert(key, Arc::downgrade(&value));
        value
    }

    /// Forgets the value, which others may still have: who asks from now on gets another one.
    pub(crate) fn forget(&self, key: &K) -> Option<Arc<V>> {
        self.held().values.remove(key)?.upgrade()
    }

    fn held(&self) -> MutexGuard<'_, Held<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_while_anybody_has_it_and_then_forgotten() {
        let shelf = Shelf::default();
        let one = shelf.get_or_make(1, || "one");
        assert!(Arc::ptr_eq(&one, &shelf.get_or_make(1, || "other")));
        for key in 2..10_000 {
            drop(shelf.get_or_make(key, || "short"));
        }
        assert!(shelf.held().values.len() <= TIDY_AT_LEAST);
        assert!(Arc::ptr_eq(&one, &shelf.get(&1).unwrap()));
        assert!(Arc::ptr_eq(&one, &shelf.forget(&1).unwrap()));
        let another = shelf.get_or_make(1, || "another");
        assert_eq!((*one, *another), ("one", "another"));
        drop(another);
        assert!(shelf.get(&1).is_none());
    }
}
