//! Takes over a configuration while the gateway runs.
//!
//! **Guarantees** (CONTRACT §2): all or nothing. What can be wrong, the files that the configuration names included,
//! is looked at before anything changes. What cannot change without a restart is left as it is and named, here and at
//! each further reload until there was one. No request waits: each reads what is set when it needs it, and a change
//! keeps to what was set for it when it began.
//!
//! What changed is a line of the log and an event. The event may fail, and nothing waits for it: whoever repairs a
//! gateway whose store is broken gets that done.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::at_once::AtOnce;
use super::{settings, tokens};
use crate::admin::{Access, Tokens};
use crate::cache::lists::Lists;
use crate::cache::verdict::Freshness;
use crate::clock::Clock;
use crate::config::{Changed, Config, OnFailure};
use crate::domain::event::Source;
use crate::domain::own::{self, Operator};
use crate::layers::audit::Recorder;
use crate::live::Live;
use crate::quota::Quota;
use crate::secret_file;
use crate::server::{Certificate, ServerLimits};
use crate::store::Trail;

/// See the [module](self).
#[derive(Clone)]
pub struct Reload {
    /// What is set now.
    pub(super) config: Config,
    pub(super) freshness: Live<Freshness>,
    pub(super) lists: Option<Lists>,
    pub(super) quota: Quota,
    pub(super) recorder: Live<Recorder>,
    pub(super) on_failure: Live<OnFailure>,
    pub(super) at_once: AtOnce,
    pub(super) limits: Live<ServerLimits>,
    pub(super) body_timeout: Live<Duration>,
    pub(super) access: Access,
    pub(super) certificate: Option<Certificate>,
    pub(super) trail: Arc<dyn Trail>,
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
}

/// What the configuration names and does not hold.
struct Files {
    tokens: Tokens,
    certificate: Option<Certificate>,
}

// === impl Reload ===

impl Reload {
    /// Takes over `new`, as far as a gateway can that runs.
    ///
    /// # Errors
    ///
    /// What is wrong with which file; then nothing has changed.
    pub async fn take(&mut self, new: &Config) -> anyhow::Result<()> {
        let renewed = self.config.renewed(new);
        let named = renewed.clone();
        let files = tokio::task::spawn_blocking(move || Files::read(&named));
        let files = files.await.context("the files were not read")??;

        let mut changed = self.config.differences(&renewed);
        let needs_restart = renewed.differences(new);
        self.set(&renewed);
        self.config = renewed;
        changed.extend(self.use_certificate(files.certificate.as_ref()));
        for token in self.use_tokens(files.tokens) {
            // Told already where the key itself has changed.
            if changed.iter().all(|changed| changed.key != token.key) {
                changed.push(token);
            }
        }
        self.tell(&changed, &needs_restart);
        Ok(())
    }

    fn set(&self, config: &Config) {
        let freshness = settings::freshness(config);
        if let Some(lists) = &self.lists {
            lists.keep_for(freshness.longest());
        }
        self.freshness.replace(freshness);
        self.quota.set(settings::quota(config));
        self.at_once.set(&config.limits);
        self.limits.replace(settings::limits(config));
        self.body_timeout.replace(config.limits.body_timeout);
        self.on_failure.replace(config.audit.on_failure);
        let recorder = self.recorder.hold();
        self.recorder.replace(Recorder {
            scope: config.audit.scope,
            on_failure: config.audit.on_failure,
            max_body_size: settings::bytes(config.audit.max_body_size),
            reserve: config.quota.reserve.into(),
            ..Recorder::clone(&recorder)
        });
    }

    fn use_certificate(&self, new: Option<&Certificate>) -> Option<Changed> {
        let replaced = self.certificate.as_ref()?.replace(new?);
        (replaced.before != replaced.now).then_some(Changed {
            key: "listen.tls_cert",
            from: Some(replaced.before),
            to: Some(replaced.now),
        })
    }

    fn use_tokens(&self, new: Tokens) -> Vec<Changed> {
        let keys = self.access.tokens().differences(&new);
        self.access.set(new);
        keys.into_iter().map(Changed::untold).collect()
    }

    fn tell(&self, changed: &[Changed], needs_restart: &[Changed]) {
        let list = |changed: &[Changed]| {
            let each: Vec<_> = changed.iter().map(ToString::to_string).collect();
            each.join(", ")
        };
        let mut summary = match changed {
            [] => "nothing has changed".to_owned(),
            changed => list(changed),
        };
        if !needs_restart.is_empty() {
            summary.push_str("; needs a restart: ");
            summary.push_str(&list(needs_restart));
        }
        tracing::info!("The configuration was read anew: {summary}");
        if changed.is_empty() && needs_restart.is_empty() {
            return;
        }
        let all = |changed: &[Changed]| changed.iter().map(Changed::to_json).collect::<Vec<_>>();
        let what = json!({ "changed": all(changed), "needs_restart": all(needs_restart) });
        let operator = Operator {
            name: None,
            source: Source::default(),
            by: "SIGNAL",
            asked: "SIGHUP".to_owned(),
        };
        let event = own::reloaded(&operator, what, summary, self.clock.now());
        let trail = Arc::clone(&self.trail);
        self.tasks.spawn(async move {
            if let Err(error) = trail.complete(event, vec![]).await {
                tracing::warn!(%error, "The configuration is another one, and that could not be recorded");
            }
        });
    }
}

// === impl Files ===

impl Files {
    fn read(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            tokens: tokens::read(config)?,
            certificate: certificate(config)?,
        })
    }
}

/// What listens in TLS shows it; without one, nothing does.
pub(super) fn certificate(config: &Config) -> anyhow::Result<Option<Certificate>> {
    let Some((chain, key)) = config.listen.tls() else {
        return Ok(None);
    };
    let certificate = Certificate::read(chain, key)?;
    secret_file::warn_if_shared(key, "listen.tls_key")?;
    Ok(Some(certificate))
}
