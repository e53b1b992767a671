//! What Tollgate is about, as values: no async, no clock, no SQL.

pub mod action;
pub mod caller;
pub mod canonical;
pub mod checkpoint;
pub mod diff;
pub mod door;
pub mod drift;
pub mod endpoint;
pub mod erase;
pub mod event;
pub mod group;
pub mod ids;
pub mod label;
pub mod life;
pub mod moment;
pub mod once;
pub mod operations;
pub mod own;
pub mod proxies;
pub mod redact;
pub mod replay;
pub mod row;
mod sha256;

pub mod spending;
pub mod usage;
