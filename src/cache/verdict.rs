//! Whether a list is answered from the cache, and how the answer says so (RFC 9211). Pure.
//!
//! **Guarantee** (DESIGN §1.4). A kept list is given out
//!
//! | age | while all is well | when upstream fails or the quota is scarce |
//! |---|---|---|
//! | up to `ttl` | as fresh | as fresh |
//! | then up to `stale_while_revalidate` more | as stale, and one fetch begins | as stale |
//! | up to `ttl` + `stale_if_error` | not | as stale |
//! | older | not | not |
//!
//! and always says which it is. What a change touched is not in here at all: such a list is found by
//! nobody ([`Epochs`](super::epochs::Epochs)), so none of this leads back across a change.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Duration, Instant};

use super::entry::Entry;

/// For how long lists are given out.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// So long a list is fresh.
    pub ttl: Duration,
    /// So long after `ttl` it is given out while it is fetched anew (RFC 5861 §3).
    pub while_revalidate: Duration,
    /// So long after `ttl` it is given out in place of an error (RFC 5861 §4).
    pub if_error: Duration,
    /// So long a refusal is repeated.
    pub refusal: Duration,
}

// === impl Freshness ===

impl Freshness {
    /// How old a list may be that is still given out for any reason.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.ttl + self.while_revalidate.max(self.if_error)
    }
}

/// What becomes of a read of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kept list is fresh, and for how many seconds more.
    Hit {
        /// Whole seconds.
        ttl: i64,
    },
    /// It is just past its time: it is given out, and fetched anew for the next.
    Revalidate {
        /// Whole seconds, below nothing.
        ttl: i64,
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

/// Why a list is given out that is no longer fresh, or not as new as its reader wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// It is being fetched anew.
    Revalidating,
    /// What is left of the quota is for changes, or nothing is left.
    Quota,
    /// Upstream failed.
    StaleIfError,
    /// Upstream has not answered yet.
    Slow,
    /// It was cut out of the whole list.
    Filtered,
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
    /// `max-stale`: so far past its time it will still do; said by nobody, as far as the configuration
    /// allows.
    pub max_stale: Option<Duration>,
}

/// Decides over the kept list `entry`, which is there only if nothing has outdated it.
#[must_use]
pub fn verdict(
    entry: Option<&Entry>,
    caller: Directives,
    now: Instant,
    freshness: &Freshness,
) -> Verdict {
    if caller.no_cache {
        return Verdict::Forward(Why::Request);
    }
    let Some(entry) = entry else {
        return Verdict::Forward(Why::UriMiss);
    };
    let age = entry.age(now);
    if caller.max_age.is_some_and(|max_age| age > max_age) {
        return Verdict::Forward(Why::Request);
    }
    let left = left(age, entry, freshness);
    if age < ttl(entry, freshness) {
        return Verdict::Hit { ttl: left };
    }
    // Who says how old it may be wants none that is past its time (RFC 9111 §5.2.1.1).
    let revalidates = entry.is_list()
        && caller.max_age.is_none()
        && age < freshness.ttl + freshness.while_revalidate
        && is_within(caller, age, freshness);
    if revalidates {
        Verdict::Revalidate { ttl: left }
    } else {
        Verdict::Forward(Why::Stale)
    }
}

/// How many seconds `entry` is fresh for (below nothing: is past its time), if it may be given out
/// although the reader would get a newer one were it to be had.
#[must_use]
pub fn in_place_of_an_error(
    entry: &Entry,
    caller: Directives,
    now: Instant,
    freshness: &Freshness,
) -> Option<i64> {
    // Who wants it new, and nothing that is past its time, takes an error rather than any kept list.
    let only_new = caller.no_cache && caller.max_stale == Some(Duration::ZERO);
    let age = entry.age(now);
    let may = entry.is_list()
        && !only_new
        && age < freshness.ttl + freshness.if_error
        && is_within(caller, age, freshness);
    may.then(|| left(age, entry, freshness))
}

fn ttl(entry: &Entry, freshness: &Freshness) -> Duration {
    if entry.is_list() {
        freshness.ttl
    } else {
        freshness.refusal
    }
}

fn is_within(caller: Directives, age: Duration, freshness: &Freshness) -> bool {
    let past = age.checked_sub(freshness.ttl);
    past.is_none_or(|past| caller.max_stale.is_none_or(|most| past < most))
}

// Rounded down: nobody is told more than there is.
fn left(age: Duration, entry: &Entry, freshness: &Freshness) -> i64 {
    let ttl = ttl(entry, freshness);
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match ttl.checked_sub(age) {
        Some(left) => seconds(left),
        None => -seconds(age - ttl),
    }
}

