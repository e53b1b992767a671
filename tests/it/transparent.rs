//! DESIGN §1.1: what Tollgate does not treat passes through unchanged and unbuffered.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Channel, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tollgate::body::{Body, BoxError};
use tollgate::clock::Clock;
use tollgate::simulator::{Match, Toggl};

use crate::support::{
    Client, DESIGN, Gateway, ORG, RawUpstream, STUDIO, Wire, eventually, group, groups,
    project_groups, simulate, soon, toggl, values, workspace_groups,
};

/// A `POST` that only reads, and so is neither recorded nor held up.
const REPORT: &str = "/reports/api/v3/workspace/51001/search/time_entries";

fn last_target(toggl: &Toggl) -> String {
    let received = toggl.received_matching(&Match::any());
    received.last().expect("a request came").target.clone()
}

// --- path and query ---

#[tokio::test]
async fn path_and_query_go_up_to_the_byte() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for target in [
        "/api/v9/me?",
        "/api/v9/me?&&",
        "/api/v9/organizations/4123/groups?name=&workspace=",
        "/api/v9/organizations/4123/groups?b=2&a=1&a=0&%61=%2F%2f+%20",
        "/api/v9/organizations/4123/groups/",
        "/api/v9/organizations/04123/groups",
        "/api/v9//organizations/4123/groups",
        "/api/v9/%6frganizations/4123/groups?%",
        "/api/v9/organizations/4123/./../4123/groups",
        "//api/v9/me",
        "/api/v9/me%2Ftime_entries?q=%zz;x",
        "/api/v9/%7eann/~ann/%7Eann",
        "/nothing/that/anybody/knows?a=b?c=d&e=[1]{2}|3",
    ] {
        ann.get(target).await;
        assert_eq!(last_target(&toggl), target);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_change_goes_up_by_the_spelling_it_came_by() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let target = "/api//v9/organizations/4123/%67roups/9001/?why=%6eot";
    gate.client("ann")
        .put(target, json!({ "name": "Brand" }))
        .await;
    let wanted = Match::new(Method::PUT, "/api//v9/organizations/4123/%67roups/9001/");
    let received = toggl.received_matching(&wanted);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].target, target);
    assert_eq!(received[0].body, r#"{"name":"Brand"}"#);
    let events = gate.events().await;
    assert_eq!(events[0].action, "group.update", "whatever its spelling");
    gate.stop().await;
}

#[tokio::test]
async fn a_change_whose_path_could_mean_two_things_is_refused_and_never_sent() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for path in [
        "/api/v9/organizations/4123/groups%2F9001",
        "/api/v9/organizations/4123/x/../groups/9001",
        "/api/v9/organizations/4123/groups;a=b/9001",
        "/api/v9/organizations/4123%5Cgroups/9001",
        "/api/v9/organizations/4123/groups/9001%00",
    ] {
        ann.delete(path).await.assert_problem(400, "bad-request");
    }
    assert_eq!(toggl.received(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_label_is_taken_off_the_path_and_recorded_as_the_tool() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let sync = gate.client("ann").labelled("hr-sync");
    sync.get(groups(ORG) + "?%61=%2f")
        .await
        .assert_cache("tollgate; fwd=uri-miss; stored");
    assert_eq!(last_target(&toggl), groups(ORG) + "?%61=%2f");
    sync.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    sync.get("/api/v9/~x//y").await.assert_ok();
    assert_eq!(last_target(&toggl), "/api/v9/~x//y");
    let events = gate.events().await;
    assert_eq!(events[0].actor.tool.as_deref(), Some("hr-sync"));
    assert_eq!(events[0].request.path, group(ORG, DESIGN));
    gate.stop().await;
}

#[tokio::test]
async fn a_label_that_is_none_or_is_not_allowed_is_refused() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.tools = vec!["hr-sync".parse().unwrap()])
        .start()
        .await;
    let ann = gate.client("ann");
    ann.clone()
        .labelled("hr-sync")
        .get("/api/v9/me")
        .await
        .assert_ok();
    for label in ["other", "HR", "a_b", ""] {
        let reply = ann.clone().labelled(label).get("/api/v9/me").await;
        reply.assert_problem(400, "bad-request");
    }
    assert_eq!(toggl.received(), 1);
    gate.stop().await;
}

// --- headers ---

