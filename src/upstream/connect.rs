//! Connections to upstream: TCP, TLS with the system's roots or a given file, HTTP/2 by ALPN.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;

use crate::body::BoxError;

/// Makes connections, TLS included, in time.
pub(super) type Connector =
    BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// Gives up on a connection that is not made after `timeout`.
pub(super) fn in_time(connector: HttpsConnector<HttpConnector>, timeout: Duration) -> Connector {
    BoxCloneSyncService::new(Timeout::new(connector, timeout))
}

/// Makes connections; gives up on one that is not made after `timeout`, before TLS, and on one whose other end has
/// taken nothing of what was sent for `silence`: nobody is there any more, whatever may be heard of it later. Trusts
/// `ca_file` in place of the system's roots.
///
/// # Errors
///
/// When the certificates to trust cannot be read.
pub fn connector(
    timeout: Duration,
    silence: Duration,
    ca_file: Option<&Path>,
) -> anyhow::Result<HttpsConnector<HttpConnector>> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(timeout));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    // Of whole seconds.
    tcp.set_keepalive_interval(Some(timeout.max(Duration::from_secs(1))));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(silence));
    // `https` goes through here as well, so other schemes are refused one level up.
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new();
    let builder = match ca_file {
        None => builder
            .with_native_roots()
            .context("the system's certificates cannot be read")?,
        Some(path) => builder.with_tls_config(
            ClientConfig::builder()
                .with_root_certificates(roots(path)?)
                .with_no_client_auth(),
        ),
    };
    Ok(builder
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp))
}

fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let read = || format!("upstream.ca_file {} cannot be read", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(read)? {
        roots
            .add(certificate.with_context(read)?)
            .with_context(read)?;
    }
    anyhow::ensure!(
        !roots.is_empty(),
        "upstream.ca_file {} holds no certificate",
        path.display()
    );
    Ok(roots)
}
