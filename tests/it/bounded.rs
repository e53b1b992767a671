//! DESIGN §1.8: everything has a limit, and what is over it gets a clear answer. And the admin side,
//! which tells how it stands.

use std::time::Duration;

use bytesize::ByteSize;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tollgate::simulator::Match;

use crate::support::{
    Client, DESIGN, ENGINEERING, Gateway, ORG, RawUpstream, Wire, basic, eventually, group, groups,
    simulate, soon, toggl,
};

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

// --- requests ---

#[tokio::test]
async fn a_request_over_the_limit_is_refused_at_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.max_in_flight = 2)
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let hold = toggl.every(Match::path("/api/v9/me")).hang();
    let waiting = [ann.get("/api/v9/me").spawn(), ann.get("/api/v9/me").spawn()];
    hold.reached_by(2).await;
    for ask in [
        ann.get("/api/v9/me"),
        ann.get(groups(ORG)),
        ann.delete(group(ORG, DESIGN)),
    ] {
        let refused = ask.await.assert_problem(503, "overloaded");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(toggl.received(), 3, "nothing more was sent");
    hold.release();
    for waiting in waiting {
        waiting.await.unwrap().assert_ok();
    }
    ann.get("/api/v9/me").await.assert_ok();
    assert!(gate.events().await.is_empty());
    gate.stop().await;
}

#[tokio::test]
async fn a_request_counts_until_its_answer_has_been_read() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url())
        .config(|config| config.limits.max_in_flight = 1)
        .start()
        .await;
    let tool = gate.stranger();
    let reading = tokio::spawn(tool.get("/x").open());
    let mut wire = upstream.accept().await;
    wire.head().await;
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
        .await;
    let answer = reading.await.unwrap().unwrap();
    tool.get("/y").await.assert_problem(503, "overloaded");
    // Half-read and thrown away counts as read.
    drop(answer);
    let mut next = eventually("there is room again", async || {
        let asked = gate.stranger().get("/z").spawn();
        tokio::select! {
            reply = asked => {
                reply.unwrap().assert_problem(503, "overloaded");
                None
            }
            mut wire = upstream.accept() => {
                wire.head().await;
                Some(wire)
            }
        }
    })
    .await;
    next.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    gate.stop().await;
}

#[tokio::test]
async fn a_change_whose_caller_left_still_counts() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.max_in_flight = 1)
        .start()
        .await;
    let ann = gate.client("ann");
    let hold = toggl
        .next(Match::new(Method::DELETE, group(ORG, DESIGN)))
        .hang();
    let changing = ann.delete(group(ORG, DESIGN)).spawn();
    hold.reached().await;
    changing.abort();
    gate.measures("tollgate_in_flight_requests", 0).await;
    // Reads have room again, changes have not.
    gate.client("bob").get("/api/v9/me").await.assert_ok();
    let refused = ann.delete(group(ORG, ENGINEERING)).await;
    refused.assert_problem(503, "overloaded");
    hold.release();
    let events = gate.events_when(1).await;
    assert_eq!(events[0].flags, json!(["caller-left"]));
    assert_eq!(events[0].outcome, "applied");
    gate.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    for head in [
        format!("X-Large: {}\r\n", "x".repeat(1 << 20)),
        (0..1000)
            .map(|number| format!("X-{number}: 1\r\n"))
            .collect(),
    ] {
        let mut wire = Wire::connect(&gate.address()).await;
        let request = format!("GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n{head}\r\n");
        // It may hang up while it is still being told.
        let sending = async {
            let mut rest = request.as_bytes();
            while let Ok(sent) = wire.write_some(rest).await {
                rest = &rest[sent..];
                if rest.is_empty() {
                    break;
                }
            }
        };
        soon("the head is sent or refused", sending).await;
        let answer = String::from_utf8(wire.rest().await).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{answer}"
        );
    }
    assert_eq!(toggl.received(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_head_of_http2_may_be_as_large_as_is_said_and_no_byte_larger() {
    const MOST: usize = 64 << 10;
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url()).start().await;
    let tool = gate.stranger().http2();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", &*gate.address()),
        (":path", "/x"),
        ("x-large", ""),
    ];
    let fields: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    let ask = |size: usize| tool.get("/x").header("x-large", &"x".repeat(size - fields));
    ask(MOST + 1).await.assert_status(431);
    let asked = ask(MOST).spawn();
    upstream.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    asked.await.unwrap().assert_status(204);
    gate.stop().await;
}