#[tokio::test]
async fn headers_of_a_request_are_kept_but_for_those_of_the_connection() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut wire = Wire::connect(&gate.address()).await;
    wire.write(
        "GET /x HTTP/1.1\r\nHost: gate.example:8080\r\nAuthorization: Bearer 1\r\n\
         X-List: b\r\nX-Other: 1\r\nX-List: a\r\nX-List: b\r\nCookie: a=1; b=2\r\n\
         Accept-Encoding: br;q=1.0, gzip\r\nUser-Agent: tool/1\r\nForwarded: for=1\r\n\
         If-None-Match: \"abc\"\r\nRange: bytes=0-1\r\nVia: 1.0 first\r\n\
         X-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine-1\r\n\
         Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n\
         Upgrade: websocket\r\nX-Tollgate-Actor: somebody\r\n\r\n",
    )
    .await;
    let head = upstream
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    wire.head().await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    for (name, expected) in [
        ("authorization", &["Bearer 1"][..]),
        ("x-list", &["b", "a", "b"]),
        ("x-other", &["1"]),
        ("cookie", &["a=1; b=2"]),
        ("accept-encoding", &["br;q=1.0, gzip"]),
        ("user-agent", &["tool/1"]),
        ("forwarded", &["for=1"]),
        ("if-none-match", &["\"abc\""]),
        ("range", &["bytes=0-1"]),
        ("via", &["1.0 first", "1.1 tollgate"]),
        ("x-forwarded-for", &["9.9.9.9", "127.0.0.1"]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["gate.example:8080"]),
        ("x-request-id", &["mine-1"]),
        ("host", &[upstream.url().trim_start_matches("http://")]),
        ("x-private", &[]),
        ("keep-alive", &[]),
        ("proxy-connection", &[]),
        ("proxy-authorization", &[]),
        ("te", &[]),
        ("upgrade", &[]),
        ("x-tollgate-actor", &[]),
    ] {
        assert_eq!(values(&head, name), expected, "{name} in {head}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn headers_of_an_answer_are_kept_but_for_those_of_the_connection_and_of_upstreams_host() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut wire = Wire::connect(&gate.address()).await;
    wire.write("GET /x HTTP/1.1\r\nHost: gate\r\nX-Request-Id: mine-1\r\n\r\n")
        .await;
    upstream
        .answer(
            "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\
             Set-Cookie: GCLB=1; path=/\r\nSet-Cookie: b=2\r\nX-List: b\r\nX-List: a\r\n\
             Cache-Control: no-cache, private, no-store\r\nX-Service-Level: GREEN\r\n\
             X-Toggl-Quota-Remaining: 29\r\nX-Toggl-Request-Id: theirs\r\nServer: nginx\r\n\
             Via: 1.1 google\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nX-Request-Id: theirs\r\n\
             Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\n\
             Connection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nCache-Status: edge; hit\r\n\r\nok",
        )
        .await;
    let head = wire.head().await;
    assert_eq!(wire.until("ok").await, "ok");
    assert!(head.starts_with("HTTP/1.1 299 "), "{head}");
    for (name, expected) in [
        ("set-cookie", &["GCLB=1; path=/", "b=2"][..]),
        ("x-list", &["b", "a"]),
        ("cache-control", &["no-cache, private, no-store"]),
        ("content-type", &["text/plain"]),
        ("content-length", &["2"]),
        ("x-service-level", &["GREEN"]),
        ("x-toggl-quota-remaining", &["29"]),
        ("x-toggl-request-id", &["theirs"]),
        ("server", &["nginx"]),
        ("via", &["1.1 google", "1.1 tollgate"]),
        ("date", &["Tue, 24 Nov 2026 12:00:00 GMT"]),
        ("x-request-id", &["mine-1"]),
        (
            "cache-status",
            &["edge; hit", "tollgate; fwd=bypass; detail=not-cached"],
        ),
        ("alt-svc", &[]),
        ("strict-transport-security", &[]),
        ("x-private", &[]),
        ("keep-alive", &[]),
        ("proxy-authenticate", &[]),
    ] {
        assert_eq!(values(&head, name), expected, "{name} in {head}");
    }
    gate.stop().await;
}

// --- bodies ---

#[tokio::test]
async fn an_answer_begins_before_it_ends_and_its_trailers_come_along() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    caller
        .write("GET /x HTTP/1.1\r\nHost: gate\r\nTE: trailers\r\n\r\n")
        .await;
    let mut wire = upstream.accept().await;
    assert_eq!(values(&wire.head().await, "te"), ["trailers"]);
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        .await;
    caller.head().await;
    for part in ["one", "two"] {
        wire.write(format!("3\r\n{part}\r\n")).await;
        // Upstream has not said yet that there is more, and the caller has it all the same.
        caller.until(part).await;
    }
    wire.write("0\r\nX-Sum: 6\r\n\r\n").await;
    let end = caller.until("\r\n\r\n").await;
    assert_eq!(values(&end, "x-sum"), ["6"]);
    gate.stop().await;
}

