//! What disks, clocks and networks do: each fault by its name. Reads go on wherever guarantees allow, and
//! when the fault is over all is well again, without a restart. Of how a single change ends when upstream
//! hangs or hangs up, see `recorded::faults`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use sqlx::{Connection as _, Executor as _};
use tokio::net::TcpListener;
use tollgate::clock::{Clock, rfc3339};
use tollgate::simulator::Match;

use crate::support::process::{BINARY, Folder, Process};
use crate::support::{
    Client, DESIGN, Gateway, ORG, RawUpstream, Wire, eventually, group, groups, soon, toggl,
};

/// A disk of this test's own.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one over `folder`.
    fn over(folder: &Path, size: &str) -> Self {
        let disk = Self(folder.to_owned());
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn mount(&self, options: &[&str]) {
        let mut mount = Command::new("mount");
        let done = mount.args(options).arg(&self.0).status();
        assert!(done.expect("`mount` is there").success(), "{options:?}");
    }

    /// Takes so much.
    fn take(&self, bytes: usize) {
        let taken = std::fs::write(self.0.join("filler"), vec![0; bytes]);
        taken.expect("room for it");
    }

    /// Takes all that is left.
    fn fill(&self) {
        let filler = vec![0; 1 << 16];
        let file = std::fs::File::create(self.0.join("filler"));
        let mut file = file.expect("a file");
        while std::io::Write::write_all(&mut file, &filler).is_ok() {}
        // And the last pages, which are smaller.
        while std::io::Write::write_all(&mut file, &filler[..512]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the file");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while somebody has files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn rename(ann: &Client, name: &str) -> crate::support::Reply {
    ann.put(group(ORG, DESIGN), json!({ "name": name })).await
}

async fn is_ready(gate: &Process) -> Option<()> {
    let ready = gate.admin().get("/readyz").await;
    (ready.status == 200).then_some(())
}

// --- disks ---

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_full_disk_refuses_changes_and_no_reads_until_there_is_room() {
    let toggl = toggl().await;
    let folder = Folder::before(&toggl.url()).set("identity.lookup", "false");
    let disk = Disk::over(folder.path(), "8m");
    let gate = folder.start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    rename(&ann, "One").await.assert_ok();
    ann.get(groups(ORG)).await.assert_ok();
    disk.fill();
    let refused = async || {
        let sent = toggl.applied().len();
        let reply = rename(&ann, "Two").await;
        let is_sent = toggl.applied().len() > sent;
        // What SQLite's files have room for already is still written, down to an intent whose event finds none.
        (reply.status == 503 && !is_sent).then_some(reply)
    };
    let refused = eventually("no room is left", refused).await;
    let refused = refused.assert_problem(503, "audit-unavailable");
    assert_eq!(refused.header("x-tollgate-event"), None, "no row for it");
    let read = ann.get(groups(ORG)).await.assert_ok();
    assert!(!read.names().is_empty());
    let ready = gate.admin().get("/readyz").await.assert_status(503);
    assert!(
        ready.text().contains("changes are refused"),
        "{}",
        ready.text()
    );
    disk.make_room();
    eventually("it is ready again", async || is_ready(&gate).await).await;
    rename(&ann, "Three").await.assert_ok();
    assert_eq!(toggl.group(DESIGN).unwrap().name, "Three");
    // As many rows as upstream has applied; one that could not be written at once has been since.
    let rows = toggl.applied().len();
    let all = async || (gate.trail().await.len() == rows).then_some(());
    eventually("every change has its row", all).await;
    gate.assert_intact(rows).await;
    drop(disk);
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_disk_that_is_nearly_full_is_told_of_and_takes_changes() {
    let toggl = toggl().await;
    let folder = Folder::before(&toggl.url()).set("identity.lookup", "false");
    let disk = Disk::over(folder.path(), "16m");
    let gate = folder.start().await;
    let warned = async || {
        let ready = gate.admin().get("/readyz").await.assert_ok().json();
        ready["warnings"][0]["what"].as_str().map(str::to_owned)
    };
    assert_eq!(warned().await, None);
    disk.take(15 << 20);
    // It looks at most once a second.
    let warning = eventually("it is told", async || warned().await).await;
    let told = "the disk with tollgate.db is nearly full: ";
    assert!(warning.starts_with(told), "{warning}");
    rename(&gate.client(&toggl.authorization("ann")), "One")
        .await
        .assert_ok();
    disk.make_room();
    let over = async || warned().await.is_none().then_some(());
    eventually("it is over", over).await;
    gate.assert_intact(1).await;
    drop(disk);
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_database_that_may_only_be_read_is_told_at_the_start() {
    let folder = Folder::before("http://127.0.0.1:1");
    let disk = Disk::over(folder.path(), "8m");
    let (folder, ended) = folder.start().await.stop().await;
    assert!(ended.success());
    disk.mount(&["-o", "remount,ro"]);
    let (told, code) = folder.start_in_vain();
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("tollgate.db") && told.contains("mounted for reading alone"),
        "{told}"
    );
    disk.mount(&["-o", "remount,rw"]);
    let (_, ended) = folder.start().await.stop().await;
    assert!(ended.success());
    drop(disk);
}

#[tokio::test]
async fn a_store_that_is_slow_holds_up_changes_and_no_reads() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url())
        .set("identity.lookup", "false")
        .start()
        .await;
    let ann = gate.client(&toggl.authorization("ann"));
    ann.get(groups(ORG)).await.assert_ok();
    // What the list told is written beside it; then the change waits for its own row alone.
    let known = "SELECT count(*) FROM known_groups";
    let is_known = async || (gate.number(known).await > 0).then_some(());
    eventually("the list's groups are known", is_known).await;
    let mut other = gate.sqlite().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut changing = ann
        .put(group(ORG, DESIGN), json!({"name": "Brand"}))
        .spawn();
    for _ in 0..3 {
        ann.get(groups(ORG)).await.assert_ok();
        ann.get("/api/v9/me").await.assert_ok();
    }
    assert!(futures_util::FutureExt::now_or_never(&mut changing).is_none());
    let put = Match::new(Method::PUT, group(ORG, DESIGN));
    assert!(
        toggl.received_matching(&put).is_empty(),
        "not before it is on disk"
    );
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    soon("the change goes on", changing)
        .await
        .unwrap()
        .assert_ok();
    gate.assert_intact(1).await;
}

// --- clocks ---

#[tokio::test]
async fn a_clock_that_jumps_moves_dates_and_nothing_else() {
    let toggl = toggl().await;
    let jump = Arc::new(AtomicI64::new(0));
    let start = Clock::system().now();
    let clock = {
        let jump = Arc::clone(&jump);
        Clock::from_fn(move || start + SignedDuration::from_hours(jump.load(Ordering::SeqCst)))
    };
    let gate = Gateway::before(&toggl).clock(clock).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let jumps = [(0, "One"), (-48, "Two"), (72, "Three"), (-1, "Four")];
    for (hours, name) in jumps {
        let change = Match::new(Method::PUT, group(ORG, DESIGN));
        let hold = toggl.next(change).hang();
        let changing = ann.put(group(ORG, DESIGN), json!({ "name": name })).spawn();
        hold.reached().await;
        // While it is under way.
        jump.store(hours, Ordering::SeqCst);
        hold.release();
        changing.await.unwrap().assert_ok();
        let read = ann.get(groups(ORG)).await.assert_ok();
        assert!(
            read.names().contains(&name.to_owned()),
            "never what was before"
        );
        // Fresh is what was just fetched, whatever the date.
        let again = ann.get(groups(ORG)).await.assert_ok();
        let cache = again.cache();
        assert!(cache.starts_with("tollgate; hit; ttl="), "{cache}");
    }
    let events = gate.events_when(jumps.len()).await;
    for (event, (number, (hours, name))) in events.iter().zip((1..).zip(jumps)) {
        assert_eq!(event.seq, number);
        assert!(event.summary.contains(name), "{}", event.summary);
        assert!((0..60_000).contains(&event.duration_ms), "{event:?}");
        let completed = start + SignedDuration::from_hours(hours);
        assert_eq!(event.completed_at, rfc3339(completed), "the date moved");
    }
    gate.stop().await;
}

// --- networks ---

#[tokio::test]
async fn an_upstream_whose_name_means_nothing_is_told_and_no_change_was_sent() {
    let gate = Folder::before("http://upstream.invalid:80").start().await;
    let ann = gate.client("Basic YW5uOmFwaV90b2tlbg==");
    ann.get("/api/v9/me")
        .await
        .assert_problem(502, "upstream-unreachable");
    ann.post("/api/v9/workspaces/1/tags", json!({"name": "x"}))
        .await
        .assert_problem(502, "upstream-unreachable");
    let trail = gate.trail().await;
    assert_eq!((trail.len(), &*trail[0].outcome), (1, "not_sent"));
    gate.assert_intact(1).await;
}

#[tokio::test]
async fn an_upstream_that_hangs_in_the_handshake_is_told_and_no_change_was_sent() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let gate = Folder::before(&format!("https://{}", silent.local_addr().unwrap()))
        .set("identity.lookup", "false")
        .set("upstream.connect_timeout", "200ms")
        .start()
        .await;
    let ann = gate.client("Basic YW5uOmFwaV90b2tlbg==");
    let change = ann.put(group(ORG, DESIGN), json!({ "name": "One" }));
    // Long before `upstream.request_timeout`.
    let refused = soon("it is answered", change.into_future()).await;
    refused.assert_problem(502, "upstream-unreachable");
    let trail = gate.trail().await;
    assert_eq!((trail.len(), &*trail[0].outcome), (1, "not_sent"));
    gate.assert_intact(1).await;
}

