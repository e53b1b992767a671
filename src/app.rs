//! One gateway: built from a configuration, run until it is told to stop.
//!
//! `serve`, `demo` and the tests take the same two calls. [`App::build`] opens, migrates, recovers and
//! binds, and tells its addresses; [`App::run`] ends when everything that it started has ended.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ConnectInfo;
use http::{Request, Response, Uri};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::util::{BoxCloneSyncService, MapRequest};
use tower::{Service, ServiceExt as _};

use crate::admin::{
    self, Access, Admin, Principal, Readiness, Slots, Tally, Token, Tokens, Watched,
};
use crate::body::Body;
use crate::cache::epochs::Epochs;
use crate::cache::fills::Fills;
use crate::cache::filters::Filters;
use crate::cache::lists::Lists;
use crate::cache::tags::Tags;
use crate::cache::verdict::Freshness;
use crate::clock::Clock;
use crate::config::{self, Address, Config, Pace, Retention, Role};
use crate::domain::action::{Action, Outcome};
use crate::domain::caller::Key;
use crate::domain::checkpoint::SigningKey;
use crate::domain::endpoint::Touches;
use crate::domain::proxies::Proxies;
use crate::layers::Inbound;
use crate::layers::audit::{RECENT, Recent, Recorder, Turns};
use crate::layers::cache::CacheLayer;
use crate::ledger::Keeper;
use crate::metrics::{Disk, Metrics};
use crate::people::{Lookup, People};
use crate::quota::{self, Quota};
use crate::secret_file;
use crate::server::{self, Certificate, Handed, Listener, Server, ServerLimits, Sockets};
use crate::stack::{self, Parts, Proxy};
use crate::store::filter::Filter;
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
    certificate: Option<Certificate>,
    new_token: Option<String>,
    limits: ServerLimits,
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

/// As many events as a start looks back over.
const MOST_RECENT: u32 = 1000;

