//! Who a request is from, behind proxies.
//!
//! `X-Forwarded-For` is believed from trusted proxies alone, and no further than each of them is trusted: so
//! the client is the rightmost address that is not a trusted proxy's. What stands to the left of it, anybody
//! may have written.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peers whose word on others is taken.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

// === impl Proxies ===

impl Proxies {
    /// These networks.
    pub fn new(networks: impl Into<Arc<[IpNet]>>) -> Self {
        Self(networks.into())
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind `peer`: from the nearest hop outwards, as far as each hop is trusted to have told
    /// the truth.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let values = headers.get_all(FORWARDED_FOR);
        let hops = values
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','));
        for hop in hops.collect::<Vec<_>>().into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_a_trusted_proxys() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| network.parse().unwrap());
        let proxies = Proxies::new(trusted);
        let client = |peer: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            let peer = peer.parse().unwrap();
            proxies.client(peer, &headers).to_string()
        };
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        let forged = ["6.6.6.6, 9.9.9.9", "10.1.1.1"];
        assert_eq!(client("127.0.0.1", &forged), "9.9.9.9");
        assert_eq!(client("::ffff:127.0.0.1", &forged), "9.9.9.9");
        assert_eq!(client("192.0.2.1", &forged), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["::ffff:9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("127.0.0.1", &["9.9.9.9, garbage"]), "127.0.0.1");
    }
}
