//! Marks on a request: that it may be sent twice, because it changes nothing and uses nothing up; and who
//! is told when it is.
//!
//! Only `forward` knows the first, since it still sees what the request asks for, and only `upstream` acts
//! on it; without the mark nothing is ever sent again.

use std::fmt;
use std::sync::Arc;

/// It may be sent twice. An extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// Who counts what is sent is told before it is sent again: upstream may have counted both. An extension of
/// the request.
#[derive(Clone)]
pub struct OnResend(Arc<dyn Fn() + Send + Sync>);

// === impl OnResend ===

impl OnResend {
    /// Calls `tell` before the request is sent again.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// It is sent again now.
    pub fn tell(&self) {
        (self.0)();
    }
}

impl fmt::Debug for OnResend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnResend")
    }
}
