//! The harness itself: what it checks must be able to fail.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use serde_json::json;

use crate::support::{DESIGN, Gateway, ORG, group, groups, toggl};

#[tokio::test]
async fn a_rename_is_seen_by_everybodys_next_read_and_is_in_the_trail() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.client("bob"));
    bob.get(groups(ORG))
        .await
        .assert_cache("tollgate; fwd=uri-miss; stored");
    bob.get(groups(ORG))
        .await
        .assert_cache("tollgate; hit; ttl=…");
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok()
        .assert_cache("tollgate; fwd=method");
    let seen = bob.get(groups(ORG)).await;
    assert!(seen.names().contains(&"Brand".to_owned()));
    insta::assert_snapshot!(gate.trail().await, @r#"ann  group.update  applied  renamed "Design" to "Brand""#);
    gate.stop().await;
}

#[tokio::test]
async fn a_gateway_that_keeps_a_credential_fails_its_test() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    // Not a real one: the log is shared with the tests that run beside this one.
    gate.must_not_keep("correct-horse");
    let bob = gate.client("bob");
    bob.post(groups(ORG), json!({ "name": "correct-horse" }))
        .await
        .assert_ok();
    let stopped = AssertUnwindSafe(gate.stop()).catch_unwind().await;
    assert!(stopped.is_err(), "the secret is in the trail");
}

#[tokio::test]
async fn a_gateway_with_a_broken_chain_fails_its_test() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.post(groups(ORG), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    gate.halt().await;
    gate.tamper(
        "DROP TRIGGER audit_events_no_update;
         UPDATE audit_events SET summary = 'nothing happened'",
    )
    .await;
    let stopped = AssertUnwindSafe(gate.stop()).catch_unwind().await;
    assert!(stopped.is_err());
}

#[tokio::test]
async fn a_gateway_that_is_dropped_unchecked_fails_its_test() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(gate)));
    assert!(dropped.is_err());
}
