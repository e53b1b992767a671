//! What must be so between keys, and the bounds of each that its type does not have.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;

use super::mistake::{Mistake, Origin, Origins};
use super::units::format_size;
use super::{Address, Config, Retention};

/// As many connections or requests as a limit may allow; a counter in the tens of millions would
/// be no limit, and the semaphore behind it ends somewhere.
const MOST: usize = 1_000_000;

/// The mistakes of `config` but those of keys in `broken`, which have their default here and
/// nobody's value.
pub(super) fn all(config: &Config, origins: &Origins, broken: &BTreeSet<String>) -> Vec<Mistake> {
    let mut check = Check {
        origins,
        broken,
        mistakes: Vec::new(),
    };
    addresses(config, &mut check);
    bounds(config, &mut check);
    let cache = &config.cache;
    check.require(
        cache.max_entry_size <= cache.max_size,
        &["cache.max_entry_size", "cache.max_size"],
        || {
            let (entry, all) = (
                format_size(cache.max_entry_size),
                format_size(cache.max_size),
            );
            format!("one list of {entry} has no room in the cache of {all}")
        },
    );
    check.require(
        config.watch.is_empty() || cache.enabled,
        &["cache.enabled"],
        || "a `[[watch]]` notices nothing without the cache; turn it on".to_owned(),
    );
    check.mistakes
}

fn addresses(config: &Config, check: &mut Check<'_>) {
    let listen = &config.listen;
    check.require(
        listen.tls_cert.is_some() == listen.tls_key.is_some(),
        &["listen.tls_cert", "listen.tls_key"],
        || "a certificate and its key go together; set both or neither".to_owned(),
    );
    let (proxy, admin) = (&listen.proxy, &listen.admin);
    check.require(
        listen.tls().is_none() || proxy.tcp().is_some() || admin.tcp().is_some(),
        &["listen.tls_cert"],
        || "nobody would see it: Unix sockets are served without TLS".to_owned(),
    );
    check.require(
        !share(proxy, admin),
        &["listen.admin", "listen.proxy"],
        || {
            let instead = match admin {
                Address::Tcp(_) => "ports",
                Address::Unix(_) => "sockets",
            };
            format!("proxy and admin side cannot share {admin}; give them two {instead}")
        },
    );
    let url = &config.upstream.url;
    let host = match url.host().trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    };
    check.require(
        !host
            .zip(proxy.tcp())
            .is_some_and(|(ip, proxy)| overlap(proxy, SocketAddr::new(ip, url.port()))),
        &["upstream.url", "listen.proxy"],
        || format!("{url} is the proxy itself, which would ask itself for ever"),
    );
}

fn bounds(config: &Config, check: &mut Check<'_>) {
    let Config {
        upstream,
        limits,
        identity,
        cache,
        ..
    } = config;
    for (key, duration) in [
        ("upstream.connect_timeout", upstream.connect_timeout),
        ("upstream.request_timeout", upstream.request_timeout),
        ("limits.header_timeout", limits.header_timeout),
        ("limits.body_timeout", limits.body_timeout),
        ("identity.ttl", identity.ttl),
    ] {
        check.require(duration > Duration::ZERO, &[key], || {
            "must be longer than 0s".to_owned()
        });
    }
    let removes_all = config.audit.retention == Retention::For(Duration::ZERO);
    check.require(!removes_all, &["audit.retention"], || {
        "must be longer than 0s; `never` keeps events for good".to_owned()
    });
    for (key, number) in [
        ("limits.max_connections", limits.max_connections),
        ("limits.max_in_flight", limits.max_in_flight),
    ] {
        check.require((1..=MOST).contains(&number), &[key], || {
            format!("{number} is out of range; allowed: 1 to {MOST}")
        });
    }
    for (key, size) in [
        ("cache.max_size", cache.max_size),
        ("cache.max_entry_size", cache.max_entry_size),
    ] {
        check.require(size > ByteSize::b(0), &[key], || {
            "must be more than 0B; `cache.enabled = false` turns the cache off".to_owned()
        });
    }
}

/// Whether two listeners would be in each other's way.
fn share(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => overlap(*one, *other),
        _ => one == other,
    }
}

/// Whether a listener at one address takes what is meant for the other. Port 0 becomes a free one.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    // `[::]` takes IPv4 as well.
    let covers =
        |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let same =
        one.ip() == other.ip() || covers(one.ip(), other.ip()) || covers(other.ip(), one.ip());
    one.port() == other.port() && one.port() != 0 && same
}

struct Check<'a> {
    origins: &'a Origins,
    broken: &'a BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

// === impl Check ===

impl Check<'_> {
    /// Notes a mistake of the first of `keys` that somebody set, unless `holds`.
    fn require(&mut self, holds: bool, keys: &[&str], problem: impl FnOnce() -> String) {
        if holds || keys.iter().any(|key| self.broken.contains(*key)) {
            return;
        }
        let set = keys
            .iter()
            .find(|key| *self.origins.of(key) != Origin::Default);
        if let Some(key) = set.or(keys.first()) {
            let origin = self.origins.of(key).clone();
            self.mistakes.push(Mistake {
                origin,
                key: Some((*key).to_owned()),
                problem: problem(),
            });
        }
    }
}
