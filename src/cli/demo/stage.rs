//! The two servers of the demo, and the folder with their files.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::scene::Scene;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Address, Config, Sources};
use crate::simulator::{Options, Toggl};
use crate::telemetry;

const DATABASE: &str = "tollgate.db";

/// A simulated Toggl and a gateway in front of it.
pub(super) struct Stage {
    pub(super) scene: Scene,
    admin: Address,
    admin_token: String,
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
            quota: Some(super::QUOTA),
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
        let database = folder.path().join(DATABASE);
        Ok(Self {
            scene: Scene::new(toggl, clock, proxy, database),
            admin,
            admin_token,
            stop,
            gateway,
            folder,
        })
    }

    /// Stops both and removes the files.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.gateway.await.context("the gateway did not end well")?;
        self.scene.toggl.stop().await;
        self.folder
            .close()
            .context("cannot remove the demo's files")
    }

    /// What there is.
    pub(super) fn introduction(&self) -> String {
        format!(
            "\
Tollgate listens at http://{} and stands in front of a simulated Toggl.
Bob's dashboard, Cleo's slack-bot, Ann's hr-sync and Ann herself know that address alone.",
            self.scene.proxy
        )
    }

    /// How to go on by hand.
    pub(super) fn to_try(&self) -> String {
        let toggl = &self.scene.toggl;
        let ann = toggl.person("ann");
        let (proxy, admin, token) = (&self.scene.proxy, &self.admin, &self.admin_token);
        let (login, database) = (
            format!("{}:{}", ann.email, ann.password),
            self.scene.database.display(),
        );
        let people: String = toggl
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
  simulator  {toggl}   {quota} requests an hour for each person
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
            toggl = toggl.url(),
            quota = super::QUOTA,
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
            format!("sqlite://{}", file(DATABASE)),
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
