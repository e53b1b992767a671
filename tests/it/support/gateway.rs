//! One gateway in this process, with a folder and ports of its own.
//!
//! A test ends with [`Gateway::stop`], which drains it and then holds it to what is true of every
//! gateway at every time: the chain verifies, no intent is left, no credential is in a file or in the
//! log. A gateway that is dropped without it fails the test.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use rustls::pki_types::CertificateDer;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tollgate::app::App;
use tollgate::clock::Clock;
use tollgate::config::{Config, Sources};
use tollgate::domain::caller::{Credential, Key};
use tollgate::domain::event::Event;
use tollgate::secret_file;
use tollgate::simulator::{Person, SESSION_COOKIE, Toggl};
use tollgate::store::filter::Filter;
use tollgate::store::sqlite::{Reader, Verdict};

use super::certificate::{Made, TLS_CERT, TLS_KEY};
use super::client::{Base, Client};
use super::{eventually, log, soon};

const DATABASE: &str = "tollgate.db";
const KEY_FILE: &str = "tollgate.key";

/// See the [module](self).
#[must_use = "end the test with `stop().await`, which checks the trail and looks for secrets"]
pub(crate) struct Gateway {
    toggl: Option<Toggl>,
    people: Vec<Person>,
    folder: TempDir,
    config: Config,
    clock: Clock,
    proxy: Base,
    admin: Base,
    token: String,
    certificate: Option<CertificateDer<'static>>,
    running: Option<Running>,
    leaves_intents: bool,
    secrets: Vec<String>,
    log_start: usize,
    checked: bool,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A gateway that has not started yet.
#[must_use = "it serves nothing until it is started"]
pub(crate) struct Builder {
    toggl: Option<Toggl>,
    folder: TempDir,
    config: Config,
    clock: Clock,
    certificate: Option<CertificateDer<'static>>,
}

// === impl Builder ===

impl Builder {
    /// Changes what is set.
    pub(crate) fn config(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(&mut self.config);
        self
    }

    /// What time it is, for people.
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Listens in TLS, with a certificate of its own that its clients believe.
    pub(crate) fn tls(mut self) -> Self {
        let made = Made::new();
        made.write_to(self.folder());
        self.config.listen.tls_cert = Some(self.folder().join(TLS_CERT));
        self.config.listen.tls_key = Some(self.folder().join(TLS_KEY));
        self.certificate = Some(made.certificate);
        self
    }

    /// The folder that will be its own, to put files into.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Why it cannot start.
    pub(crate) async fn refused(self) -> String {
        let app = App::build(self.config, self.clock).await;
        format!("{:#}", app.err().expect("it does not start"))
    }

    /// Opens the ports and serves.
    pub(crate) async fn start(self) -> Gateway {
        let log_start = log::start();
        let mut gateway = Gateway {
            people: self.toggl.as_ref().map(Toggl::people).unwrap_or_default(),
            toggl: self.toggl,
            folder: self.folder,
            config: self.config,
            clock: self.clock,
            proxy: Base::default(),
            admin: Base::default(),
            token: String::new(),
            certificate: self.certificate,
            running: None,
            leaves_intents: false,
            secrets: Vec::new(),
            log_start,
            checked: false,
        };
        gateway.resume().await;
        gateway
    }
}

// === impl Gateway ===

impl Gateway {
    /// A gateway in front of the simulator.
    pub(crate) fn before(toggl: &Toggl) -> Builder {
        let mut builder = Self::in_front_of(&toggl.url());
        builder.toggl = Some(toggl.clone());
        builder
    }

    /// A gateway in front of any server.
    pub(crate) fn in_front_of(url: &str) -> Builder {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| folder.path().join(name).display().to_string();
        let set = [
            ("UPSTREAM__URL", url.to_owned()),
            ("LISTEN__PROXY", "127.0.0.1:0".to_owned()),
            ("LISTEN__ADMIN", "127.0.0.1:0".to_owned()),
            ("AUDIT__DATABASE", format!("sqlite://{}", file(DATABASE))),
            ("IDENTITY__KEY_FILE", file(KEY_FILE)),
        ];
        let variables: BTreeMap<_, _> = set
            .into_iter()
            .map(|(key, value)| (format!("TOLLGATE_{key}"), value))
            .collect();
        let sources = Sources {
            file: None,
            variables,
        };
        let (config, _) = Config::load(&sources).expect("a configuration without mistakes");
        Builder {
            toggl: None,
            folder,
            config,
            clock: Clock::system(),
            certificate: None,
        }
    }

    /// Where the tools go, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        text_of(&self.proxy)
    }

    /// Where the people go who run it.
    pub(crate) fn admin_url(&self) -> String {
        text_of(&self.admin)
    }

    /// The proxy's `HOST:PORT`, for who speaks TCP to it.
    pub(crate) fn address(&self) -> String {
        let url = self.url();
        let (_, address) = url.split_once("://").expect("a scheme");
        address.to_owned()
    }