/// Answers each request on each connection so, until it is dropped.
fn answering(listener: TcpListener, answer: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut wire = Wire::of(stream);
                while wire.head_or_end().await.is_some() {
                    wire.write(answer).await;
                }
            });
        }
    })
}

#[tokio::test]
async fn an_upstream_that_was_away_is_reached_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let first = answering(listener, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    let gate = Folder::before(&format!("http://{address}")).start().await;
    let tool = gate.stranger();
    assert_eq!(tool.get("/x").await.assert_ok().text(), "1");
    first.abort();
    let _ = first.await;
    let away = tool.get("/x").await;
    away.assert_problem(502, "upstream-unreachable");
    let listener = TcpListener::bind(address).await.unwrap();
    let second = answering(listener, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    assert_eq!(tool.get("/x").await.assert_ok().text(), "2");
    second.abort();
}

/// A file of names, as `/etc/hosts` is one, for a process of its own.
struct Names(PathBuf);

impl Names {
    fn in_folder(folder: &Folder) -> Self {
        Self(folder.path().join("hosts"))
    }

    /// From now on `upstream.test` is at `address`.
    fn lead_to(&self, address: &str) {
        let before = std::fs::metadata(&self.0).and_then(|file| file.modified());
        std::fs::write(&self.0, format!("{address} upstream.test\n")).unwrap();
        // Read anew only if it is of another second.
        if let Ok(before) = before {
            let file = std::fs::File::options().append(true).open(&self.0).unwrap();
            file.set_modified(before + Duration::from_secs(2)).unwrap();
        }
    }

    /// The binary, so that it looks names up there.
    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env("LD_PRELOAD", "libnss_wrapper.so")
            .env("NSS_WRAPPER_HOSTS", &self.0);
        command
    }
}

