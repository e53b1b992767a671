//! Whether changes can be recorded, asked of the store at most once a second.
//!
//! The answer writes a row and waits for the disk, in one queue with the changes, and anybody may ask:
//! so equal questions share one answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::store::{StoreError, Trail};

/// See the [module](self). Cloning shares it.
#[derive(Clone)]
pub struct Readiness {
    trail: Arc<dyn Trail>,
    last: Arc<Mutex<Option<Answered>>>,
}

type Answered = (Instant, Result<(), StoreError>);

const FRESH: Duration = Duration::from_secs(1);

// === impl Readiness ===

impl Readiness {
    /// Of this trail.
    #[must_use]
    pub fn new(trail: Arc<dyn Trail>) -> Self {
        Self {
            trail,
            last: Arc::default(),
        }
    }

    /// Whether it can be written, as of at most a second ago.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn check(&self) -> Result<(), StoreError> {
        // Held over the question, so that whoever comes meanwhile takes its answer.
        let mut last = self.last.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < FRESH
        {
            return result.clone();
        }
        let result = self.trail.check().await;
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_second() {
        let store = MemoryStore::new();
        let readiness = Readiness::new(Arc::new(store.clone()));
        readiness.check().await.unwrap();
        store.fail(true);
        readiness.check().await.unwrap();
        tokio::time::advance(FRESH).await;
        readiness.check().await.unwrap_err();
    }
}
