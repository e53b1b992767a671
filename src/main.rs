//! The `tollgate` binary. Everything it does is in the library.

fn main() {}
