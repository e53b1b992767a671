//! How often a hit allocates, from the bytes that come in to those that go out (DESIGN §7).
//!
//! A gateway as it is served, on a runtime of this thread, whose allocations are counted; its caller is another
//! thread with a socket. Alone in its process: the counter is the allocator.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tollgate::app::App;
use tollgate::clock::Clock;
use tollgate::config::{Config, Sources};
use tollgate::simulator::{Options, Toggl};

/// hyper's own for a request and its answer, what watches it, the answer's headers and their values. Raise
/// it only for something that a hit cannot do without.
const MOST: u64 = 9;

const HITS: u64 = 1000;

#[test]
fn a_hit_allocates_little() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_toggl, address, request, stop) = runtime.block_on(started(&folder));
    let (ask, asked) = mpsc::channel();
    let caller = std::thread::spawn(move || hits(address, &request, asked));
    let tell = |hits: u64| {
        let (done, answered) = oneshot::channel();
        ask.send((hits, done)).unwrap();
        answered
    };
    // What is set up once: the list, the connection, the caller's counters.
    await_on(&runtime, tell(100));
    let counted = allocation_counter::measure(|| await_on(&runtime, tell(HITS)));
    drop(ask);
    stop.cancel();
    caller.join().unwrap();
    let each = counted.count_total / HITS;
    assert!(each > 0, "nothing was counted");
    assert!(each <= MOST, "{each} allocations for each hit");
}

fn await_on(runtime: &Runtime, answered: oneshot::Receiver<()>) {
    runtime.block_on(answered).unwrap();
}

/// A gateway in front of a simulator, and a request for a list.
async fn started(folder: &tempfile::TempDir) -> (Toggl, SocketAddr, String, CancellationToken) {
    let toggl = Toggl::start(Options::default()).await.unwrap();
    let file = |name| folder.path().join(name).display().to_string();
    let set = [
        ("UPSTREAM__URL", toggl.url()),
        ("LISTEN__PROXY", "127.0.0.1:0".to_owned()),
        ("LISTEN__ADMIN", "127.0.0.1:0".to_owned()),
        ("CACHE__TTL", "1h".to_owned()),
        ("AUDIT__DATABASE", format!("sqlite://{}", file("trail.db"))),
        ("IDENTITY__KEY_FILE", file("key")),
    ];
    let variables: BTreeMap<_, _> = set
        .into_iter()
        .map(|(key, value)| (format!("TOLLGATE_{key}"), value))
        .collect();
    let sources = Sources {
        file: None,
        variables,
    };
    let (config, _) = Config::load(&sources).unwrap();
    let app = App::build(config, Clock::system()).await.unwrap();
    let address = app.proxy_address().unwrap().tcp().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(app.run(stop.clone()));
    let credential = STANDARD.encode(format!("{}:api_token", toggl.token("ann")));
    let request = format!(
        "GET /api/v9/organizations/4123/groups HTTP/1.1\r\nHost: gate\r\n\
         Authorization: Basic {credential}\r\nAccept: application/json\r\n\r\n"
    );
    (toggl, address, request, stop)
}

// Asks as often as it is told to, one after the other, and says when it has been answered.
fn hits(address: SocketAddr, request: &str, asked: mpsc::Receiver<(u64, oneshot::Sender<()>)>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut answer = vec![0; 16 << 10];
    let mut is_filled = false;
    for (hits, done) in asked {
        for _ in 0..hits {
            stream.write_all(request.as_bytes()).unwrap();
            let length = read_answer(&mut stream, &mut answer);
            let head = str::from_utf8(&answer[..length]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(head.contains("cache-status: tollgate; hit; "), is_filled);
            is_filled = true;
        }
        done.send(()).unwrap();
    }
}

fn read_answer(stream: &mut TcpStream, answer: &mut [u8]) -> usize {
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..]).unwrap();
        assert!(read > 0, "the connection was closed");
        length += read;
        let text = str::from_utf8(&answer[..length]).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let of = lines.find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == of.expect("a length").parse::<usize>().unwrap() {
                return length;
            }
        }
    }
}