#[tokio::test]
#[ignore = "needs libnss-wrapper"]
async fn an_upstream_whose_name_leads_elsewhere_is_followed_when_the_old_one_vanishes() {
    let old = RawUpstream::start().await;
    let new = RawUpstream::start_at("127.0.0.2", old.port()).await;
    let folder = Folder::before(&format!("http://upstream.test:{}", old.port()))
        .set("identity.lookup", "false")
        .set("upstream.request_timeout", "6s");
    let names = Names::in_folder(&folder);
    names.lead_to("127.0.0.1");
    let gate = folder.start_as(names.command()).await;
    let ann = gate.client("Basic YW5uOmFwaV90b2tlbg==");
    // Three connections, which wait for the next requests.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let asked = ann.get("/api/v9/me").spawn();
        let mut wire = old.accept().await;
        wire.head().await;
        waiting.push((asked, wire));
    }
    let mut wires = Vec::new();
    for (asked, mut wire) in waiting {
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
            .await;
        assert_eq!(asked.await.unwrap().assert_ok().text(), "old");
        wires.push(wire);
    }
    old.vanish();
    wires.iter().for_each(Wire::vanish);
    names.lead_to("127.0.0.2");

    let second = answering(
        new.into_listener(),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew",
    );
    // Asked once more when half of `upstream.request_timeout` is over.
    let read = soon("it is answered", ann.get("/api/v9/me").into_future()).await;
    assert_eq!(read.assert_ok().text(), "new");
    // The other two of the old connections are left alone: a change would be lost on them.
    for _ in 0..2 {
        let tags = "/api/v9/workspaces/1/tags";
        let made = ann.post(tags, json!({ "name": "x" })).await;
        assert_eq!(made.assert_ok().text(), "new");
    }
    let trail = gate.trail().await;
    assert!(trail.iter().all(|event| event.outcome == "applied"));
    gate.assert_intact(2).await;
    second.abort();
}

