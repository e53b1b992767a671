//! DESIGN §1.5: no change without a row, whatever happens to the gateway, to upstream, to the caller
//! or to the store; and what such a row says.
//!
//! What happens to the process or to its files is tested with the real binary.

mod before;
mod crash;
mod doors;
mod drift;
mod events;
mod faults;
mod identity;
mod order;
mod refused;
mod related;
mod replayed;
mod store;
mod watch;
mod whole;
