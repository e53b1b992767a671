//! Sockets that are not a port of one process: Unix sockets, sockets that a service manager opened, and
//! those that a new binary takes over.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use command_fds::{CommandFdExt as _, FdMapping};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::UnixStream;
use tollgate::simulator::Match;

use crate::support::process::{BINARY, Folder, NOBODY, Process};
use crate::support::{
    Client, DESIGN, Made, ORG, TLS_CERT, TLS_KEY, basic, eventually, group, groups, soon, toggl,
};

/// A folder in which both sides listen on Unix sockets.
fn on_unix_sockets(upstream: &str) -> Folder {
    let folder = Folder::before(upstream);
    let socket = |name| format!("unix:{}", folder.path().join(name).display());
    let (proxy, admin) = (socket("proxy.sock"), socket("admin.sock"));
    folder
        .set("listen.proxy", &proxy)
        .set("listen.admin", &admin)
}

async fn ask(socket: &Path, version: Version, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TokioIo::new(UnixStream::connect(socket).await.unwrap());
    let answer = if version == Version::HTTP_2 {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        soon("an answer comes", client.send_request(request)).await
    } else {
        let (mut client, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        soon("an answer comes", client.send_request(request)).await
    };
    answer.unwrap()
}

/// With a host in the way that `version` tells it.
fn target(version: Version, path: &str) -> http::request::Builder {
    match version {
        Version::HTTP_2 => Request::builder().uri(format!("http://gate{path}")),
        _ => Request::builder().uri(path).header("host", "gate"),
    }
}

fn rename(version: Version, authorization: &str) -> Request<Full<Bytes>> {
    target(version, &group(ORG, DESIGN))
        .method("PUT")
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .header("x-forwarded-for", "203.0.113.7")
        .body(Full::from(json!({ "name": "Brand" }).to_string()))
        .unwrap()
}

// --- Unix sockets ---

#[tokio::test]
async fn a_unix_socket_is_served_in_both_protocols_and_is_gone_at_the_end() {
    let toggl = toggl().await;
    let gate = on_unix_sockets(&toggl.url()).start().await;
    let socket = |name| gate.path().join(name);
    let (proxy, admin) = (socket("proxy.sock"), socket("admin.sock"));
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let renamed = rename(version, &toggl.authorization("ann"));
        let answer = ask(&proxy, version, renamed).await;
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));
    let metrics = target(Version::HTTP_11, "/metrics").body(Full::default());
    let refused = ask(&admin, Version::HTTP_11, metrics.unwrap()).await;
    assert_eq!(refused.status(), 401, "a socket's file is no token");
    // Somebody on this machine, and nobody's word on others is taken unasked.
    let events = gate.trail().await;
    let addresses = events.iter().map(|event| event.source.ip.as_deref());
    assert_eq!(addresses.collect::<Vec<_>>(), [Some("127.0.0.1"); 2]);
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    assert!(!proxy.exists() && !admin.exists());
    let (_, status) = folder.run(&["healthcheck"]);
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn a_proxy_at_a_unix_socket_is_believed_as_this_machine_is() {
    let toggl = toggl().await;
    let gate = on_unix_sockets(&toggl.url())
        .set("identity.trusted_proxies", "127.0.0.1")
        .start()
        .await;
    let proxy = gate.path().join("proxy.sock");
    let renamed = rename(Version::HTTP_11, &toggl.authorization("ann"));
    let answer = ask(&proxy, Version::HTTP_11, renamed).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let events = gate.trail().await;
    assert_eq!(events[0].source.ip.as_deref(), Some("203.0.113.7"));
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_is_replaced_and_one_that_is_served_is_not() {
    let gate = on_unix_sockets(NOBODY).start().await;
    let (said, code) = gate.start_in_vain();
    assert_eq!(code, Some(1));
    assert!(said.contains("is served by another process"), "{said}");
    let folder = gate.kill();
    let proxy = folder.path().join("proxy.sock");
    assert!(proxy.exists());
    let gate = folder.start().await;
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));
    let (folder, _) = gate.stop().await;
    fs::write(&proxy, "mine").unwrap();
    let (said, code) = folder.start_in_vain();
    assert_eq!(code, Some(1));
    assert!(said.contains("is there and is no socket"), "{said}");
    assert_eq!(fs::read_to_string(&proxy).unwrap(), "mine");
}