// --- times ---

#[tokio::test]
async fn who_does_not_come_to_the_point_is_cut_off() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.header_timeout = SHORT)
        .start()
        .await;
    for start in [
        "GET /api/v9/me HTTP/1.1\r\nHost: gate\r\nX-Slow",
        "G",
        "",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "P",
    ] {
        let mut wire = Wire::connect(&gate.address()).await;
        wire.write(start).await;
        let answer = String::from_utf8(wire.rest().await).unwrap();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{start:?}: {answer}");
    }
    assert_eq!(toggl.received(), 0);
    // One that did is served meanwhile and later.
    let mut wire = Wire::connect(&gate.address()).await;
    wire.write("GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n")
        .await;
    assert!(wire.head().await.starts_with("HTTP/1.1 401 "));
    gate.stop().await;
}

#[tokio::test]
async fn a_slow_answer_is_not_taken_for_a_slow_caller() {
    let toggl = simulate(|options| options.latency = 2 * SHORT).await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.header_timeout = SHORT)
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get("/api/v9/me").await.assert_ok();
    ann.clone().http2().get("/api/v9/me").await.assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn who_asks_and_takes_no_answer_is_cut_off() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.body_timeout = SHORT)
        .start()
        .await;
    let ann = basic(&toggl.token("ann"), "api_token");
    let path = groups(ORG);
    let request = format!("GET {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: {ann}\r\n\r\n");
    let many = request.repeat(64).into_bytes();
    let mut wire = Wire::connect(&gate.address()).await;
    // As many answers as find place on the way, and requests behind them.
    let cut = async { while wire.write_some(&many).await.is_ok() {} };
    soon("the connection is reset", cut).await;
    gate.measures("tollgate_in_flight_requests", 0).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_change_whose_body_does_not_come_is_not_sent_and_not_recorded() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.body_timeout = SHORT)
        .start()
        .await;
    let mut wire = Wire::connect(&gate.address()).await;
    let path = group(ORG, DESIGN);
    wire.write(format!(
        "PUT {path} HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n{{"
    ))
    .await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    // Nor does one that is broken off.
    let mut wire = Wire::connect(&gate.address()).await;
    wire.write(format!(
        "PUT {path} HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n{{"
    ))
    .await;
    drop(wire);
    gate.measures("tollgate_in_flight_requests", 0).await;
    assert_eq!(toggl.received(), 0);
    assert!(gate.events().await.is_empty());
    gate.stop().await;
}

#[tokio::test]
async fn a_read_whose_body_does_not_come_lets_upstream_go() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url())
        .config(|config| config.limits.body_timeout = SHORT)
        .start()
        .await;
    let mut caller = Wire::connect(&gate.address()).await;
    caller
        .write(
            "POST /reports/api/v3/workspace/1/search/time_entries HTTP/1.1\r\nHost: gate\r\n\
             Content-Length: 100\r\n\r\n{",
        )
        .await;
    let mut wire = upstream.accept().await;
    wire.head().await;
    assert_eq!(wire.rest().await, b"{", "and the connection ends");
    let head = caller.head().await;
    assert!(!head.starts_with("HTTP/1.1 2"), "{head}");
    gate.stop().await;
}

// --- connections ---

#[tokio::test]
async fn a_connection_over_the_limit_waits_until_another_has_gone() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.limits.max_connections = 1)
        .start()
        .await;
    let request = "GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n";
    let mut first = Wire::connect(&gate.address()).await;
    first.write(request).await;
    first.head().await;
    let mut second = Wire::connect(&gate.address()).await;
    second.write(request).await;
    for asked in 2..5 {
        first.write(request).await;
        first.head().await;
        assert_eq!(toggl.received(), asked, "the second is not served yet");
    }
    drop(first);
    assert!(second.head().await.starts_with("HTTP/1.1 401 "));
    gate.stop().await;
}