#[tokio::test]
async fn a_request_begins_before_it_ends_and_its_trailers_come_along() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    caller
        .write(format!(
            "POST {REPORT} HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\
             Trailer: X-Sum\r\n\r\n3\r\none\r\n"
        ))
        .await;
    let mut wire = upstream.accept().await;
    wire.head().await;
    wire.until("one").await;
    caller.write("3\r\ntwo\r\n").await;
    wire.until("two").await;
    caller.write("0\r\nX-Sum: 6\r\n\r\n").await;
    let end = wire.until("\r\n\r\n").await;
    assert_eq!(values(&end, "x-sum"), ["6"]);
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(caller.head().await.starts_with("HTTP/1.1 204 "));
    gate.stop().await;
}

#[tokio::test]
async fn an_answer_comes_before_the_request_has_ended() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    caller
        .write(format!(
            "POST {REPORT} HTTP/1.1\r\nHost: gate\r\nContent-Length: 1000000\r\n\r\n{{"
        ))
        .await;
    let mut wire = upstream.accept().await;
    wire.head().await;
    wire.write(
        "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    )
    .await;
    assert!(caller.head().await.starts_with("HTTP/1.1 413 "));
    caller.until("no").await;
    drop(caller);
    gate.stop().await;
}

// Far more than the kernel keeps for two connections.
const LARGE: usize = 64 << 20;

/// Looks until `count` stands still, and gives it.
async fn standstill(count: &AtomicUsize) -> usize {
    let (mut last, mut still) = (0, 0);
    eventually("nothing moves any more", async || {
        let now = count.load(Ordering::SeqCst);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
        (still > 40).then_some(now)
    })
    .await
}

#[tokio::test]
async fn a_slow_reader_slows_upstream_down_and_gets_all_of_it() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let sending = tokio::spawn(async move {
        let mut wire = upstream.accept().await;
        wire.head().await;
        wire.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
        ))
        .await;
        let block = vec![b'x'; 1 << 16];
        while count.load(Ordering::SeqCst) < LARGE {
            let left = (LARGE - count.load(Ordering::SeqCst)).min(block.len());
            let sent = wire.write_some(&block[..left]).await.unwrap();
            count.fetch_add(sent, Ordering::SeqCst);
        }
    });
    let answer = gate.stranger().get("/x").open().await.unwrap();
    let sent = standstill(&written).await;
    assert!(
        sent < LARGE / 2,
        "{sent} bytes were taken for a caller who reads none"
    );
    let mut body = answer.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(read, LARGE);
    sending.await.unwrap();
    gate.stop().await;
}

