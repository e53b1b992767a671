//! Whether a list is answered from the cache, and how the answer says so (RFC 9211). Pure.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderValue};
use tokio::time::{Duration, Instant};

use super::entry::Entry;

/// What becomes of a read of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kept list is fresh, and for how many seconds more.
    Hit {
        /// Whole seconds.
        ttl: u64,
    },
    /// A list is asked of upstream, and why.
    Forward(Why),
}

/// Why a request goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// There is no such list, or it is from before a change.
    UriMiss,
    /// The kept list is too old.
    Stale,
    /// The caller asked for a new one.
    Request,
    /// It is a change.
    Method,
    /// It is not a matter for the cache.
    Bypass(Bypass),
}

/// Why a request is not a matter for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bypass {
    /// Nobody may get a list from the cache without a credential.
    NoCredential,
    /// A change is under way: nothing is served from the cache or stored.
    ChangeInFlight,
    /// Such requests are never cached.
    NotCached,
}

/// What the caller says of caching (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-cache`: a kept list will not do.
    pub no_cache: bool,
    /// `no-store`: the answer is not to be kept.
    pub no_store: bool,
    /// `max-age`: the oldest that will do.
    pub max_age: Option<Duration>,
}

/// Decides over the kept list `entry`, which is there only if nothing has outdated it.
#[must_use]
pub fn verdict(entry: Option<&Entry>, caller: Directives, now: Instant, ttl: Duration) -> Verdict {
    if caller.no_cache {
        return Verdict::Forward(Why::Request);
    }
    let Some(age) = entry.map(|entry| entry.age(now)) else {
        return Verdict::Forward(Why::UriMiss);
    };
    match ttl.checked_sub(age) {
        // A list that upstream failed to renew will be served from here, within `stale_if_error`.
        None | Some(Duration::ZERO) => Verdict::Forward(Why::Stale),
        Some(_) if caller.max_age.is_some_and(|max_age| age > max_age) => {
            Verdict::Forward(Why::Request)
        }
        Some(left) => Verdict::Hit {
            ttl: left.as_secs(),
        },
    }
}

/// `Cache-Status` of a hit.
#[must_use]
pub fn hit(ttl: u64) -> HeaderValue {
    HeaderValue::try_from(format!("tollgate; hit; ttl={ttl}")).expect("digits and plain text")
}

/// `Cache-Status` of an answer from upstream.
#[must_use]
pub fn forwarded(why: Why, stored: bool, collapsed: bool) -> HeaderValue {
    let text = match (why, stored, collapsed) {
        (Why::UriMiss, _, true) => "tollgate; fwd=uri-miss; collapsed",
        (Why::UriMiss, true, false) => "tollgate; fwd=uri-miss; stored",
        (Why::UriMiss, false, false) => "tollgate; fwd=uri-miss",
        (Why::Stale, _, true) => "tollgate; fwd=stale; collapsed",
        (Why::Stale, true, false) => "tollgate; fwd=stale; stored",
        (Why::Stale, false, false) => "tollgate; fwd=stale",
        (Why::Request, _, true) => "tollgate; fwd=request; collapsed",
        (Why::Request, true, false) => "tollgate; fwd=request; stored",
        (Why::Request, false, false) => "tollgate; fwd=request",
        (Why::Method, ..) => "tollgate; fwd=method",
        (Why::Bypass(Bypass::NoCredential), ..) => "tollgate; fwd=bypass; detail=no-credential",
        (Why::Bypass(Bypass::ChangeInFlight), _, true) => {
            "tollgate; fwd=bypass; collapsed; detail=change-in-flight"
        }
        (Why::Bypass(Bypass::ChangeInFlight), _, false) => {
            "tollgate; fwd=bypass; detail=change-in-flight"
        }
        (Why::Bypass(Bypass::NotCached), ..) => "tollgate; fwd=bypass; detail=not-cached",
    };
    HeaderValue::from_static(text)
}

// === impl Why ===

impl Why {
    /// The label `result` of the metric.
    #[must_use]
    pub fn metric(self, collapsed: bool) -> &'static str {
        match self {
            _ if collapsed => "collapsed",
            Self::UriMiss => "miss",
            Self::Stale => "expired",
            Self::Request => "requested",
            Self::Method | Self::Bypass(_) => "bypass",
        }
    }
}

// === impl Directives ===

impl Directives {
    /// Reads `Cache-Control`, and `Pragma` where there is none (RFC 9111 §5.4).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut controlled = false;
        for value in headers.get_all(CACHE_CONTROL) {
            controlled = true;
            for directive in value.to_str().unwrap_or_default().split(',') {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "no-cache" => directives.no_cache = true,
                    "no-store" => directives.no_store = true,
                    "max-age" => {
                        let seconds = argument.trim().trim_matches('"').parse().unwrap_or(0);
                        directives.max_age = Some(Duration::from_secs(seconds));
                    }
                    _ => {}
                }
            }
        }
        let pragma = || {
            headers
                .get(PRAGMA)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"))
        };
        directives.no_cache |= !controlled && pragma();
        directives
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn directives(control: &str) -> Directives {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, control.parse().unwrap());
        Directives::of(&headers)
    }

    #[tokio::test]
    async fn a_list_is_fresh_for_its_time_and_no_longer() {
        let now = Instant::now();
        let entry = Entry::new(None, now, &HeaderMap::new(), Bytes::new());
        let after = |age| verdict(Some(&entry), Directives::default(), now + age, TTL);
        assert_eq!(after(Duration::ZERO), Verdict::Hit { ttl: 60 });
        assert_eq!(
            after(TTL - Duration::from_millis(1)),
            Verdict::Hit { ttl: 0 }
        );
        assert_eq!(after(TTL), Verdict::Forward(Why::Stale));
        assert_eq!(
            verdict(None, Directives::default(), now, TTL),
            Verdict::Forward(Why::UriMiss)
        );
    }

    #[tokio::test]
    async fn a_caller_may_want_it_newer() {
        let now = Instant::now();
        let entry = Entry::new(None, now, &HeaderMap::new(), Bytes::new());
        let asked = |control, age| {
            verdict(
                Some(&entry),
                directives(control),
                now + Duration::from_secs(age),
                TTL,
            )
        };
        assert_eq!(asked("no-cache", 0), Verdict::Forward(Why::Request));
        assert_eq!(asked("foo, Max-Age=5", 5), Verdict::Hit { ttl: 55 });
        assert_eq!(asked("max-age=5", 6), Verdict::Forward(Why::Request));
        assert_eq!(asked("private", 6), Verdict::Hit { ttl: 54 });
        assert!(directives("no-store").no_store);
        let mut old = HeaderMap::new();
        old.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        assert!(Directives::of(&old).no_cache);
    }

    #[test]
    fn hit_and_fwd_never_stand_together() {
        use Bypass::{ChangeInFlight, NoCredential, NotCached};
        let whys = [Why::UriMiss, Why::Stale, Why::Request, Why::Method];
        let bypasses = [NoCredential, ChangeInFlight, NotCached].map(Why::Bypass);
        for why in whys.into_iter().chain(bypasses) {
            for (stored, collapsed) in [(true, false), (false, false), (false, true)] {
                let text = forwarded(why, stored, collapsed);
                let text = text.to_str().unwrap();
                assert!(text.contains("; fwd=") && !text.contains("hit"), "{text}");
            }
        }
        assert_eq!(hit(42), "tollgate; hit; ttl=42");
    }
}
