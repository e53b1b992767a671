//! `tollgate demo`: the whole product at work, with no account and no network.
//!
//! **Guarantee**: what a line says has happened, over real sockets, and as it should: a step that ends
//! in another way fails the command with the reason, so the demo is a self-test too. Nothing of the
//! caller's is read or written: the configuration is the demo's own, the files are in a folder that is
//! gone afterwards, and both ends listen on the loopback interface alone.
//!
//! `stage` starts and stops the two servers, `scene` is what there is between them, `tool` is a client, `day` plays
//! what people's tools do, `report` counts and shows the trail, `screen` writes.

mod day;
mod report;
mod scene;
mod screen;
mod stage;
mod tool;

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use clap::Args as ClapArgs;

use self::day::Day;
use self::scene::Scene;
use self::screen::Screen;
use self::stage::Stage;
use crate::clock::Clock;
use crate::config::Address;
use crate::shutdown;
use crate::simulator::Toggl;

/// What a person may ask of Toggl in an hour on its smallest plan, and in the demo.
pub const QUOTA: u32 = 30;

/// See all of it at work, with no account and no network.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
It starts a simulated Toggl and a gateway in front of it on free ports of the loopback interface, with a
database that is gone afterwards, and plays what several people's tools do in a day. It ends with 1 if
anything does not happen as it should.

Examples:
  tollgate demo
  tollgate demo --keep       try it yourself afterwards, with curl")]
pub struct Args {
    /// Go on serving until Ctrl-C, and print addresses and commands to try
    #[arg(long)]
    keep: bool,
}

/// Plays the day; with `--keep` goes on serving until a signal.
///
/// # Errors
///
/// When something does not happen as it should.
pub async fn run(args: Args) -> anyhow::Result<()> {
    // Before there is anything that would have to be cleared away.
    let stop = shutdown::on_signal()?;
    let stage = Stage::open().await?;
    let shown = tokio::select! {
        shown = show(&stage, args.keep) => shown,
        () = stop.cancelled() => Err(anyhow!("the demo was stopped before its end")),
    };
    if args.keep && shown.is_ok() {
        stop.cancelled().await;
    }
    stage.close().await?;
    shown
}

async fn show(stage: &Stage, keep: bool) -> anyhow::Result<()> {
    let mut screen = Screen::stdout();
    screen.text(&stage.introduction())?;
    play(&stage.scene, &mut screen).await?;
    if keep {
        screen.text(&stage.to_try())?;
    }
    Ok(())
}

async fn play(scene: &Scene, screen: &mut Screen) -> anyhow::Result<()> {
    let day = Day::play(scene, screen).await?;
    report::show(scene, &day, screen).await
}

/// Plays the same day before a gateway that others have started in front of `toggl`: with [`QUOTA`] there, and nothing
/// in its `database` yet; tells `out`. For tests of what else such a gateway has to bear.
///
/// # Errors
///
/// When something does not happen as it should.
pub async fn play_before(
    toggl: &Toggl,
    proxy: Address,
    database: &Path,
    out: impl Write + Send + 'static,
) -> anyhow::Result<()> {
    let scene = Scene::new(toggl.clone(), Clock::system(), proxy, database.to_owned());
    play(&scene, &mut Screen::to(out)).await
}