    /// The tool of the simulator's person of that name, with their API token.
    #[track_caller]
    pub(crate) fn client(&self, name: &str) -> Client {
        let toggl = self.toggl.as_ref().expect("a simulator with people");
        self.stranger().authorized(&toggl.authorization(name))
    }

    /// The same person with address and password.
    #[track_caller]
    pub(crate) fn password_client(&self, name: &str) -> Client {
        let person = self.person(name);
        self.stranger()
            .authorized(&basic(&person.email, &person.password))
    }

    /// The same person with the cookie of a session.
    #[track_caller]
    pub(crate) fn session_client(&self, name: &str) -> Client {
        let cookie = format!("{SESSION_COOKIE}={}", self.person(name).session);
        self.stranger().with(COOKIE.as_str(), &cookie)
    }

    /// A tool without a credential.
    pub(crate) fn stranger(&self) -> Client {
        self.tool(&self.proxy)
    }

    /// Somebody with the admin token.
    pub(crate) fn admin(&self) -> Client {
        let bearer = format!("Bearer {}", self.token);
        self.admin_stranger().authorized(&bearer)
    }

    /// Somebody at the admin side without a token.
    pub(crate) fn admin_stranger(&self) -> Client {
        self.tool(&self.admin)
    }

    fn tool(&self, base: &Base) -> Client {
        let tool = Client::new(Arc::clone(base));
        match &self.certificate {
            Some(certificate) => tool.trusting(certificate),
            None => tool,
        }
    }

