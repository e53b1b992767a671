//! What the simulator was asked, and what came of it.
//!
//! **Guarantee**: every request is in the log before anything is decided about it, a fault included;
//! every request that altered the world is in [`Log::applied`] with its headers, in the order in
//! which the world was altered, and is there before its answer leaves. So a test can hold a list of
//! what really happened against what an audit trail says.
//!
//! Bounded: of the requests the newest [`MAX_RECEIVED`] are kept, with bodies of [`MAX_BYTES`] in all,
//! and every one is counted; of the changes the newest [`MAX_APPLIED`] are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::faults::Match;

/// As many requests are remembered.
pub const MAX_RECEIVED: usize = 10_000;

/// As many bytes of their bodies are remembered.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// As many changes are remembered.
pub const MAX_APPLIED: usize = 100_000;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// Path and query, byte for byte.
    pub target: String,
    /// The headers, credentials included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A request that altered the world.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Counts from 1, in the order in which the world was altered.
    pub number: u64,
    /// The request.
    pub request: Arc<Received>,
    /// How it was answered, or would have been if a fault had not been in between.
    pub status: StatusCode,
    /// The body of that answer.
    pub answer: Bytes,
}

/// The requests that came, and those of them that altered the world.
#[derive(Clone, Debug, Default)]
pub struct Log {
    count: u64,
    received: VecDeque<Arc<Received>>,
    bytes: usize,
    changes: u64,
    applied: VecDeque<Applied>,
}

// === impl Received ===

impl Received {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The query without the question mark; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// A header's value, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

// === impl Log ===

impl Log {
    /// How many requests came, the forgotten ones included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.count
    }

    /// The requests that are remembered, oldest first.
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &Arc<Received>> {
        self.received.iter()
    }

    /// Those of them that match, oldest first.
    pub fn matching<'a>(
        &'a self,
        wanted: &'a Match,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<Received>> {
        self.requests().filter(|request| wanted.fits(request))
    }

    /// The changes that are remembered, oldest first.
    pub fn applied(&self) -> impl DoubleEndedIterator<Item = &Applied> {
        self.applied.iter()
    }

    pub(super) fn receive(&mut self, request: Arc<Received>) {
        self.count += 1;
        self.bytes += request.body.len();
        self.received.push_back(request);
        while self.received.len() > MAX_RECEIVED || self.bytes > MAX_BYTES {
            let Some(oldest) = self.received.pop_front() else {
                return;
            };
            self.bytes -= oldest.body.len();
        }
    }

    pub(super) fn apply(&mut self, request: Arc<Received>, status: StatusCode, answer: Bytes) {
        self.changes += 1;
        if self.applied.len() == MAX_APPLIED {
            self.applied.pop_front();
        }
        self.applied.push_back(Applied {
            number: self.changes,
            request,
            status,
            answer,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: usize) -> Arc<Received> {
        Arc::new(Received {
            method: Method::POST,
            target: "/x".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from(vec![0; size]),
        })
    }

    #[test]
    fn the_oldest_requests_are_forgotten_and_none_is_uncounted() {
        let mut log = Log::default();
        for _ in 0..MAX_RECEIVED + 1 {
            log.receive(request(1));
        }
        assert_eq!(log.requests().count(), MAX_RECEIVED);
        log.receive(request(MAX_BYTES));
        assert_eq!(log.requests().count(), 1);
        log.receive(request(1));
        assert_eq!(log.requests().count(), 1, "the large one went");
        assert_eq!(log.received(), MAX_RECEIVED as u64 + 3);
    }
}
