//! The caches that are compared, and how each is installed and started.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::support::Server;

/// Something to put in front of Toggl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `proxy_cache`, and nothing else that knows of changes.
    Nginx,
    /// The same with a few lines of Lua that do.
    NginxLua,
    /// With a `ban()` at each change.
    Varnish,
    /// With a global variable in the hash in place of that.
    VarnishVar,
    Tollgate,
}

/// The times that all of them are given, in whole seconds: nginx knows no shorter ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// How long a list is fresh.
    pub(crate) ttl: u32,
    /// How long after that it may be served while a newer one is fetched.
    pub(crate) stale: u32,
    /// How long upstream may take to answer.
    pub(crate) timeout: u32,
}

// === impl Peer ===

impl Peer {
    pub(crate) const ALL: [Self; 5] = [
        Self::Nginx,
        Self::NginxLua,
        Self::Varnish,
        Self::VarnishVar,
        Self::Tollgate,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::NginxLua => "nginx + Lua",
            Self::Varnish => "Varnish",
            Self::VarnishVar => "Varnish + var",
            Self::Tollgate => "Tollgate",
        }
    }

    /// What has to be there, and the Debian package that brings it.
    fn needs(self) -> &'static [(&'static str, &'static str)] {
        const NGINX: (&str, &str) = ("/usr/sbin/nginx", "nginx");
        const LUA: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
        const VARNISH: (&str, &str) = ("/usr/sbin/varnishd", "varnish");
        const VAR: &str = "/usr/share/doc/varnish-modules";
        match self {
            Self::Nginx => &[NGINX],
            Self::NginxLua => &[NGINX, (LUA, "libnginx-mod-http-lua")],
            Self::Varnish => &[VARNISH],
            Self::VarnishVar => &[VARNISH, (VAR, "varnish-modules")],
            Self::Tollgate => &[],
        }
    }

    /// Installs what is missing, and tells the versions.
    pub(crate) fn install(self) -> anyhow::Result<Vec<String>> {
        let mut versions = Vec::new();
        for (file, package) in self.needs() {
            versions.push(install(file, package)?);
        }
        if self == Self::Tollgate {
            versions.push(format!("Tollgate {}", env!("CARGO_PKG_VERSION")));
        }
        Ok(versions)
    }

    /// Starts it, with nothing in its cache.
    pub(crate) async fn start(self, upstream: SocketAddr, times: Times) -> anyhow::Result<Server> {
        let Times {
            ttl,
            stale,
            timeout,
        } = times;
        let settings = [
            ("@TTL@", format!("{ttl}s")),
            ("@STALE@", format!("{stale}s")),
            ("@TIMEOUT@", format!("{timeout}s")),
            // As Tollgate does: upstream may be as slow once more in applying a change.
            ("@GRACE@", (2 * timeout).to_string()),
        ];
        let template = match self {
            Self::Nginx => include_str!("config/nginx.conf"),
            Self::NginxLua => include_str!("config/nginx-lua.conf"),
            Self::Varnish => include_str!("config/varnish.vcl"),
            Self::VarnishVar => include_str!("config/varnish-var.vcl"),
            Self::Tollgate => include_str!("config/tollgate.toml"),
        };
        let folder = tempfile::tempdir()?;
        match self {
            Self::Nginx | Self::NginxLua => {
                let file = "nginx.conf";
                Server::start(folder, file, template, upstream, &settings, |folder, _| {
                    let mut command = Command::new("/usr/sbin/nginx");
                    command
                        .arg("-p")
                        .arg(folder)
                        .args(["-e", "stderr", "-c", file]);
                    command
                })
                .await
            }
            Self::Varnish | Self::VarnishVar => {
                Server::start(
                    folder,
                    "cache.vcl",
                    template,
                    upstream,
                    &settings,
                    |folder, address| {
                        let mut command = Command::new("/usr/sbin/varnishd");
                        command
                            .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,64m"])
                            .args(["-p", "vsl_space=2M", "-a", &address.to_string()])
                            .arg("-n")
                            .arg(folder.join("varnish"))
                            .arg("-f")
                            .arg(folder.join("cache.vcl"));
                        command
                    },
                )
                .await
            }
            Self::Tollgate => Server::tollgate(template, upstream, &settings).await,
        }
        .with_context(|| format!("{} does not start", self.name()))
    }
}

/// Installs the Debian package if the file that it brings is missing, and tells its version.
pub(crate) fn install(file: &str, package: &str) -> anyhow::Result<String> {
    if !Path::new(file).exists() {
        // No command has the package's name where one is missing, so it is installed.
        let need = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/need");
        let status = Command::new(need).args([file, package]).status()?;
        ensure!(status.success(), "{package} could not be installed");
    }
    let asked = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${Version}", package])
        .output()?;
    ensure!(asked.status.success(), "{package} is not installed");
    Ok(String::from_utf8(asked.stdout)?)
}
