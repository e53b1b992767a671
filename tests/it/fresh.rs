//! DESIGN §1.3 and §3: a read after a change sees the change, and what is read again is not fetched again.

mod changes;
mod fills;
mod history;
mod races;
mod stale;

use std::time::Duration;

use http::Method;
use serde_json::json;
use tollgate::simulator::Match;

use crate::support::{
    Client, DESIGN, Gateway, ORG, RawUpstream, Reply, STUDIO, basic, eventually, group, groups,
    old_groups, project_groups, toggl, values, workspace_groups,
};

const MISS: &str = "tollgate; fwd=uri-miss; stored";
const HIT: &str = "tollgate; hit; ttl=…";
const IN_FLIGHT: &str = "tollgate; fwd=bypass; detail=change-in-flight";
const NOT_CACHED: &str = "tollgate; fwd=bypass; detail=not-cached";

/// The four lists that are cached.
fn lists() -> [String; 4] {
    [
        groups(ORG),
        workspace_groups(ORG, STUDIO),
        old_groups(STUDIO),
        project_groups(STUDIO),
    ]
}

fn seconds_left(reply: &Reply) -> u64 {
    let status = reply.cache();
    let ttl = status.strip_prefix("tollgate; hit; ttl=");
    ttl.expect("a hit").parse().unwrap()
}

#[tokio::test]
async fn what_was_read_is_not_fetched_again() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for list in lists() {
        let asked = toggl.received();
        let first = ann.get(&*list).await.assert_ok().assert_cache(MISS);
        let second = ann.get(&*list).await.assert_ok();
        assert!(
            (1..60).contains(&seconds_left(&second)),
            "{}",
            second.cache()
        );
        assert_eq!(second.body, first.body);
        assert_eq!(second.header("etag"), first.header("etag"));
        assert_eq!(second.header("content-type"), first.header("content-type"));
        assert_eq!(first.header("age"), None);
        let age: u64 = second.header("age").unwrap().parse().unwrap();
        assert!(age + seconds_left(&second) <= 60);
        assert_eq!(toggl.received(), asked + 1);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_change_behind_the_gateway_is_seen_when_the_lists_time_is_over() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| {
            config.cache.ttl = Duration::from_secs(1);
            config.cache.stale_while_revalidate = Duration::ZERO;
        })
        .start()
        .await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    toggl.rename_group(DESIGN, "Brand");
    let renewed = eventually("the list is fetched anew", async || {
        let reply = ann.get(groups(ORG)).await.assert_ok();
        // Fresh or fetched anew, and never anything else.
        if reply.cache().starts_with("tollgate; hit; ttl=0") {
            assert_eq!(reply.names()[0], "Design");
            return None;
        }
        Some(reply.assert_cache("tollgate; fwd=stale; stored"))
    })
    .await;
    assert_eq!(renewed.names()[0], "Brand");
    gate.stop().await;
}

#[tokio::test]
async fn with_the_cache_off_every_read_goes_up() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.cache.enabled = false)
        .start()
        .await;
    for count in 1..4 {
        let reply = gate.client("ann").get(groups(ORG)).await.assert_ok();
        reply.assert_cache(NOT_CACHED);
        assert_eq!(toggl.received(), count);
    }
    gate.stop().await;
}

// --- what the caller says of caching ---

#[tokio::test]
async fn no_cache_fetches_and_keeps_what_it_fetched() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("cache-control", "max-age=0"),
        ("cache-control", "foo, No-Cache"),
        ("pragma", "no-cache"),
    ] {
        toggl.rename_group(DESIGN, &format!("A {value}"));
        let reply = ann.get(groups(ORG)).header(name, value).await;
        let reply = reply.assert_cache("tollgate; fwd=request; stored");
        assert_eq!(reply.names()[0], format!("A {value}"));
        let kept = ann.get(groups(ORG)).await.assert_cache(HIT);
        assert_eq!(kept.body, reply.body);
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_is_young_enough_for_the_caller_is_a_hit() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    for control in ["max-age=3600", "private", "max-stale=5", "only-if-cached"] {
        let reply = ann.get(groups(ORG)).header("cache-control", control).await;
        reply.assert_cache(HIT);
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_the_caller_does_not_want_kept_is_not_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for (name, value) in [("cache-control", "no-store"), ("range", "bytes=0-1")] {
        for _ in 0..2 {
            let reply = ann.get(groups(ORG)).header(name, value).await;
            reply.assert_cache(NOT_CACHED);
        }
    }
    assert_eq!(toggl.received(), 4);
    ann.get(groups(ORG)).await.assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn who_has_the_list_already_is_told_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let first = ann.get(groups(ORG)).await.assert_cache(MISS);
    let etag = first.header("etag").unwrap().to_owned();
    let asks = [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".into(),
    ];
    for asked in &asks {
        let reply = ann.get(groups(ORG)).header("if-none-match", asked).await;
        let reply = reply.assert_status(304).assert_cache(HIT);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("etag"), Some(&*etag));
    }
    let reply = ann.get(groups(ORG)).header("if-none-match", "\"x\"").await;
    assert_eq!(reply.assert_ok().assert_cache(HIT).body, first.body);

    // Also when it is fetched for that, and upstream is asked for the whole list.
    let bob = gate.client("bob");
    let reply = bob.get(groups(ORG)).header("if-none-match", &etag).await;
    reply.assert_status(304).assert_cache(MISS);
    let received = toggl.received_matching(&Match::path(groups(ORG)));
    assert_eq!(received.last().unwrap().header("if-none-match"), None);

    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    let reply = ann.get(groups(ORG)).header("if-none-match", &etag).await;
    let reply = reply.assert_ok().assert_cache(MISS);
    assert_ne!(reply.header("etag"), Some(&*etag));
    assert_eq!(reply.names()[0], "Brand");
    gate.stop().await;
}

