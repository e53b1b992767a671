//! What Tollgate is about, as values: no async, no clock, no SQL.

pub mod ids;