/// The file with the admin token that is made where none is set.
const TOKEN_FILE: &str = "tollgate.token";

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
        let (tokens, new_token) = admin_tokens(&config)?;
        let metrics = Metrics::new();
        let (store, recovered) = SqliteStore::open(database, clock.clone())
            .await
            .with_context(|| format!("audit.database {}", database.display()))?;

        // Twice the time that a request is given: upstream may be as slow once more in applying it.
        let grace = config.upstream.request_timeout * 2;
        let epochs = Epochs::with_grace(grace);
        if is_doubtful(&store, clock.now(), grace).await? {
            epochs.close(Touches::Everything).land(Outcome::Unknown);
        }
        for touches in recovered.touches {
            epochs.close(touches).land(Outcome::Unknown);
        }
        for action in recovered.changes {
            metrics.event(action, Outcome::Unknown);
        }
        sample(&metrics, &store);

        let tasks = TaskTracker::new();
        let quota = Quota::new(quota_settings(&config), clock.clone());
        let tags = Tags::new();
        let (traces, exporter) = traces(&config, &key, &metrics)?;
        let upstream = Upstream::new(
            config.upstream.connect_timeout,
            config.upstream.request_timeout,
            config.upstream.ca_file.as_deref(),
            metrics.clone(),
        )?
        .traced(traces.clone());
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
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let recorder = Recorder {
            trail: Arc::clone(&trail),
            known: Arc::clone(&known),
            people,
            key: key.clone(),
            scope: config.audit.scope,
            on_failure: config.audit.on_failure,
            max_body_size: bytes(config.audit.max_body_size),
            body_timeout: config.upstream.request_timeout,
            turns: Turns::default(),
            recent: recent(&store, clock.now()).await?,
            tags: tags.clone(),
            quota: quota.clone(),
            reserve: config.quota.reserve.into(),
            slots: Arc::new(Semaphore::new(config.limits.max_in_flight)),
            tasks: tasks.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let longest = config.cache.ttl
            + config
                .cache
                .stale_while_revalidate
                .max(config.cache.stale_if_error);
        let max_size = config.cache.max_size.as_u64();
        let lists = || Lists::new(max_size, longest, Arc::clone(&epochs), &metrics);
        let cache = CacheLayer {
            lists: config.cache.enabled.then(lists),
            tags,
            fills: Fills::new(config.limits.max_in_flight),
            epochs: Arc::clone(&epochs),
            known,
            freshness: Freshness {
                ttl: config.cache.ttl,
                while_revalidate: config.cache.stale_while_revalidate,
                if_error: config.cache.stale_if_error,
                refusal: config.cache.refusal_ttl,
            },
            filters: Filters::new(config.cache.filters),
            quota: quota.clone(),
            max_entry_size: bytes(config.cache.max_entry_size),
            body_timeout: config.upstream.request_timeout,
            clock: clock.clone(),
            metrics: metrics.clone(),
        };

        let limits = ServerLimits {
            max_connections: config.limits.max_connections,
            header_timeout: config.limits.header_timeout,
            body_timeout: config.limits.body_timeout,
            shutdown_grace: config.limits.shutdown_grace,
        };
        let certificate = certificate(&config)?;
        let (proxy_listener, admin_listener) = server::listeners(&config.listen, handed).await?;
        let proxies = Proxies::new(config.identity.trusted_proxies.clone());
        let is_secure = config.listen.scheme(&config.listen.admin) == "https";
        let admin = Admin {
            access: Access::new(tokens, is_secure, proxies),
            metrics: metrics.clone(),
            public_metrics: config.admin.public_metrics,
            readiness: readiness(
                &config,
                Arc::clone(&trail),
                &store,
                &upstream,
                clock.clone(),
            ),
            reader: store.reader().clone(),
            trail,
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
        let reserve = config.quota.reserve;
        for watch in &watched {
            // For the mistakes in it; each round reads it anew.
            watch::authorization(&watch.credential_file)?;
            secret_file::warn_if_shared(
                &watch.credential_file,
                "the credential_file of a [[watch]]",
            )?;
        }
        let parts = Parts {
            config,
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
            reserve,
            quota: quota.clone(),
            key: key.clone(),
            clock: clock.clone(),
            lists: lists.clone(),
        });
        Ok(Self {
            proxy: (Arc::new(proxy_listener), proxy),
            admin: (Arc::new(admin_listener), admin),
            certificate,
            new_token,
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

    /// What is shown to whoever connects, where there is TLS.
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// Serves until `stop`. Changes under way then end and are recorded, within
    /// `limits.shutdown_grace`; those that do not are found as intents by the next start.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            proxy,
            admin,
            certificate,
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
        let last = CancellationToken::new();
        let exporter = exporter.map(|exporter| tokio::spawn(exporter.run(last.clone())));
        let exporter = exporter.map(AbortOnDropHandle::new);
        for watch in watches {
            tasks.spawn(watch.run(stop.clone()));
        }
        let deadline = async {
            stop.cancelled().await;
            Instant::now() + limits.shutdown_grace
        };
        let (listener, service) = proxy;
        let proxy = Server::new(listener, limits)
            .secured(certificate.clone())
            .run(move |peer| told(service.clone(), peer), stop.clone());
        let (listener, mut admin) = admin;
        admin.stop = stop.clone();
        tasks.spawn(admin.tally.clone().run(admin.heads.clone(), stop.clone()));
        let router = admin::router(admin);
        let admin = Server::new(listener, limits)
            .secured(certificate)
            .run(move |peer| served(router.clone(), peer), stop.clone());
        let old = prune(store.clone(), retention, stop.clone());
        // One grace for all: connections first, then what their callers left behind.
        let (deadline, (), (), (), (), ()) = tokio::join!(
            deadline,
            proxy,
            admin,
            signer.run(stop.clone()),
            old,
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

fn readiness(
    config: &Config,
    trail: Arc<dyn Trail>,
    store: &SqliteStore,
    upstream: &Upstream,
    clock: Clock,
) -> Readiness {
    let path = config.audit.database.path();
    let file = path.file_name().unwrap_or(path.as_os_str());
    let store = store.clone();
    Readiness::new(Watched {
        trail,
        file: file.to_string_lossy().into_owned(),
        free: Box::new(move || Some(store.room().ok()?.free)),
        on_failure: config.audit.on_failure,
        upstream: upstream.health(),
        clock,
    })
}

// Has the store's own figures told with the others.
fn sample(metrics: &Metrics, store: &SqliteStore) {
    let store = store.clone();
    metrics.sample_with(move |metrics| {
        for (organization, so_far) in store.noticed() {
            metrics.noticed(organization, so_far);
        }
        // Without its file there is nothing to tell of it, and `tollgate_ready` says so.
        if let Ok(room) = store.room() {
            metrics.disk(Disk {
                database: room.database,
                free: room.free,
                size: room.size,
            });
        }
    });
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

// Whether a change that ended without an outcome may still be applied: the grace outlives a restart.
async fn is_doubtful(store: &SqliteStore, now: Timestamp, grace: Duration) -> anyhow::Result<bool> {
    // What was never sent upstream changed nothing there, however it ended.
    let sent = Action::ALL.into_iter().filter(|action| !action.is_own());
    let unknown = Filter {
        actions: sent.map(|action| action.to_string()).collect(),
        outcome: Some(Outcome::Unknown.to_string()),
        ..Filter::default()
    };
    let page = store.reader().events(&unknown, None, 1).await?;
    let last = page
        .events
        .first()
        .and_then(|event| event.completed_at.parse::<Timestamp>().ok());
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    Ok(last.is_some_and(|at| now.duration_since(at) < grace))
}

// What was changed just before a restart has to do with what comes just after it.
async fn recent(store: &SqliteStore, now: Timestamp) -> anyhow::Result<Recent> {
    let of_late = Filter {
        since: now.checked_sub(RECENT).ok(),
        ..Filter::default()
    };
    let mut page = store.reader().events(&of_late, None, MOST_RECENT).await?;
    page.events.reverse();
    Ok(Recent::of(&page.events))
}

// What listens in TLS shows it; without one, nothing does.
fn certificate(config: &Config) -> anyhow::Result<Option<Certificate>> {
    let Some((chain, key)) = config.listen.tls() else {
        return Ok(None);
    };
    let certificate = Certificate::read(chain, key)?;
    secret_file::warn_if_shared(key, "listen.tls_key")?;
    Ok(Some(certificate))
}

// Those who may see the admin side; and the administrator's token, if it was made just now.
fn admin_tokens(config: &Config) -> anyhow::Result<(Tokens, Option<String>)> {
    let (text, is_new) = match &config.admin.token {
        Some(token) => (token.expose().to_owned(), false),
        None => {
            // Beside the key: both are this gateway's own, and a container keeps both in its volume.
            let path: PathBuf = config.identity.key_file.with_file_name(TOKEN_FILE);
            let (secret, is_new) = secret_file::read_or_make(&path, "the admin token's file")?;
            (hex::encode(secret), is_new)
        }
    };
    let administrator = Principal {
        // No further token may be called so.
        name: config::ADMINISTRATOR.into(),
        role: Role::Admin,
        organizations: None,
    };
    let mut tokens = vec![(Token::new(&text), administrator)];
    for further in &config.admin.tokens {
        let what = format!("the token_file of [[admin.tokens]] {:?}", further.name);
        let token = Token::new(&secret_file::read_line(&further.token_file, &what)?);
        secret_file::warn_if_shared(&further.token_file, &what)?;
        if tokens.iter().any(|(known, _)| *known == token) {
            anyhow::bail!("{what} holds the token of somebody else too: give each their own");
        }
        let all = further.organizations.is_empty();
        let principal = Principal {
            name: further.name.as_str().into(),
            role: further.role,
            organizations: (!all).then(|| further.organizations.clone().into()),
        };
        tokens.push((token, principal));
    }
    Ok((Tokens::new(tokens), is_new.then_some(text)))
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
    let connector = upstream::connector(config.upstream.connect_timeout, None)?;
    let endpoint = endpoint.to_string();
    let (traces, exporter) = traces::channel(&endpoint, connector, key.clone(), metrics.clone())?;
    Ok((traces, Some(exporter)))
}

fn quota_settings(config: &Config) -> quota::Settings {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Source;
    use crate::domain::own::{self, Operator};
    use crate::store::suite::{at, clock, intent};

    #[tokio::test]
    async fn an_export_that_a_crash_ended_leaves_nothing_in_doubt_upstream() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let operator = Operator {
            name: Some("root".into()),
            source: Source::default(),
            by: "GET",
            asked: "/api/events/export".into(),
        };
        let crashed = async |intents: Vec<_>| {
            let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
            for intent in intents {
                store.intend(intent).await.unwrap();
            }
            store.close().await;
            let (store, recovered) = SqliteStore::open(&path, clock()).await.unwrap();
            let grace = Duration::from_secs(60);
            let doubtful = is_doubtful(&store, at(3_600), grace).await.unwrap();
            store.close().await;
            let metrics = Metrics::new();
            for action in recovered.changes {
                metrics.event(action, Outcome::Unknown);
            }
            let counted = metrics.text();
            let unknown = |line: &&str| line.starts_with("tollgate_audit_unknown_outcomes_total ");
            let counted = counted.lines().find(unknown).unwrap().to_owned();
            (doubtful, counted.rsplit(' ').next().unwrap().to_owned())
        };
        let export = || own::exporting(&operator, None, at(20));
        assert_eq!(crashed(vec![export()]).await, (false, "0".to_owned()));
        let both = vec![intent(10), export()];
        assert_eq!(crashed(both).await, (true, "1".to_owned()));
    }
}
