use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt as _;
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::body::Body;
use crate::domain::action::Outcome;
use crate::domain::event::{Draft, Flag};
use crate::domain::group::{Group, ProjectGroup};
use crate::domain::ids::{OrganizationId, WorkspaceId};
use crate::layers::testing;
use crate::quota::Quota;
use crate::store::memory::MemoryStore;
use crate::store::{Fact, Learned};

const GROUP: &str = "/api/v9/organizations/1/groups/7";

/// A recorder over a fake store, in front of answers that were prepared.
struct Setup {
    store: MemoryStore,
    tasks: TaskTracker,
    on_failure: OnFailure,
    answers: Arc<Mutex<VecDeque<Result<Answer, ProxyError>>>>,
    sent: Arc<Mutex<usize>>,
    /// What reads of lists are answered; refused where nothing is prepared.
    lists: Arc<Mutex<VecDeque<Value>>>,
    /// Upstream answers after this, if it is there.
    gate: Option<Arc<Notify>>,
    metrics: Metrics,
}

impl Setup {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            tasks: TaskTracker::new(),
            on_failure: OnFailure::Refuse,
            answers: Arc::default(),
            sent: Arc::default(),
            lists: Arc::default(),
            gate: None,
            metrics: Metrics::new(),
        }
    }

    /// With group 7, `Design`, known: Ann (5) is in it.
    async fn knowing_design() -> Self {
        let setup = Self::new();
        let design = json!({"group_id": 7, "name": "Design", "users": [{"user_id": 5, "name": "Ann"}], "workspaces": [3]});
        let other = json!({"group_id": 8, "name": "All", "users": [{"user_id": 6, "name": "Bob"}]});
        let fact = |group: Value| {
            Fact::Group(
                Some(OrganizationId(1)),
                Box::new(Group::read(&group).unwrap()),
            )
        };
        let row = json!({"id": 9, "group_id": 7, "pid": 30, "wid": 3});
        let facts = [
            fact(design),
            fact(other),
            Fact::ProjectGroup(WorkspaceId(3), ProjectGroup::read(&row).unwrap()),
        ];
        let at = Timestamp::UNIX_EPOCH;
        setup
            .store
            .learn(facts.into_iter().map(|fact| Learned { at, fact }).collect())
            .await;
        setup
    }

    fn service(
        &self,
    ) -> Audit<
        impl Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + 'static,
    > {
        let recorder = Recorder {
            trail: Arc::new(self.store.clone()),
            known: Arc::new(self.store.clone()),
            people: People::new(
                Arc::new(self.store.clone()),
                None,
                Quota::default(),
                Clock::system(),
                self.tasks.clone(),
            ),
            key: Key::new(&testing::SECRET),
            scope: Scope::All,
            on_failure: self.on_failure,
            max_body_size: 1 << 10,
            body_timeout: Duration::from_secs(30),
            turns: Turns::default(),
            recent: Recent::of([]),
            tags: Tags::new(),
            quota: Quota::default(),
            reserve: 10,
            slots: 2.into(),
            tasks: self.tasks.clone(),
            clock: Clock::system(),
            metrics: self.metrics.clone(),
        };
        let (answers, sent, gate) = (
            Arc::clone(&self.answers),
            Arc::clone(&self.sent),
            self.gate.clone(),
        );
        let lists = Arc::clone(&self.lists);
        let inner = service_fn(move |call: Call| {
            let is_list = matches!(call.endpoint, Endpoint::List(_));
            let answer = if is_list {
                Ok(listed(lists.lock().unwrap().pop_front()))
            } else {
                *sent.lock().unwrap() += 1;
                let mut answers = answers.lock().unwrap();
                answers.pop_front().expect("an answer is prepared")
            };
            let gate = gate.clone().filter(|_| !is_list);
            async move {
                // Upstream takes the body in whole.
                call.request
                    .into_body()
                    .collect()
                    .await
                    .map_err(ProxyError::lost)?;
                if let Some(gate) = gate {
                    gate.notified().await;
                }
                answer
            }
        });
        AuditLayer::new(recorder).layer(inner)
    }

    fn answers(&self, status: u16, body: impl Into<bytes::Bytes>) {
        let answer = Response::builder()
            .status(status)
            .body(Body::full(body.into()))
            .unwrap();
        self.answers.lock().unwrap().push_back(Ok(answer));
    }

    async fn change(&self, method: Method, path: &str, body: &Value) -> Result<Answer, ProxyError> {
        self.service()
            .oneshot(testing::change("ann", method, path, body))
            .await
    }

    fn last(&self) -> Draft {
        assert!(self.store.intents().is_empty(), "no intent is left");
        self.store.events().pop().expect("an event")
    }

    /// The event of a change of group 7 that is answered like this, in one line.
    async fn told(&self, method: Method, body: Value, status: u16, answer: &Value) -> String {
        self.answers(status, answer.to_string());
        let _ = self.change(method, GROUP, &body).await;
        line(&self.last())
    }
}

