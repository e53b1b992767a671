//! How often somebody may be wrong.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Counts wrong tokens by address, for a minute from the first. Cloning shares the counts.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Attempts(Cache<IpAddr, Arc<AtomicU32>>);

/// How long a wrong token counts, in seconds.
pub(in crate::admin) const WINDOW: u64 = 60;

/// How many wrong tokens an address may send in that time.
const MOST: u32 = 10;

// As many addresses are counted; whoever has more has a botnet, and still no token.
const ADDRESSES: u64 = 100_000;

// === impl Attempts ===

impl Attempts {
    pub(in crate::admin) fn new() -> Self {
        let window = Duration::from_secs(WINDOW);
        Self(
            Cache::builder()
                .max_capacity(ADDRESSES)
                // A new address counts, however many others there are.
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(window)
                .build(),
        )
    }

    /// Whether `address` may try.
    pub(in crate::admin) fn may_try(&self, address: IpAddr) -> bool {
        let count = self.0.get(&network(address));
        count.is_none_or(|count| count.load(Ordering::Relaxed) < MOST)
    }

    /// It tried, and was wrong.
    pub(in crate::admin) fn failed(&self, address: IpAddr) {
        let count = self.0.get_with(network(address), Arc::default);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

// One customer has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_wrong_too_often_may_not_try_and_others_may() {
        let attempts = Attempts::new();
        let address = |text: &str| text.parse().unwrap();
        for host in 0..MOST {
            assert!(attempts.may_try(address("2001:db8::1")));
            attempts.failed(address(&format!("2001:db8::{host:x}")));
        }
        assert!(!attempts.may_try(address("2001:db8::1")));
        assert!(attempts.may_try(address("2001:db8:0:1::1")));
        assert!(attempts.may_try(address("192.0.2.1")));
    }
}
