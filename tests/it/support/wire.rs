//! HTTP to the byte: the two ends of a gateway where a library would be too polite.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::soon;

/// A server that does what the test writes down.
pub(crate) struct RawUpstream {
    listener: TcpListener,
    address: SocketAddr,
}

/// One end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

// === impl RawUpstream ===

impl RawUpstream {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1", 0).await
    }

    pub(crate) async fn start_at(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind((host, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// For who answers in another way.
    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// From now on nobody gets a connection, nor a word why.
    pub(crate) fn vanish(&self) {
        swallow(&self.listener);
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire {
        let accepted = soon("upstream is asked", self.listener.accept()).await;
        Wire::of(accepted.unwrap().0)
    }

    /// Answers the next connection's first request, which has no body, and gives its head.
    pub(crate) async fn answer(&self, answer: impl AsRef<[u8]>) -> String {
        let mut wire = self.accept().await;
        let head = wire.head().await;
        wire.write(answer).await;
        head
    }
}

// === impl Wire ===

impl Wire {
    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// As if the cable were cut: what the other end sends is not even acknowledged, and it is told nothing.
    pub(crate) fn vanish(&self) {
        swallow(&self.stream);
    }

    pub(crate) async fn connect(address: &str) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Writes all of it, if the other end stays to take it.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes as much as the other end takes at this moment and the next; `Err` if it is gone.
    pub(crate) async fn write_some(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes).await
    }

    /// Up to and with the blank line after a head.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// The same, or `None` if the connection ends before it.
    pub(crate) async fn head_or_end(&mut self) -> Option<String> {
        while !self.buffer.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = soon(
                "a head or the end comes",
                self.stream.read_buf(&mut self.buffer),
            );
            // A reset is an end too.
            if !read.await.is_ok_and(|read| read > 0) {
                return None;
            }
        }
        Some(self.head().await)
    }

    /// Up to and with this text.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let what = format!("{end:?} comes");
        let mut looked = 0;
        loop {
            let found = self.buffer[looked..]
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(looked + at + end.len());
                let text = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8(text).unwrap();
            }
            looked = self.buffer.len().saturating_sub(end.len());
            let read = soon(&what, self.stream.read_buf(&mut self.buffer)).await;
            let so_far = String::from_utf8_lossy(&self.buffer);
            assert_ne!(
                read.unwrap(),
                0,
                "the connection ended before {what}: {so_far}"
            );
        }
    }

    /// So many bytes.
    pub(crate) async fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            if self.buffer.is_empty() {
                self.buffer.reserve(1 << 16);
                let read = soon("more bytes come", self.stream.read_buf(&mut self.buffer)).await;
                assert_ne!(
                    read.unwrap(),
                    0,
                    "the connection ended {bytes} bytes too early"
                );
            }
            let taken = bytes.min(self.buffer.len());
            self.buffer.drain(..taken);
            bytes -= taken;
        }
    }

    /// All that comes until the other end closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let rest = self.stream.read_to_end(&mut self.buffer);
        // A reset is an end too.
        let _ = soon("the connection ends", rest).await;
        std::mem::take(&mut self.buffer)
    }
}

/// Has the kernel drop each packet that comes for this socket.
fn swallow(socket: &impl AsFd) {
    // `BPF_RET`: of each packet this many bytes.
    let nothing = SockFilter::new(0x06, 0, 0, 0);
    SockRef::from(socket).attach_filter(&[nothing]).unwrap();
}

/// The values of a header in a head, in order.
pub(crate) fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.trim()).collect()
}