// --- bodies ---

#[tokio::test]
async fn a_body_too_large_to_record_passes_whole_and_says_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.audit.max_body_size = ByteSize::kib(1))
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let small = json!({ "name": "Small" });
    let large = json!({ "name": "Large", "padding": "x".repeat(100_000) });
    for body in [&small, &large] {
        ann.put(group(ORG, DESIGN), body).await.assert_ok();
        let received = toggl.received_matching(&Match::new(Method::PUT, group(ORG, DESIGN)));
        let received: Value = serde_json::from_slice(&received.last().unwrap().body).unwrap();
        assert_eq!(received, *body);
    }
    let events = gate.events().await;
    assert_eq!(events[0].request.body, Some(small.to_string()));
    assert_eq!(events[0].flags, json!([]));
    assert_eq!(events[1].request.body, None);
    assert_eq!(events[1].flags, json!(["body-too-large"]));
    let digests = gate
        .sql("SELECT body_digest FROM audit_events ORDER BY seq")
        .await;
    for (digest, body) in digests.iter().zip([&small, &large]) {
        let (size, hash) = digest.split_once(':').unwrap();
        assert_eq!(size, body.to_string().len().to_string());
        assert_eq!(hash.len(), 64);
    }
    assert_eq!(events[1].outcome, "applied");
    assert_eq!(events[1].summary, r#"renamed "Small" to "Large""#);
    gate.stop().await;
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    const MOST: u64 = 64 << 10;
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| {
            config.cache.max_size = ByteSize::b(MOST);
            config.cache.max_entry_size = ByteSize::b(MOST);
        })
        .start()
        .await;
    let ann = gate.client("ann");
    let read = async |number: u32| {
        let list = format!("{}?number={number}", groups(ORG));
        ann.get(list)
            .await
            .assert_ok()
            .assert_cache("tollgate; fwd=uri-miss; stored");
    };
    for number in 0..100 {
        read(number).await;
    }
    let mut number = 100;
    eventually("what is too much has gone", async || {
        read(number).await;
        number += 1;
        let metrics = gate.admin().get("/metrics").await.text();
        let bytes = metrics
            .lines()
            .find_map(|line| line.strip_prefix("tollgate_cache_bytes "));
        let bytes: u64 = bytes.unwrap().parse().unwrap();
        (0 < bytes && bytes <= MOST).then_some(())
    })
    .await;
    gate.stop().await;
}

// --- the end ---

#[tokio::test]
async fn a_change_under_way_at_the_end_is_finished_answered_and_recorded() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let hold = toggl
        .every(Match::path(format!("{}/*", groups(ORG))))
        .hang();
    let changing = ann
        .put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .spawn();
    let leaving = gate.client("ann").delete(group(ORG, ENGINEERING)).spawn();
    hold.reached_by(2).await;
    leaving.abort();
    gate.signal();
    // Nobody new comes in.
    eventually("the port is closed", async || {
        TcpStream::connect(gate.address())
            .await
            .is_err()
            .then_some(())
    })
    .await;
    hold.release();
    changing.await.unwrap().assert_ok();
    gate.halt().await;
    let trail = gate.trail().await;
    assert!(
        trail.contains(r#"ann  group.update  applied  renamed "Design" to "Brand""#),
        "{trail}"
    );
    assert!(
        trail.contains(r#"ann  group.delete  applied  deleted "Engineering""#),
        "{trail}"
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_change_that_outlasts_the_grace_is_recorded_by_the_next_start() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl)
        .config(|config| config.limits.shutdown_grace = SHORT)
        .start()
        .await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    let hold = toggl.next(Match::path(group(ORG, DESIGN))).hang();
    let changing = tokio::spawn(
        ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
            .attempt(),
    );
    hold.reached().await;
    gate.restart().await;
    changing.await.unwrap().unwrap_err();
    let events = gate.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].outcome, "unknown");
    assert_eq!(events[0].flags, json!(["recovered"]));
    // Upstream may still do it, so nothing of it is believed yet.
    bob.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=bypass; detail=change-in-flight");
    hold.release();
    gate.stop().await;
}

