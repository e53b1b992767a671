//! One fetch for many.

use std::time::Duration;

use tollgate::simulator::{Match, Toggl};

use super::{HIT, MISS};
use crate::support::{Client, Gateway, ORG, RawUpstream, Reply, basic, eventually, groups, toggl};

const MANY: usize = 50;

/// Waits until so many reads have joined a fetch.
async fn joined(gate: &Gateway, count: usize) {
    gate.measures(
        r#"tollgate_cache_requests_total{result="collapsed"}"#,
        count,
    )
    .await;
}

/// Waits until so many requests are in flight.
async fn in_flight(gate: &Gateway, count: usize) {
    gate.measures("tollgate_in_flight_requests", count).await;
}

fn asked(toggl: &Toggl) -> usize {
    toggl.received_matching(&Match::path(groups(ORG))).len()
}

/// Many tools with one credential, each with a connection of its own.
fn many(gate: &Gateway) -> Vec<Client> {
    (0..MANY).map(|_| gate.client("ann")).collect()
}

#[tokio::test]
async fn many_equal_reads_at_once_are_one_fetch() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let tools = many(&gate);
    let reads: Vec<_> = tools
        .iter()
        .map(|tool| tool.get(groups(ORG)).spawn())
        .collect();
    joined(&gate, MANY - 1).await;
    hold.release();
    let mut replies = Vec::new();
    for read in reads {
        replies.push(read.await.unwrap().assert_ok());
    }
    assert_eq!(asked(&toggl), 1);
    let began = |reply: &&Reply| reply.cache() == MISS;
    assert_eq!(replies.iter().filter(began).count(), 1);
    let joined = |reply: &&Reply| reply.cache() == "tollgate; fwd=uri-miss; collapsed";
    assert_eq!(replies.iter().filter(joined).count(), MANY - 1);
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    tools[0].get(groups(ORG)).await.assert_cache(HIT);
    gate.stop().await;
}

#[tokio::test]
async fn the_fetch_goes_on_when_the_one_who_began_it_hangs_up() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let first = gate.client("ann").get(groups(ORG)).spawn();
    hold.reached().await;
    let others: Vec<_> = (0..5)
        .map(|_| gate.client("ann").get(groups(ORG)).spawn())
        .collect();
    joined(&gate, 5).await;
    first.abort();
    // The gateway has seen it leave.
    in_flight(&gate, 5).await;
    hold.release();
    for other in others {
        other
            .await
            .unwrap()
            .assert_ok()
            .assert_cache("tollgate; fwd=uri-miss; collapsed");
    }
    assert_eq!(asked(&toggl), 1);
    gate.client("ann").get(groups(ORG)).await.assert_cache(HIT);
    gate.stop().await;
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_any_more_still_fills_the_cache() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let only = gate.client("ann").get(groups(ORG)).spawn();
    hold.reached().await;
    only.abort();
    let _ = only.await;
    hold.release();
    let ann = gate.client("ann");
    eventually("the list is kept", async || {
        let reply = ann.get(groups(ORG)).await.assert_ok();
        reply.cache().contains("hit").then_some(())
    })
    .await;
    assert_eq!(asked(&toggl), 1);
    gate.stop().await;
}

#[tokio::test]
async fn all_who_wait_hear_of_a_refusal_and_nobody_later_does() {
    let upstream = RawUpstream::start().await;
    let gate = Gateway::in_front_of(&upstream.url())
        .config(|config| config.cache.refusal_ttl = Duration::ZERO)
        .start()
        .await;
    let ann = || gate.stranger().authorized(&basic("a-token", "api_token"));
    // Not 429: that is waited out, see `quota`.
    for (status, text) in [(500, "oh"), (402, "no quota left"), (403, "no")] {
        let reads: Vec<_> = (0..5).map(|_| ann().get(groups(ORG)).spawn()).collect();
        let mut wire = upstream.accept().await;
        wire.head().await;
        in_flight(&gate, 5).await;
        let length = text.len();
        wire.write(format!(
            "HTTP/1.1 {status} Refused\r\nSet-Cookie: a=b\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await;
        let mut cookies = 0;
        for read in reads {
            let reply = read.await.unwrap().assert_status(status);
            assert_eq!(reply.text(), text);
            cookies += reply.all("set-cookie").len();
        }
        assert_eq!(cookies, 1, "for the one who began");
        drop(wire);
    }
    let read = ann().get(groups(ORG)).spawn();
    upstream
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        .await;
    read.await.unwrap().assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn many_equal_reads_at_once_fail_as_one() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let reads: Vec<_> = many(&gate)
        .iter()
        .map(|tool| tool.get(groups(ORG)).spawn())
        .collect();
    joined(&gate, MANY - 1).await;
    // Upstream goes down under the one fetch; tried again, it is not there.
    toggl.stop().await;
    for read in reads {
        read.await
            .unwrap()
            .assert_problem(502, "upstream-unreachable");
    }
    drop(hold);
    assert_eq!(asked(&toggl), 1);
    toggl.resume().await.unwrap();
    gate.client("ann")
        .get(groups(ORG))
        .await
        .assert_ok()
        .assert_cache(MISS);
    gate.stop().await;
}

#[tokio::test]
async fn who_wants_it_new_does_not_join_a_fetch_that_had_begun() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(Match::path(groups(ORG))).hang_after_read();
    let slow = gate.client("ann").get(groups(ORG)).spawn();
    hold.reached().await;
    toggl.rename_group(crate::support::DESIGN, "Brand");
    let ann = gate.client("ann");
    let new = ann
        .get(groups(ORG))
        .header("cache-control", "no-cache")
        .await;
    let new = new.assert_cache("tollgate; fwd=request; stored");
    assert_eq!(new.names()[0], "Brand");
    hold.release();
    assert_eq!(slow.await.unwrap().names()[0], "Design");
    gate.stop().await;
}

#[tokio::test]
async fn a_list_too_large_to_share_reaches_all_who_wait() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.cache.max_entry_size = bytesize::ByteSize::b(300))
        .start()
        .await;
    let hold = toggl.next(Match::path(groups(ORG))).hang();
    let reads: Vec<_> = (0..5)
        .map(|_| gate.client("ann").get(groups(ORG)).spawn())
        .collect();
    joined(&gate, 4).await;
    hold.release();
    for read in reads {
        let reply = read.await.unwrap().assert_ok();
        assert_eq!(reply.names().len(), 5);
        reply.assert_cache("tollgate; fwd=uri-miss");
    }
    gate.stop().await;
}
