//! A mark on a request: that it may be sent twice, because it changes nothing and uses nothing up.
//!
//! Only `forward` sets it, since it still sees what the request asks for, and only `upstream` acts on it; without
//! the mark nothing is ever sent again.

use std::fmt;
use std::sync::Arc;

use http::Request;

use crate::body::Body;

/// It may be sent twice, and this is how to get it once more. An extension of the request.
#[derive(Clone)]
pub struct Repeatable(Arc<dyn Fn() -> Option<Request<Body>> + Send + Sync>);

// === impl Repeatable ===

impl Repeatable {
    /// `again` makes the same request, and tells whom it concerns that it is sent again.
    pub fn new(again: impl Fn() -> Option<Request<Body>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(again))
    }

    /// The same request, which is sent again now.
    #[must_use]
    pub fn again(&self) -> Option<Request<Body>> {
        (self.0)()
    }
}

impl fmt::Debug for Repeatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repeatable")
    }
}