    /// The certificate, if it listens in TLS.
    #[track_caller]
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone().expect("a gateway with TLS")
    }

    /// The admin token.
    pub(crate) fn admin_token(&self) -> &str {
        &self.token
    }

    /// Returns when a metric has this value; `metric` is its name with its labels.
    pub(crate) async fn measures(&self, metric: &str, value: usize) {
        let (admin, line) = (self.admin(), format!("{metric} {value}"));
        eventually(&line, async || {
            let metrics = admin.get("/metrics").await.assert_ok().text();
            metrics.lines().any(|metric| metric == line).then_some(())
        })
        .await;
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// The folder with the database, the key and the token.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What was logged since the start, by this gateway and those that ran beside it.
    pub(crate) fn log(&self) -> String {
        log::since(self.log_start)
    }

    /// Another text that must be in no file and not in the log.
    pub(crate) fn must_not_keep(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }

    /// Changes what is set, for the next [`restart`](Self::restart).
    pub(crate) fn configure(&mut self, set: impl FnOnce(&mut Config)) {
        set(&mut self.config);
    }

    /// Changes under way at the end may be without an event.
    pub(crate) fn leaves_intents(&mut self) {
        self.leaves_intents = true;
    }

    /// Every event, oldest first.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let reader = Reader::open(&self.database()).await.unwrap();
        let page = reader.events(&Filter::default(), None, 100_000).await;
        let mut events = page.unwrap().events;
        events.reverse();
        events
    }

    /// Every event, oldest first, when there are so many.
    pub(crate) async fn events_when(&self, count: usize) -> Vec<Event> {
        eventually(&format!("there are {count} events"), async || {
            Some(self.events().await).filter(|events| events.len() >= count)
        })
        .await
    }

    /// The trail as people read it, oldest first: `ann  group.update  applied  renamed …`.
    ///
    /// Who did it is told by the credential, so it does not depend on when Toggl told who that is.
    pub(crate) async fn trail(&self) -> String {
        self.told(&self.events().await)
    }

    fn told(&self, events: &[Event]) -> String {
        let handles = self.handles();
        let lines = events.iter().map(|event| {
            let credential = event.actor.credential_id.as_deref();
            let actor = match credential {
                None => "nobody",
                Some(id) => handles.get(id).map_or("somebody", String::as_str),
            };
            let Event {
                action,
                outcome,
                summary,
                ..
            } = event;
            format!("{actor}  {action}  {outcome}  {summary}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The rows that a query gives, each with its columns between `|`.
    pub(crate) async fn sql(&self, query: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new()
            .filename(self.database())
            .read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(&pool);
        let rows = rows.await.unwrap();
        pool.close().await;
        let row = |row: &sqlx::sqlite::SqliteRow| {
            let cell = |index: usize| {
                let value = row.try_get_raw(index).unwrap();
                match value.type_info().name() {
                    _ if value.is_null() => String::new(),
                    "INTEGER" => row.get::<i64, _>(index).to_string(),
                    "REAL" => row.get::<f64, _>(index).to_string(),
                    "BLOB" => hex::encode(row.get::<Vec<u8>, _>(index)),
                    _ => row.get_unchecked::<String, _>(index),
                }
            };
            let cells = row.columns().iter().map(|column| cell(column.ordinal()));
            cells.collect::<Vec<_>>().join("|")
        };
        rows.iter().map(row).collect()
    }

    /// Alters the database behind the gateway's back.
    pub(crate) async fn tamper(&self, statement: &str) {
        let options = SqliteConnectOptions::new().filename(self.database());
        let mut connection = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
    }

    /// Whether the trail is as it was written.
    pub(crate) async fn verify(&self) -> Verdict {
        let reader = Reader::open(&self.database()).await.unwrap();
        reader.verify().await.unwrap()
    }

    /// Tells it to stop, and comes back at once: what is under way goes on.
    pub(crate) fn signal(&self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }

    /// Drains it, and leaves its folder as it is.
    pub(crate) async fn halt(&mut self) {
        let running = self.running.take().expect("it runs");
        running.stop.cancel();
        soon("the gateway has drained", running.task).await.unwrap();
    }

    /// Starts it again, on the same folder.
    pub(crate) async fn resume(&mut self) {
        let app = App::build(self.config.clone(), self.clock.clone()).await;
        let app = app.expect("a gateway that can start");
        if let Some(token) = app.new_token() {
            token.clone_into(&mut self.token);
        } else if let Some(token) = &self.config.admin.token {
            token.expose().clone_into(&mut self.token);
        }
        let url = |address| format!("{}://{address}", self.config.listen.scheme(&address));
        put(&self.proxy, url(app.proxy_address().unwrap()));
        put(&self.admin, url(app.admin_address().unwrap()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        self.running = Some(Running { stop, task });
    }

    /// Drains it and starts it again, on the same folder and other ports; its clients go with it.
    pub(crate) async fn restart(&mut self) {
        self.halt().await;
        self.resume().await;
    }

    /// Drains it, and checks what is true of every gateway.
    pub(crate) async fn stop(mut self) {
        if self.running.is_some() {
            self.halt().await;
        }
        self.checked = true;
        let verdict = self.verify().await;
        assert!(
            matches!(verdict, Verdict::Intact { .. }),
            "the trail is broken: {verdict:?}"
        );
        if !self.leaves_intents {
            let intents = self.sql("SELECT * FROM audit_intents").await;
            assert!(intents.is_empty(), "intents are left: {intents:#?}");
        }
        self.assert_no_secret_is_kept();
    }

    /// Fails if a credential is in a file of the gateway, or in the log.
    #[track_caller]
    pub(crate) fn assert_no_secret_is_kept(&self) {
        let secrets = self.secrets();
        for (place, text) in self.places() {
            for secret in &secrets {
                if let Some(at) = text.find(secret.as_str()) {
                    let start = text.floor_char_boundary(at.saturating_sub(300));
                    let end = text.ceil_char_boundary(at + 300);
                    panic!("{place} holds the secret {secret}: …{}…", &text[start..end]);
                }
            }
        }
    }

    // Everything that outlives a request, as text.
    fn places(&self) -> Vec<(String, String)> {
        let mut places = vec![("the log".to_owned(), self.log())];
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                places.push((path.display().to_string(), text));
            }
        }
        places
    }

    // Of everybody there was at the start, and of everybody there is now.
    fn secrets(&self) -> Vec<String> {
        let now = self.toggl.as_ref().map(Toggl::people).unwrap_or_default();
        let people = self.people.iter().chain(&now);
        let mut secrets: Vec<_> = people.flat_map(secrets_of).collect();
        secrets.extend(self.secrets.iter().cloned());
        secrets.sort();
        secrets.dedup();
        secrets
    }

    // By the fingerprint of each credential that somebody has, what they are called.
    fn handles(&self) -> HashMap<String, String> {
        let (secret, _) = secret_file::read_or_make(&self.config.identity.key_file, "").unwrap();
        let key = Key::new(&secret);
        let mut handles = HashMap::new();
        for person in &self.people {
            let token = (AUTHORIZATION, basic(&person.token, "api_token"));
            let login = (AUTHORIZATION, basic(&person.email, &person.password));
            let session = (COOKIE, format!("{SESSION_COOKIE}={}", person.session));
            for (name, value) in [token, login, session] {
                let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
                let credential = Credential::of(&headers).unwrap();
                handles.insert(
                    key.fingerprint(&credential).to_string(),
                    person.handle.clone(),
                );
            }
        }
        handles
    }

    #[track_caller]
    fn person(&self, name: &str) -> Person {
        let toggl = self.toggl.as_ref().expect("a simulator with people");
        toggl.person(name)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
        assert!(
            self.checked || std::thread::panicking(),
            "the test ended without `gate.stop().await`, which checks the trail and looks for secrets"
        );
    }
}

/// `Basic …`
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn secrets_of(person: &Person) -> Vec<String> {
    vec![
        person.token.clone(),
        person.password.clone(),
        person.session.clone(),
        STANDARD.encode(format!("{}:api_token", person.token)),
        STANDARD.encode(format!("{}:{}", person.email, person.password)),
    ]
}

fn text_of(base: &Base) -> String {
    base.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn put(base: &Base, url: String) {
    *base.lock().unwrap_or_else(PoisonError::into_inner) = url;
}
