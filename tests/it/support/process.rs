//! The real binary as a process of its own, which can be killed: `tollgate serve` in a folder of its
//! own.
//!
//! A [`Folder`] outlives the processes that run in it. `Folder::start` gives a [`Process`];
//! [`Process::kill`] and [`Process::stop`] give the folder back, so that a test cannot talk to a
//! gateway that it has ended. What a gateway writes goes to files of the folder, like its database, so
//! that a test can look at everything that was written.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tollgate::domain::event::Event;
use tollgate::store::filter::Filter;
use tollgate::store::sqlite::{Reader, Verdict};

use super::{Client, eventually};

/// Where a gateway keeps its files, and what is set for it.
pub(crate) struct Folder {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// A gateway that runs. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    /// `None` once it was given back.
    folder: Option<Folder>,
    proxy: String,
    admin: String,
}

/// An upstream that is not there: no test can be given this port.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// The binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

const DATABASE: &str = "tollgate.db";
const LOG: &str = "log.ndjson";
const OUTPUT: &str = "output.txt";

// === impl Folder ===

impl Folder {
    /// For a gateway before the server at `upstream`.
    pub(crate) fn before(upstream: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = Self {
            directory,
            variables: Vec::new(),
        };
        folder
            .set("upstream.url", upstream)
            .set("listen.proxy", "127.0.0.1:0")
            .set("listen.admin", "127.0.0.1:0")
            .set("audit.database", "sqlite://tollgate.db")
            .set("identity.key_file", "tollgate.key")
            .set("log.format", "json")
    }

    /// Sets a key of the configuration, also for starts to come.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let (section, name) = key.split_once('.').expect("a section and a key");
        let name = format!("TOLLGATE_{section}__{name}").to_uppercase();
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Starts the gateway, and comes back when it listens.
    pub(crate) async fn start(self) -> Process {
        self.start_as(Command::new(BINARY)).await
    }

    /// The same, started in another way.
    pub(crate) async fn start_as(self, mut command: Command) -> Process {
        let logged = self.log().len();
        let handed: Vec<_> = command.get_envs().map(owned).collect();
        let mut child = command
            .arg("serve")
            .env_clear()
            .envs(self.variables.iter().cloned())
            .envs(handed)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(self.append(OUTPUT))
            .stderr(self.append(LOG))
            .spawn()
            .expect("the binary starts");
        let line = eventually("the gateway listens", async || {
            let log = self.log();
            let line = log[logged..]
                .lines()
                .find(|line| line.contains("Tollgate listens on"))
                .map(str::to_owned);
            if line.is_none()
                && let Some(status) = child.try_wait().expect("a child of ours")
            {
                panic!("the gateway ended with {status}: {}", &log[logged..]);
            }
            line
        })
        .await;
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        let scheme = match self
            .variables
            .iter()
            .any(|(name, _)| name.ends_with("TLS_CERT"))
        {
            true => "https",
            false => "http",
        };
        let address = |name: &str| {
            let address = line[name].as_str().expect("an address");
            format!("{scheme}://{address}")
        };
        Process {
            child,
            proxy: address("proxy"),
            admin: address("admin"),
            folder: Some(self),
        }
    }

    /// What it says, and its exit code, where it cannot start.
    pub(crate) fn start_in_vain(&self) -> (String, Option<i32>) {
        let ran = Command::new(BINARY)
            .arg("serve")
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(self.path())
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        (said, ran.status.code())
    }

