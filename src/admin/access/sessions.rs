//! Sessions of people who logged in: in memory, so that a restart ends them all.
//!
//! **Guarantees**: a session ends twelve hours after it began, or an hour after it was last used, when its
//! person logs out, or when other tokens are set; then its cookie is worth nothing. What is kept is a hash of the cookie's value.

use std::fmt;
use std::time::Duration;

use axum_extra::extract::cookie::{Cookie, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::Known;

/// What the cookie is called.
pub(in crate::admin) const COOKIE: &str = "tollgate_session";

const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
const IDLE: Duration = Duration::from_secs(60 * 60);

// More people than ever look at it at once; the one who was not seen for longest goes first.
const MOST: u64 = 10_000;

/// See the [module](self). Cloning shares them.
#[derive(Clone)]
pub(in crate::admin) struct Sessions {
    begun: Cache<[u8; 32], Known>,
    secure: bool,
}

// === impl Sessions ===

impl Sessions {
    /// None yet. `secure`: the page is served under TLS, and the cookie is to go nowhere else.
    pub(in crate::admin) fn new(secure: bool) -> Self {
        let begun = Cache::builder()
            .max_capacity(MOST)
            // Not by how often they are used, as is usual: a new one would have no chance.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(LONGEST)
            .time_to_idle(IDLE)
            .build();
        Self { begun, secure }
    }

    /// Begins one; `None` if the system gives no random bytes. `is_secure`: somebody speaks TLS in front of
    /// this gateway.
    pub(in crate::admin) fn begin(&self, known: Known, is_secure: bool) -> Option<Cookie<'static>> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).ok()?;
        let id = URL_SAFE_NO_PAD.encode(id);
        self.begun.insert(hash(&id), known);
        let mut cookie = self.cookie(id);
        if is_secure {
            cookie.set_secure(true);
        }
        Some(cookie)
    }

    /// Whose it is, if it has not ended.
    pub(in crate::admin) fn get(&self, id: &str) -> Option<Known> {
        self.begun.get(&hash(id)).filter(Known::is_valid)
    }

    /// Ends one. The cookie that is returned tells the browser to forget it.
    pub(in crate::admin) fn end(&self, id: &str) -> Cookie<'static> {
        self.begun.invalidate(&hash(id));
        let mut cookie = self.cookie(String::new());
        cookie.make_removal();
        cookie
    }

    fn cookie(&self, id: String) -> Cookie<'static> {
        // Without an age of its own: the browser drops it when it is closed, and here it ends anyway.
        Cookie::build((COOKIE, id))
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.secure)
            .path("/")
            .build()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.begun.entry_count())
    }
}

fn hash(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::Principal;
    use super::*;
    use crate::config::Role;

    #[test]
    fn a_session_is_known_by_its_cookie_until_it_ends() {
        let sessions = Sessions::new(true);
        let principal = Principal {
            name: "ann".into(),
            role: Role::Reader,
            organizations: None,
        };
        let until = CancellationToken::new();
        let ann = Known {
            principal,
            until: until.clone(),
        };
        let cookie = sessions.begin(ann.clone(), false).unwrap();
        let other = sessions.begin(ann, false).unwrap();
        assert_ne!(cookie.value(), other.value());
        let sent = cookie.to_string();
        for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
            assert!(sent.contains(part), "{sent}");
        }
        assert_eq!(
            &*sessions.get(cookie.value()).unwrap().principal.name,
            "ann"
        );
        assert!(sessions.get("").is_none());
        let removal = sessions.end(cookie.value()).to_string();
        assert!(removal.contains("Max-Age=0"), "{removal}");
        assert!(sessions.get(cookie.value()).is_none());
        assert!(sessions.get(other.value()).is_some());
        until.cancel();
        assert!(
            sessions.get(other.value()).is_none(),
            "other tokens are set"
        );
        let plain = Sessions::new(false).cookie(String::new()).to_string();
        assert!(!plain.contains("Secure"), "{plain}");
    }
}
