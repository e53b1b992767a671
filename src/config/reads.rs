//! What happens to a read: the cache, and how it spares the quota.

use std::time::Duration;

use bytesize::ByteSize;

use super::macros::{choice, section};

section! {
    /// The cache of group lists.
    "cache" Cache {
        /// Whether lists are cached at all. Default: `true`.
        enabled: bool = true,
        /// How long a list is fresh. Default: `60s`.
        ttl: Duration = Duration::from_secs(60),
        /// How long after `ttl` a list is still served while it is fetched anew. Default: `30s`.
        stale_while_revalidate: Duration = Duration::from_secs(30),
        /// How long after `ttl` a list is still served when upstream fails or the quota is gone.
        /// Default: `1h`.
        stale_if_error: Duration = Duration::from_secs(60 * 60),
        /// The bytes of all lists together. Default: `256MiB`.
        max_size: ByteSize = ByteSize::mib(256),
        /// The bytes of the largest list that is kept. Default: `8MiB`.
        max_entry_size: ByteSize = ByteSize::mib(8),
        /// Where a filtered list comes from. Default: `off`.
        filters: Filters = Filters::Off,
        /// How long a 403 or 404 to a list is remembered for the credential; `0s` is off. Default:
        /// `10s`.
        refusal_ttl: Duration = Duration::from_secs(10),
    }
}

choice! {
    /// Where a list that a `name` or a `workspace` filters comes from.
    Filters {
        /// Upstream filters.
        Off = "off",
        /// Upstream filters; the same is computed from the whole list, and a difference is told.
        Verify = "verify",
        /// It is computed from the fresh whole list of the same credential.
        On = "on",
    }
}

section! {
    /// How requests are spared when upstream counts them.
    "quota" Quota {
        /// Requests kept for changes: with no more left, lists are served stale. Default: `10`.
        reserve: u32 = 10,
        /// When the requests of a token are spaced. Default: `after-429`.
        pace: Pace = Pace::After429,
        /// The longest time a request is held back to space it. Default: `10s`.
        max_wait: Duration = Duration::from_secs(10),
    }
}

choice! {
    /// When the requests of a token go up one a second, changes first.
    Pace {
        /// For a minute after upstream answered 429.
        After429 = "after-429",
        /// At any time.
        Always = "always",
        /// Never.
        Off = "off",
    }
}