    /// Where the files are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Everything that was logged, over all starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join(LOG)).unwrap_or_default()
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join(DATABASE)
    }

    /// The trail, oldest first.
    pub(crate) async fn trail(&self) -> Vec<Event> {
        let reader = self.reader().await;
        let (filter, mut events, mut before) = (Filter::default(), Vec::new(), None);
        loop {
            let page = reader.events(&filter, before, 500).await;
            let page = page.expect("a trail that can be read");
            events.extend(page.events);
            before = page.next;
            if before.is_none() {
                events.reverse();
                return events;
            }
        }
    }

    /// Runs another command of the binary in the folder. Gives what it prints, and how it ended.
    pub(crate) fn run(&self, arguments: &[&str]) -> (String, ExitStatus) {
        let ran = Command::new(BINARY)
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(self.path())
            .output()
            .expect("the binary starts");
        (
            String::from_utf8_lossy(&ran.stdout).into_owned(),
            ran.status,
        )
    }

    /// What a walk along the chain finds.
    pub(crate) async fn verify(&self) -> Verdict {
        let verdict = self.reader().await.verify().await;
        verdict.expect("a database that can be read")
    }

    /// The chain holds, with so many rows.
    #[track_caller]
    pub(crate) fn assert_intact(&self, rows: usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.verify().await {
                Verdict::Intact { rows: found, .. } => {
                    assert_eq!(usize::try_from(found), Ok(rows), "{caller}");
                }
                Verdict::Broken { fault, .. } => panic!("{caller}: {fault}"),
            }
        }
    }

    /// A connection that may write, as a stranger's tool would have one.
    pub(crate) async fn sqlite(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database());
        // The gateway may write all the time, and the machine have other things to do.
        let options = options.busy_timeout(Duration::from_secs(60));
        options.connect().await.expect("a database")
    }

    /// Does something to the database, past the gateway.
    pub(crate) async fn execute(&self, sql: impl Into<String>) {
        let mut connection = self.sqlite().await;
        let sql = AssertSqlSafe(sql.into());
        let done = sqlx::raw_sql(sql).execute(&mut connection).await;
        done.expect("a statement that works");
        connection.close().await.expect("a connection that closes");
    }

    /// One number out of the database.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = self.sqlite().await;
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        connection.close().await.expect("a connection that closes");
        number.expect("a number")
    }

    async fn reader(&self) -> Reader {
        let reader = Reader::open(&self.database()).await;
        reader.expect("an audit database")
    }

    fn append(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true);
        file.open(self.path().join(name)).expect("a file")
    }
}

fn owned((name, value): (&OsStr, Option<&OsStr>)) -> (OsString, OsString) {
    (name.into(), value.unwrap_or_default().into())
}

// === impl Process ===

impl Process {
    /// A tool that talks to it.
    pub(crate) fn client(&self, authorization: &str) -> Client {
        Client::of(&self.proxy).authorized(authorization)
    }

    /// A tool without a credential.
    pub(crate) fn stranger(&self) -> Client {
        Client::of(&self.proxy)
    }

    /// Somebody who talks to the admin side, without a token.
    pub(crate) fn admin(&self) -> Client {
        Client::of(&self.admin)
    }

    /// `host:port` of the proxy.
    pub(crate) fn address(&self) -> &str {
        self.proxy.split_once("://").expect("a scheme").1
    }

    /// `host:port` of the admin side.
    pub(crate) fn admin_address(&self) -> &str {
        self.admin.split_once("://").expect("a scheme").1
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bytes of memory that are its own.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a process that runs");
        let own = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        own.expect("a line").parse::<u64>().expect("a number") << 10
    }

    /// Returns when a line with `text` was logged.
    pub(crate) async fn logged(&self, text: &str) {
        eventually(text, async || self.log().contains(text).then_some(())).await;
    }

    /// Ends it at once, as a power cut would: `SIGKILL`.
    pub(crate) fn kill(mut self) -> Folder {
        self.child.kill().expect("a process that runs");
        self.child.wait().expect("a child of ours");
        self.folder.take().expect("given back only here")
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) -> (Folder, ExitStatus) {
        self.terminate();
        self.ended().await
    }

    /// Asks it to end: `SIGTERM`.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Has it read anew what it can: `SIGHUP`.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    /// Has the binary that is there now take over: `SIGUSR2`.
    pub(crate) fn succeed(&self) {
        self.signal("USR2");
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid])
            .status();
        assert!(sent.expect("a shell").success());
    }

    /// Returns when it has ended by itself.
    pub(crate) async fn ended(mut self) -> (Folder, ExitStatus) {
        let child = &mut self.child;
        let status = eventually("the gateway has ended", async || {
            child.try_wait().expect("a child of ours")
        })
        .await;
        (self.folder.take().expect("given back only here"), status)
    }
}

impl std::ops::Deref for Process {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        self.folder.as_ref().expect("given back only by value")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already if it was given back; then both are errors that say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
