//! What is set, in the words of the parts that it is set for.

use bytesize::ByteSize;

use crate::cache::verdict::Freshness;
use crate::config::{Config, Pace};
use crate::quota;
use crate::server::ServerLimits;

pub(super) fn freshness(config: &Config) -> Freshness {
    Freshness {
        ttl: config.cache.ttl,
        while_revalidate: config.cache.stale_while_revalidate,
        if_error: config.cache.stale_if_error,
        refusal: config.cache.refusal_ttl,
    }
}

pub(super) fn quota(config: &Config) -> quota::Settings {
    quota::Settings {
        reserve: config.quota.reserve.into(),
        pace: match config.quota.pace {
            Pace::After429 => quota::Pace::AfterLimit,
            Pace::Always => quota::Pace::Always,
            Pace::Off => quota::Pace::Never,
        },
        max_wait: config.quota.max_wait,
    }
}

pub(super) fn limits(config: &Config) -> ServerLimits {
    ServerLimits {
        header_timeout: config.limits.header_timeout,
        body_timeout: config.limits.body_timeout,
        shutdown_grace: config.limits.shutdown_grace,
    }
}

pub(super) fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
