//! The servers that are compared, and how each is started so that it is as fast as it can be.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use super::processor::Half;
use super::scene::{Coding, Protocol, Scene};
use crate::peer;
use crate::support::Server;

/// In memory, as Varnish's and Tollgate's lists are: nginx keeps its own in files.
const MEMORY: &str = "/dev/shm";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Tollgate,
    Nginx,
    Varnish,
    /// The HTTP library that Tollgate is built on, with nothing around it: the most that can be reached.
    Bare,
}

// === impl Contender ===

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Tollgate, Self::Nginx, Self::Varnish, Self::Bare];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tollgate => "Tollgate",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
            Self::Bare => "bare hyper",
        }
    }

    /// Installs what is missing, and tells the version.
    pub(crate) fn install(self) -> anyhow::Result<String> {
        match self {
            Self::Tollgate => Ok(format!("Tollgate {}", env!("CARGO_PKG_VERSION"))),
            Self::Nginx => peer::install("/usr/sbin/nginx", "nginx"),
            Self::Varnish => peer::install("/usr/sbin/varnishd", "varnish"),
            Self::Bare => Ok("hyper as in Cargo.lock".to_owned()),
        }
    }

    /// Starts it on these cores, with nothing in its cache. What Tollgate records goes to `disk`.
    pub(crate) async fn start(
        self,
        scene: Scene,
        upstream: SocketAddr,
        cores: &Half,
        disk: TempDir,
    ) -> anyhow::Result<Server> {
        let gzip = scene.coding == Coding::Gzip;
        match self {
            Self::Tollgate => {
                let (file, template) = (
                    "tollgate.toml",
                    include_str!("../config/load/tollgate.toml"),
                );
                Server::start(disk, file, template, upstream, &[], |_, _| {
                    let mut command = cores.command(env!("CARGO_BIN_EXE_tollgate"));
                    command.args(["serve", "--config", file]);
                    command
                })
                .await
            }
            Self::Nginx => {
                let (file, template) = ("nginx.conf", include_str!("../config/load/nginx.conf"));
                let http2 = scene.protocol == Protocol::Http2;
                let switch = |on| (if on { "on" } else { "off" }).to_owned();
                let settings = [
                    ("@CORES@", cores.count().to_string()),
                    ("@GZIP@", switch(gzip)),
                    ("@SENDFILE@", switch(!http2)),
                    ("@HTTP2@", (if http2 { "http2" } else { "" }).to_owned()),
                ];
                let folder = tempfile::tempdir_in(MEMORY)?;
                Server::start(folder, file, template, upstream, &settings, |folder, _| {
                    let mut command = cores.command("/usr/sbin/nginx");
                    command.arg("-p").arg(folder);
                    command.args(["-e", "stderr", "-c", file]);
                    command
                })
                .await
            }
            Self::Varnish => {
                let (file, template) = ("cache.vcl", include_str!("../config/load/varnish.vcl"));
                let settings = [("@GZIP@", gzip.to_string())];
                let folder = tempfile::tempdir_in(MEMORY)?;
                Server::start(
                    folder,
                    file,
                    template,
                    upstream,
                    &settings,
                    |folder, address| {
                        let mut command = cores.command("/usr/sbin/varnishd");
                        varnish(&mut command, address);
                        command.arg("-n").arg(folder.join("varnish"));
                        command.arg("-f").arg(folder.join(file));
                        command
                    },
                )
                .await
            }
            Self::Bare => {
                let this = std::env::current_exe()?;
                Server::run(tempfile::tempdir()?, |_, address| {
                    let mut command = cores.command(&this);
                    let (address, upstream) = (address.to_string(), upstream.to_string());
                    command.args(["bare", &address, &upstream, &scene.to_string()]);
                    Ok(command)
                })
                .await
            }
        }
        .with_context(|| format!("{} does not start", self.name()))
    }
}

fn varnish(command: &mut Command, address: SocketAddr) {
    command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m"]);
    command.args(["-a", &address.to_string(), "-p", "feature=+http2"]);
    // A thread for each of 1 000 connections, ready from the start, in the two pools that it has.
    command.args(["-p", "thread_pool_min=600", "-p", "thread_pool_max=2000"]);
    command.args(["-p", "listen_depth=4096"]);
    // Nobody reads its log, which it writes to memory anyway; there is no switch, but what there is most
    // of can be left out.
    let tags = [
        "ReqHeader",
        "ReqUnset",
        "ReqProtocol",
        "ReqURL",
        "ReqMethod",
        "ReqStart",
        "ReqAcct",
        "RespHeader",
        "RespUnset",
        "RespProtocol",
        "RespStatus",
        "RespReason",
        "BereqHeader",
        "BereqUnset",
        "BereqProtocol",
        "BereqURL",
        "BereqMethod",
        "BereqAcct",
        "BerespHeader",
        "BerespUnset",
        "BerespProtocol",
        "BerespStatus",
        "BerespReason",
        "VCL_call",
        "VCL_return",
        "VCL_use",
        "Timestamp",
        "Hit",
        "TTL",
        "Filters",
    ];
    let mask = tags.map(|tag| format!("-{tag}")).join(",");
    command.args(["-p", "vsl_space=16M", "-p", &format!("vsl_mask={mask}")]);
}
