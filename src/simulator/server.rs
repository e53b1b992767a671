//! The listening side: connections, and what is done to an answer on its way out.
//!
//! **Guarantee**: HTTP/1.1 and HTTP/2 with prior knowledge share a port. A request runs in a task of
//! its own, so a client that hangs up does not take its change with it. The task ends with the
//! server: each holds the other end of a channel that goes with the listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::answer::Reply;
use super::faults::Fault;
use super::log::Received;
use super::payload::Payload;
use super::state::Shared;

/// Larger bodies are refused, as upstream's nginx does.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut off on purpose")]
struct Cut;

/// Accepts connections until `stop` is sent or dropped, and then ends all of them.
pub(super) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: oneshot::Receiver<()>,
) {
    let (_running, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, Arc::clone(&shared), stopped.clone()));
                }
                // Out of descriptors, most likely: others can go on and give some back.
                Err(error) => {
                    tracing::warn!(%error, "Could not accept a connection");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stopped: watch::Receiver<()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "Could not set TCP_NODELAY");
    }
    let service =
        service_fn(|request| handle(request, peer.ip(), Arc::clone(&shared), stopped.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(error, "A connection ended");
    }
}

async fn handle(
    request: Request<Incoming>,
    peer: IpAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<()>,
) -> Result<Response<Payload>, Cut> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let reply = Reply::nginx(StatusCode::PAYLOAD_TOO_LARGE);
        return Ok(Payload::whole(reply.dressed(&head.headers)));
    };
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let request = Arc::new(Received {
        method: head.method,
        target: target.to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    });
    let answer = tokio::spawn(async move {
        tokio::select! {
            // The end first: what is released after a stop must not be applied.
            biased;
            _ = stopped.changed() => Err(Cut),
            answer = answer(&shared, &request, peer) => answer,
        }
    });
    answer.await.unwrap_or(Err(Cut))
}

async fn answer(
    shared: &Shared,
    request: &Arc<Received>,
    peer: IpAddr,
) -> Result<Response<Payload>, Cut> {
    let fault = shared.receive(request);
    if !shared.options.latency.is_zero() {
        tokio::time::sleep(shared.options.latency).await;
    }
    match &fault {
        Some(Fault::Hang(hold)) => hold.wait().await,
        Some(Fault::ResetBeforeApply) => return Err(Cut),
        Some(Fault::Answer(reply)) => {
            return Ok(Payload::whole(reply.clone().dressed(&request.headers)));
        }
        Some(Fault::QuotaExhausted(resets_in)) => {
            let reply = shared
                .state()
                .exhausted(&shared.options, request, *resets_in);
            return Ok(Payload::whole(reply.dressed(&request.headers)));
        }
        _ => {}
    }
    let mut reply = shared.serve(request, peer);
    match fault {
        Some(Fault::HangAfterRead(hold)) => hold.wait().await,
        Some(Fault::ResetAfterApply) => return Err(Cut),
        Some(Fault::TruncatedBody) => return Ok(Payload::half(reply.dressed(&request.headers))),
        Some(Fault::ExtraHeader(name, value)) => {
            reply.headers.append(name, value);
        }
        _ => {}
    }
    Ok(Payload::whole(reply.dressed(&request.headers)))
}