#[tokio::test]
async fn a_tool_that_takes_gzip_and_one_that_does_not_share_a_list() {
    let toggl = toggl().await;
    for number in 0..50 {
        toggl.create_group(ORG, &format!("Group {number}"));
    }
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let zipped = ann
        .get(groups(ORG))
        .header("accept-encoding", "br, gzip")
        .await;
    let zipped = zipped.assert_cache(MISS);
    let asked = toggl.received_matching(&Match::any());
    assert_eq!(asked[0].header("accept-encoding"), Some("gzip"));
    let plain = ann.get(groups(ORG)).await.assert_cache(HIT);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.names().len(), 55);
    assert_ne!(plain.header("etag"), zipped.header("etag"));
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    gate.stop().await;
}

// --- which reads are one ---

#[tokio::test]
async fn spellings_of_one_question_are_one_and_other_questions_are_not() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let list = groups(ORG);
    for (first, same) in [
        ("", vec!["?", "?&"]),
        (
            "?name=e&workspace=51001",
            vec![
                "?workspace=51001&name=e",
                "?n%61me=%65&&workspace=51001",
                "?workspace=51001&name=e&",
            ],
        ),
        ("?name=a%20b", vec!["?name=a+b"]),
        // Parameters that mean nothing there are part of the question all the same.
        ("?start_date=2026-11-01", vec!["?start_date=2026%2D11%2D01"]),
        ("?start_date=2026-11-02", vec![]),
        ("?name=", vec!["?name"]),
        ("?name=e&name=d", vec![]),
        ("?name=d&name=e", vec![]),
        ("?name=e%26workspace=51001", vec![]),
        ("?NAME=e&workspace=51001", vec![]),
    ] {
        ann.get(list.clone() + first).await.assert_cache(MISS);
        for query in same {
            ann.get(list.clone() + query).await.assert_cache(HIT);
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_servers_may_read_in_two_ways_is_never_cached() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    let list = groups(ORG);
    for target in [
        format!("{list}?name=%"),
        format!("{list}?name=%zz"),
        format!("{list}?name=e;workspace=1"),
        format!("{list}/"),
        list.replace("v9/", "v9//"),
        list.replace("4123", "04123"),
        list.replace("4123", "%34123"),
        list.replace("groups", "./groups"),
    ] {
        for _ in 0..2 {
            ann.get(&*target).await.assert_cache(NOT_CACHED);
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_get_with_a_body_is_never_cached() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let path = project_groups(STUDIO);
    let whole = ann.get(&*path).await.assert_cache(MISS);
    let ids = |ids: serde_json::Value| {
        ann.ask(Method::GET, &*path)
            .json(json!({ "project_ids": ids }))
    };
    let one = ids(json!([30002]))
        .await
        .assert_ok()
        .assert_cache(NOT_CACHED);
    let other = ids(json!([30003]))
        .await
        .assert_ok()
        .assert_cache(NOT_CACHED);
    assert_ne!(one.body, other.body);
    assert_ne!(one.body, whole.body);
    let received = toggl.received_matching(&Match::path(&*path));
    assert_eq!(received[1].body, r#"{"project_ids":[30002]}"#);
    ann.get(&*path).await.assert_cache(HIT);
    gate.stop().await;
}

#[tokio::test]
async fn a_header_that_names_another_method_makes_a_read_no_list() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    let reply = ann
        .get(groups(ORG))
        .header("x-http-method-override", "GET")
        .await;
    reply.assert_cache(NOT_CACHED);
    ann.get(groups(ORG)).await.assert_cache(HIT);
    let reply = ann
        .get(groups(ORG))
        .header("x-http-method-override", "POST")
        .await;
    reply.assert_cache("tollgate; fwd=method");
    ann.get(groups(ORG)).await.assert_cache(MISS);
    gate.stop().await;
}

// --- which answers are kept ---

/// Asks twice and gets twice what upstream said, from upstream.
async fn is_passed_on_and_not_kept(ann: &Client, path: &str, status: u16) -> Reply {
    let first = ann.get(path).await.assert_status(status);
    let first = first.assert_cache("tollgate; fwd=uri-miss");
    let second = ann.get(path).await.assert_status(status);
    let second = second.assert_cache("tollgate; fwd=uri-miss");
    assert_eq!(first.body, second.body);
    second
}

#[tokio::test]
async fn what_is_no_list_is_passed_on_and_not_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    let json = "application/json; charset=utf-8";
    for list in lists() {
        let every = || toggl.every(Match::path(&*list));
        every().html_page();
        let page = is_passed_on_and_not_kept(&ann, &list, 200).await;
        assert!(page.text().contains("right back"));
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        toggl.clear_faults();
        every().bad_json();
        is_passed_on_and_not_kept(&ann, &list, 200).await;
        for (status, body) in [
            (200, ""),
            (200, "{}"),
            (200, r#""OK""#),
            (200, r#"[{"name":"a group without a number"}]"#),
            (200, "[1]"),
            (202, "[]"),
            (203, "[]"),
            (206, "[]"),
            (410, "[]"),
            (402, r#""Payment required""#),
            (429, "[]"),
            (503, "[]"),
        ] {
            toggl.clear_faults();
            let code = http::StatusCode::from_u16(status).unwrap();
            every().answer(code, json, body);
            let reply = is_passed_on_and_not_kept(&ann, &list, status).await;
            assert_eq!(reply.text(), body);
        }
        toggl.clear_faults();
        ann.get(&*list).await.assert_cache(MISS);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_list_in_an_object_is_a_list_and_so_is_an_empty_one_of_go() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for (query, body) in [
        ("", r#"{"items":[{"group_id":1,"name":"A","new":"field"}]}"#),
        ("?name=x", "null"),
        ("?name=y", "[]"),
    ] {
        let list = groups(ORG) + query;
        toggl
            .next(Match::path(groups(ORG)))
            .answer(http::StatusCode::OK, "application/json", body);
        ann.get(&*list).await.assert_cache(MISS);
        assert_eq!(ann.get(&*list).await.assert_cache(HIT).text(), body);
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_list_that_was_cut_off_is_a_502_and_not_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    toggl.next(Match::path(groups(ORG))).truncated_body();
    ann.get(groups(ORG))
        .await
        .assert_problem(502, "upstream-unreachable");
    ann.get(groups(ORG)).await.assert_ok().assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn a_list_over_the_limit_is_passed_on_whole_and_not_kept() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.cache.max_entry_size = bytesize::ByteSize::b(300))
        .start()
        .await;
    let ann = gate.client("ann");
    let straight = Client::of(toggl.url()).authorized(&toggl.authorization("ann"));
    let whole = straight.get(groups(ORG)).await;
    assert!(whole.body.len() > 300);
    let reply = is_passed_on_and_not_kept(&ann, &groups(ORG), 200).await;
    assert_eq!(reply.body, whole.body);
    assert_eq!(
        reply.header("content-length"),
        whole.header("content-length")
    );
    ann.get(groups(ORG) + "?name=zzz").await.assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn a_list_that_is_small_zipped_and_large_unzipped_is_passed_on_zipped() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url())
        .config(|config| config.cache.max_entry_size = bytesize::ByteSize::kib(64))
        .start()
        .await;
    let ann = gate.stranger().authorized(&basic("a-token", "api_token"));
    let body = zipped(&[b"[", &vec![b' '; 1 << 20][..], b"]"].concat());
    for _ in 0..2 {
        let asked = ann
            .get(groups(ORG))
            .header("accept-encoding", "gzip")
            .spawn();
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend(&body);
        let head = upstream.answer(answer).await;
        assert_eq!(values(&head, "accept-encoding"), ["gzip"]);
        let reply = asked.await.unwrap().assert_cache("tollgate; fwd=uri-miss");
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        assert_eq!(reply.body, body);
    }
    gate.stop().await;
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}
