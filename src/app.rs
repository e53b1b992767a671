//! One gateway: built from a configuration, run until it is told to stop.
//!
//! `serve`, `demo` and the tests take the same two calls. [`App::build`] opens, migrates, recovers and
//! binds, and tells its addresses; [`App::run`] ends when everything that it started has ended. Meanwhile
//! [`Reload::take`] changes what is set.

mod at_once;
mod past;
mod reload;
mod settings;
mod store;
mod tokens;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ConnectInfo;
use http::{Request, Response, Uri};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::util::{BoxCloneSyncService, MapRequest};
use tower::{Service, ServiceExt as _};

use self::at_once::AtOnce;
pub use self::reload::Reload;
pub use self::tokens::token_file;
use crate::admin::{self, Access, Admin, Slots, Tally};
use crate::body::Body;
use crate::cache::epochs::Epochs;
use crate::cache::fills::Fills;
use crate::cache::filters::Filters;
use crate::cache::lists::Lists;
use crate::cache::tags::Tags;
use crate::clock::Clock;
use crate::config::{Address, Config, Retention};
use crate::domain::action::Outcome;
use crate::domain::caller::Key;
use crate::domain::checkpoint::SigningKey;
use crate::domain::endpoint::Touches;
use crate::domain::proxies::Proxies;
use crate::layers::Inbound;
use crate::layers::audit::{Recorder, Turns};
use crate::layers::cache::CacheLayer;
use crate::ledger::Keeper;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::people::{Lookup, People};
use crate::quota::Quota;
use crate::secret_file;
use crate::server::{self, Handed, Listener, Server, ServerLimits, Sockets};
use crate::stack::{self, Parts, Proxy};
use crate::store::sqlite::SqliteStore;
use crate::store::{Identities, KnownGroups, Trail};
use crate::traces::{self, Traces};
use crate::upkeep::{self, Due, Signer};
use crate::upstream::{self, Upstream};
use crate::watch::{self, Watch};

/// See the [module](self).
pub struct App {
    proxy: (Arc<Listener>, Proxy),
    admin: (Arc<Listener>, Admin),
    new_token: Option<String>,
    at_once: AtOnce,
    limits: Live<ServerLimits>,
    reload: Reload,
    store: SqliteStore,
    signer: Signer,
    retention: (Retention, Clock),
    tasks: TaskTracker,
    watches: Vec<Watch>,
    keeper: Keeper,
    exporter: Option<traces::Exporter>,
}

/// How long the store may take to close, whatever was left of the grace.
const CLOSING: Duration = Duration::from_secs(5);

// === impl App ===

impl App {
    /// Makes everything ready, so that [`run`](Self::run) serves at once.
    ///
    /// # Errors
    ///
    /// What is missing or in the way, and what to do about it.
    pub async fn build(config: Config, clock: Clock) -> anyhow::Result<Self> {
        Self::build_on(config, clock, Handed::default()).await
    }

    /// The same, on sockets that were opened by somebody else.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn build_on(config: Config, clock: Clock, handed: Handed) -> anyhow::Result<Self> {
        let database = config.audit.database.path();
        let is_new_database = !database.exists();
        let (secret, is_new_key) =
            secret_file::read_or_make(&config.identity.key_file, "identity.key_file")?;
        if is_new_key && !is_new_database {
            tracing::warn!(
                "A new key was made beside an older trail: credentials in it can no longer be recognized. \
                 If identity.key_file {} was lost, restore it",
                config.identity.key_file.display()
            );
        }
        let key = Key::new(&secret);
        let (tokens, new_token) = tokens::read_or_make(&config)?;
        let metrics = Metrics::new();
        let (store, recovered) = SqliteStore::open(database, clock.clone())
            .await
            .with_context(|| format!("audit.database {}", database.display()))?;