/// `Cache-Status` of an answer from the cache, without asking upstream.
#[must_use]
pub fn hit(ttl: i64, detail: Option<Detail>) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    let ttl = digits.format(ttl);
    // As long as it is: one allocation, for each hit has one of its own.
    let text = match detail {
        None => ["tollgate; hit; ttl=", ttl].concat(),
        Some(detail) => ["tollgate; hit; ttl=", ttl, "; detail=", detail.as_str()].concat(),
    };
    HeaderValue::try_from(text).expect("digits and plain text")
}

/// `Cache-Status` of a kept list that is given out although upstream was asked; `status` is what
/// upstream answered, if it did.
#[must_use]
pub fn instead(why: Why, status: Option<StatusCode>, ttl: i64, detail: Detail) -> HeaderValue {
    let why = match why {
        Why::Request => "request",
        Why::UriMiss | Why::Stale | Why::Method | Why::Bypass(_) => "stale",
    };
    let status = status.map_or_else(String::new, |status| {
        format!("; fwd-status={}", status.as_u16())
    });
    let detail = detail.as_str();
    let text = format!("tollgate; fwd={why}{status}; ttl={ttl}; detail={detail}");
    HeaderValue::try_from(text).expect("digits and plain text")
}

/// `Cache-Status` of an answer from upstream.
#[must_use]
pub fn forwarded(why: Why, stored: bool, collapsed: bool) -> HeaderValue {
    // Made by the compiler: a value made of a text at run time is looked at byte by byte.
    macro_rules! says {
        ($text:literal) => {
            const { HeaderValue::from_static($text) }
        };
    }
    match (why, stored, collapsed) {
        (Why::UriMiss, _, true) => says!("tollgate; fwd=uri-miss; collapsed"),
        (Why::UriMiss, true, false) => says!("tollgate; fwd=uri-miss; stored"),
        (Why::UriMiss, false, false) => says!("tollgate; fwd=uri-miss"),
        (Why::Stale, _, true) => says!("tollgate; fwd=stale; collapsed"),
        (Why::Stale, true, false) => says!("tollgate; fwd=stale; stored"),
        (Why::Stale, false, false) => says!("tollgate; fwd=stale"),
        (Why::Request, _, true) => says!("tollgate; fwd=request; collapsed"),
        (Why::Request, true, false) => says!("tollgate; fwd=request; stored"),
        (Why::Request, false, false) => says!("tollgate; fwd=request"),
        (Why::Method, ..) => says!("tollgate; fwd=method"),
        (Why::Bypass(Bypass::NoCredential), ..) => {
            says!("tollgate; fwd=bypass; detail=no-credential")
        }
        (Why::Bypass(Bypass::ChangeInFlight), _, true) => {
            says!("tollgate; fwd=bypass; collapsed; detail=change-in-flight")
        }
        (Why::Bypass(Bypass::ChangeInFlight), _, false) => {
            says!("tollgate; fwd=bypass; detail=change-in-flight")
        }
        (Why::Bypass(Bypass::NotCached), ..) => says!("tollgate; fwd=bypass; detail=not-cached"),
    }
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

// === impl Detail ===

impl Detail {
    /// As `Cache-Status` says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revalidating => "revalidating",
            Self::Quota => "quota",
            Self::StaleIfError => "stale-if-error",
            Self::Slow => "slow",
            Self::Filtered => "filtered",
        }
    }

    /// The label `result` of the metric.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Revalidating => "revalidating",
            Self::Quota => "stale_quota",
            Self::StaleIfError => "stale_error",
            Self::Slow => "stale_slow",
            Self::Filtered => "filtered",
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
                    "max-age" => directives.max_age = Some(seconds(argument)),
                    // Without a number: however far (RFC 9111 §5.2.1.2).
                    "max-stale" if argument.is_empty() => {}
                    "max-stale" => directives.max_stale = Some(seconds(argument)),
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

