//! How much may be at once, of each kind that is counted by itself; may change while the gateway runs.

use crate::config::Limits;
use crate::slots::Slots;

#[derive(Clone)]
pub(super) struct AtOnce {
    /// Connections to the proxy.
    pub(super) proxy: Slots,
    /// Connections to the admin side, which has as many for itself.
    pub(super) admin: Slots,
    /// Requests, until their answers have been taken.
    pub(super) requests: Slots,
    /// Changes, also those whose callers have left.
    pub(super) changes: Slots,
    /// Fetches of lists, also those.
    pub(super) fetches: Slots,
}

// === impl AtOnce ===

impl AtOnce {
    pub(super) fn of(limits: &Limits) -> Self {
        let connections = || limits.max_connections.into();
        let requests = || limits.max_in_flight.into();
        Self {
            proxy: connections(),
            admin: connections(),
            requests: requests(),
            changes: requests(),
            fetches: requests(),
        }
    }

    pub(super) fn set(&self, limits: &Limits) {
        for connections in [&self.proxy, &self.admin] {
            connections.set(limits.max_connections);
        }
        for requests in [&self.requests, &self.changes, &self.fetches] {
            requests.set(limits.max_in_flight);
        }
    }
}
