//! A mark on a request that may be sent twice, because it changes nothing and uses nothing up.
//!
//! Only `forward` knows that, since it still sees what the request asks for, and only `upstream` acts
//! on it; without the mark nothing is ever sent again.

/// See the [module](self). An extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;
