//! An upstream that reads HTTP/1.1 by the letter, and keeps what it read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::values;

/// See the [module](self).
pub(super) struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    /// The request line.
    pub(super) line: String,
    head: String,
    /// What was in it, without chunks.
    pub(super) body: Vec<u8>,
    /// It came to its end.
    pub(super) is_whole: bool,
}

// === impl Recorder ===

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { address, seen }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What came since the last time.
    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>) {
    let mut buffer = Vec::new();
    loop {
        let mut request = Request::default();
        let is_read = read(&mut stream, &mut buffer, &mut request).await;
        if !request.line.is_empty() {
            seen.lock().unwrap().push(request);
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if is_read.is_none() || stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// `None` if the connection ends before the request does.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &mut Request) -> Option<()> {
    let head = until(stream, buffer, b"\r\n\r\n").await?;
    request.head = String::from_utf8_lossy(&head).into_owned();
    request.line = request.head.lines().next()?.to_owned();
    if values(&request.head, "transfer-encoding").is_empty() {
        let lengths = values(&request.head, "content-length");
        let length = lengths.first().map_or(0, |length| length.parse().unwrap());
        request.body = exactly(stream, buffer, length).await?;
    } else {
        loop {
            let size = until(stream, buffer, b"\r\n").await?;
            let size = std::str::from_utf8(&size).unwrap().trim_end();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                break;
            }
            let chunk = exactly(stream, buffer, size).await?;
            request.body.extend(chunk);
            assert_eq!(exactly(stream, buffer, 2).await?, b"\r\n");
        }
        while until(stream, buffer, b"\r\n").await? != b"\r\n" {}
    }
    request.is_whole = true;
    Some(())
}

async fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            let rest = buffer.split_off(at + end.len());
            return Some(std::mem::replace(buffer, rest));
        }
        more(stream, buffer).await?;
    }
}

async fn exactly(stream: &mut TcpStream, buffer: &mut Vec<u8>, bytes: usize) -> Option<Vec<u8>> {
    while buffer.len() < bytes {
        more(stream, buffer).await?;
    }
    let rest = buffer.split_off(bytes);
    Some(std::mem::replace(buffer, rest))
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}

// === impl Request ===

impl Request {
    /// Nobody can read it in another way.
    pub(super) fn assert_plain(&self, address: &str) -> Result<(), String> {
        let of = |name| values(&self.head, name);
        let framings = [of("content-length"), of("transfer-encoding")].concat();
        let is_plain = of("host") == [address]
            && framings.len() <= 1
            && of("transfer-encoding")
                .iter()
                .all(|coding| *coding == "chunked");
        if !is_plain {
            return Err(format!("this is not plain: {}", self.head));
        }
        for gone in ["connection", "upgrade", "http2-settings", "keep-alive"] {
            if !of(gone).is_empty() {
                return Err(format!("{gone} goes upstream: {}", self.head));
            }
        }
        Ok(())
    }
}