#[tokio::test]
async fn an_upstream_that_speaks_garbage_leaves_a_change_unknown_and_the_next_goes_on() {
    let upstream = RawUpstream::start().await;
    let gate = Folder::before(&upstream.url())
        .set("identity.lookup", "false")
        .start()
        .await;
    let ann = gate.client("Basic YW5uOmFwaV90b2tlbg==");
    let garbage = [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"HTTP/9.9 teapot\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"220 mail.example ESMTP\r\n",
    ];
    for (number, garbage) in garbage.into_iter().enumerate() {
        let tags = "/api/v9/workspaces/1/tags";
        let asked = ann.post(tags, json!({"name": "x"})).spawn();
        let mut wire = upstream.accept().await;
        wire.head().await;
        wire.write(garbage).await;
        drop(wire);
        let told = soon("it is told", asked).await.unwrap();
        told.assert_problem(502, "upstream-unreachable");
        let trail = gate.trail().await;
        assert_eq!(trail.len(), number + 1);
        assert_eq!(trail[number].outcome, "unknown");
    }
    let asked = ann.get("/api/v9/me").spawn();
    upstream
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        .await;
    asked.await.unwrap().assert_ok();
    gate.assert_intact(garbage.len()).await;
}

#[tokio::test]
async fn an_upstream_that_drips_an_answer_to_a_change_is_cut_off() {
    let toggl = toggl().await;
    let upstream = RawUpstream::start().await;
    let gate = Folder::before(&upstream.url())
        .set("identity.lookup", "false")
        .set("upstream.request_timeout", "300ms")
        .start()
        .await;
    let ann = gate.client(&toggl.authorization("ann"));
    let change = json!({"name": "Design", "users": [], "workspaces": []});
    let asked = ann.post(groups(ORG), change).spawn();
    let mut wire = upstream.accept().await;
    wire.head().await;
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    let dripping = tokio::spawn(async move {
        let mut drops = tokio::time::interval(Duration::from_millis(20));
        loop {
            drops.tick().await;
            if wire.write_all(b" ").await.is_err() {
                return;
            }
        }
    });
    let told = soon("it is told", asked).await.unwrap();
    told.assert_problem(504, "upstream-timeout");
    soon("nobody listens to it any more", dripping)
        .await
        .unwrap();
    let trail = gate.trail().await;
    assert_eq!(trail.len(), 1);
    assert_eq!(
        trail[0].flags,
        json!(["answer-incomplete", "after-assumed"])
    );
    gate.assert_intact(1).await;
}
