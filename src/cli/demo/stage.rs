//! The two servers of the demo, and the folder with their files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use http::Method;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::day::ME;
use super::tool::{self, Client, Tool};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Address, Config, Sources};
use crate::simulator::{Options, Received, Toggl};
use crate::telemetry;

/// What a person may ask of Toggl in an hour on its smallest plan.
pub(super) const QUOTA: u32 = 30;

/// A simulated Toggl and a gateway in front of it.
pub(super) struct Stage {
    pub(super) toggl: Toggl,
    pub(super) clock: Clock,
    proxy: Address,
    admin: Address,
    admin_token: String,
    client: Client,
    stop: CancellationToken,
    gateway: JoinHandle<()>,
    folder: TempDir,
}

// === impl Stage ===

impl Stage {
    /// Starts both.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let clock = Clock::system();
        let folder = tempfile::tempdir().context("cannot make a folder for the demo's files")?;
        let options = Options {
            quota: Some(QUOTA),
            ..Options::default()
        };
        let toggl = Toggl::start(options)
            .await
            .context("cannot start the simulated Toggl")?;
        let config = configuration(&toggl, &folder)?;
        telemetry::start(&config.log);
        let app = App::build(config, clock.clone())
            .await
            .context("cannot start the gateway")?;
        let (proxy, admin) = (app.proxy_address()?, app.admin_address()?);
        let admin_token = app.new_token().unwrap_or_default().to_owned();
        let stop = CancellationToken::new();
        let gateway = tokio::spawn(app.run(stop.clone()));
        Ok(Self {
            toggl,
            clock,
            proxy,
            admin,
            admin_token,
            client: Client::default(),
            stop,
            gateway,
            folder,
        })
    }

    /// Stops both and removes the files.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.gateway.await.context("the gateway did not end well")?;
        self.toggl.stop().await;
        self.folder
            .close()
            .context("cannot remove the demo's files")
    }

    /// A tool that uses the API token of a person.
    pub(super) fn labelled(&self, handle: &str, label: &'static str) -> Tool {
        self.tool(handle, label, self.toggl.authorization(handle))
    }

    /// Somebody at a terminal, with address and password.
    pub(super) fn curl(&self, handle: &str) -> Tool {
        let person = self.toggl.person(handle);
        self.tool(handle, "curl", tool::basic(&person.email, &person.password))
    }

    // The label is in its base URL.
    fn tool(&self, handle: &str, label: &'static str, authorization: String) -> Tool {
        Tool {
            person: self.toggl.person(handle).name,
            label,
            base: format!("http://{}/~{label}", self.proxy),
            authorization,
            client: self.client.clone(),
        }
    }

    /// How many of the requests that came to upstream match.
    pub(super) fn calls(&self, wanted: impl Fn(&Received) -> bool) -> u64 {
        self.toggl.log(|log| {
            let matching = log.requests().filter(|request| wanted(request));
            matching.map(|_| 1).sum()
        })
    }

    /// How many reads came to upstream, those that the gateway asks by itself aside.
    pub(super) fn fetched(&self) -> u64 {
        self.calls(|request| request.method == Method::GET && request.path() != ME)
    }

    /// The audit database.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join("tollgate.db")
    }

    /// What there is.
    pub(super) fn introduction(&self) -> String {
        format!(
            "\
Tollgate listens at http://{} and stands in front of a simulated Toggl.
Bob's dashboard, Cleo's slack-bot, Ann's hr-sync and Ann herself know that address alone.",
            self.proxy
        )
    }

    /// How to go on by hand.
    pub(super) fn to_try(&self) -> String {
        let ann = self.toggl.person("ann");
        let (proxy, admin, token) = (&self.proxy, &self.admin, &self.admin_token);
        let (login, database) = (
            format!("{}:{}", ann.email, ann.password),
            self.database().display().to_string(),
        );
        let people: String = self
            .toggl
            .people()
            .iter()
            .map(|person| {
                format!(
                    "  {:<5} token {}  or  {}:{}\n",
                    person.handle, person.token, person.email, person.password
                )
            })
            .collect();
        format!(
            "\
Go on by hand; Ctrl-C ends it.

  proxy      http://{proxy}
  admin      http://{admin}   token in $ADMIN below
  simulator  {toggl}   {QUOTA} requests an hour for each person
  trail      {database}

{people}
  TOLLGATE=http://{proxy}
  ADMIN={token}
  curl -iu {login} $TOLLGATE/~mine/api/v9/organizations/4123/groups
  curl -iu {login} $TOLLGATE/~mine/api/v9/organizations/4123/groups \\
    -X POST -d '{{\"name\":\"Night shift\"}}'
  curl -H \"Authorization: Bearer $ADMIN\" http://{admin}/metrics
  tollgate audit list --database {database}
",
            toggl = self.toggl.url(),
        )
    }
}

/// The demo's own configuration, whatever the caller's files and variables say.
fn configuration(toggl: &Toggl, folder: &TempDir) -> anyhow::Result<Config> {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let variables = [
        ("TOLLGATE_LISTEN__PROXY", "127.0.0.1:0".to_owned()),
        ("TOLLGATE_LISTEN__ADMIN", "127.0.0.1:0".to_owned()),
        ("TOLLGATE_UPSTREAM__URL", toggl.url()),
        (
            "TOLLGATE_AUDIT__DATABASE",
            format!("sqlite://{}", file("tollgate.db")),
        ),
        ("TOLLGATE_IDENTITY__KEY_FILE", file("tollgate.key")),
        // What goes well is on the screen already.
        ("TOLLGATE_LOG__FILTER", "error".to_owned()),
    ];
    let variables: BTreeMap<_, _> = variables
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let sources = Sources {
        file: None,
        variables,
    };
    Ok(Config::load(&sources)?.0)
}
