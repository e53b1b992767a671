//! Requests that are written to be read in two ways, by the real binary, in front of an upstream that records what
//! it gets to the byte.
//!
//! Whatever a caller sends as one request is one request upstream, or none. After each of the
//! [corpus](corpus::corpus) a plain one is sent on the same connection: what the gateway took for the beginning of
//! a request comes to light before it.

mod corpus;
mod recorder;

use self::corpus::{Case, Verdict, corpus};
use self::recorder::{Recorder, Request};
use crate::support::Wire;
use crate::support::process::Folder;

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn one_request_of_a_caller_is_one_upstream_or_none() {
    let upstream = Recorder::start().await;
    let gate = Folder::before(&upstream.url())
        .set("identity.lookup", "false")
        .start()
        .await;
    let mut wrong = Vec::new();
    for case in corpus() {
        let answers = answers(gate.address(), &case.raw).await;
        let seen = upstream.take();
        if let Err(why) = check(&case, &answers, &seen, &upstream) {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (_, status) = gate.stop().await;
    assert!(status.success());
}

/// The statuses of what comes back for `raw`, and for a plain request behind it.
async fn answers(address: &str, raw: &[u8]) -> Vec<u16> {
    let mut wire = Wire::connect(address).await;
    // It may hang up before it has all of it.
    let _ = wire.write_all(raw).await;
    let mut answers = String::new();
    if let Some(head) = wire.head_or_end().await {
        answers = head;
        let _ = wire.write_all(NEXT.as_bytes()).await;
    }
    answers += &String::from_utf8_lossy(&wire.rest().await);
    let heads = answers.split("HTTP/1.1 ").skip(1);
    let statuses = heads.filter_map(|head| head.get(..3)?.parse().ok());
    statuses.filter(|status| *status != 100).collect()
}

fn is_once(seen: &[&Request], line: &str, body: &str) -> bool {
    let [request] = seen else { return false };
    request.line == format!("{line} HTTP/1.1") && request.body == body.as_bytes()
}

fn check(
    case: &Case,
    answers: &[u16],
    seen: &[Request],
    upstream: &Recorder,
) -> Result<(), String> {
    let (next, case_seen): (Vec<_>, Vec<_>) = seen
        .iter()
        .partition(|request| request.line == "GET /next HTTP/1.1");
    let told = || format!("answered {answers:?}, upstream got {seen:#?}");
    let expected = match &case.verdict {
        Verdict::Refused(status) => next.is_empty() && case_seen.is_empty() && answers == [*status],
        Verdict::Declined(status) => case_seen.is_empty() && answers == [*status, 200],
        Verdict::Once(line, body) => is_once(&case_seen, line, body) && answers[0] == 200,
        Verdict::First(line, status) => {
            next.is_empty() && is_once(&case_seen, line, "") && answers == [200, *status]
        }
        Verdict::Cut => next.is_empty() && case_seen.iter().all(|request| !request.is_whole),
    };
    if !expected {
        return Err(format!("{:?} was expected; {}", case.verdict, told()));
    }
    for request in seen {
        request.assert_plain(&upstream.address())?;
    }
    Ok(())
}
