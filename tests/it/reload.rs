//! Changed while it runs: the configuration and the files that it names are read anew at SIGHUP, all or nothing.

mod database;

use std::fs;
use std::process::Command;

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::UnixDatagram;
use tollgate::simulator::{Match, Toggl};

use crate::support::process::{BINARY, Folder, NOBODY, Process};
use crate::support::{Client, DESIGN, ORG, Wire, basic, eventually, group, groups, soon, toggl};

const FILE: &str = "tollgate.toml";

/// Before the simulator, with this configuration besides what every gateway has.
async fn started(toggl: &Toggl, file: &str) -> Process {
    let folder = Folder::before(&toggl.url());
    fs::write(folder.path().join(FILE), file).unwrap();
    folder.start().await
}

fn ann(gate: &Process, toggl: &Toggl) -> Client {
    gate.client(&basic(&toggl.token("ann"), "api_token"))
}

/// Has `file` read anew. Gives the level and the message of the line that says what came of it.
async fn reread(gate: &Process, file: &str) -> (String, String) {
    let lines = || {
        let log = gate.log();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        let told = lines.map(|line| (text(&line, "level"), text(&line, "message")));
        told.filter(|(_, message)| message.starts_with("The configuration was"))
            .collect::<Vec<_>>()
    };
    let before = lines().len();
    fs::write(gate.path().join(FILE), file).unwrap();
    gate.hang_up();
    eventually("it is told", async || lines().get(before).cloned()).await
}

