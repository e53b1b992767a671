//! A store that cannot be written: no audit, no change (`audit.on_failure`), and reads go on.

use http::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _};
use tollgate::simulator::{Match, Toggl};

use crate::support::process::{Folder, Process};
use crate::support::{Client, DESIGN, ORG, Reply, eventually, group, groups, toggl};

/// What a full disk would be: no row goes into these tables.
const NO_INTENTS: &str = "CREATE TRIGGER full_intents BEFORE INSERT ON audit_intents
    BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
const NO_EVENTS: &str = "CREATE TRIGGER full_events BEFORE INSERT ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
const ROOM_AGAIN: &str = "DROP TRIGGER IF EXISTS full_intents; DROP TRIGGER IF EXISTS full_events";

fn folder(toggl: &Toggl) -> Folder {
    Folder::before(&toggl.url())
        .set("identity.lookup", "false")
        .set("admin.public_metrics", "true")
}

async fn rename(ann: &Client, name: &str) -> Reply {
    ann.put(group(ORG, DESIGN), json!({ "name": name })).await
}

fn name(toggl: &Toggl) -> String {
    toggl.group(DESIGN).expect("it is there").name
}

/// A change is refused and upstream hears nothing of it; reads go on.
async fn assert_refused(gate: &Process, toggl: &Toggl, ann: &Client) {
    let reply = rename(ann, "Brand").await;
    let reply = reply.assert_problem(503, "audit-unavailable");
    assert_eq!(reply.header("x-tollgate-event"), None);
    let sent = toggl.received_matching(&Match::path(group(ORG, DESIGN)));
    assert!(sent.is_empty(), "it was sent: {sent:?}");
    let read = ann.get(groups(ORG)).await.assert_ok();
    assert!(read.names().contains(&"Design".to_owned()));
    gate.admin().get("/healthz").await.assert_ok();
    let ready = gate.admin().get("/readyz").await.assert_status(503);
    let reasons = ready.json()["reasons"].to_string();
    assert!(reasons.contains("changes are refused"), "{reasons}");
    let metrics = gate.admin().get("/metrics").await.assert_ok().text();
    for line in [
        "tollgate_audit_failures_total{write=\"intent\"} 1\n",
        "tollgate_ready 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

/// Changes work again, without a restart.
async fn assert_back(gate: &Process, toggl: &Toggl, ann: &Client) {
    rename(ann, "Brand").await.assert_ok();
    assert_eq!(name(toggl), "Brand");
    let trail = gate.trail().await;
    assert_eq!(
        trail.len(),
        1,
        "what was refused was not sent, and has no event"
    );
    assert_eq!(trail[0].outcome, "applied");
    // What it says holds for a moment.
    let ready = async || {
        let ready = gate.admin().get("/readyz").await;
        (ready.status == 200).then_some(())
    };
    eventually("it is ready again", ready).await;
}

#[tokio::test]
async fn while_another_process_holds_the_database_changes_are_refused_and_not_sent() {
    let toggl = toggl().await;
    let gate = folder(&toggl).start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    let mut other = gate.sqlite().await;
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert_refused(&gate, &toggl, &ann).await;
    other.execute("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    assert_back(&gate, &toggl, &ann).await;
}

#[tokio::test]
async fn while_no_intent_can_be_written_changes_are_refused_and_not_sent() {
    let toggl = toggl().await;
    let gate = folder(&toggl).start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    gate.execute(NO_INTENTS).await;
    let reply = rename(&ann, "Brand").await;
    let reply = reply.assert_problem(503, "audit-unavailable");
    assert!(!reply.text().contains("disk"), "the reason is for the log");
    assert!(gate.log().contains("the disk is full"), "{}", gate.log());
    let sent = toggl.received_matching(&Match::new(Method::PUT, group(ORG, DESIGN)));
    assert!(sent.is_empty(), "only the state before was asked for");
    ann.get(groups(ORG)).await.assert_ok();
    gate.execute(ROOM_AGAIN).await;
    assert_back(&gate, &toggl, &ann).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_written_is_told_and_written_as_soon_as_it_can() {
    let toggl = toggl().await;
    let gate = folder(&toggl).start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    gate.execute(NO_EVENTS).await;
    let reply = rename(&ann, "Brand").await;
    let reply = reply.assert_problem(503, "audit-unavailable");
    let detail = reply.json()["detail"].to_string();
    assert!(
        detail.contains("was sent and upstream answered 200"),
        "{detail}"
    );
    assert_eq!(name(&toggl), "Brand");
    assert!(gate.trail().await.is_empty());
    assert_eq!(gate.number("SELECT count(*) FROM audit_intents").await, 1);
    gate.execute(ROOM_AGAIN).await;
    let event = eventually("the event is there", async || gate.trail().await.pop()).await;
    assert_eq!(
        (&*event.outcome, event.response.status),
        ("applied", Some(200))
    );
    assert_eq!(gate.number("SELECT count(*) FROM audit_intents").await, 0);
    gate.assert_intact(1).await;
}

#[tokio::test]
async fn an_event_that_could_not_be_written_before_a_kill_is_recovered() {
    let toggl = toggl().await;
    let gate = folder(&toggl).start().await;
    let ann = gate.client(&toggl.authorization("ann"));
    gate.execute(NO_EVENTS).await;
    rename(&ann, "Brand").await.assert_status(503);
    let folder = gate.kill();
    folder.execute(ROOM_AGAIN).await;
    let gate = folder.start().await;
    let trail = gate.trail().await;
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].outcome, "unknown");
    assert_eq!(trail[0].flags, json!(["recovered"]));
}

#[tokio::test]
async fn with_forward_a_change_is_sent_although_it_cannot_be_recorded() {
    let toggl = toggl().await;
    let gate = folder(&toggl)
        .set("audit.on_failure", "forward")
        .start()
        .await;
    let ann = gate.client(&toggl.authorization("ann"));
    gate.execute(NO_INTENTS).await;
    let reply = rename(&ann, "Brand").await.assert_ok();
    let trail = gate.trail().await;
    assert_eq!(trail.len(), 1, "the event could be written");
    assert_eq!(trail[0].flags, json!(["intent-missing"]));
    assert_eq!(
        reply.header("x-tollgate-event"),
        Some(&*trail[0].id.to_string())
    );

    gate.execute(NO_EVENTS).await;
    let reply = rename(&ann, "Identity").await.assert_ok();
    assert_eq!(reply.header("x-tollgate-event"), None);
    assert_eq!(name(&toggl), "Identity");
    assert_eq!(gate.trail().await.len(), 1);
    gate.logged("A change was made and is not in the trail")
        .await;
    gate.execute(ROOM_AGAIN).await;
    rename(&ann, "Design").await.assert_ok();
    let trail = gate.trail().await;
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[1].flags, json!([]));
    gate.assert_intact(2).await;
}