#[tokio::test]
async fn a_slow_upstream_slows_the_caller_down_and_gets_all_of_it() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let sending = tokio::spawn(async move {
        let block = Bytes::from(vec![b'x'; 1 << 16]);
        while count.load(Ordering::SeqCst) < LARGE {
            sender.send_data(block.clone()).await.unwrap();
            count.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let ask = gate
        .stranger()
        .ask(Method::POST, REPORT)
        .header("content-length", &LARGE.to_string())
        .stream(Body::boxed(body));
    let answer = ask.spawn();
    let mut wire = upstream.accept().await;
    wire.head().await;
    let sent = standstill(&written).await;
    assert!(
        sent < LARGE / 2,
        "{sent} bytes were taken for an upstream that reads none"
    );
    let reading = tokio::spawn(async move {
        wire.skip(LARGE).await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        wire
    });
    answer.await.unwrap().assert_ok();
    reading.await.unwrap();
    sending.await.unwrap();
    assert_eq!(written.load(Ordering::SeqCst), LARGE);
    gate.stop().await;
}

#[tokio::test]
async fn what_is_gzipped_stays_gzipped() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    // Not even gzip: whoever looked into it would fail.
    let body = [0x1f, 0x8b, 0xff, 0x00, 0xff, 0x0d, 0x0a];
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    let asked = gate
        .stranger()
        .get("/api/v9/me")
        .header("accept-encoding", "gzip")
        .spawn();
    let head = upstream.answer(answer).await;
    assert_eq!(values(&head, "accept-encoding"), ["gzip"]);
    let reply = asked.await.unwrap().assert_ok();
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
    assert_eq!(reply.body, body[..]);
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_who_waits_for_100_continue_gets_it() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    for (method, path) in [
        ("POST", REPORT),
        ("PUT", "/api/v9/organizations/1/groups/2"),
    ] {
        let mut caller = Wire::connect(&gate.address()).await;
        caller
            .write(format!(
                "{method} {path} HTTP/1.1\r\nHost: gate\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            ))
            .await;
        assert_eq!(caller.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        caller.write("{}").await;
        let mut wire = upstream.accept().await;
        wire.until("{}").await;
        // Upstream's own is for the gateway.
        wire.write(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"OK\"",
        )
        .await;
        assert!(caller.head().await.starts_with("HTTP/1.1 200 "));
        caller.until("\"OK\"").await;
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_cut_off_for_the_caller_too() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let asked = tokio::spawn(gate.stranger().get("/x").attempt());
    upstream
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        .await;
    asked.await.unwrap().unwrap_err();
    gate.stop().await;
}

#[tokio::test]
async fn what_upstream_says_meanwhile_does_not_stand_for_its_answer() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let asked = gate.stranger().get("/x").spawn();
    upstream
        .answer(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    assert_eq!(asked.await.unwrap().assert_ok().text(), "ok");
    gate.stop().await;
}

const BOTH: &str = "Content-Length: 3\r\nTransfer-Encoding: chunked";

fn hello(framing: &str) -> String {
    format!("POST {REPORT} HTTP/1.1\r\nHost: gate\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
}

/// What comes next is the first that comes.
async fn assert_untouched(upstream: &RawUpstream, gate: &Gateway) {
    let asked = gate.stranger().get("/next").spawn();
    let head = upstream.answer(GONE).await;
    assert!(head.starts_with("GET /next "), "{head}");
    assert_eq!(asked.await.unwrap().status, 204);
}

const GONE: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_whose_length_is_told_twice_is_refused() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    for framing in [
        BOTH,
        "transfer-encoding: chunked\r\ncontent-length: 15",
        "Content-Length: 15\r\nContent-Length: 3",
        "Transfer-Encoding: identity, chunked, identity\r\nContent-Length: 15",
        "Transfer-Encoding: chunked, x\r\nContent-Length: 15",
    ] {
        let mut caller = Wire::connect(&gate.address()).await;
        caller.write(hello(framing)).await;
        let answer = caller.head().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
        assert_eq!(
            values(&answer, "connection"),
            ["close"],
            "{framing}: {answer}"
        );
    }
    assert_untouched(&upstream, &gate).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_request_whose_length_is_told_twice_is_refused_behind_others_and_in_pieces() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    let length = format!("POST {REPORT} HTTP/1.1\r\nHost: gate\r\nContent-Length: 5\r\n\r\nhello");
    for one in [length, hello("Transfer-Encoding: chunked")] {
        caller.write(one).await;
        let mut wire = upstream.accept().await;
        wire.until("hello").await;
        wire.write(GONE).await;
        let answer = caller.head().await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }
    let (first, second) = BOTH.split_at(10);
    let both = hello(BOTH);
    let (begin, end) = both.split_once(second).unwrap();
    assert!(begin.ends_with(first));
    caller.write(begin).await;
    caller.write([second, end].concat()).await;
    let answer = caller.head().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_untouched(&upstream, &gate).await;
    gate.stop().await;
}

// Its head came with what was read for the one before, where nobody can look at it again.
#[tokio::test]
async fn a_request_whose_length_is_told_twice_is_one_and_the_last_where_it_does_not_wait_its_turn()
{
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    let before = "GET /before HTTP/1.1\r\nHost: gate\r\n\r\n";
    caller.write([before, &hello(BOTH), before].concat()).await;
    for end in ["\r\n\r\n", "hello"] {
        let mut wire = upstream.accept().await;
        let head = wire.until(end).await;
        assert!(values(&head, "content-length").is_empty(), "{head}");
        wire.write(GONE).await;
        let answer = caller.head().await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }
    assert_eq!(caller.rest().await, b"");
    assert_untouched(&upstream, &gate).await;
    gate.stop().await;
}

#[tokio::test]
async fn an_answer_whose_length_is_told_twice_goes_by_its_chunks() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    for length in [3, 15] {
        let asked = gate.stranger().get("/x").spawn();
        upstream
            .answer(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\n\r\n"
            ))
            .await;
        let reply = asked.await.unwrap().assert_ok();
        assert_eq!(reply.text(), "hello");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_in_chunks_goes_along_with_each_method() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        let mut caller = Wire::connect(&gate.address()).await;
        caller
            .write(format!(
                "{method} {REPORT} HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ))
            .await;
        let mut wire = upstream.accept().await;
        let head = wire.head().await;
        assert_eq!(values(&head, "transfer-encoding"), ["chunked"], "{head}");
        wire.until("hello").await;
        wire.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        assert!(caller.head().await.starts_with("HTTP/1.1 204 "));
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_request_for_another_host_goes_upstream_all_the_same() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let mut caller = Wire::connect(&gate.address()).await;
    caller
        .write("GET http://evil.example:81/x?y HTTP/1.1\r\nHost: gate\r\n\r\n")
        .await;
    let head = upstream.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        values(&head, "host"),
        [upstream.url().trim_start_matches("http://")]
    );
    caller.head().await;
    for request in ["CONNECT evil.example:81 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let mut caller = Wire::connect(&gate.address()).await;
        caller
            .write(format!("{request}\r\nHost: gate\r\n\r\n"))
            .await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{request}: {head}");
    }
    gate.stop().await;
}

// --- methods ---

#[tokio::test]
async fn methods_that_nobody_treats_go_up_as_they_are() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, direct) = (gate.client("ann"), direct(&toggl));
    for method in ["HEAD", "OPTIONS", "GET"] {
        let method: Method = method.parse().unwrap();
        let path = format!("/api/v9/organizations/{ORG}/users");
        let through = ann.ask(method.clone(), &*path).await;
        let straight = direct.ask(method, &*path).await;
        assert_eq!(through.status, straight.status);
        assert_eq!(through.body, straight.body);
        assert_eq!(
            through.header("content-length"),
            straight.header("content-length")
        );
    }
    ann.ask("PROPFIND".parse().unwrap(), "/api/v9/me")
        .await
        .assert_ok();
    let received = toggl.received_matching(&Match::path("/api/v9/me"));
    assert!(received.iter().any(|request| request.method == "PROPFIND"));
    assert_eq!(
        gate.trail().await,
        "ann  api.write  applied  PROPFIND /api/v9/me"
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_head_of_a_list_has_no_body_and_fetches_the_list() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let head = ann.ask(Method::HEAD, groups(ORG)).await.assert_ok();
    assert!(head.body.is_empty());
    let list = ann
        .get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    let length = list.body.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let again = ann.ask(Method::HEAD, groups(ORG)).await.assert_ok();
    assert!(again.body.is_empty());
    assert_eq!(toggl.received(), 1);
    gate.stop().await;
}

fn direct(toggl: &Toggl) -> Client {
    Client::of(toggl.url()).authorized(&toggl.authorization("ann"))
}

/// The same company twice, at one and the same time.
async fn twins() -> (Toggl, Toggl) {
    let at = "2026-11-24T12:00:00Z".parse().unwrap();
    let twin = || simulate(|options| options.clock = Clock::from_fn(move || at));
    (twin().await, twin().await)
}

#[tokio::test]
async fn each_of_the_nine_endpoints_answers_as_toggl_itself_does() {
    let (one, other) = twins().await;
    let gate = Gateway::before(&one).start().await;
    let calls: Vec<(&str, String, Value)> = vec![
        ("GET", groups(ORG), Value::Null),
        (
            "GET",
            groups(ORG) + "?name=des&workspace=51001",
            Value::Null,
        ),
        ("GET", groups(ORG) + "?workspace=x", Value::Null),
        ("GET", workspace_groups(ORG, STUDIO), Value::Null),
        (
            "GET",
            "/api/v9/organizations/4123/workspaces/1/groups".into(),
            Value::Null,
        ),
        (
            "GET",
            project_groups(STUDIO) + "?project_ids=30001,30002",
            Value::Null,
        ),
        (
            "POST",
            groups(ORG),
            json!({"name": "New", "users": [7002], "workspaces": [51001]}),
        ),
        ("POST", groups(ORG), json!({"name": "New"})),
        ("POST", groups(ORG), json!({"name": ""})),
        ("POST", groups(ORG), json!([])),
        (
            "PUT",
            group(ORG, DESIGN),
            json!({"name": "Brand", "users": [7001, 7002]}),
        ),
        (
            "PUT",
            group(ORG, DESIGN),
            json!({"name": "Brand", "users": [1]}),
        ),
        (
            "PATCH",
            group(ORG, DESIGN),
            json!([
                {"op": "add", "path": "/users", "value": [7004]},
                {"op": "add", "path": "/users", "value": [1]},
            ]),
        ),
        (
            "PATCH",
            group(ORG, DESIGN),
            json!([{"op": "move", "path": "/users", "value": []}]),
        ),
        ("GET", groups(ORG), Value::Null),
        (
            "POST",
            project_groups(STUDIO),
            json!({"group_id": 9001, "project_id": 30002}),
        ),
        ("GET", project_groups(STUDIO), Value::Null),
        ("DELETE", project_groups(STUDIO) + "/1", Value::Null),
        ("DELETE", group(ORG, DESIGN), Value::Null),
        ("DELETE", group(ORG, DESIGN), Value::Null),
        ("GET", groups(ORG), Value::Null),
        ("GET", project_groups(STUDIO), Value::Null),
    ];
    let (through, straight) = (gate.client("ann"), direct(&other));
    for (method, path, body) in calls {
        let ask = |client: &Client| {
            let ask = client.ask(method.parse().unwrap(), &*path);
            if body.is_null() { ask } else { ask.json(&body) }
        };
        // Twice what is read: the second answer comes from the cache and is the same.
        let times = if method == "GET" { 2 } else { 1 };
        for _ in 0..times {
            let (through, straight) = (ask(&through).await, ask(&straight).await);
            let what = format!("{method} {path} {body}");
            assert_eq!(through.status, straight.status, "{what}");
            assert_eq!(through.text(), straight.text(), "{what}");
            for name in ["content-type", "cache-control", "x-service-level"] {
                assert_eq!(through.all(name), straight.all(name), "{name} of {what}");
            }
        }
    }
    assert_eq!(one.groups_json(ORG), other.groups_json(ORG));
    gate.stop().await;
}

#[tokio::test]
async fn a_stranger_is_refused_as_toggl_itself_refuses_them() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let reply = gate.stranger().get(groups(ORG)).await.assert_status(401);
    assert_eq!(reply.header("x-authorization-missing"), Some("true"));
    assert!(reply.body.is_empty());
    reply.assert_cache("tollgate; fwd=bypass; detail=no-credential");
    gate.stop().await;
}

// --- protocols ---

#[tokio::test]
async fn a_caller_may_speak_http2_with_prior_knowledge() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann").http2();
    let answer = ann.get("/api/v9/me?a=%2f").open().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let received = toggl.received_matching(&Match::path("/api/v9/me?a=%2f"));
    assert_eq!(received[0].header("via"), Some("2 tollgate"));
    assert_eq!(
        received[0].header("x-forwarded-host"),
        Some(&*gate.address())
    );
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=uri-miss; stored");
    ann.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    let seen = ann.get(groups(ORG)).await;
    assert_eq!(seen.names()[0], "Brand");
    drop(answer);
    gate.stop().await;
}

#[tokio::test]
async fn upstream_is_asked_over_tls_by_http2_where_it_takes_that() {
    let (url, certificate, asked) = https_upstream().await;
    let builder = Gateway::in_front_of(&url);
    let ca_file = builder.folder().join("ca.pem");
    std::fs::write(&ca_file, certificate).unwrap();
    let gate = builder
        .config(|config| config.upstream.ca_file = Some(ca_file))
        .start()
        .await;
    let reply = gate.stranger().get("/x?y=%7e").await.assert_ok();
    assert_eq!(reply.text(), "hello");
    // It came to the gateway by HTTP/2.
    assert_eq!(reply.all("via"), ["2 tollgate"]);
    let authority = url.trim_start_matches("https://");
    assert_eq!(
        asked.lock().unwrap()[..],
        [(Version::HTTP_2, format!("https://{authority}/x?y=%7e"))]
    );
    gate.stop().await;
}

#[tokio::test]
async fn an_upstream_that_nobody_vouches_for_is_not_asked() {
    let (url, _, asked) = https_upstream().await;
    let gate = Gateway::in_front_of(&url).start().await;
    let reply = gate.stranger().get("/x").await;
    reply.assert_problem(502, "upstream-unreachable");
    assert!(asked.lock().unwrap().is_empty());
    gate.stop().await;
}

type Asked = Arc<Mutex<Vec<(Version, String)>>>;

/// A server with a certificate of its own: where it is, the certificate, and what it was asked.
async fn https_upstream() -> (String, String, Asked) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, log) = (tls.clone(), Arc::clone(&log));
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let asked = (request.version(), request.uri().to_string());
                    log.lock().unwrap().push(asked);
                    async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello")))) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, made.cert.pem(), asked)
}

