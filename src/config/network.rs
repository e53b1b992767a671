//! Where Tollgate listens, whom it asks, and how much it takes at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::macros::section;
use super::{Address, UpstreamUrl};

section! {
    /// Where it listens.
    "listen" Listen {
        /// The address of the proxy, which the tools talk to, or `unix:` and the path of a socket. Port 0
        /// takes a free one. Default: `127.0.0.1:8080`.
        proxy: Address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into(),
        /// The address of the admin side: page, API, metrics, health; or `unix:` and the path of a socket.
        /// Port 0 takes a free one. Default: `127.0.0.1:8081`.
        admin: Address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)).into(),
        /// The certificate chain of both listeners, as PEM; with `tls_key`.  A Unix
        /// socket has no use for it: what goes over it stays on this machine. Default: none, which is plain
        /// HTTP.
        tls_cert: Option<PathBuf> = None,
        /// The private key to `tls_cert`, as PEM. Default: none.
        tls_key: Option<PathBuf> = None,
    }
}

// === impl Listen ===

impl Listen {
    /// The files with the certificate chain and with its key, where there is TLS.
    #[must_use]
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// What the URL of something at one of our addresses begins with.
    #[must_use]
    pub fn scheme(&self, address: &Address) -> &'static str {
        match (self.tls(), address) {
            (Some(_), Address::Tcp(_)) => "https",
            (None, _) | (_, Address::Unix(_)) => "http",
        }
    }
}

section! {
    /// Whom it stands in front of.
    "upstream" Upstream {
        /// Scheme, host and port of the Toggl API. Default: `https://api.track.toggl.com`.
        url: UpstreamUrl = UpstreamUrl::default(),
        /// The longest time to a connection, TLS included. Default: `5s`.
        connect_timeout: Duration = Duration::from_secs(5),
        /// The longest time from sending a request to the head of its answer. Default: `30s`.
        request_timeout: Duration = Duration::from_secs(30),
        /// Certificates, as PEM, to trust in place of the system's. Default: none.
        ca_file: Option<PathBuf> = None,
    }
}

section! {
    /// How much it takes at once and how long it waits.
    "limits" Limits {
        /// Connections of clients at a time; at least 1. Default: `10000`.
        max_connections: usize = 10_000,
        /// Requests at a time, until the end of the answer's body; at least 1. Default: `1024`.
        max_in_flight: usize = 1024,
        /// The longest time for the head of a request. Default: `10s`.
        header_timeout: Duration = Duration::from_secs(10),
        /// The longest pause within the body of a request. Default: `30s`.
        body_timeout: Duration = Duration::from_secs(30),
        /// How long requests may go on after the signal to stop; `0s` cuts them off. Default:
        /// `30s`.
        shutdown_grace: Duration = Duration::from_secs(30),
    }
}
