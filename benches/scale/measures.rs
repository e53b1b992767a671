//! The four measures.

use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tollgate::simulator::{Options, Toggl};

use crate::picture::Line;
use crate::{lists, trail};

const CONFIG: &str = include_str!("tollgate.toml");

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Nanoseconds to find a list among so many, each time another one.
pub(crate) fn hits(sizes: &[u64]) -> Line {
    let dots = sizes.iter().map(|size| (*size, find(*size)));
    Line {
        name: "Finding a list, ns, among so many",
        dots: dots.collect(),
    }
}

fn find(count: u64) -> f64 {
    const LOOKS: u64 = 1_000_000;
    let caller = lists::fingerprint(&lists::credential());
    let kept = lists::kept(caller, count);
    // Without a pattern, and each as likely as any: multiplied by a large prime.
    let keys: Vec<_> = (0..LOOKS)
        .map(|look| lists::key(caller, look * 2_654_435_761 % count))
        .collect();
    let started = Instant::now();
    for key in &keys {
        black_box(kept.get(black_box(key)).expect("it is kept"));
    }
    started.elapsed().as_nanos() as f64 / LOOKS as f64
}

/// Durable events a second, 64 at once, into trails of so many.
///
/// Each time `written` more.
pub(crate) async fn events(sizes: &[u64], written: u32, folder: &Path) -> anyhow::Result<Line> {
    let mut dots = Vec::new();
    for size in sizes {
        let (path, _gone) = database(*size, folder).await?;
        dots.push((*size, trail::events_a_second(&path, 64, written).await?));
    }
    Ok(Line {
        name: "Durable events a second, into a trail of so many",
        dots,
    })
}

// A trail of so many events; an empty one is gone with the folder that comes with it.
async fn database(size: u64, folder: &Path) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if size == 0 {
        let empty = tempfile::tempdir_in(folder)?;
        return Ok((empty.path().join("scale-0.db"), Some(empty)));
    }
    let path = folder.join(format!("scale-{size}.db"));
    if !path.exists() {
        println!("inventing {size} events");
        trail::invent(&path, size.try_into()?).await?;
    }
    Ok((path, None))
}

/// Mebibytes of the process with so many connections on which nothing is asked.
pub(crate) async fn connections(sizes: &[u64]) -> anyhow::Result<Line> {
    let toggl = Toggl::start(Options::default()).await?;
    let gateway = Gateway::start(&toggl, Path::new("trail.db"))?;
    gateway.ready().await?;
    let credential = STANDARD.encode(format!("{}:api_token", toggl.token("ann")));
    let list = format!(
        "GET /api/v9/organizations/4123/groups HTTP/1.1\r\nHost: gate\r\n\
         Authorization: Basic {credential}\r\n\r\n"
    );
    let mut open = Vec::new();
    let mut dots = Vec::new();
    for size in sizes {
        while (open.len() as u64) < *size {
            let mut stream = TcpStream::connect(gateway.proxy).await?;
            let answer = answer(&mut stream, &list).await?;
            if !answer.starts_with("HTTP/1.1 200 ") {
                bail!("no list but {answer}");
            }
            open.push(stream);
        }
        dots.push((*size, resident_mebibytes(gateway.process.id())?));
    }
    Ok(Line {
        name: "Memory, MiB, with so many idle connections",
        dots,
    })
}

fn resident_mebibytes(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.context("no VmRSS")?.parse::<f64>()? / 1024.0)
}

/// Milliseconds until it is ready, over trails of so many events; the fastest of five.
pub(crate) async fn starts(sizes: &[u64], folder: &Path) -> anyhow::Result<Line> {
    let toggl = Toggl::start(Options::default()).await?;
    let mut dots = Vec::new();
    for size in sizes {
        let (path, _gone) = database(*size, folder).await?;
        let mut fastest = f64::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            let gateway = Gateway::start(&toggl, &path)?;
            gateway.ready().await?;
            fastest = fastest.min(started.elapsed().as_secs_f64() * 1000.0);
        }
        dots.push((*size, fastest));
    }
    Ok(Line {
        name: "Start, ms, over a trail of so many events",
        dots,
    })
}

/// A gateway in a process and a folder of its own. Dropped, it ends as one that is stopped.
struct Gateway {
    process: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
    _folder: TempDir,
}

// === impl Gateway ===

impl Gateway {
    fn start(toggl: &Toggl, database: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // Free a moment ago; nobody else is likely to take it in the next.
        let free = || std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr();
        let (proxy, admin) = (free()?, free()?);
        let config = CONFIG
            .replace("@LISTEN@", &proxy.to_string())
            .replace("@ADMIN@", &admin.to_string())
            .replace("@UPSTREAM@", &toggl.addr().to_string())
            .replace("@DATABASE@", &database.display().to_string());
        fs::write(folder.path().join("tollgate.toml"), config)?;
        let process = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config", "tollgate.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            process,
            proxy,
            admin,
            _folder: folder,
        })
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let readyz = "GET /readyz HTTP/1.1\r\nHost: gate\r\n\r\n";
        let looking = async {
            loop {
                if let Ok(mut stream) = TcpStream::connect(self.admin).await
                    && answer(&mut stream, readyz)
                        .await?
                        .starts_with("HTTP/1.1 200 ")
                {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking)
            .await
            .context("it did not get ready")?
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.process.wait();
    }
}

/// The answer to a request on a connection, with as much of its body as came with its head.
async fn answer(stream: &mut TcpStream, request: &str) -> anyhow::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(8192);
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            bail!("cut off after {}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
