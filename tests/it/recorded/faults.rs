//! What is recorded when the caller leaves, or upstream breaks, in the middle of a change.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tollgate::domain::event::Event;
use tollgate::simulator::{Match, Toggl};

use crate::support::process::{Folder, NOBODY, Process};
use crate::support::{DESIGN, ORG, Reply, eventually, group, soon, toggl};

fn renames() -> Match {
    Match::new(Method::PUT, group(ORG, DESIGN))
}

async fn gate(toggl: &Toggl) -> Process {
    let folder = Folder::before(&toggl.url()).set("identity.lookup", "false");
    folder.start().await
}

async fn rename(gate: &Process, toggl: &Toggl) -> Reply {
    let ann = gate.client(&toggl.authorization("ann"));
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
}

/// The one event that there is; `reply` names it, and nothing was left behind.
#[track_caller]
fn only_event(gate: &Process, reply: &Reply) -> impl Future<Output = Event> {
    let caller = std::panic::Location::caller();
    async move {
        let mut trail = gate.trail().await;
        assert_eq!(trail.len(), 1, "{caller}");
        let event = trail.remove(0);
        let named = reply.header("x-tollgate-event");
        assert_eq!(named, Some(&*event.id.to_string()), "{caller}");
        let intents = gate.number("SELECT count(*) FROM audit_intents").await;
        assert_eq!(intents, 0, "{caller}");
        event
    }
}

fn name(toggl: &Toggl) -> String {
    toggl.group(DESIGN).expect("it is there").name
}

/// A connection on which a change is sent by hand, whole or in part.
async fn connection(gate: &Process, toggl: &Toggl, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gate.address()).await.unwrap();
    let (path, body) = (group(ORG, DESIGN), r#"{"name":"Brand"}"#);
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: gate\r\nauthorization: {}\r\ncontent-length: {}\r\n\r\n{sent}",
        toggl.authorization("ann"),
        body.len(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_caller_who_leaves_in_mid_change_leaves_an_event_that_says_so() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    let hold = toggl.next(renames()).hang();
    let caller = connection(&gate, &toggl, r#"{"name":"Brand"}"#).await;
    soon("the change is upstream", hold.reached()).await;
    drop(caller);
    gate.logged("was given up by its caller").await;
    assert!(
        gate.trail().await.is_empty(),
        "nothing is told before it is known"
    );
    hold.release();
    let event = eventually("the event is there", async || gate.trail().await.pop()).await;
    assert_eq!(
        (&*event.outcome, event.response.status),
        ("applied", Some(200))
    );
    assert_eq!(event.flags, json!(["caller-left"]));
    assert_eq!(name(&toggl), "Brand");
    gate.assert_intact(1).await;
}

#[tokio::test]
async fn a_caller_who_takes_back_a_stream_of_http2_leaves_the_same_event() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    let hold = toggl.next(renames()).hang();
    let ann = gate.client(&toggl.authorization("ann")).http2();
    let change = ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }));
    let change = change.spawn();
    soon("the change is upstream", hold.reached()).await;
    change.abort();
    gate.logged("was given up by its caller").await;
    hold.release();
    let event = eventually("the event is there", async || gate.trail().await.pop()).await;
    assert_eq!(event.outcome, "applied");
    assert_eq!(event.flags, json!(["caller-left"]));
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_body_is_whole_has_changed_nothing() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    drop(connection(&gate, &toggl, r#"{"name":"#).await);
    gate.logged("answered 400").await;
    rename(&gate, &toggl).await.assert_ok();
    assert_eq!(toggl.received_matching(&renames()).len(), 1);
    assert_eq!(gate.trail().await.len(), 1);
}

#[tokio::test]
async fn a_change_that_was_applied_and_never_answered_is_unknown() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    toggl.next(renames()).reset_after_apply();
    let reply = rename(&gate, &toggl).await;
    let reply = reply.assert_problem(502, "upstream-unreachable");
    let event = only_event(&gate, &reply).await;
    assert_eq!((&*event.outcome, event.response.status), ("unknown", None));
    assert_eq!(event.after, None, "nobody knows it");
    assert_eq!(
        event.summary,
        r#"sent, outcome unknown: rename "Design" to "Brand""#
    );
    assert_eq!(name(&toggl), "Brand");
    assert_eq!(toggl.applied().len(), 1, "a change is never sent twice");
}

#[tokio::test]
async fn a_change_that_was_lost_on_its_way_is_unknown_too() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    toggl.next(renames()).reset_before_apply();
    let reply = rename(&gate, &toggl).await;
    let reply = reply.assert_problem(502, "upstream-unreachable");
    let event = only_event(&gate, &reply).await;
    assert_eq!((&*event.outcome, event.response.status), ("unknown", None));
    assert_eq!(name(&toggl), "Design");
    assert_eq!(toggl.received_matching(&renames()).len(), 1, "nor twice");
}

#[tokio::test]
async fn a_change_for_which_there_was_no_connection_was_not_sent() {
    let toggl = toggl().await;
    let gate = Folder::before(NOBODY).start().await;
    let reply = rename(&gate, &toggl).await;
    let reply = reply.assert_problem(502, "upstream-unreachable");
    let event = only_event(&gate, &reply).await;
    assert_eq!((&*event.outcome, event.response.status), ("not_sent", None));
    assert_eq!(event.summary, "not sent: update group 9001");
}

#[tokio::test]
async fn a_change_that_upstream_does_not_answer_in_time_is_unknown() {
    let toggl = toggl().await;
    let folder = Folder::before(&toggl.url()).set("identity.lookup", "false");
    let gate = folder
        .set("upstream.request_timeout", "200ms")
        .start()
        .await;
    let hold = toggl.next(renames()).hang();
    let reply = rename(&gate, &toggl).await;
    let reply = reply.assert_problem(504, "upstream-timeout");
    let event = only_event(&gate, &reply).await;
    assert_eq!((&*event.outcome, event.response.status), ("unknown", None));
    hold.release();
    let applied = toggl.wait_until(|log| log.applied().count() == 1);
    soon("upstream applies it all the same", applied).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_applied_by_its_head_and_flagged() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    toggl.next(renames()).truncated_body();
    let reply = rename(&gate, &toggl).await;
    let reply = reply.assert_problem(502, "upstream-unreachable");
    let event = only_event(&gate, &reply).await;
    assert_eq!(
        (&*event.outcome, event.response.status),
        ("applied", Some(200))
    );
    assert_eq!(event.flags, json!(["answer-incomplete", "after-assumed"]));
    assert_eq!(name(&toggl), "Brand");
}

#[tokio::test]
async fn a_server_error_says_nothing_of_the_change() {
    let toggl = toggl().await;
    let gate = gate(&toggl).await;
    toggl.next(renames()).status(StatusCode::BAD_GATEWAY);
    let reply = rename(&gate, &toggl).await.assert_status(502);
    let event = only_event(&gate, &reply).await;
    assert_eq!(
        (&*event.outcome, event.response.status),
        ("unknown", Some(502))
    );
    assert!(
        reply.text().contains("nginx"),
        "upstream's page: {}",
        reply.text()
    );
}