fn listed(list: Option<Value>) -> Answer {
    let (status, body) = match list {
        Some(list) => (200, list.to_string()),
        None => (403, String::new()),
    };
    let tag = crate::cache::entry::etag(body.as_bytes());
    let answer = Response::builder().status(status).header("etag", tag);
    answer.body(Body::full(body)).unwrap()
}

fn line(event: &Draft) -> String {
    let flags: Vec<_> = event
        .intent
        .flags
        .iter()
        .map(|flag| format!("{flag:?}"))
        .collect();
    format!(
        "{} {} | {} | {}",
        event.intent.action,
        event.outcome,
        event.summary,
        flags.join(",")
    )
}

#[tokio::test]
async fn an_update_tells_from_what_to_what() {
    let setup = Setup::knowing_design().await;
    let answer = json!({"group_id": 7, "name": "Brand", "users": [{"user_id": 6, "name": "Bob"}], "workspaces": [3, 4]});
    let told = setup
        .told(
            Method::PUT,
            json!({"name": "Brand", "users": [6], "workspaces": [3, 4]}),
            200,
            &answer,
        )
        .await;
    assert_snapshot!(told, @r#"group.update applied | renamed "Design" to "Brand"; added Bob (6), workspace 4; removed Ann (5) | "#);
    let event = setup.last();
    assert_eq!(event.before.unwrap()["name"], "Design");
    assert_eq!(event.after.unwrap()["name"], "Brand");
    // And it is known from now on.
    assert_eq!(
        setup
            .store
            .group(crate::domain::ids::GroupId(7), None)
            .await
            .unwrap()
            .unwrap()
            .name,
        "Brand"
    );
}

#[tokio::test]
async fn patches_that_failed_are_told_apart() {
    let patch = |op: &str, value: i64| json!({"op": op, "path": "/users", "value": [value]});
    let body = json!([patch("add", 6), patch("remove", 5), patch("add", 99)]);
    let failure =
        json!({"message": "User 99 not exists in the organization 1", "patch": patch("add", 99)});

    let partly = json!({"success": [patch("add", 6), patch("remove", 5)], "failure": [failure]});
    let setup = Setup::knowing_design().await;
    assert_snapshot!(setup.told(Method::PATCH, body.clone(), 200, &partly).await, @r#"group.patch partial | in "Design": added Bob (6); removed Ann (5); not done: add users 99 (User 99 not exists in the organization 1) | "#);

    let not_at_all = json!({"success": null, "failure": [failure]});
    let setup = Setup::knowing_design().await;
    assert_snapshot!(setup.told(Method::PATCH, json!([patch("add", 99)]), 200, &not_at_all).await, @r#"group.patch rejected | tried to change "Design": add users 99 (User 99 not exists in the organization 1) | "#);
    assert_eq!(setup.last().after, setup.last().before, "nothing changed");

    let setup = Setup::new();
    assert_snapshot!(setup.told(Method::PATCH, body.clone(), 200, &partly).await, @"group.patch partial | in group 7: added 6; removed 5 (before unknown); not done: add users 99 (User 99 not exists in the organization 1) | BeforeUnknown");

    let setup = Setup::knowing_design().await;
    assert_snapshot!(setup.told(Method::PATCH, body, 200, &json!("OK")).await, @r#"group.patch applied | in "Design": added Bob (6), 99; removed Ann (5) | AfterAssumed"#);
}

#[tokio::test]
async fn what_a_group_known_by_its_name_alone_lost_and_got_is_still_told() {
    let setup = Setup::new();
    let short = Group::read(&json!({"id": 7, "name": "Design", "workspace_id": 3})).unwrap();
    // The workspace's list told of it, and another one whose the workspace is.
    let facts = [
        Fact::Group(None, Box::new(short)),
        Fact::Workspace(OrganizationId(1), WorkspaceId(3)),
    ];
    let at = Timestamp::UNIX_EPOCH;
    let learned = facts.map(|fact| Learned { at, fact }).to_vec();
    setup.store.learn(learned).await;
    let patch = json!({"op": "add", "path": "/users", "value": [6]});
    let answer = json!({"success": [patch], "failure": []});
    assert_snapshot!(setup.told(Method::PATCH, json!([patch]), 200, &answer).await, @r#"group.patch applied | in "Design": added 6 (before unknown) | BeforeUnknown"#);
    let answer = json!({"group_id": 7, "name": "Design", "users": null});
    assert_snapshot!(setup.told(Method::PUT, json!({"name": "Design"}), 200, &answer).await, @r#"group.update applied | updated "Design" (before unknown) | BeforeUnknown"#);
}

#[tokio::test]
async fn what_upstream_refused_is_told_in_its_words_and_changes_nothing() {
    let setup = Setup::knowing_design().await;
    let refusal = json!("Name has already been taken");
    assert_snapshot!(setup.told(Method::PUT, json!({"name": "All"}), 400, &refusal).await, @r#"group.update rejected | tried to rename "Design" to "All": Name has already been taken (400) | "#);
    assert_snapshot!(setup.told(Method::DELETE, json!(null), 403, &json!("Forbidden")).await, @r#"group.delete rejected | tried to delete "Design": Forbidden (403) | "#);
    setup.answers(429, "<html>nginx</html>");
    setup
        .change(Method::DELETE, GROUP, &json!(null))
        .await
        .unwrap();
    assert_snapshot!(line(&setup.last()), @r#"group.delete rejected | tried to delete "Design": 429 | "#);
}

#[tokio::test]
async fn a_delete_and_a_create_name_who_was_and_who_is_in_it() {
    let setup = Setup::knowing_design().await;
    assert_snapshot!(setup.told(Method::DELETE, json!(null), 200, &json!("OK")).await, @r#"group.delete applied | deleted "Design" (it had Ann (5), workspace 3) | "#);
    let created = json!({"group_id": 10, "name": "New", "users": [{"user_id": 6, "name": "Bob"}], "workspaces": null});
    setup.answers(200, created.to_string());
    setup
        .change(
            Method::POST,
            "/api/v9/organizations/1/groups",
            &json!({"name": "New", "users": [6]}),
        )
        .await
        .unwrap();
    assert_snapshot!(line(&setup.last()), @r#"group.create applied | created "New" with Bob (6) | "#);
    assert_eq!(setup.last().intent.target.group_id.unwrap().0, 10);
}

#[tokio::test]
async fn access_to_projects_names_group_and_project_both_ways() {
    let setup = Setup::knowing_design().await;
    setup.answers(200, r#"{"id":12,"group_id":7,"pid":31,"wid":3}"#);
    let body = json!({"group_id": 7, "project_id": 31});
    setup
        .change(Method::POST, "/api/v9/workspaces/3/project_groups", &body)
        .await
        .unwrap();
    assert_snapshot!(line(&setup.last()), @r#"project_group.add applied | gave "Design" access to project 31 | "#);
    for (row, told) in [(9, "project 30"), (12, "project 31")] {
        setup.answers(200, "OK");
        let path = format!("/api/v9/workspaces/3/project_groups/{row}");
        setup
            .change(Method::DELETE, &path, &json!(null))
            .await
            .unwrap();
        assert!(
            line(&setup.last()).contains(&format!(r#"took from "Design" the access to {told}"#)),
            "{}",
            line(&setup.last())
        );
    }
    setup.answers(200, "OK");
    setup
        .change(
            Method::DELETE,
            "/api/v9/workspaces/3/project_groups/12",
            &json!(null),
        )
        .await
        .unwrap();
    assert_snapshot!(line(&setup.last()), @"project_group.remove applied | took from a group the access to a project | BeforeUnknown");
}

#[tokio::test]
async fn bodies_are_kept_only_where_they_hold_no_secret() {
    let setup = Setup::new();
    for (method, path, request, answer) in [
        (Method::PUT, GROUP, true, true),
        (
            Method::POST,
            "/api/v9/organizations/1/invitations",
            true,
            false,
        ),
        (Method::PUT, "/api/v9/me", false, false),
        (
            Method::POST,
            "/api/v9/organizations/1/workspaces",
            false,
            false,
        ),
    ] {
        setup.answers(200, r#""answered""#);
        setup
            .change(method, path, &json!({"password": "s3cret"}))
            .await
            .unwrap();
        let event = setup.last();
        assert_eq!(event.intent.request.body.is_some(), request, "{path}");
        assert_eq!(event.response.body.is_some(), answer, "{path}");
        assert!(event.intent.request.body_digest.unwrap().starts_with("21:"));
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_sent() {
    let setup = Setup::new();
    setup.store.fail(true);
    let error = setup
        .change(Method::DELETE, GROUP, &json!(null))
        .await
        .unwrap_err();
    assert!(matches!(error, ProxyError::AuditUnavailable(_)), "{error}");
    assert_eq!(*setup.sent.lock().unwrap(), 0);

    let setup = Setup {
        on_failure: OnFailure::Forward,
        ..setup
    };
    setup.answers(200, "OK");
    let answer = setup
        .change(Method::DELETE, GROUP, &json!(null))
        .await
        .unwrap();
    assert!(
        !answer.headers().contains_key("x-tollgate-event"),
        "there is none"
    );
    assert_eq!(*setup.sent.lock().unwrap(), 1);
    let text = setup.metrics.text();
    for failed in ["{write=\"intent\"} 2\n", "{write=\"event\"} 1\n"] {
        let line = format!("tollgate_audit_failures_total{failed}");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_written_is_written_when_the_store_is_back() {
    let setup = Setup {
        gate: Some(Arc::default()),
        ..Setup::new()
    };
    setup.answers(200, "OK");
    let answer = tokio::spawn(setup.service().oneshot(testing::change(
        "ann",
        Method::DELETE,
        GROUP,
        &json!(null),
    )));
    while *setup.sent.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    setup.store.fail(true);
    setup.gate.as_ref().unwrap().notify_one();
    let error = answer.await.unwrap().unwrap_err();
    assert!(error.event().is_some(), "{error}");
    assert_eq!(
        setup.store.intents().len(),
        1,
        "found by the next start, if this is the end"
    );
    setup.store.fail(false);
    setup.tasks.close();
    setup.tasks.wait().await;
    assert_eq!(setup.last().outcome, Outcome::Applied);
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_neither_the_change_nor_its_event() {
    let setup = Setup {
        gate: Some(Arc::default()),
        ..Setup::new()
    };
    setup.answers(200, "OK");
    let mut caller = Box::pin(setup.service().oneshot(testing::change(
        "ann",
        Method::DELETE,
        GROUP,
        &json!(null),
    )));
    while *setup.sent.lock().unwrap() == 0 {
        tokio::select! {
            _ = &mut caller => unreachable!("upstream has not answered"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(caller);
    setup.gate.as_ref().unwrap().notify_one();
    setup.tasks.close();
    setup.tasks.wait().await;
    let event = setup.last();
    assert_eq!(event.outcome, Outcome::Applied);
    assert!(event.intent.flags.contains(&Flag::CallerLeft));
}

#[tokio::test]
async fn what_cannot_be_told_is_unknown_and_what_never_left_is_not_sent() {
    let setup = Setup::knowing_design().await;
    let never = ProxyError::ConnectFailed(Arc::new("refused".into()));
    for (error, outcome) in [
        (ProxyError::lost("reset"), Outcome::Unknown),
        (never, Outcome::NotSent),
    ] {
        setup.answers.lock().unwrap().push_back(Err(error));
        let error = setup
            .change(Method::DELETE, GROUP, &json!(null))
            .await
            .unwrap_err();
        let event = setup.last();
        assert_eq!(event.outcome, outcome);
        assert_eq!(
            error.event(),
            Some(event.intent.id),
            "the caller is told which event it is"
        );
    }
    let setup = Setup::knowing_design().await;
    assert_snapshot!(setup.told(Method::DELETE, json!(null), 502, &json!("")).await, @r#"group.delete unknown | sent, outcome unknown: delete "Design" | "#);
    // From then on nobody knows what the group is like.
    assert_snapshot!(setup.told(Method::DELETE, json!(null), 404, &json!("Invalid group ID.")).await, @"group.delete rejected | tried to delete group 7: Invalid group ID. (404) | BeforeUnknown");
}

#[tokio::test]
async fn a_page_for_people_in_place_of_an_answer_tells_nothing() {
    let setup = Setup::knowing_design().await;
    let page = Response::builder()
        .header("content-type", "text/html")
        .body(Body::full("<html>"));
    setup.answers.lock().unwrap().push_back(Ok(page.unwrap()));
    setup
        .change(Method::DELETE, GROUP, &json!(null))
        .await
        .unwrap();
    assert_eq!(setup.last().outcome, Outcome::Unknown);
}

#[tokio::test]
async fn a_patch_that_cannot_be_read_in_the_answer_was_applied_all_the_same() {
    let setup = Setup::knowing_design().await;
    let odd = json!({"op": "remove", "path": "/users", "value": ["5"]});
    let refused = json!({"message": "no", "patch": odd});
    let answer = json!({"success": [odd], "failure": [refused]});
    let told = setup.told(Method::PATCH, json!([odd]), 200, &answer).await;
    assert_snapshot!(told, @r#"group.patch partial | changed "Design"; not done: a patch (no) | AfterAssumed"#);
    assert_eq!(setup.last().after, None);
}

#[tokio::test]
async fn a_group_of_somebody_else_is_not_told_to_who_asks_for_its_number() {
    let setup = Setup::knowing_design().await;
    setup.answers(404, r#""Invalid group ID.""#);
    setup
        .change(
            Method::PUT,
            "/api/v9/organizations/2/groups/7",
            &json!({"name": "x"}),
        )
        .await
        .unwrap();
    let event = setup.last();
    assert_eq!(event.before, None);
    assert_snapshot!(line(&event), @r#"group.update rejected | tried to update group 7: Invalid group ID. (404) | BeforeUnknown"#);
    setup.answers(404, "");
    setup
        .change(
            Method::DELETE,
            "/api/v9/workspaces/99/groups/7",
            &json!(null),
        )
        .await
        .unwrap();
    assert_eq!(setup.last().before, None);
}

#[tokio::test]
async fn after_memberships_changed_by_another_door_nothing_is_taken_for_known() {
    let setup = Setup::knowing_design().await;
    setup.answers(200, r#""OK""#);
    setup
        .change(
            Method::PUT,
            "/api/v9/organizations/1/users/99",
            &json!({"groups": []}),
        )
        .await
        .unwrap();
    let answer = json!({"group_id": 7, "name": "Design", "users": []});
    let told = setup
        .told(Method::PUT, json!({"name": "Design"}), 200, &answer)
        .await;
    assert_snapshot!(told, @r#"group.update applied | updated "Design" (before unknown) | BeforeUnknown"#);
}

#[tokio::test]
async fn a_body_that_upstream_might_read_otherwise_is_not_believed() {
    let setup = Setup::knowing_design().await;
    setup.answers(200, r#"{"id":12,"group_id":8,"pid":80,"wid":3}"#);
    let request = http::Request::post("/api/v9/workspaces/3/project_groups")
        .header("authorization", "Basic ann");
    let body = r#"{"group_id":7,"project_id":70,"GROUP_ID":8,"PROJECT_ID":80}"#;
    let call = testing::call(request.body(Body::full(body)).unwrap());
    setup.service().oneshot(call).await.unwrap();
    let event = setup.last();
    assert_eq!(event.intent.request.body.as_deref(), Some(body));
    assert_snapshot!(line(&event), @"project_group.add applied | gave group 8 access to project 80 | BodyUnread");
}

#[tokio::test]
async fn an_address_is_believed_only_of_a_credential_that_upstream_took() {
    for (status, believed) in [(200, true), (403, false), (401, false)] {
        let setup = Setup::new();
        setup.answers(status, r#""OK""#);
        let pair = "Basic Y2VvQGFjbWUuZXhhbXBsZTpndWVzcw=="; // ceo@acme.example:guess
        let request = http::Request::delete(GROUP).header("authorization", pair);
        let call = testing::call(request.body(Body::empty()).unwrap());
        setup.service().oneshot(call).await.unwrap();
        assert_eq!(
            setup.last().intent.actor.email.is_some(),
            believed,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_passes_and_is_not_kept() {
    let setup = Setup::new();
    setup.answers(200, "OK");
    let large = "x".repeat(5000);
    setup
        .change(Method::PUT, GROUP, &json!(large))
        .await
        .unwrap();
    let event = setup.last();
    assert!(event.intent.flags.contains(&Flag::BodyTooLarge));
    assert_eq!(event.intent.request.body, None);
    assert!(
        event
            .intent
            .request
            .body_digest
            .unwrap()
            .starts_with("5002:")
    );
}

#[tokio::test]
async fn changes_under_way_are_bounded_also_when_their_callers_have_left() {
    let setup = Setup {
        gate: Some(Arc::default()),
        ..Setup::new()
    };
    let service = setup.service();
    let change = |group: usize| {
        let path = format!("/api/v9/organizations/1/groups/{group}");
        testing::change("ann", Method::DELETE, &path, &json!(null))
    };
    for sent in 1..=2 {
        setup.answers(200, "OK");
        let caller = tokio::spawn(service.clone().oneshot(change(sent)));
        while *setup.sent.lock().unwrap() < sent {
            tokio::task::yield_now().await;
        }
        caller.abort();
    }
    let error = service.oneshot(change(3)).await.unwrap_err();
    assert!(matches!(error, ProxyError::Overloaded));
}

#[tokio::test]
async fn reads_pass_untouched() {
    let setup = Setup::new();
    setup.store.fail(true);
    setup.answers(200, "[]");
    setup
        .service()
        .oneshot(testing::get("ann", "/api/v9/organizations/1/groups"))
        .await
        .unwrap();
    assert!(setup.store.events().is_empty());
}