#[tokio::test]
async fn what_changed_and_what_needs_a_restart_is_a_line_and_an_event() {
    let toggl = toggl().await;
    let gate = started(&toggl, "[cache]\nttl = \"1h\"\n").await;
    let ann = ann(&gate, &toggl);
    ann.get(groups(ORG)).await.assert_ok();
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");

    let fresh = "[cache]\nttl = \"0s\"\nstale_while_revalidate = \"0s\"\nmax_size = \"64MiB\"\n";
    let mut told = vec![reread(&gate, fresh).await];
    // The list from before is judged by what is set now.
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=stale; stored");
    // What needs a restart is named until there was one.
    let longer = fresh.replace("\"0s\"", "\"1h\"");
    told.push(reread(&gate, &longer).await);
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    for _ in 0..2 {
        told.push(reread(&gate, "[cache]\nttl = \"1h\"\n").await);
    }
    assert!(told.iter().all(|(level, _)| level == "INFO"));
    let told: Vec<_> = told.into_iter().map(|(_, message)| message).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    The configuration was read anew: cache.ttl: 1h → 0s, cache.stale_while_revalidate: 30s → 0s; needs a restart: cache.max_size: 256MiB → 64MiB
    The configuration was read anew: cache.ttl: 0s → 1h, cache.stale_while_revalidate: 0s → 1h; needs a restart: cache.max_size: 256MiB → 64MiB
    The configuration was read anew: cache.stale_while_revalidate: 1h → 30s
    The configuration was read anew: nothing has changed
    ");

    let (folder, status) = gate.stop().await;
    assert!(status.success());
    let trail = folder.trail().await;
    let told: Vec<_> = trail
        .iter()
        .map(|event| {
            let request = &event.request;
            let how = [
                &event.action,
                &event.outcome,
                &request.method,
                &request.path,
            ];
            format!("{}: {}", how.map(String::as_str).join(" "), event.summary)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    tollgate.reload applied SIGNAL SIGHUP: cache.ttl: 1h → 0s, cache.stale_while_revalidate: 30s → 0s; needs a restart: cache.max_size: 256MiB → 64MiB
    tollgate.reload applied SIGNAL SIGHUP: cache.ttl: 0s → 1h, cache.stale_while_revalidate: 0s → 1h; needs a restart: cache.max_size: 256MiB → 64MiB
    tollgate.reload applied SIGNAL SIGHUP: cache.stale_while_revalidate: 1h → 30s
    ");
    let after = trail[0].after.as_ref().unwrap();
    assert_eq!(
        after["changed"][0],
        json!({ "key": "cache.ttl", "from": "1h", "to": "0s" })
    );
    assert_eq!(after["needs_restart"][0]["key"], "cache.max_size");
    folder.assert_intact(3).await;
}

#[tokio::test]
async fn a_mistake_changes_nothing_and_is_told_as_config_check_tells_it() {
    let toggl = toggl().await;
    let right = "[cache]\nttl = \"1h\"\n";
    let gate = started(&toggl, right).await;
    let ann = ann(&gate, &toggl);
    ann.get(groups(ORG)).await.assert_ok();

    let wrong =
        "[cache]\nttl = \"0s\"\nstale_if_error = \"soon\"\n[admin]\ntoken = \"hush hush\"\n";
    let in_it = reread(&gate, wrong).await;
    // The rest of it is right, and is not taken over either.
    let gone = "[[admin.tokens]]\nname = \"dashboard\"\ntoken_file = \"gone\"\nrole = \"reader\"\n[cache]\nttl = \"0s\"\n";
    let in_a_file = reread(&gate, gone).await;
    for (level, _) in [&in_it, &in_a_file] {
        assert_eq!(level, "ERROR");
    }
    insta::assert_snapshot!(format!("{}\n{}", in_it.1, in_a_file.1), @r#"
    The configuration was not read anew, and all that is set stays as it was: the configuration has 2 mistakes:
      tollgate.toml:3: cache.stale_if_error: "soon" is not a duration; allowed: a duration such as `150ms`, `60s`, `24h` or `400d`
      tollgate.toml:5: admin.token: the value has a space, or a character that is not ASCII; allowed: visible ASCII characters without a space, as they can stand in a header
    The configuration was not read anew, and all that is set stays as it was: the token_file of [[admin.tokens]] "dashboard" gone cannot be read: No such file or directory (os error 2)
    "#);
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    let (_, told) = reread(&gate, right).await;
    assert!(told.ends_with("nothing has changed"), "{told}");
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    folder.assert_intact(0).await;
}

#[tokio::test]
async fn a_token_that_was_taken_away_opens_nothing_more() {
    let toggl = toggl().await;
    let with = |name: &str| {
        format!("[[admin.tokens]]\nname = \"{name}\"\ntoken_file = \"{name}\"\nrole = \"reader\"\n")
    };
    let folder = Folder::before(&toggl.url());
    for name in ["old", "new"] {
        fs::write(folder.path().join(name), format!("{name}-s3cret")).unwrap();
    }
    fs::write(folder.path().join(FILE), with("old")).unwrap();
    let gate = folder.start().await;
    let asks = |token: &str| gate.admin().authorized(&format!("Bearer {token}"));
    let (old, new) = (asks("old-s3cret"), asks("new-s3cret"));
    old.get("/api/events").await.assert_ok();
    new.get("/api/events").await.assert_status(401);
    let login = gate
        .admin()
        .ask(Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("token=old-s3cret")
        .await
        .assert_status(303);
    let session = login.header("set-cookie").unwrap();
    let browser = gate
        .admin()
        .with("cookie", session.split(';').next().unwrap());
    browser.get("/api/events").await.assert_ok();
    let stream = old.get("/api/events/stream").open().await.unwrap();
    assert_eq!(stream.status(), 200);

    let mut told = vec![reread(&gate, &with("new")).await.1];
    old.get("/api/events").await.assert_status(401);
    browser.get("/api/events").await.assert_status(401);
    new.get("/api/events").await.assert_ok();
    // It ends with its token, and not in a quarter of an hour.
    let ended = soon("the stream ends", stream.into_body().collect()).await;
    ended.unwrap();

    // The same name with another token; and the token that the gateway has made for itself.
    fs::write(gate.path().join("new"), "newer-s3cret").unwrap();
    fs::write(gate.path().join("tollgate.token"), "5a".repeat(32)).unwrap();
    told.push(reread(&gate, &with("new")).await.1);
    insta::assert_snapshot!(told.join("\n"), @r"
    The configuration was read anew: admin.tokens
    The configuration was read anew: admin.token, admin.tokens
    ");
    new.get("/api/events").await.assert_status(401);
    asks(&"5a".repeat(32)).get("/api/events").await.assert_ok();
    let (folder, _) = gate.stop().await;
    assert!(!folder.log().contains("s3cret"));
}

#[tokio::test]
async fn the_log_follows_and_so_do_the_quota_and_the_limits() {
    let toggl = toggl().await;
    let gate = started(&toggl, "").await;
    let file = "[log]\nfilter = \"warn\"\n[quota]\nreserve = 20\npace = \"off\"\n[limits]\nbody_timeout = \"5s\"\nmax_in_flight = 7\n";
    let (_, told) = reread(&gate, file).await;
    insta::assert_snapshot!(told, @"The configuration was read anew: quota.reserve: 10 → 20, quota.pace: after-429 → off, limits.max_in_flight: 1024 → 7, limits.body_timeout: 30s → 5s, log.filter: info → warn");
    let ann = ann(&gate, &toggl);
    eventually("requests are told of no more", async || {
        let before = gate.log();
        ann.get(groups(ORG)).await.assert_ok();
        (gate.log() == before).then_some(())
    })
    .await;
    fs::write(gate.path().join(FILE), "").unwrap();
    gate.hang_up();
    eventually("requests are told of again", async || {
        let before = gate.log();
        ann.get(groups(ORG)).await.assert_ok();
        (gate.log() != before).then_some(())
    })
    .await;
    gate.stop().await;
}

/// A connection on which something was asked and answered.
async fn served(gate: &Process) -> Wire {
    let mut wire = Wire::connect(gate.address()).await;
    ask(&mut wire).await;
    assert!(wire.head().await.starts_with("HTTP/1.1 401 "));
    wire
}

async fn ask(wire: &mut Wire) {
    wire.write("GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n")
        .await;
}

#[tokio::test]
async fn fewer_connections_cut_nobody_off_and_more_let_in_who_waits() {
    let toggl = toggl().await;
    let gate = started(&toggl, "[limits]\nmax_connections = 3\n").await;
    let mut open = vec![
        served(&gate).await,
        served(&gate).await,
        served(&gate).await,
    ];
    // One has gone, and its place is not given to the next.
    open.pop();
    let (_, told) = reread(&gate, "[limits]\nmax_connections = 1\n").await;
    assert!(told.ends_with("limits.max_connections: 3 → 1"), "{told}");
    let mut waiting = Wire::connect(gate.address()).await;
    ask(&mut waiting).await;
    while let Some(mut wire) = open.pop() {
        let before = toggl.received();
        ask(&mut wire).await;
        assert!(
            wire.head().await.starts_with("HTTP/1.1 401 "),
            "nobody is cut off"
        );
        assert_eq!(toggl.received(), before + 1, "who waits is not served yet");
    }
    assert!(waiting.head().await.starts_with("HTTP/1.1 401 "));

    let mut waiting = [
        Wire::connect(gate.address()).await,
        Wire::connect(gate.address()).await,
    ];
    for wire in &mut waiting {
        ask(wire).await;
    }
    reread(&gate, "[limits]\nmax_connections = 3\n").await;
    for wire in &mut waiting {
        assert!(wire.head().await.starts_with("HTTP/1.1 401 "));
    }
    gate.stop().await;
}

#[tokio::test]
async fn requests_in_flight_are_bounded_by_what_was_set_last() {
    let toggl = toggl().await;
    let gate = started(&toggl, "[limits]\nmax_in_flight = 3\n").await;
    let ann = ann(&gate, &toggl);
    let hold = toggl.every(Match::path("/api/v9/me")).hang();
    let mut waiting: Vec<_> = (0..3).map(|_| ann.get("/api/v9/me").spawn()).collect();
    hold.reached_by(3).await;
    let overloaded = async || ann.get("/x").await.assert_problem(503, "overloaded");
    overloaded().await;
    reread(&gate, "[limits]\nmax_in_flight = 1\n").await;
    overloaded().await;
    reread(&gate, "[limits]\nmax_in_flight = 4\n").await;
    waiting.push(ann.get("/api/v9/me").spawn());
    soon("there is room for a fourth", hold.reached_by(4)).await;
    overloaded().await;
    reread(&gate, "[limits]\nmax_in_flight = 1\n").await;
    hold.release();
    for waiting in waiting {
        waiting.await.unwrap().assert_ok();
    }
    // All have gone, so one has room; changes are counted by themselves, and by the same number.
    let hold = toggl
        .every(Match::path(format!("{}/*", groups(ORG))))
        .hang();
    let changing = ann.delete(group(ORG, DESIGN)).spawn();
    hold.reached().await;
    overloaded().await;
    hold.release();
    changing.await.unwrap().assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn the_service_manager_hears_when_a_reload_begins_and_when_it_is_over() {
    let folder = Folder::before(NOBODY);
    fs::write(folder.path().join(FILE), "").unwrap();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let told = async || {
        let mut message = [0; 4096];
        let length = soon("it is told", manager.recv(&mut message))
            .await
            .unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", &path);
    let gate = folder.start_as(command).await;
    assert_eq!(told().await, "READY=1\n");
    for file in ["[cache]\nttl = \"1s\"\n", "a mistake"] {
        let before = monotonic_usec();
        reread(&gate, file).await;
        let begun = told().await;
        let at = begun.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let at: i128 = at.trim_end().parse().unwrap();
        assert!((before..=monotonic_usec()).contains(&at), "{begun}");
        assert_eq!(told().await, "READY=1\n");
    }
    let (_, status) = gate.stop().await;
    assert!(status.success());
    assert_eq!(told().await, "STOPPING=1\n");
}

/// The clock by which a service manager knows one reload from another.
fn monotonic_usec() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
}

#[tokio::test]
async fn the_first_start_tells_a_pipe_where_the_token_is_and_not_the_token() {
    let toggl = toggl().await;
    let gate = started(&toggl, "").await;
    let token = fs::read_to_string(gate.path().join("tollgate.token")).unwrap();
    let (folder, _) = gate.stop().await;
    let written = fs::read_to_string(folder.path().join("output.txt")).unwrap() + &folder.log();
    assert!(written.contains("An admin token was made, and is in tollgate.token"));
    assert!(!written.contains(token.trim()));
}
