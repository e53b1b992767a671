//! The HTTP library that Tollgate is built on, with nothing around it: the most that can be reached. For
//! hits it has one answer for all; what has to go upstream it passes on by its pooled client.
//!
//! It is this program, started again with a word of its own, as the [origin](super::origin) is.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, VARY};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::origin::{answer, headers, list, serve};
use super::scene::{Coding, Scene, Work};

/// Does the scene's work at this address, until it is killed.
pub(crate) async fn bare(
    address: SocketAddr,
    upstream: SocketAddr,
    scene: Scene,
) -> anyhow::Result<()> {
    match scene.work {
        Work::Hits => answering(address, scene).await,
        Work::Reads | Work::Changes => passing(address, upstream).await,
    }
}

async fn answering(address: SocketAddr, scene: Scene) -> anyhow::Result<()> {
    let (mut headers, mut body) = (headers(), list(scene.size).into_bytes());
    if scene.coding == Coding::Gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    let body = Bytes::from(body);
    serve(address, move |_| {
        let answer = answer(&headers, body.clone());
        async { Ok(answer) }
    })
    .await
}

async fn passing(address: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    serve(address, move |mut request| {
        let client = client.clone();
        async move {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            *request.uri_mut() = format!("http://{upstream}{path}").parse::<Uri>()?;
            Ok(client.request(request).await?)
        }
    })
    .await
}