#[tokio::test]
async fn a_change_without_an_outcome_at_the_end_leaves_its_intent_and_no_event() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl)
        .config(|config| config.limits.shutdown_grace = SHORT)
        .start()
        .await;
    let hold = toggl.next(Match::path(group(ORG, DESIGN))).hang();
    let changing = tokio::spawn(gate.client("ann").delete(group(ORG, DESIGN)).attempt());
    hold.reached().await;
    gate.halt().await;
    changing.await.unwrap().unwrap_err();
    assert!(gate.events().await.is_empty());
    let intents = gate.sql("SELECT count(*) FROM audit_intents").await;
    assert_eq!(intents, ["1"]);
    gate.leaves_intents();
    gate.stop().await;
}

#[tokio::test]
async fn a_read_that_outlasts_the_grace_is_cut_off() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl)
        .config(|config| config.limits.shutdown_grace = SHORT)
        .start()
        .await;
    let hold = toggl.next(Match::path("/api/v9/me")).hang();
    let reading = tokio::spawn(gate.client("ann").get("/api/v9/me").attempt());
    hold.reached().await;
    gate.halt().await;
    reading.await.unwrap().unwrap_err();
    gate.stop().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_keep_it_from_stopping() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let mut wire = Wire::connect(&gate.address()).await;
    wire.write("GET /api/v9/me HTTP/1.1\r\nHost: gate\r\n\r\n")
        .await;
    wire.head().await;
    let _never_used = Wire::connect(&gate.address()).await;
    gate.client("ann")
        .http2()
        .get("/api/v9/me")
        .await
        .assert_ok();
    gate.halt().await;
    assert!(wire.rest().await.is_empty());
    gate.stop().await;
}

// --- the admin side ---

#[tokio::test]
async fn it_is_alive_and_ready_for_everybody_to_see() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let stranger = Client::of(gate.admin_url());
    assert_eq!(stranger.get("/healthz").await.assert_ok().text(), "ok\n");
    let ready = stranger.get("/readyz").await.assert_ok().json();
    assert_eq!(
        ready,
        json!({ "ready": true, "reasons": [], "warnings": [] })
    );
    gate.stop().await;
}

#[tokio::test]
async fn it_is_not_ready_when_its_database_is_gone() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (here, away) = (gate.database(), gate.folder().join("away.db"));
    std::fs::rename(&here, &away).unwrap();
    let stranger = gate.admin_stranger();
    // It looks at most once a second.
    let answers = async |status: u16| {
        eventually(&format!("readiness is a {status}"), async || {
            let reply = stranger.get("/readyz").await;
            (reply.status.as_u16() == status).then(|| reply.json())
        })
        .await
    };
    let ready = answers(503).await;
    assert_eq!(ready["ready"], false);
    let reason = &ready["reasons"][0];
    assert_eq!(reason["what"], "tollgate.db is gone from its place");
    let effect = "changes are refused with 503 and not sent; reads go on";
    assert_eq!(reason["effect"], effect);
    let folder = gate.folder().display().to_string();
    assert!(!ready.to_string().contains(&folder), "{ready}");
    stranger.get("/healthz").await.assert_ok();
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(answers(200).await["ready"], true);
    gate.stop().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_warning_and_no_reason_to_be_taken_for_dead() {
    // Nobody listens at this port.
    let gate = Gateway::in_front_of("http://127.0.0.1:1").start().await;
    gate.stranger().get("/api/v9/me").await.assert_status(502);
    let ready = gate.admin_stranger().get("/readyz").await.assert_ok();
    let ready = ready.json();
    assert_eq!(
        (&ready["ready"], &ready["reasons"]),
        (&json!(true), &json!([]))
    );
    let what = "upstream gave no answer to the last request";
    assert_eq!(ready["warnings"][0]["what"], what);
    gate.stop().await;
}

