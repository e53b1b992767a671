//! Who asks: `wrk` for HTTP/1.1 and `h2load` for HTTP/2, and what they tell afterwards.
//!
//! Anything but success, or an output that is not as expected, is an error that shows the output: a server
//! that refuses is quick at it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::origin::{AUTHORIZATION, FIRST_GROUP};
use super::processor::Half;
use super::scene::{CHANGED_GROUPS, Coding, Protocol, Scene, Work};
use crate::peer;

/// What a generator saw of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// Requests.
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Installs what is missing, and tells the versions.
pub(crate) fn install() -> anyhow::Result<[String; 2]> {
    Ok([
        peer::install("/usr/bin/wrk", "wrk")?,
        peer::install("/usr/bin/h2load", "nghttp2-client")?,
    ])
}

/// Asks this address for so many seconds.
pub(crate) fn run(
    scene: Scene,
    address: SocketAddr,
    cores: &Half,
    seconds: u32,
) -> anyhow::Result<Seen> {
    let folder = tempfile::tempdir()?;
    let threads = cores.count().min(scene.connections);
    let url = format!("http://{address}{}", scene.path());
    let time = format!("{seconds}s");
    let log = folder.path().join("latencies");
    let mut command = match scene.protocol {
        Protocol::Http1 => {
            let script = folder.path().join("script.lua");
            fs::write(&script, self::script(scene, threads))?;
            let mut command = cores.command("wrk");
            command.args(["--duration", &time, "--timeout", "30s", "--script"]);
            command
                .arg(script)
                .args(["--threads", &threads.to_string()]);
            command.args(["--connections", &scene.connections.to_string()]);
            command
        }
        Protocol::Http2 => {
            let mut command = cores.command("h2load");
            command.args(["--duration", &time, "--threads", &threads.to_string()]);
            command.args(["--clients", &scene.connections.to_string()]);
            command.arg("--log-file").arg(&log);
            command
        }
    };
    command.args(["-H", &format!("authorization: {AUTHORIZATION}")]);
    if scene.coding == Coding::Gzip {
        command.args(["-H", "accept-encoding: gzip"]);
    }
    let output = command.arg(url).output().context("it does not start")?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{}: {said}", output.status);
    let seen = match scene.protocol {
        Protocol::Http1 => wrk(&said),
        Protocol::Http2 => h2load(&said, &log),
    };
    seen.with_context(|| format!("of {command:?}, which said:\n{said}"))
}

fn script(scene: Scene, threads: usize) -> String {
    let mut script = include_str!("../config/load/wrk.lua").to_owned();
    if scene.work == Work::Changes {
        script += &include_str!("../config/load/changes.lua")
            .replace("@GROUPS@", &CHANGED_GROUPS.to_string())
            .replace("@FIRST@", &FIRST_GROUP.to_string())
            .replace("@THREADS@", &threads.to_string());
    }
    script
}

/// Of the line that `wrk.lua` prints.
fn wrk(said: &str) -> anyhow::Result<Seen> {
    let line = said.lines().find_map(|line| line.strip_prefix("load\t"));
    let numbers: Vec<f64> = line
        .context("no result")?
        .split('\t')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, took, refused, failed, p50, p99] = numbers[..] else {
        anyhow::bail!("not six numbers");
    };
    ensure!(refused == 0.0, "{refused} answers are no success");
    ensure!(failed == 0.0, "{failed} connections failed");
    ensure!(requests > 0.0, "nothing was answered");
    Ok(Seen {
        requests: requests as u64,
        per_second: requests * 1e6 / took,
        p50: p50 / 1e3,
        p99: p99 / 1e3,
    })
}

/// Of what it prints, and of its log: a line for each request, with the time when it began, its status and
/// how long it took.
fn h2load(said: &str, log: &Path) -> anyhow::Result<Seen> {
    // It goes on with fewer when a connection ends.
    ensure!(!said.contains("Failure"), "a connection ended");
    let rate = said
        .lines()
        .find_map(|line| line.strip_prefix("finished in ")?.split(", ").nth(1))
        .and_then(|rate| rate.strip_suffix(" req/s"))
        .context("no rate")?;
    let mut took = Vec::new();
    for line in fs::read_to_string(log)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        ensure!(fields[1] == "200", "the log says {line}");
        took.push(fields[2].parse::<u64>()?);
    }
    ensure!(!took.is_empty(), "nothing was answered");
    took.sort_unstable();
    let percentile = |share: usize| took[(took.len() - 1) * share / 100] as f64 / 1e3;
    Ok(Seen {
        requests: took.len() as u64,
        per_second: rate.parse()?,
        p50: percentile(50),
        p99: percentile(99),
    })
}
