//! Whether upstream could be reached, as the last requests that were sent tell.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<Unreachable>>>);

/// Upstream has answered nothing since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// When the first of the requests ended that got no answer.
    pub since: Instant,
    /// When the last one did.
    pub last: Instant,
    /// How many there were.
    pub requests: u64,
}

// === impl Health ===

impl Health {
    /// A request has ended; whether upstream answered it, with whatever.
    pub fn heard(&self, answered: bool) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *held = (!answered).then(|| Unreachable {
            since: held.map_or(now, |before| before.since),
            last: now,
            requests: held.map_or(0, |before| before.requests) + 1,
        });
    }

    /// What is known against it; nothing once it has answered again.
    #[must_use]
    pub fn unreachable(&self) -> Option<Unreachable> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_what_the_first_failure_began() {
        let health = Health::default();
        assert_eq!(health.unreachable(), None);
        let since = Instant::now();
        health.heard(false);
        tokio::time::advance(Duration::from_secs(9)).await;
        health.heard(false);
        let expected = Unreachable {
            since,
            last: since + Duration::from_secs(9),
            requests: 2,
        };
        assert_eq!(health.unreachable(), Some(expected));
        health.heard(true);
        assert_eq!(health.unreachable(), None);
    }
}
