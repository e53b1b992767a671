//! `tollgate healthcheck`: whether the gateway on this machine is ready, for whoever watches a container
//! or a service and has neither curl nor a shell.
//!
//! **Guarantee**: it ends with 0 only if the admin side answered `200` within the time. Everything else is 1
//! with a reason, and a wrong configuration 2 as everywhere. It needs no token, opens no file but the
//! configuration, and writes none.

mod certificate;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use clap::Args as ClapArgs;
use http::header::HOST;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::net::UnixStream;

use super::environment::FileArgs;
use super::simulate::duration;
use crate::config::{Address, Listen};

/// Ask whether the gateway on this machine is ready.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
It asks /readyz of the configuration's listen.admin, over loopback where that is every address, through
its file where it is a Unix socket, and by TLS where listen.tls_cert is set; any certificate will do. Ready is: the audit trail can be written. Exits with 0 if it is, else with 1 and the reason.

Examples:
  tollgate healthcheck
  tollgate healthcheck --config /etc/tollgate/tollgate.toml
  tollgate healthcheck --url http://127.0.0.1:8081/healthz --timeout 1s")]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,

    /// What to ask in place of the configuration's admin side; /healthz is alive, /readyz is ready
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    url: Option<Uri>,

    /// How long it may take
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    timeout: Duration,
}

/// The largest answer that is read; a ready gateway's has a few lines.
const LARGEST_ANSWER: usize = 64 << 10;

/// What a gateway says of itself there.
const READY: &str = "/readyz";

/// Whom to ask.
#[derive(Debug)]
enum Admin {
    At(Uri),
    Behind(PathBuf),
}

/// Asks once.
///
/// # Errors
///
/// When the gateway is not ready, or does not say so in time.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let admin = match args.url {
        Some(url) => {
            ensure!(
                url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS),
                "{url} is no http:// or https:// address"
            );
            Admin::At(url)
        }
        None => Admin::of(&args.file.load()?.0.listen)?,
    };
    match tokio::time::timeout(args.timeout, ask(&admin)).await {
        Ok(asked) => asked,
        Err(_) => bail!("{admin} gave no answer within {:?}", args.timeout),
    }
}

async fn ask(admin: &Admin) -> anyhow::Result<()> {
    let answer = match admin {
        Admin::At(url) => over_tcp(url).await,
        Admin::Behind(socket) => through(socket).await,
    };
    let answer = answer.with_context(|| format!("{admin} cannot be asked"))?;
    let status = answer.status();
    if status == http::StatusCode::OK {
        return Ok(());
    }
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER);
    let body = body.collect().await.map(|body| body.to_bytes());
    let reasons = body.ok().as_deref().and_then(reasons).unwrap_or_default();
    bail!("{admin} answered {status}{reasons}");
}

async fn over_tcp(url: &Uri) -> anyhow::Result<Response<Incoming>> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(certificate::any())
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    Ok(client.get(url.clone()).await?)
}

async fn through(socket: &Path) -> anyhow::Result<Response<Incoming>> {
    let stream = TokioIo::new(UnixStream::connect(socket).await?);
    let (mut client, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::get(READY).header(HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new())?;
    Ok(client.send_request(request).await?)
}

// What a gateway that is not ready says of it.
fn reasons(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Report {
        reasons: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        what: String,
    }
    let report: Report = serde_json::from_slice(body).ok()?;
    let reasons = report.reasons.iter();
    Some(reasons.map(|reason| format!(": {}", reason.what)).collect())
}

// === impl Admin ===

impl Admin {
    /// That of a gateway that listens there.
    fn of(listen: &Listen) -> anyhow::Result<Self> {
        let mut address = match &listen.admin {
            Address::Tcp(address) => *address,
            Address::Unix(socket) => return Ok(Self::Behind(socket.clone())),
        };
        ensure!(
            address.port() != 0,
            "listen.admin takes a free port, so nobody knows which: say it with --url"
        );
        // Every address: nobody can be asked there, and loopback is one of them.
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let scheme = listen.scheme(&listen.admin);
        Ok(Self::At(format!("{scheme}://{address}{READY}").parse()?))
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(url) => url.fmt(f),
            Self::Behind(socket) => write!(f, "{READY} at unix:{}", socket.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_on_every_address_is_asked_over_loopback() {
        let listen = |admin: &str| Listen {
            admin: Address::Tcp(admin.parse().unwrap()),
            ..Listen::default()
        };
        let asked = |admin: &str| Admin::of(&listen(admin)).map(|admin| admin.to_string());
        for (listen, url) in [
            ("0.0.0.0:8081", "http://127.0.0.1:8081/readyz"),
            ("[::]:8081", "http://[::1]:8081/readyz"),
            ("10.0.0.7:9000", "http://10.0.0.7:9000/readyz"),
        ] {
            assert_eq!(asked(listen).unwrap(), url);
        }
        let secured = Listen {
            tls_cert: Some("tls.crt".into()),
            tls_key: Some("tls.key".into()),
            ..listen("0.0.0.0:8081")
        };
        let asked_by_tls = Admin::of(&secured).unwrap().to_string();
        assert_eq!(asked_by_tls, "https://127.0.0.1:8081/readyz");
        let error = asked("127.0.0.1:0").unwrap_err().to_string();
        assert!(error.contains("--url"), "{error}");
    }

    #[test]
    fn each_reason_is_told() {
        let body = br#"{"ready":false,"reasons":[{"what":"the disk is full","since":"now"}]}"#;
        assert_eq!(reasons(body).unwrap(), ": the disk is full");
        assert_eq!(reasons(b"<html>"), None);
    }
}