#[tokio::test]
async fn a_unix_socket_beside_a_port_with_tls_stays_plain() {
    let folder = on_unix_sockets(NOBODY)
        .set("listen.proxy", "127.0.0.1:0")
        .set("listen.tls_cert", TLS_CERT)
        .set("listen.tls_key", TLS_KEY);
    let made = Made::new();
    made.write_to(folder.path());
    let gate = folder.start().await;
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));
    let proxy = Client::of(format!("https://{}", gate.address())).trusting(&made.certificate);
    assert_eq!(proxy.get("/api/v9/me").await.status, 502);
}

// --- sockets that were handed over ---

/// A start with these as file descriptors 3 and on.
fn with_sockets(sockets: impl IntoIterator<Item = OwnedFd>) -> Command {
    let numbered = sockets.into_iter().zip(3..);
    let mapped = numbered.map(|(parent_fd, child_fd)| FdMapping {
        parent_fd,
        child_fd,
    });
    let mapped: Vec<_> = mapped.collect();
    let mut command = Command::new(BINARY);
    command.env("LISTEN_FDS", mapped.len().to_string());
    command.fd_mappings(mapped).unwrap();
    command
}

#[tokio::test]
async fn sockets_that_were_handed_over_are_served_and_outlive_the_process() {
    let toggl = toggl().await;
    let folder = on_unix_sockets(&toggl.url());
    let socket = folder.path().join("admin.sock");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = UnixListener::bind(&socket).unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let folder = folder.set("listen.proxy", &address);
    // The admin side's first: what they are is told by where they listen.
    let start = || {
        with_sockets([
            admin.try_clone().unwrap().into(),
            proxy.try_clone().unwrap().into(),
        ])
    };
    let gate = folder.start_as(start()).await;
    let ann = toggl.authorization("ann");
    gate.client(&ann).get(groups(ORG)).await.assert_ok();
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));

    let (folder, status) = gate.stop().await;
    assert!(status.success());
    assert!(socket.exists(), "its file is whose who made it");
    // Who comes while nobody serves waits for the next one.
    let waiting = tokio::spawn(async move {
        let client = Client::of(format!("http://{address}")).authorized(&ann);
        client.get(groups(ORG)).await.status
    });
    let gate = folder.start_as(start()).await;
    assert_eq!(soon("it is answered", waiting).await.unwrap(), 200);
    gate.stop().await;
}

#[tokio::test]
async fn a_socket_that_the_configuration_does_not_name_is_refused() {
    let folder = Folder::before(NOBODY);
    let stranger = TcpListener::bind("127.0.0.2:0").unwrap();
    let ran = with_sockets([stranger.into()])
        .arg("serve")
        .env("TOLLGATE_LISTEN__PROXY", "127.0.0.1:0")
        .env("TOLLGATE_LISTEN__ADMIN", "127.0.0.1:0")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains("neither listen.proxy nor listen.admin"),
        "{said}"
    );
}

// --- a new binary ---

/// A folder with a name for the binary, which leads to another one later.
struct Installed<'a>(&'a Path);

impl Installed<'_> {
    fn command(&self) -> Command {
        let link = self.0.join("tollgate");
        symlink(BINARY, &link).unwrap();
        Command::new(link)
    }

    /// Another version: it writes down what it is asked, and ends a check of the configuration with `code`.
    fn replace(&self, code: i32) {
        let next = self.0.join("next");
        let script = format!(
            "#!/bin/sh\necho \"$1\" >> asked\n[ \"$1\" = serve ] && exec {BINARY} \"$@\"\n\
             [ {code} = 0 ] || echo 'this version will not' >&2\nexit {code}\n"
        );
        fs::write(&next, script).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(next, self.0.join("tollgate")).unwrap();
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.0.join("asked")).unwrap_or_default()
    }
}

async fn started(folder: Folder) -> Process {
    let command = Installed(folder.path()).command();
    folder.start_as(command).await
}