        // Twice the time that a request is given: upstream may be as slow once more in applying it.
        let grace = config.upstream.request_timeout * 2;
        let epochs = Epochs::with_grace(grace);
        if past::is_doubtful(&store, clock.now(), grace).await? {
            epochs.close(Touches::Everything).land(Outcome::Unknown);
        }
        for touches in recovered.touches {
            epochs.close(touches).land(Outcome::Unknown);
        }
        for action in recovered.changes {
            metrics.event(action, Outcome::Unknown);
        }

        let tasks = TaskTracker::new();
        let quota = Quota::new(settings::quota(&config), clock.clone());
        let tags = Tags::new();
        let (traces, exporter) = traces(&config, &key, &metrics)?;
        let upstream = Upstream::new(
            config.upstream.connect_timeout,
            config.upstream.request_timeout,
            config.upstream.ca_file.as_deref(),
            metrics.clone(),
            traces.clone(),
        )?;
        let store_handle = Arc::new(store.clone());
        let trail: Arc<dyn Trail> = Arc::<SqliteStore>::clone(&store_handle);
        let known: Arc<dyn KnownGroups> = Arc::<SqliteStore>::clone(&store_handle);
        let identities: Arc<dyn Identities> = Arc::<SqliteStore>::clone(&store_handle);
        let expenses = Arc::<SqliteStore>::clone(&store_handle);
        let keeper = Keeper::new(quota.clone(), expenses, clock.clone());
        keeper.restore().await?;
        let people = People::new(
            identities,
            lookup(&config, &upstream, &epochs)?,
            quota.clone(),
            clock.clone(),
            tasks.clone(),
        );
        let at_once = AtOnce::of(&config.limits);
        let recorder = Live::from(Recorder {
            trail: Arc::clone(&trail),
            known: Arc::clone(&known),
            people,
            key: key.clone(),
            scope: config.audit.scope,
            on_failure: config.audit.on_failure,
            max_body_size: settings::bytes(config.audit.max_body_size),
            body_timeout: config.upstream.request_timeout,
            turns: Turns::default(),
            recent: past::recent(&store, clock.now()).await?,
            tags: tags.clone(),
            quota: quota.clone(),
            reserve: config.quota.reserve.into(),
            slots: at_once.changes.clone(),
            tasks: tasks.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        });
        let freshness = settings::freshness(&config);
        let longest = freshness.longest();
        let freshness = Live::from(freshness);
        let max_size = config.cache.max_size.as_u64();
        let lists = || Lists::new(max_size, longest, Arc::clone(&epochs), &metrics);
        let cache = CacheLayer {
            lists: config.cache.enabled.then(lists),
            tags,
            fills: Fills::new(at_once.fetches.clone()),
            epochs: Arc::clone(&epochs),
            known,
            freshness: freshness.clone(),
            filters: Filters::new(config.cache.filters),
            quota: quota.clone(),
            max_entry_size: settings::bytes(config.cache.max_entry_size),
            body_timeout: config.upstream.request_timeout,
            clock: clock.clone(),
            metrics: metrics.clone(),
        };

