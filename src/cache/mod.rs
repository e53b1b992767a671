//! The cache of group lists: freshness by epochs, one fetch for many, answers prepared at the fill.

pub mod entry;
pub mod epochs;
pub mod fills;
pub mod filters;
pub mod key;
pub mod lists;
pub mod tags;
pub mod told;
pub mod verdict;
