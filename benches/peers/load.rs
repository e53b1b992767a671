//! How fast Tollgate is beside its peers: in each scene all of them are started, asked in turn for some
//! seconds, round by round and each round in another order, and then told side by side.
//!
//! **A figure is of what it says.** Before each run a request is made and its answer compared with the
//! origin's; after each run the origin is asked how often it was: never during hits, and once for every
//! answer otherwise. What the generators count as no success ends the whole.
//!
//! The server has cores of its own; the generator and the origin share the others. A ratio is of two runs
//! of one round, which are of the same minute, since machines are not as quick at all times.

mod bare;
mod contender;
mod generator;
mod origin;
mod picture;
mod processor;
mod report;
mod scene;
mod verify;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use self::contender::Contender;
use self::generator::Seen;
use self::processor::Cores;
use self::scene::{Scene, Work};
use self::verify::Origin;
use crate::disk::fsyncs;
use crate::page;
use crate::support::Server;

/// How often and how long each server is asked in a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    rounds: usize,
    seconds: u32,
    /// Seconds that are not counted, before each turn.
    warm_up: u32,
}

/// One server's part of a round.
#[derive(Clone, Copy, Debug)]
struct Turn {
    seen: Seen,
    /// Microseconds of processor time that the server had for each request.
    processor: f64,
    /// The share of time in which the cores of the generator and the origin had nothing to do.
    idle: f64,
}

/// What came of a scene.
struct Played {
    scene: Scene,
    /// Of each server, round by round.
    turns: Vec<(Contender, Vec<Turn>)>,
    /// What the disk did before each round, a second, where it matters.
    fsyncs: Vec<f64>,
}

pub(crate) async fn origin(address: SocketAddr) -> anyhow::Result<()> {
    origin::origin(address).await
}

pub(crate) async fn bare(
    address: SocketAddr,
    upstream: SocketAddr,
    scene: &str,
) -> anyhow::Result<()> {
    let is_meant = |known: &Scene| known.to_string() == scene;
    let scene = Scene::ALL.into_iter().find(is_meant);
    bare::bare(address, upstream, scene.context("no such scene")?).await
}

/// Plays the scenes whose name has this part.
pub(crate) async fn run(part: &str, extent: &Extent, write: bool) -> anyhow::Result<()> {
    ensure!(
        !(write && cfg!(debug_assertions)),
        "only a release build's figures are written down"
    );
    raise_limit()?;
    let mut versions = Contender::ALL
        .into_iter()
        .map(Contender::install)
        .collect::<anyhow::Result<Vec<_>>>()?;
    versions.extend(generator::install()?);
    let mut scenes = Scene::ALL.to_vec();
    scenes.retain(|scene| scene.to_string().contains(part));
    ensure!(!scenes.is_empty(), "no scene's name has {part}");

    let cores = Cores::halves()?;
    let origin = Origin::start(&cores.generator).await?;
    let mut all = Vec::new();
    for scene in scenes {
        let played = play(scene, extent, &origin, &cores);
        let played = played.await.with_context(|| scene.to_string())?;
        println!("{}", report::rows(&played));
        all.push(played);
    }
    let text = format!(
        "{extent}, {cores}{}: {}.\n\n{}",
        processor::model()?,
        versions.join(", "),
        report::tables(&all)
    );
    println!("\n{text}");
    if write {
        let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.svg");
        fs::write(picture, report::picture(&all).into_string())?;
        let text = format!(
            "![Tollgate's requests a second, divided by each peer's](performance.svg)\n\n{text}"
        );
        page::write("performance.md", "load", &text)?;
    }
    Ok(())
}

async fn play(
    scene: Scene,
    extent: &Extent,
    origin: &Origin,
    cores: &Cores,
) -> anyhow::Result<Played> {
    let mut servers = Vec::new();
    let mut turns = Vec::new();
    for contender in Contender::ALL {
        let server = contender.start(scene, origin.address(), &cores.server, disk()?);
        servers.push((contender, server.await?));
        turns.push((contender, Vec::new()));
    }
    let mut disks = Vec::new();
    for round in 0..extent.rounds {
        if scene.work == Work::Changes {
            disks.push(fsyncs(disk()?.path())?);
        }
        for place in 0..servers.len() {
            let place = (place + round) % servers.len();
            let (contender, server) = &servers[place];
            let turn = turn(scene, server, extent, origin, cores);
            let turn = turn.await.with_context(|| contender.name())?;
            turns[place].1.push(turn);
        }
    }
    Ok(Played {
        scene,
        turns,
        fsyncs: disks,
    })
}

async fn turn(
    scene: Scene,
    server: &Server,
    extent: &Extent,
    origin: &Origin,
    cores: &Cores,
) -> anyhow::Result<Turn> {
    origin.verify(scene, server.address).await?;
    if extent.warm_up > 0 {
        generator::run(scene, server.address, &cores.generator, extent.warm_up)?;
    }
    let (pid, asked) = (server.process.id(), origin.asked().await?);
    let (had, ticks) = (processor::seconds(pid)?, cores.generator.ticks()?);
    let seen = generator::run(scene, server.address, &cores.generator, extent.seconds)?;
    let had = processor::seconds(pid)? - had;
    let idle = cores.generator.ticks()?.idle_since(ticks);
    let asked = origin.asked().await? - asked;
    match scene.work {
        Work::Hits => ensure!(asked == 0, "{asked} of {seen:?} are no hits"),
        Work::Reads | Work::Changes => {
            ensure!(
                asked >= seen.requests,
                "{asked} of {seen:?} reached the origin"
            );
        }
    }
    Ok(Turn {
        seen,
        processor: had * 1e6 / seen.requests as f64,
        idle,
    })
}

/// A folder on the disk that is measured.
fn disk() -> anyhow::Result<TempDir> {
    // Not where temporary files are: that may be memory.
    let folder = std::env::var_os("PEERS_FOLDER");
    let folder = folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(folder).context("no folder for the trail")
}

/// A proxy has two connections for each of 1 000 clients; many shells allow 1 024 open files.
fn raise_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(())
}

// === impl Extent ===

impl Extent {
    /// Enough to see that all scenes play.
    pub(crate) const TINY: Self = Self {
        rounds: 1,
        seconds: 1,
        warm_up: 0,
    };

    /// As the environment has it.
    pub(crate) fn asked() -> anyhow::Result<Self> {
        Ok(Self {
            rounds: variable("PEERS_ROUNDS", 5)?,
            seconds: variable("PEERS_SECONDS", 3)?,
            warm_up: 1,
        })
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rounds {
            1 => write!(f, "One round")?,
            rounds => write!(f, "{rounds} rounds")?,
        }
        write!(f, " of {} s", self.seconds)
    }
}

fn variable<T: FromStr>(name: &'static str, default: T) -> anyhow::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match std::env::var(name) {
        Ok(value) => value.parse().context(name),
        Err(_) => Ok(default),
    }
}