// What cannot be read is taken for the strictest.
fn seconds(argument: &str) -> Duration {
    Duration::from_secs(argument.trim().trim_matches('"').parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESHNESS: Freshness = Freshness {
        ttl: Duration::from_secs(60),
        while_revalidate: Duration::from_secs(30),
        if_error: Duration::from_secs(3600),
        refusal: Duration::from_secs(10),
    };

    fn directives(control: &str) -> Directives {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, control.parse().unwrap());
        Directives::of(&headers)
    }

    fn entry(status: StatusCode) -> Entry {
        Entry::new(None, Instant::now(), status, &HeaderMap::new(), b"[]")
    }

    fn after(entry: &Entry, seconds: u64, control: &str) -> Verdict {
        let now = entry.fetched + Duration::from_secs(seconds);
        verdict(Some(entry), directives(control), now, &FRESHNESS)
    }

    fn failed_after(entry: &Entry, seconds: u64, control: &str) -> Option<i64> {
        let now = entry.fetched + Duration::from_secs(seconds);
        in_place_of_an_error(entry, directives(control), now, &FRESHNESS)
    }

    #[tokio::test]
    async fn a_list_is_fresh_for_its_time_and_then_given_out_while_it_is_fetched() {
        let list = entry(StatusCode::OK);
        assert_eq!(after(&list, 0, ""), Verdict::Hit { ttl: 60 });
        assert_eq!(after(&list, 59, ""), Verdict::Hit { ttl: 1 });
        let last = list.fetched + FRESHNESS.ttl - Duration::from_millis(1);
        let last = verdict(Some(&list), Directives::default(), last, &FRESHNESS);
        assert_eq!(last, Verdict::Hit { ttl: 0 });
        assert_eq!(after(&list, 60, ""), Verdict::Revalidate { ttl: 0 });
        assert_eq!(after(&list, 72, ""), Verdict::Revalidate { ttl: -12 });
        assert_eq!(after(&list, 90, ""), Verdict::Forward(Why::Stale));
        let none = verdict(None, Directives::default(), list.fetched, &FRESHNESS);
        assert_eq!(none, Verdict::Forward(Why::UriMiss));
    }

    #[tokio::test]
    async fn in_place_of_an_error_it_is_given_out_for_longer_and_not_for_ever() {
        let list = entry(StatusCode::OK);
        assert_eq!(failed_after(&list, 30, ""), Some(30));
        assert_eq!(failed_after(&list, 360, ""), Some(-300));
        assert_eq!(failed_after(&list, 3659, ""), Some(-3599));
        assert_eq!(failed_after(&list, 3660, ""), None);
    }

    #[tokio::test]
    async fn a_refusal_is_repeated_for_its_own_time_and_in_place_of_nothing() {
        let refusal = entry(StatusCode::NOT_FOUND);
        assert_eq!(after(&refusal, 9, ""), Verdict::Hit { ttl: 1 });
        assert_eq!(after(&refusal, 10, ""), Verdict::Forward(Why::Stale));
        assert_eq!(failed_after(&refusal, 5, ""), None);
    }

    #[tokio::test]
    async fn a_caller_may_want_it_newer() {
        let list = entry(StatusCode::OK);
        let newer = Verdict::Forward(Why::Request);
        assert_eq!(after(&list, 0, "no-cache"), newer);
        assert_eq!(after(&list, 5, "foo, Max-Age=5"), Verdict::Hit { ttl: 55 });
        assert_eq!(after(&list, 6, "max-age=5"), newer);
        assert_eq!(after(&list, 6, "max-age=nonsense"), newer);
        assert_eq!(after(&list, 6, "private"), Verdict::Hit { ttl: 54 });
        let stale = Verdict::Forward(Why::Stale);
        assert_eq!(after(&list, 70, "max-age=3600"), stale);
        assert_eq!(after(&list, 70, "max-stale=0"), stale);
        assert_eq!(after(&list, 70, "max-stale=10"), stale);
        let revalidated = Verdict::Revalidate { ttl: -10 };
        assert_eq!(after(&list, 70, "max-stale=11"), revalidated);
        assert_eq!(after(&list, 70, "max-stale"), revalidated);
        assert_eq!(after(&list, 59, "max-stale=0"), Verdict::Hit { ttl: 1 });
        assert_eq!(failed_after(&list, 70, "max-stale=0"), None);
        assert_eq!(failed_after(&list, 70, "max-age=5"), Some(-10));
        assert_eq!(failed_after(&list, 5, "no-cache"), Some(55));
        assert_eq!(failed_after(&list, 5, "no-cache, max-stale=0"), None);
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
        assert_eq!(hit(42, None), "tollgate; hit; ttl=42");
        let revalidating = hit(-12, Some(Detail::Revalidating));
        assert_eq!(revalidating, "tollgate; hit; ttl=-12; detail=revalidating");
        let spent = Some(StatusCode::PAYMENT_REQUIRED);
        assert_eq!(
            instead(Why::Stale, spent, -300, Detail::StaleIfError),
            "tollgate; fwd=stale; fwd-status=402; ttl=-300; detail=stale-if-error"
        );
        assert_eq!(
            instead(Why::Request, None, 5, Detail::Slow),
            "tollgate; fwd=request; ttl=5; detail=slow"
        );
    }
}
