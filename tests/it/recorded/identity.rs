//! Who did it: asked of upstream once for each credential, off every change's path, and kept.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tollgate::simulator::{Match, Received};

use crate::support::{DESIGN, Gateway, ORG, basic, eventually, group, soon, toggl};

fn me() -> Match {
    Match::new(Method::GET, "/api/v9/me")
}

#[tokio::test]
async fn whose_credential_it_is_is_asked_once_and_no_change_waits_for_it() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let hold = toggl.next(me()).hang();
    let ann = gate.client("ann");
    let rename = |name: &str| ann.put(group(ORG, DESIGN), json!({ "name": name }));
    rename("B").await.assert_ok();
    soon("it is asked who that was", hold.reached()).await;
    rename("C").await.assert_ok();
    for event in gate.events().await {
        assert_eq!((event.actor.user_id, event.actor.name), (None, None));
        assert!(event.actor.credential_id.is_some());
    }
    hold.release();
    let known = async || {
        gate.sql("SELECT user_id || email || name FROM identities")
            .await
            .pop()
    };
    let known = eventually("it is known", known).await;
    assert_eq!(known, "7001ann@acme.exampleAnn Becker");
    rename("D").await.assert_ok();

    gate.restart().await;
    rename("E").await.assert_ok();
    let asked: Vec<Arc<Received>> = toggl.received_matching(&me());
    assert_eq!(asked.len(), 1, "kept over a restart");
    assert_eq!(
        asked[0].header("authorization"),
        Some(&*toggl.authorization("ann"))
    );
    let written = gate
        .sql("SELECT seq, actor_user_id, actor_name FROM audit_events")
        .await;
    // A row stays as it was written; who reads it is told what became known.
    assert_eq!(
        written,
        ["1||", "2||", "3|7001|Ann Becker", "4|7001|Ann Becker"]
    );
    let actors = gate.events().await.into_iter().map(|event| event.actor);
    let names: Vec<_> = actors.map(|actor| actor.name.unwrap_or_default()).collect();
    assert_eq!(names, ["Ann Becker"; 4]);
    gate.stop().await;
}

#[tokio::test]
async fn each_credential_of_a_person_is_its_own_and_a_password_tells_the_address_at_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).config(|config| config.identity.lookup = false);
    let gate = gate.start().await;
    let clients = [
        gate.client("ann"),
        gate.password_client("ann"),
        gate.session_client("ann"),
    ];
    for (client, name) in clients.iter().zip(["B", "C", "D"]) {
        let renamed = client
            .put(group(ORG, DESIGN), json!({ "name": name }))
            .await;
        renamed.assert_ok();
    }
    let events = gate.events().await;
    let emails: Vec<_> = events
        .iter()
        .map(|event| event.actor.email.as_deref())
        .collect();
    assert_eq!(emails, [None, Some("ann@acme.example"), None]);
    let mut ids: Vec<_> = events
        .iter()
        .map(|event| &event.actor.credential_id)
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(
        toggl.received_matching(&me()).len(),
        0,
        "nobody was looked up"
    );
    gate.stop().await;
}

#[tokio::test]
async fn what_is_said_of_others_is_believed_of_trusted_addresses_alone() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann").with("x-tollgate-actor", "The boss");
    let ann = ann.with("x-forwarded-for", "203.0.113.7");
    ann.put(group(ORG, DESIGN), json!({ "name": "B" }))
        .await
        .assert_ok();
    let event = gate.events().await.remove(0);
    assert_eq!(event.actor.on_behalf_of, None);
    assert_eq!(event.source.ip.as_deref(), Some("127.0.0.1"));
    let sent = toggl.received_matching(&Match::path(group(ORG, DESIGN)));
    assert_eq!(sent[0].header("x-tollgate-actor"), None);
    gate.stop().await;
}

#[tokio::test]
async fn whoever_upstream_refuses_is_recorded_by_a_hash_alone_and_asked_for_once() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    // Anybody can claim to be Ann.
    let claim = basic("ann@acme.example", "a guess");
    let nobody = gate.stranger().authorized(&claim);
    for _ in 0..2 {
        nobody.delete(group(ORG, DESIGN)).await.assert_status(403);
    }
    let bob = gate.client("bob");
    let renamed = bob.put(group(ORG, DESIGN), json!({ "name": "B" })).await;
    renamed.assert_ok();
    let asked = toggl.wait_until(|log| log.matching(&me()).count() == 2);
    soon("it is asked who that was", asked).await;
    let asked = toggl.received_matching(&me());
    let bobs = toggl.authorization("bob");
    let asked: Vec<_> = asked
        .iter()
        .map(|asked| asked.header("authorization"))
        .collect();
    // A 403 may be about the person, so upstream is asked who it was; then not again for a while.
    assert_eq!(asked, [Some(&*claim), Some(&*bobs)]);
    let events = gate.events().await;
    let ids = [0, 1].map(|index| events[index].actor.credential_id.as_ref());
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].unwrap().len(), 64);
    assert_eq!(events[0].actor.email, None, "a claim is no identity");
    gate.stop().await;
}

#[tokio::test]
async fn who_made_a_change_that_nobody_answered_is_asked_too() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    toggl
        .next(Match::path(group(ORG, DESIGN)))
        .reset_before_apply();
    let renamed = ann.put(group(ORG, DESIGN), json!({ "name": "B" })).await;
    renamed.assert_problem(502, "upstream-unreachable");
    let named = async || {
        let event = gate.events().await.pop()?;
        assert_eq!(event.outcome, "unknown");
        event.actor.name
    };
    let name = eventually("it is known who that was", named).await;
    assert_eq!(name, "Ann Becker");
    gate.stop().await;
}