#[tokio::test]
async fn all_else_on_the_admin_side_needs_the_token() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let token = gate.admin_token().to_owned();
    assert_eq!(token.len(), 64);
    // Two paths: too many wrong tokens of one address are not looked at.
    for path in ["/metrics", "/nothing"] {
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer x"),
            Some(&*format!("Bearer {token}0")),
            Some(&*format!("Bearer {}", &token[..63])),
            Some(&*format!("Basic {token}")),
            Some(&*token),
            Some(&*toggl.authorization("ann")),
        ] {
            let mut stranger = gate.admin_stranger();
            if let Some(authorization) = authorization {
                stranger = stranger.authorized(authorization);
            }
            let refused = stranger.get(path).await.assert_status(401);
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
            assert_eq!(
                refused.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(refused.json()["type"], "urn:tollgate:unauthorized");
        }
    }
    gate.admin().get("/metrics").await.assert_ok();
    gate.admin().get("/nothing").await.assert_status(404);
    // The token is the same after a restart.
    gate.restart().await;
    gate.admin().get("/metrics").await.assert_ok();
    gate.stop().await;
}

#[tokio::test]
async fn metrics_need_no_token_where_that_is_set_and_the_token_may_be_chosen() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    gate.configure(|config| config.admin.public_metrics = true);
    gate.restart().await;
    gate.admin_stranger().get("/metrics").await.assert_ok();
    gate.admin_stranger().get("/").await.assert_status(401);
    gate.stop().await;
}

#[tokio::test]
async fn the_metrics_have_the_names_that_dashboards_hold_on_to() {
    let toggl = simulate(|options| options.quota = Some(240)).await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    ann.get(groups(ORG)).await.assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "" }))
        .await
        .assert_status(400);
    gate.measures("tollgate_in_flight_requests", 0).await;
    let metrics = gate.admin().get("/metrics").await.assert_ok();
    let kind = metrics.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = metrics.text();
    for line in [
        r#"tollgate_requests_total{method="GET",status="200"} 2"#,
        r#"tollgate_requests_total{method="PUT",status="200"} 1"#,
        r#"tollgate_requests_total{method="PUT",status="400"} 1"#,
        r#"tollgate_request_duration_seconds_count{cache="hit"} 1"#,
        r#"tollgate_request_duration_seconds_count{cache="miss"} 1"#,
        r#"tollgate_request_duration_seconds_count{cache="change"} 2"#,
        // Outdated by the change, and still there.
        "tollgate_cache_entries 1",
        "tollgate_ready 1",
        r#"tollgate_cache_requests_total{result="miss"} 1"#,
        r#"tollgate_cache_requests_total{result="hit"} 1"#,
        r#"tollgate_audit_events_total{action="group.update",outcome="applied"} 1"#,
        r#"tollgate_audit_events_total{action="group.update",outcome="rejected"} 1"#,
        // As the last success told: a refusal may be about an organization that nobody knows.
        r#"tollgate_quota_remaining{organization="4123"} 238"#,
        "tollgate_in_flight_requests 0",
    ] {
        assert!(
            text.lines().any(|metric| metric == line),
            "{line} in\n{text}"
        );
    }
    for name in [
        "tollgate_cache_bytes ",
        r#"tollgate_upstream_requests_total{status="200"} "#,
        "tollgate_upstream_duration_seconds_count ",
        "tollgate_audit_commit_duration_seconds_count ",
        "tollgate_request_duration_seconds_bucket{le=",
        "tollgate_audit_database_bytes ",
        "tollgate_audit_disk_free_bytes ",
        "process_resident_memory_bytes ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} in\n{text}"
        );
    }
    assert!(!text.contains(&toggl.token("ann")));
    // Nor the person; the digits may well be in a number of seconds.
    let mut labelled = text.lines().filter_map(|line| line.rsplit_once(' '));
    assert!(labelled.all(|(name, _)| !name.contains("9001")), "{text}");
    gate.stop().await;
}
