//! What the benches over HTTP have in common: a tool, and a server in a process of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Somebody's program: it knows a base URL and a credential, and has connections of its own.
#[derive(Clone)]
pub(crate) struct Tool {
    base: String,
    headers: HeaderMap,
    pool: Client<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
pub(crate) type Answer = Response<Bytes>;

/// A server in a process and a folder of its own. Dropped, both are gone.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) process: Child,
    folder: TempDir,
}

// === impl Tool ===

impl Tool {
    /// A tool without a credential, which speaks HTTP/1.1.
    pub(crate) fn of(base: impl Into<String>) -> Self {
        Self::speaking(false, base)
    }

    /// The same, or one that speaks HTTP/2 without being asked to.
    pub(crate) fn speaking(http2: bool, base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            headers: HeaderMap::new(),
            pool: Client::builder(TokioExecutor::new())
                .http2_only(http2)
                .build_http(),
        }
    }

    /// With this header on every request.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> anyhow::Result<Self> {
        self.headers.insert(name, HeaderValue::from_str(value)?);
        Ok(self)
    }

    /// With this `Authorization`.
    pub(crate) fn authorized(self, value: &str) -> anyhow::Result<Self> {
        self.with(AUTHORIZATION, value)
    }

    pub(crate) async fn get(&self, target: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, target, Bytes::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{target}", self.base).parse()?;
        *request.headers_mut() = self.headers.clone();
        let (head, body) = self.pool.request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}

// === impl Server ===

impl Server {
    /// Starts the `command` for this folder and an address, and comes back when it listens there.
    pub(crate) async fn run(
        folder: TempDir,
        command: impl FnOnce(&Path, SocketAddr) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = command(folder.path(), address)?;
        let output = File::create(folder.path().join("output"))?;
        let process = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Self {
            address,
            process,
            folder,
        };
        server.listens().await?;
        Ok(server)
    }

    /// Writes `template` to `file` in the folder, and then runs the `command`.
    ///
    /// Of the template, `@LISTEN@` and `@LISTEN_PORT@` are where it is to listen, `@UPSTREAM@` and
    /// `@UPSTREAM_PORT@` whom it stands in front of, and the rest is up to `settings`.
    pub(crate) async fn start(
        folder: TempDir,
        file: &str,
        template: &str,
        upstream: SocketAddr,
        settings: &[(&str, String)],
        command: impl FnOnce(&Path, SocketAddr) -> Command,
    ) -> anyhow::Result<Self> {
        Self::run(folder, |folder, address| {
            let mut config = template
                .replace("@LISTEN@", &address.to_string())
                .replace("@UPSTREAM@", &upstream.to_string())
                .replace("@UPSTREAM_PORT@", &upstream.port().to_string());
            for (name, value) in settings {
                config = config.replace(name, value);
            }
            fs::write(folder.join(file), config)?;
            Ok(command(folder, address))
        })
        .await
    }

    /// `tollgate serve`, by a template of its own.
    pub(crate) async fn tollgate(
        template: &str,
        upstream: SocketAddr,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let (folder, file) = (tempfile::tempdir()?, "tollgate.toml");
        Self::start(folder, file, template, upstream, settings, |_, _| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
            command.args(["serve", "--config", file]);
            command
        })
        .await
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        for _ in 0..2_000 {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                let said = fs::read_to_string(self.folder.path().join("output"))?;
                bail!("it ended with {status}: {said}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("it does not listen at {}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked rather than killed: nginx and Varnish have children of their own.
        let pid = self.process.id().to_string();
        let _ = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &pid])
            .status();
        let _ = self.process.wait();
    }
}

/// The groups of a list; none if it is not one.
pub(crate) fn groups(answer: &Answer) -> Vec<Value> {
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

// Free a moment ago; nobody else is likely to take it in the next.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