// --- what goes wrong ---

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    toggl.stop().await;
    ann.get(groups(ORG))
        .await
        .assert_problem(502, "upstream-unreachable");
    ann.get("/api/v9/me")
        .await
        .assert_problem(502, "upstream-unreachable");
    ann.delete(group(ORG, DESIGN))
        .await
        .assert_problem(502, "upstream-unreachable");
    assert_eq!(
        gate.trail().await,
        "ann  group.delete  not_sent  not sent: delete group 9001"
    );
    toggl.resume().await.unwrap();
    ann.get(groups(ORG)).await.assert_ok();
    gate.restart().await;
    gate.stop().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.upstream.request_timeout = Duration::from_millis(50))
        .start()
        .await;
    let _hold = toggl.every(Match::any()).hang();
    let ann = gate.client("ann");
    ann.get(groups(ORG))
        .await
        .assert_problem(504, "upstream-timeout");
    ann.get("/api/v9/me")
        .await
        .assert_problem(504, "upstream-timeout");
    let reply = ann.delete(group(ORG, DESIGN)).await;
    let reply = reply.assert_problem(504, "upstream-timeout");
    assert_eq!(reply.header("x-tollgate-event").map(str::len), Some(36));
    assert_eq!(gate.events().await[0].outcome, "unknown");
    gate.stop().await;
}