/// Returns when it has begun to listen so many times.
async fn listens(gate: &Process, times: usize) {
    eventually("it listens again", async || {
        (gate.log().matches("Tollgate listens on").count() == times).then_some(())
    })
    .await;
}

/// Somebody who asks again and again, each time by a connection of its own, and must be answered.
struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    fn of(gate: &Process, authorization: &str) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let url = format!("http://{}", gate.address());
        let caller = |_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let (url, authorization) = (url.clone(), authorization.to_owned());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // A connection that is refused, or ends without an answer, fails the test.
                    let caller = Client::of(&url).authorized(&authorization);
                    caller.get(groups(ORG)).await.assert_ok();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = (0..4).map(caller).collect();
        Self {
            stop,
            answered,
            tasks,
        }
    }

    /// Returns when each of them has probably been answered again.
    async fn go_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("callers are answered", async || {
            (self.answered.load(Ordering::Relaxed) > before + 8).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            soon("a caller was answered", task).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_binary_takes_over_and_nobody_is_refused_and_no_change_is_lost() {
    let toggl = toggl().await;
    let gate = started(Folder::before(&toggl.url())).await;
    let authorization = toggl.authorization("ann");
    let ann = gate.client(&authorization);
    let hold = toggl
        .next(Match::path(group(ORG, DESIGN)))
        .hang_after_read();
    let renaming = {
        let ann = ann.clone();
        tokio::spawn(async move {
            ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
                .await
        })
    };
    hold.reached().await;
    let callers = Callers::of(&gate, &authorization);
    callers.go_on().await;

    let installed = Installed(gate.path());
    installed.replace(0);
    gate.succeed();
    gate.logged("A new binary takes over").await;
    assert_eq!(
        installed.asked(),
        "config\n",
        "none begins while a change is under way"
    );
    hold.release();
    let renamed = soon("the change is answered", renaming).await.unwrap();
    renamed.assert_ok();
    listens(&gate, 2).await;
    callers.go_on().await;
    callers.end().await;
    assert_eq!(installed.asked(), "config\nserve\n");

    // The second one makes changes, too, and found nothing to recover.
    let again = ann.put(group(ORG, DESIGN), json!({ "name": "Web" })).await;
    again.assert_ok();
    let events = gate.trail().await;
    let told = events
        .iter()
        .map(|event| format!("{} {}", event.outcome, event.summary));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            r#"applied renamed "Design" to "Brand""#,
            r#"applied renamed "Brand" to "Web""#
        ]
    );
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    folder.assert_intact(2).await;
}

#[tokio::test]
async fn a_new_binary_that_does_not_take_the_configuration_does_not_take_over() {
    let gate = started(on_unix_sockets(NOBODY)).await;
    let installed = Installed(gate.path());
    installed.replace(2);
    gate.succeed();
    gate.logged("The new binary does not take over: this version will not")
        .await;
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));
    assert_eq!(installed.asked(), "config\n");
    // The next one does, and goes on with the sockets' files.
    installed.replace(0);
    gate.succeed();
    listens(&gate, 2).await;
    assert_eq!(gate.run(&["healthcheck"]).1.code(), Some(0));
    let socket = gate.path().join("admin.sock");
    assert!(socket.exists());
    gate.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn who_stops_it_while_a_new_binary_waits_stops_it() {
    let toggl = toggl().await;
    let gate = started(Folder::before(&toggl.url())).await;
    let hold = toggl.next(Match::path("/api/v9/me")).hang();
    let asking = {
        let somebody = gate.client(&basic("somebody", "api_token"));
        tokio::spawn(async move { somebody.get("/api/v9/me").await })
    };
    hold.reached().await;
    Installed(gate.path()).replace(0);
    gate.succeed();
    gate.logged("A new binary takes over").await;
    gate.terminate();
    gate.logged("Told to stop").await;
    hold.release();
    soon("it is answered", asking).await.unwrap();
    let (folder, status) = gate.ended().await;
    assert!(status.success());
    assert_eq!(Installed(folder.path()).asked(), "config\n");
}
