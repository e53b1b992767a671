//! What is left of a hundred changes when the gateway is killed in the middle of them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use tollgate::domain::event::Event;
use tollgate::simulator::{Hold, Match, Toggl};

use crate::support::process::Folder;
use crate::support::{ORG, Reply, groups, soon, toggl};

const AT_ONCE: usize = 100;

/// When the gateway is killed.
enum Moment {
    /// When so many changes have reached upstream.
    Received(usize),
    /// When upstream has applied all of them and answered none.
    AllApplied,
    /// When upstream has all of them and applied none.
    NoneApplied,
}

fn creations() -> Match {
    Match::new(Method::POST, groups(ORG))
}

fn request_id(headers: &http::HeaderMap) -> String {
    let id = headers.get("x-request-id").expect("each change has one");
    id.to_str().expect("it is text").to_owned()
}

/// The request ids of what upstream has applied.
fn applied(toggl: &Toggl) -> BTreeSet<String> {
    let applied = toggl.applied();
    let ids = applied.iter();
    ids.map(|change| request_id(&change.request.headers))
        .collect()
}

/// A hundred groups are created at once, the gateway is killed and started again. Gives the folder
/// back, and the answers that came by request id.
async fn round(
    number: usize,
    moment: &Moment,
    toggl: &Toggl,
    folder: Folder,
) -> (Folder, BTreeMap<String, Reply>) {
    let gate = folder.start().await;
    let hold: Option<Hold> = match moment {
        Moment::Received(_) => None,
        Moment::AllApplied => Some(toggl.every(creations()).hang_after_read()),
        Moment::NoneApplied => Some(toggl.every(creations()).hang()),
    };
    let (received, done) = (received(toggl), toggl.applied().len());
    let ann = gate.client(&toggl.authorization("ann"));
    let changes = (0..AT_ONCE).map(|index| {
        let id = format!("round-{number}-{index}");
        let ask = ann.post(groups(ORG), json!({ "name": id }));
        let ask = ask.header("x-request-id", &id);
        tokio::spawn(async move { (id, ask.attempt().await) })
    });
    let changes = join_all(changes.collect::<Vec<_>>());
    let wanted = creations();
    let reached = toggl.wait_until(|log| match moment {
        Moment::Received(count) => log.matching(&wanted).count() >= received + count,
        Moment::AllApplied => log.applied().count() == done + AT_ONCE,
        Moment::NoneApplied => log.matching(&wanted).count() == received + AT_ONCE,
    });
    soon("upstream is as far as it shall come", reached).await;
    let folder = gate.kill();
    let answers = soon("everybody was answered or cut off", changes).await;
    toggl.clear_faults();
    if let Some(hold) = hold {
        hold.release();
    }
    let left = folder.number("SELECT count(*) FROM audit_intents").await;
    let gate = folder.start().await;
    let metrics = gate.admin().get("/metrics").await.assert_ok().text();
    let line = format!("tollgate_audit_unknown_outcomes_total {left}\n");
    assert!(metrics.contains(&line), "{line} in\n{metrics}");
    let (folder, status) = gate.stop().await;
    assert!(status.success(), "{status}");
    let answers = answers.into_iter().map(|answer| answer.expect("no panic"));
    let answers = answers.filter_map(|(id, answer)| Some((id, answer.ok()?)));
    (folder, answers.collect())
}

fn received(toggl: &Toggl) -> usize {
    toggl.received_matching(&creations()).len()
}

/// The events by their requests' ids; each has one, and no two have the same.
fn by_request(trail: &[Event]) -> BTreeMap<String, &Event> {
    let mut events = BTreeMap::new();
    for event in trail {
        let id = event
            .source
            .request_id
            .clone()
            .expect("each change has one");
        let twice = events.insert(id.clone(), event);
        assert!(twice.is_none(), "{id} has two events");
    }
    events
}

#[tokio::test]
async fn no_change_that_upstream_applied_is_missing_after_a_kill_whenever_it_comes() {
    let toggl = toggl().await;
    let mut folder = Folder::before(&toggl.url())
        .set("identity.lookup", "false")
        .set("admin.public_metrics", "true");
    let moments = [
        Moment::Received(1),
        Moment::Received(AT_ONCE / 3),
        Moment::AllApplied,
        Moment::Received(AT_ONCE / 2),
        Moment::NoneApplied,
        Moment::Received(AT_ONCE),
    ];
    let mut recovered_before = 0;
    for (number, moment) in moments.iter().enumerate() {
        let answers;
        (folder, answers) = round(number, moment, &toggl, folder).await;
        let trail = folder.trail().await;
        let events = by_request(&trail);

        let missing: Vec<_> = applied(&toggl)
            .into_iter()
            .filter(|id| !events.contains_key(id))
            .collect();
        assert!(
            missing.is_empty(),
            "round {number}: no event for {missing:?}"
        );
        folder.assert_intact(trail.len()).await;
        let (said, status) = folder.run(&["audit", "verify"]);
        let intact = format!("The trail is intact: {} row", trail.len());
        assert!(status.success() && said.starts_with(&intact), "{said}");
        let intents = folder.number("SELECT count(*) FROM audit_intents").await;
        assert_eq!(intents, 0, "round {number}");

        for (id, answer) in &answers {
            // Whoever was answered was told no more than what was on disk already.
            let event = events[id];
            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
            assert_eq!(
                answer.header("x-tollgate-event"),
                Some(&*event.id.to_string())
            );
            assert_eq!(event.outcome, "applied", "{id}");
        }
        let recovered: Vec<_> = trail
            .iter()
            .filter(|event| event.flags == json!(["recovered"]))
            .collect();
        for event in &recovered {
            assert_eq!(event.outcome, "unknown");
            assert_eq!(event.response.status, None);
            assert!(event.request.body.is_some(), "what was asked for is there");
            assert!(
                event
                    .summary
                    .starts_with("outcome unknown: creation of a group \"round-")
            );
        }
        let others = trail.len() - recovered.len();
        let told = trail
            .iter()
            .filter(|event| event.outcome == "applied")
            .count();
        assert_eq!(
            told, others,
            "round {number}: what was not recovered was told"
        );
        let recovered_now = recovered.len() - recovered_before;
        match moment {
            Moment::AllApplied | Moment::NoneApplied => {
                assert_eq!((recovered_now, answers.len()), (AT_ONCE, 0));
            }
            Moment::Received(_) => assert!(recovered_now + answers.len() <= AT_ONCE),
        }
        recovered_before = recovered.len();
    }
}

#[tokio::test]
async fn a_gateway_that_is_asked_to_stop_finishes_what_it_has_begun() {
    let toggl = toggl().await;
    let gate = Folder::before(&toggl.url()).start().await;
    let hold = toggl.next(creations()).hang();
    let ann = gate.client(&toggl.authorization("ann"));
    let change = ann.post(groups(ORG), json!({ "name": "Late" })).spawn();
    soon("the change is upstream", hold.reached()).await;
    gate.terminate();
    hold.release();
    let (folder, status) = gate.ended().await;
    assert!(status.success(), "{status}");
    change.await.unwrap().assert_ok();
    let trail = folder.trail().await;
    assert_eq!(trail.len(), 1);
    assert_eq!(
        (&*trail[0].outcome, &trail[0].flags),
        ("applied", &json!([]))
    );
}
