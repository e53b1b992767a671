//! What a running gateway takes over from a configuration that was read anew, and what has changed.
//!
//! **Guarantee**: each key that differs is told, either as changed or as one that needs a restart. A key that is not
//! named in [`Config::renewed`] needs one, and is told once more until there was one.

use std::fmt;

use serde_json::{Value, json};

use super::{Admin, Audit, Cache, Config, Limits, Listen, Log, Quota};

/// A key with another value. A secret has changed without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The key, as in `cache.ttl`.
    pub key: &'static str,
    /// Its value before.
    pub from: Option<String>,
    /// Its value now.
    pub to: Option<String>,
}

// === impl Config ===

impl Config {
    /// This one, with what can change without a restart as `new` says.
    #[must_use]
    pub fn renewed(&self, new: &Self) -> Self {
        // Whether TLS is spoken is decided when the listeners are made, with which certificate is not.
        let with_tls = self.listen.tls().and(new.listen.tls()).is_some();
        let listen = if with_tls { &new.listen } else { &self.listen };
        Self {
            listen: Listen {
                tls_cert: listen.tls_cert.clone(),
                tls_key: listen.tls_key.clone(),
                ..self.listen.clone()
            },
            cache: Cache {
                ttl: new.cache.ttl,
                stale_while_revalidate: new.cache.stale_while_revalidate,
                stale_if_error: new.cache.stale_if_error,
                refusal_ttl: new.cache.refusal_ttl,
                ..self.cache.clone()
            },
            quota: Quota {
                reserve: new.quota.reserve,
                pace: new.quota.pace,
                max_wait: new.quota.max_wait,
            },
            audit: Audit {
                scope: new.audit.scope,
                on_failure: new.audit.on_failure,
                max_body_size: new.audit.max_body_size,
                ..self.audit.clone()
            },
            limits: Limits {
                max_connections: new.limits.max_connections,
                max_in_flight: new.limits.max_in_flight,
                header_timeout: new.limits.header_timeout,
                body_timeout: new.limits.body_timeout,
                shutdown_grace: new.limits.shutdown_grace,
            },
            admin: Admin {
                token: new.admin.token.clone(),
                tokens: new.admin.tokens.clone(),
                ..self.admin.clone()
            },
            log: Log {
                filter: new.log.filter.clone(),
                ..self.log.clone()
            },
            ..self.clone()
        }
    }

    /// The keys that have another value in `new`. What stands in files, such as a token, is not looked at.
    #[must_use]
    pub fn differences(&self, new: &Self) -> Vec<Changed> {
        let keys = self.rows().into_iter().zip(new.rows());
        let keys = keys.filter(|(one, other)| one.value != other.value);
        let mut changed: Vec<_> = keys
            .map(|(one, other)| Changed {
                key: one.key,
                from: one.value,
                to: other.value,
            })
            .collect();
        if self.watch != new.watch {
            changed.push(Changed::untold("watch"));
        }
        changed
    }
}

// === impl Changed ===

impl Changed {
    /// One whose values are not told.
    #[must_use]
    pub fn untold(key: &'static str) -> Self {
        Self {
            key,
            from: None,
            to: None,
        }
    }

    /// As an event has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "key": self.key, "from": self.from, "to": self.to })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self;
        if from.is_none() && to.is_none() {
            return f.write_str(key);
        }
        let [from, to] = [from, to].map(|value| value.as_deref().unwrap_or("(none)"));
        write!(f, "{key}: {from} → {to}")
    }
}