        let limits = Live::from(settings::limits(&config));
        let body_timeout = Live::from(config.limits.body_timeout);
        let on_failure = Live::from(config.audit.on_failure);
        let certificate = reload::certificate(&config)?;
        store::sample(&metrics, &store);
        if let Some(certificate) = certificate.clone() {
            metrics.sample_with(move |metrics| metrics.certificate(certificate.expires()));
        }
        let (proxy_listener, admin_listener) = server::listeners(&config.listen, handed).await?;
        let proxies = Proxies::new(config.identity.trusted_proxies.clone());
        let is_secure = config.listen.scheme(&config.listen.admin) == "https";
        let access = Access::new(tokens, is_secure, proxies);
        let admin = Admin {
            access: access.clone(),
            metrics: metrics.clone(),
            public_metrics: config.admin.public_metrics,
            readiness: store::readiness(
                &config,
                Arc::clone(&trail),
                &store,
                &upstream,
                on_failure.clone(),
                clock.clone(),
            ),
            reader: store.reader().clone(),
            trail: Arc::clone(&trail),
            heads: store.heads(),
            lists: cache.lists.clone(),
            keeper: keeper.clone(),
            tally: Tally::new(store.reader().clone(), clock.clone()),
            clock: clock.clone(),
            slots: Slots::default(),
            tasks: tasks.clone(),
            stop: CancellationToken::new(),
        };
        let signing = SigningKey::of(&key);
        let signer = Signer::new(store.clone(), signing, clock.clone(), Due::default()).await?;
        let retention = (config.audit.retention, clock.clone());
        let watched = config.watch.clone();
        for watch in &watched {
            // For the mistakes in it; each round reads it anew.
            watch::authorization(&watch.credential_file)?;
            secret_file::warn_if_shared(
                &watch.credential_file,
                "the credential_file of a [[watch]]",
            )?;
        }
        let reload = Reload {
            config: config.clone(),
            freshness,
            lists: cache.lists.clone(),
            quota: quota.clone(),
            recorder: recorder.clone(),
            on_failure,
            at_once: at_once.clone(),
            limits: limits.clone(),
            body_timeout: body_timeout.clone(),
            access,
            certificate,
            trail,
            clock: clock.clone(),
            tasks: tasks.clone(),
        };
        let parts = Parts {
            config,
            in_flight: at_once.requests.clone(),
            body_timeout,
            key: key.clone(),
            clock: clock.clone(),
            metrics,
            traces,
            epochs,
            recorder,
            cache,
            quota: quota.clone(),
        };
        let (proxy, lists) = stack::proxy(parts, upstream);
        let watches = watched.into_iter().map(|watch| Watch {
            organization: watch.organization,
            credential_file: watch.credential_file,
            every: watch.every,
            quota: quota.clone(),
            key: key.clone(),
            clock: clock.clone(),
            lists: lists.clone(),
        });
        Ok(Self {
            proxy: (Arc::new(proxy_listener), proxy),
            admin: (Arc::new(admin_listener), admin),
            reload,
            new_token,
            at_once,
            limits,
            store,
            signer,
            retention,
            tasks,
            watches: watches.collect(),
            keeper,
            exporter,
        })
    }

    /// Where the proxy listens.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn proxy_address(&self) -> std::io::Result<Address> {
        self.proxy.0.address()
    }

    /// Where the admin side listens.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn admin_address(&self) -> std::io::Result<Address> {
        self.admin.0.address()
    }

    /// What it listens on, for a binary that takes over.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        Sockets::of(&self.proxy.0, &self.admin.0)
    }

    /// The admin token, if it was made just now and nobody can know it yet.
    pub fn new_token(&self) -> Option<&str> {
        self.new_token.as_deref()
    }

    /// What takes over another configuration while the gateway [runs](Self::run).
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves until `stop`. Changes under way then end and are recorded, within
    /// `limits.shutdown_grace`; those that do not are found as intents by the next start.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            proxy,
            admin,
            reload,
            at_once,
            limits,
            store,
            signer,
            retention,
            tasks,
            watches,
            keeper,
            exporter,
            ..
        } = self;
        let certificate = reload.certificate;
        let shown = certificate.clone();
        let last = CancellationToken::new();
        let exporter = exporter.map(|exporter| tokio::spawn(exporter.run(last.clone())));
        let exporter = exporter.map(AbortOnDropHandle::new);
        for watch in watches {
            tasks.spawn(watch.run(stop.clone()));
        }
        let deadline = async {
            stop.cancelled().await;
            Instant::now() + limits.read().shutdown_grace
        };
        let (listener, service) = proxy;
        let proxy = Server::new(listener, at_once.proxy, limits.clone())
            .secured(certificate.clone())
            .run(move |peer| told(service.clone(), peer), stop.clone());
        let (listener, mut admin) = admin;
        admin.stop = stop.clone();
        tasks.spawn(admin.tally.clone().run(admin.heads.clone(), stop.clone()));
        let router = admin::router(admin);
        let admin = Server::new(listener, at_once.admin, limits.clone())
            .secured(certificate)
            .run(move |peer| served(router.clone(), peer), stop.clone());
        let warnings = upkeep::warnings::run(
            store.clone(),
            Box::new(move || Some(shown.as_ref()?.expires())),
            retention.1.clone(),
            stop.clone(),
        );
        let old = prune(store.clone(), retention, stop.clone());
        // One grace for all: connections first, then what their callers left behind.
        let (deadline, (), (), (), (), (), ()) = tokio::join!(
            deadline,
            proxy,
            admin,
            signer.run(stop.clone()),
            old,
            warnings,
            keeper.clone().run(stop.clone())
        );
        tasks.close();
        if tokio::time::timeout_at(deadline, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "Some changes have no outcome yet; the next start records them as unknown"
            );
        }
        // After the last request was counted.
        if let Err(error) = keeper.flush().await {
            tracing::warn!(%error, "What the quota was spent on at last could not be written");
        }
        // A statement that somebody's question began must not hold up the stop; what is committed is safe.
        let until = deadline.max(Instant::now() + CLOSING);
        if tokio::time::timeout_at(until, store.close()).await.is_err() {
            tracing::warn!("The database is still being read, and is left as it is");
        }
        // After the last span has ended.
        last.cancel();
        if let Some(exporter) = exporter
            && tokio::time::timeout_at(deadline, exporter).await.is_err()
        {
            tracing::warn!("The last traces are lost: limits.shutdown_grace is over");
        }
    }
}