#[tokio::test]
async fn a_connection_that_dies_is_tried_again_for_a_read_and_never_for_a_change() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = gate.client("ann");
    toggl.next(Match::path(groups(ORG))).reset_before_apply();
    ann.get(groups(ORG)).await.assert_ok();
    assert_eq!(toggl.received(), 2);
    toggl
        .next(Match::path(group(ORG, DESIGN)))
        .reset_before_apply();
    ann.delete(group(ORG, DESIGN))
        .await
        .assert_problem(502, "upstream-unreachable");
    assert_eq!(toggl.received(), 3);
    assert_eq!(gate.events().await[0].outcome, "unknown");
    gate.stop().await;
}

#[tokio::test]
async fn a_page_of_nginx_comes_as_it_is() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for path in [groups(ORG), "/api/v9/me".into()] {
        for status in [400, 429, 502] {
            let status = StatusCode::from_u16(status).unwrap();
            toggl.every(Match::path(&*path)).status(status);
            let (through, straight) = (ann.get(&*path).await, direct(&toggl).get(&*path).await);
            assert_eq!(through.status, status);
            assert_eq!(through.body, straight.body);
            assert_eq!(
                through.header("content-type"),
                straight.header("content-type")
            );
            toggl.clear_faults();
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_while_a_read_is_under_way_harms_nobody() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let asked = gate.stranger().get("/x").spawn();
    let mut wire = upstream.accept().await;
    wire.head().await;
    asked.abort();
    // The gateway hangs up as well: what nobody waits for is not worth an answer.
    soon("the gateway hangs up", wire.rest()).await;
    let asked = gate.stranger().get("/y").spawn();
    let head = upstream
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(head.starts_with("GET /y "));
    asked.await.unwrap().assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn an_answer_that_came_whole_is_logged_as_whole() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    gate.client("ann").get("/api/v9/me").await.assert_ok();
    let line = eventually("it is logged", async || {
        let log = gate.log();
        let mut lines = log.lines();
        lines
            .find(|line| line.contains("GET /api/v9/me answered 200"))
            .map(str::to_owned)
    });
    let line = line.await;
    assert!(!line.contains("cut off"), "{line}");
    gate.stop().await;
}