// Removes old events for as long as the gateway runs, if it is to.
async fn prune(store: SqliteStore, retention: (Retention, Clock), stop: CancellationToken) {
    if let (Retention::For(keep), clock) = retention {
        upkeep::prune(store, keep, clock, stop).await;
    }
}

// The proxy, told who is at the other end.
fn told(
    proxy: Proxy,
    peer: SocketAddr,
) -> MapRequest<Proxy, impl FnMut(Request<Body>) -> Inbound + Clone> {
    proxy
        .clone()
        .map_request(move |request| Inbound { peer, request })
}

// The admin side's routes, as what a server serves to a peer.
fn served(
    router: axum::Router,
    peer: SocketAddr,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone
{
    router
        .map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        })
        .map_response(|answer: Response<axum::body::Body>| answer.map(Body::boxed))
}

fn traces(
    config: &Config,
    key: &Key,
    metrics: &Metrics,
) -> anyhow::Result<(Traces, Option<traces::Exporter>)> {
    let Some(endpoint) = &config.log.otlp_endpoint else {
        return Ok((Traces::default(), None));
    };
    // By the system's certificates: `upstream.ca_file` is about upstream.
    let timeout = config.upstream.connect_timeout;
    let connector = upstream::connector(timeout, timeout, None)?;
    let endpoint = endpoint.to_string();
    let (traces, exporter) = traces::channel(&endpoint, connector, key.clone(), metrics.clone())?;
    Ok((traces, Some(exporter)))
}

fn lookup(
    config: &Config,
    upstream: &Upstream,
    epochs: &Arc<Epochs>,
) -> anyhow::Result<Option<Lookup>> {
    if !config.identity.lookup {
        return Ok(None);
    }
    let url = &config.upstream.url;
    let me = Uri::builder()
        .scheme(url.scheme().clone())
        .authority(url.authority().clone())
        .path_and_query("/api/v9/me")
        .build()
        .context("upstream.url")?;
    let client = BoxCloneSyncService::new(upstream.clone());
    Ok(Some(Lookup {
        client,
        me,
        ttl: config.identity.ttl,
        epochs: Arc::clone(epochs),
    }))
}
