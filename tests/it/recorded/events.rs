//! What the trail says of each kind of change of a group.

use http::Method;
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate::clock::Clock;
use tollgate::domain::event::Event;
use tollgate::simulator::Toggl;

use crate::support::{DESIGN, ENGINEERING, Gateway, ORG, eventually, group, groups, simulate};

/// The simulator, with groups that change at a known time.
pub(super) async fn toggl() -> Toggl {
    let noon: Timestamp = "2026-05-04T12:00:00Z".parse().unwrap();
    simulate(|options| options.clock = Clock::from_fn(move || noon)).await
}

/// The same, and it counts requests: a gateway with a larger reserve asks for no list.
pub(super) async fn counting_toggl() -> Toggl {
    let noon: Timestamp = "2026-05-04T12:00:00Z".parse().unwrap();
    simulate(|options| {
        options.clock = Clock::from_fn(move || noon);
        options.quota = Some(600);
    })
    .await
}

/// What differs from run to run, as words.
fn redacted(event: &Event) -> Value {
    let mut event = serde_json::to_value(event).unwrap();
    for pointer in [
        "/id",
        "/occurred_at",
        "/completed_at",
        "/duration_ms",
        "/actor/credential_id",
        "/response/upstream_request_id",
        "/hash",
    ] {
        let value = event.pointer_mut(pointer).unwrap();
        assert!(!value.is_null(), "{pointer}");
        *value = json!("…");
    }
    event
}

/// What matters of an event, one thing a line, each as JSON without what is not there.
fn told(event: &Event) -> String {
    let all = serde_json::to_value(event).unwrap();
    let names = [
        "action", "outcome", "target", "request", "response", "changes", "flags", "summary",
    ];
    let mut lines = Vec::new();
    for name in names {
        let mut value = all[name].clone();
        match &mut value {
            Value::Object(fields) => {
                // Its own, on every request and every answer.
                fields.shift_remove("upstream_request_id");
                fields.retain(|_, value| !value.is_null());
            }
            Value::Array(elements) if elements.is_empty() => continue,
            _ => {}
        }
        lines.push(format!("{name}: {value}"));
    }
    without_hashes(&lines.join("\n"))
}

/// Keyed hashes differ with the key.
pub(super) fn without_hashes(text: &str) -> String {
    let mut parts = text.split("hmac-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}hmac-…{}", &part[16..]))
}

/// The last event.
pub(super) async fn last(gate: &Gateway) -> String {
    told(gate.events().await.last().expect("an event"))
}

#[tokio::test]
async fn an_event_says_who_changed_what_when_and_from_where_from_what_to_what() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).config(|config| {
        config.identity.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let gate = gate.start().await;
    let ann = gate
        .client("ann")
        .labelled("hr-sync")
        .with("user-agent", "hr-sync/2.1");
    ann.get(groups(ORG)).await.assert_ok();
    ann.post("/api/v9/feedback", json!({ "text": "hello" }))
        .await
        .assert_ok();
    let known = async || gate.sql("SELECT name FROM identities").await.pop();
    assert_eq!(eventually("Ann is known", known).await, "Ann Becker");
    let reply = ann
        .put(
            format!("{}?force=true&page=1", group(ORG, DESIGN)),
            json!({ "name": "Brand" }),
        )
        .header("x-request-id", "nightly-17")
        .header("x-tollgate-actor", "Hanna from HR")
        .header("x-forwarded-for", "203.0.113.7")
        .await
        .assert_ok();
    let events = gate.events().await;
    let event = events.last().unwrap();
    assert_eq!(
        reply.header("x-tollgate-event"),
        Some(&*event.id.to_string())
    );
    assert_eq!(reply.header("x-request-id"), Some("nightly-17"));
    let of_upstream = reply.header("x-toggl-request-id").map(str::to_owned);
    assert_eq!(event.response.upstream_request_id, of_upstream);
    let mut shown = redacted(event);
    let query = shown["request"]["query"].as_str().unwrap();
    shown["request"]["query"] = json!(without_hashes(query));
    insta::assert_json_snapshot!(shown, @r#"
    {
      "seq": 2,
      "id": "…",
      "occurred_at": "…",
      "completed_at": "…",
      "duration_ms": "…",
      "action": "group.update",
      "outcome": "applied",
      "actor": {
        "credential_id": "…",
        "user_id": 7001,
        "email": "ann@acme.example",
        "name": "Ann Becker",
        "tool": "hr-sync",
        "on_behalf_of": "Hanna from HR"
      },
      "source": {
        "ip": "203.0.113.7",
        "user_agent": "hr-sync/2.1",
        "request_id": "nightly-17"
      },
      "target": {
        "organization_id": 4123,
        "workspace_id": null,
        "group_id": 9001,
        "group_name": "Brand",
        "project_id": null,
        "project_group_id": null
      },
      "request": {
        "method": "PUT",
        "path": "/api/v9/organizations/4123/groups/9001",
        "query": "force=hmac-…&page=1",
        "body": "{\"name\":\"Brand\"}"
      },
      "response": {
        "status": 200,
        "body": "{\"group_id\":9001,\"name\":\"Brand\",\"at\":\"2026-05-04T12:00:00.000006Z\",\"permissions\":null,\"users\":[{\"user_id\":7001,\"name\":\"Ann Becker\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7001.png\",\"inactive\":false,\"joined\":true},{\"user_id\":7003,\"name\":\"Cleo Martin\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7003.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001]}",
        "upstream_request_id": "…"
      },
      "before": {
        "group_id": 9001,
        "name": "Design",
        "permissions": null,
        "users": [
          {
            "user_id": 7001,
            "name": "Ann Becker",
            "avatar_url": "https://assets.track.toggl.com/avatars/7001.png",
            "inactive": false,
            "joined": true
          },
          {
            "user_id": 7003,
            "name": "Cleo Martin",
            "avatar_url": "https://assets.track.toggl.com/avatars/7003.png",
            "inactive": false,
            "joined": true
          }
        ],
        "workspaces": [
          51001
        ],
        "at": "2026-05-04T12:00:00Z"
      },
      "after": {
        "group_id": 9001,
        "name": "Brand",
        "permissions": null,
        "users": [
          {
            "user_id": 7001,
            "name": "Ann Becker",
            "avatar_url": "https://assets.track.toggl.com/avatars/7001.png",
            "inactive": false,
            "joined": true
          },
          {
            "user_id": 7003,
            "name": "Cleo Martin",
            "avatar_url": "https://assets.track.toggl.com/avatars/7003.png",
            "inactive": false,
            "joined": true
          }
        ],
        "workspaces": [
          51001
        ],
        "at": "2026-05-04T12:00:00.000006Z"
      },
      "changes": [
        {
          "field": "name",
          "change": "set",
          "from": "Design",
          "to": "Brand"
        }
      ],
      "relations": [],
      "flags": [],
      "summary": "renamed \"Design\" to \"Brand\"",
      "hash": "…"
    }
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn a_creation_shows_the_group_that_came_of_it() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let wanted = json!({ "name": "Research", "users": [7003, 7005], "workspaces": [51002] });
    ann.post(groups(ORG), wanted).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.create"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":90000018,"group_name":"Research"}
    request: {"method":"POST","path":"/api/v9/organizations/4123/groups","body":"{\"name\":\"Research\",\"users\":[7003,7005],\"workspaces\":[51002]}"}
    response: {"status":200,"body":"{\"group_id\":90000018,\"name\":\"Research\",\"at\":\"2026-05-04T12:00:00.000007Z\",\"permissions\":null,\"users\":[{\"user_id\":7003,\"name\":\"Cleo Martin\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7003.png\",\"inactive\":false,\"joined\":true},{\"user_id\":7005,\"name\":\"Eve Lindqvist\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7005.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51002]}"}
    changes: [{"field":"group","change":"created","to":"Research"},{"field":"users","change":"added","id":7003,"label":"Cleo Martin"},{"field":"users","change":"added","id":7005,"label":"Eve Lindqvist"},{"field":"workspaces","change":"added","id":51002}]
    summary: "created \"Research\" with Cleo Martin (7003), Eve Lindqvist (7005), workspace 51002"
    "#);
    ann.post(groups(ORG), json!({ "name": "Empty" }))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.create"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":90000019,"group_name":"Empty"}
    request: {"method":"POST","path":"/api/v9/organizations/4123/groups","body":"{\"name\":\"Empty\"}"}
    response: {"status":200,"body":"{\"group_id\":90000019,\"name\":\"Empty\",\"at\":\"2026-05-04T12:00:00.000009Z\",\"permissions\":null,\"users\":[],\"workspaces\":[]}"}
    changes: [{"field":"group","change":"created","to":"Empty"}]
    summary: "created \"Empty\""
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn an_update_shows_the_name_and_who_came_and_went() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let wanted = json!({ "name": "Brand", "users": [7001, 7004], "workspaces": [51001, 51002] });
    ann.put(group(ORG, DESIGN), wanted.clone())
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.update"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Brand"}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/groups/9001","body":"{\"name\":\"Brand\",\"users\":[7001,7004],\"workspaces\":[51001,51002]}"}
    response: {"status":200,"body":"{\"group_id\":9001,\"name\":\"Brand\",\"at\":\"2026-05-04T12:00:00.000006Z\",\"permissions\":null,\"users\":[{\"user_id\":7001,\"name\":\"Ann Becker\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7001.png\",\"inactive\":false,\"joined\":true},{\"user_id\":7004,\"name\":\"Dan Okafor\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7004.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001,51002]}"}
    changes: [{"field":"name","change":"set","from":"Design","to":"Brand"},{"field":"users","change":"added","id":7004,"label":"Dan Okafor"},{"field":"users","change":"removed","id":7003,"label":"Cleo Martin"},{"field":"workspaces","change":"added","id":51002}]
    summary: "renamed \"Design\" to \"Brand\"; added Dan Okafor (7004), workspace 51002; removed Cleo Martin (7003)"
    "#);
    ann.put(group(ORG, DESIGN), wanted).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.update"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Brand"}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/groups/9001","body":"{\"name\":\"Brand\",\"users\":[7001,7004],\"workspaces\":[51001,51002]}"}
    response: {"status":200,"body":"{\"group_id\":9001,\"name\":\"Brand\",\"at\":\"2026-05-04T12:00:00.000007Z\",\"permissions\":null,\"users\":[{\"user_id\":7001,\"name\":\"Ann Becker\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7001.png\",\"inactive\":false,\"joined\":true},{\"user_id\":7004,\"name\":\"Dan Okafor\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7004.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001,51002]}"}
    summary: "left \"Brand\" as it was"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn what_was_not_seen_before_is_not_guessed() {
    let toggl = counting_toggl().await;
    let gate = Gateway::before(&toggl).config(|config| config.quota.reserve = 100_000);
    let gate = gate.start().await;
    let ann = gate.client("ann");
    // Whatever is left, it is for changes: no list is asked for.
    ann.get(format!("{}?name=nothing", groups(ORG)))
        .await
        .assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.update"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Brand"}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/groups/9001","body":"{\"name\":\"Brand\"}"}
    response: {"status":200,"body":"{\"group_id\":9001,\"name\":\"Brand\",\"at\":\"2026-05-04T12:00:00.000006Z\",\"permissions\":null,\"users\":[{\"user_id\":7001,\"name\":\"Ann Becker\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7001.png\",\"inactive\":false,\"joined\":true},{\"user_id\":7003,\"name\":\"Cleo Martin\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7003.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001]}"}
    flags: ["before-unknown"]
    summary: "updated \"Brand\" (before unknown)"
    "#);
    let patches = json!([{ "op": "add", "path": "/users", "value": [7001] }]);
    ann.patch(group(ORG, ENGINEERING), patches)
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.patch"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9002}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/9002","body":"[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7001]}]"}
    response: {"status":200,"body":"{\"success\":[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7001]}],\"failure\":[]}"}
    changes: [{"field":"users","change":"added","id":7001,"label":"Ann Becker"}]
    flags: ["before-unknown"]
    summary: "in group 9002: added Ann Becker (7001) (before unknown)"
    "#);
    ann.delete(group(ORG, ENGINEERING)).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.delete"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9002}
    request: {"method":"DELETE","path":"/api/v9/organizations/4123/groups/9002"}
    response: {"status":200,"body":"OK"}
    flags: ["before-unknown"]
    summary: "deleted group 9002 (before unknown)"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn a_patch_is_applied_as_far_as_upstream_says() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let patch = async |patches: Value| {
        ann.patch(group(ORG, DESIGN), patches).await.assert_ok();
        last(&gate).await
    };
    let all = json!([
        { "op": "add", "path": "/users", "value": [7002, 7004] },
        { "op": "remove", "path": "/users", "value": [7003] },
        { "op": "replace", "path": "/workspaces", "value": [51002] },
    ]);
    assert_snapshot!(patch(all).await, @r#"
    action: "group.patch"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Design"}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/9001","body":"[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002,7004]},{\"op\":\"remove\",\"path\":\"/users\",\"value\":[7003]},{\"op\":\"replace\",\"path\":\"/workspaces\",\"value\":[51002]}]"}
    response: {"status":200,"body":"{\"success\":[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002,7004]},{\"op\":\"remove\",\"path\":\"/users\",\"value\":[7003]},{\"op\":\"replace\",\"path\":\"/workspaces\",\"value\":[51002]}],\"failure\":[]}"}
    changes: [{"field":"users","change":"added","id":7002,"label":"Bob Tamm"},{"field":"users","change":"added","id":7004,"label":"Dan Okafor"},{"field":"users","change":"removed","id":7003,"label":"Cleo Martin"},{"field":"workspaces","change":"added","id":51002},{"field":"workspaces","change":"removed","id":51001}]
    summary: "in \"Design\": added Bob Tamm (7002), Dan Okafor (7004), workspace 51002; removed Cleo Martin (7003), workspace 51001"
    "#);
    let some = json!([
        { "op": "add", "path": "/users", "value": [7005] },
        { "op": "add", "path": "/users", "value": [7101] },
    ]);
    assert_snapshot!(patch(some).await, @r#"
    action: "group.patch"
    outcome: "partial"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Design"}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/9001","body":"[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7005]},{\"op\":\"add\",\"path\":\"/users\",\"value\":[7101]}]"}
    response: {"status":200,"body":"{\"success\":[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7005]}],\"failure\":[{\"message\":\"User 7101 not exists in the organization 4123\",\"patch\":{\"op\":\"add\",\"path\":\"/users\",\"value\":[7101]}}]}"}
    changes: [{"field":"users","change":"added","id":7005,"label":"Eve Lindqvist"}]
    summary: "in \"Design\": added Eve Lindqvist (7005); not done: add users 7101 (User 7101 not exists in the organization 4123)"
    "#);
    let none = json!([{ "op": "add", "path": "/workspaces", "value": [52001] }]);
    assert_snapshot!(patch(none).await, @r#"
    action: "group.patch"
    outcome: "rejected"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Design"}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/9001","body":"[{\"op\":\"add\",\"path\":\"/workspaces\",\"value\":[52001]}]"}
    response: {"status":200,"body":"{\"success\":[],\"failure\":[{\"message\":\"Workspace 52001 not exists in the organization 4123\",\"patch\":{\"op\":\"add\",\"path\":\"/workspaces\",\"value\":[52001]}}]}"}
    summary: "tried to change \"Design\": add workspaces 52001 (Workspace 52001 not exists in the organization 4123)"
    "#);
    let users: Vec<i64> = toggl
        .group(DESIGN)
        .unwrap()
        .users
        .iter()
        .map(|id| id.0)
        .collect();
    let after = &gate.events().await[2].after;
    let told: Vec<_> = after.as_ref().unwrap()["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["user_id"].as_i64().unwrap())
        .collect();
    assert_eq!(told, users, "the trail's state is upstream's");
    gate.stop().await;
}

#[tokio::test]
async fn a_deletion_keeps_what_there_was() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let bob = gate.client("bob");
    bob.get(groups(ORG)).await.assert_ok();
    bob.delete(group(ORG, DESIGN)).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    action: "group.delete"
    outcome: "applied"
    target: {"organization_id":4123,"group_id":9001,"group_name":"Design"}
    request: {"method":"DELETE","path":"/api/v9/organizations/4123/groups/9001"}
    response: {"status":200,"body":"OK"}
    changes: [{"field":"group","change":"deleted","from":"Design"},{"field":"users","change":"removed","id":7001,"label":"Ann Becker"},{"field":"users","change":"removed","id":7003,"label":"Cleo Martin"},{"field":"workspaces","change":"removed","id":51001}]
    summary: "deleted \"Design\" (it had Ann Becker (7001), Cleo Martin (7003), workspace 51001)"
    "#);
    let event = gate.events().await.remove(0);
    assert_eq!(event.before.unwrap()["users"].as_array().unwrap().len(), 2);
    assert_eq!(event.after, None);
    gate.stop().await;
}

#[tokio::test]
async fn a_body_is_kept_as_it_came_up_to_a_size_and_hashed_always() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl)
        .config(|config| config.audit.max_body_size = bytesize::ByteSize(256));
    let gate = gate.start().await;
    let ann = gate.client("ann");
    let odd = r#"{"name": "Research",  "name": "Resëarch" }"#;
    ann.ask(Method::POST, groups(ORG)).body(odd).await;
    let large = json!({ "name": "Large", "padding": "x".repeat(300) });
    for path in [
        groups(ORG),
        "/api/v9/feedback".to_owned(),
        "/api/v9/feedback".to_owned(),
    ] {
        ann.post(path, large.clone()).await;
    }
    let events = gate.events().await;
    assert_eq!(events[0].request.body.as_deref(), Some(odd));
    assert_eq!(events[1].request.body, None);
    assert_eq!(events[1].flags[0], "body-too-large");
    let sent = toggl.applied().pop().unwrap().request.body.clone();
    assert_eq!(
        sent,
        serde_json::to_vec(&large).unwrap(),
        "it went through whole"
    );
    let digests = gate
        .sql("SELECT body_digest FROM audit_events ORDER BY seq")
        .await;
    assert_eq!(digests[0].split_once(':').unwrap().0, odd.len().to_string());
    assert!(digests[1].starts_with("329:"), "{}", digests[1]);
    assert_eq!(digests[2], digests[3]);
    gate.stop().await;
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_kept_as_text() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann").with("accept-encoding", "gzip");
    let everybody =
        json!({ "name": "x".repeat(200), "users": [7001, 7002, 7003, 7004, 7005, 7006] });
    let reply = ann.post(groups(ORG), everybody).await.assert_status(200);
    assert_eq!(
        reply.header("content-encoding"),
        Some("gzip"),
        "{}",
        reply.body.len()
    );
    let event = gate.events().await.remove(0);
    let body: Value = serde_json::from_str(&event.response.body.unwrap()).unwrap();
    assert_eq!(
        Some(&body["users"]),
        event.after.as_ref().map(|group| &group["users"])
    );
    assert_eq!(event.flags, json!([]));
    gate.stop().await;
}

#[tokio::test]
async fn the_views_read_like_sentences() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, bob) = (gate.client("ann"), gate.password_client("bob"));
    ann.get(groups(ORG)).await.assert_ok();
    ann.put(
        group(ORG, DESIGN),
        json!({ "name": "Brand", "users": [7001, 7002] }),
    )
    .await
    .assert_ok();
    bob.delete(group(ORG, ENGINEERING)).await.assert_ok();
    bob.post(groups(ORG), json!({ "name": "Brand" }))
        .await
        .assert_status(400);
    let known = async || {
        let known = gate.sql("SELECT name FROM identities").await.len();
        (known == 2).then_some(())
    };
    eventually("both are known", known).await;
    let told = gate.sql(
        "SELECT actor, action, outcome, organization_id, group_id, group_name, summary, client_ip
         FROM who_changed_what ORDER BY occurred_at",
    );
    assert_snapshot!(told.await.join("\n"), @r#"
    Ann Becker|group.update|applied|4123|9001|Brand|renamed "Design" to "Brand"; added Bob Tamm (7002); removed Cleo Martin (7003)|127.0.0.1
    Bob Tamm|group.delete|applied|4123|9002|Engineering|deleted "Engineering" (it had Bob Tamm (7002), Dan Okafor (7004), workspace 51001)|127.0.0.1
    Bob Tamm|group.create|rejected|4123||Brand|tried to create "Brand": Name has already been taken (400)|127.0.0.1
    "#);
    let changes = gate.sql(
        "SELECT actor, group_id, group_name, field, change, value, label, old_value
         FROM group_changes ORDER BY occurred_at",
    );
    assert_snapshot!(changes.await.join("\n"), @"
    Ann Becker|9001|Brand|name|set|Brand||Design
    Ann Becker|9001|Brand|users|added|7002|Bob Tamm|
    Ann Becker|9001|Brand|users|removed|7003|Cleo Martin|
    Bob Tamm|9002|Engineering|group|deleted|||Engineering
    Bob Tamm|9002|Engineering|users|removed|7002|Bob Tamm|
    Bob Tamm|9002|Engineering|users|removed|7004|Dan Okafor|
    Bob Tamm|9002|Engineering|workspaces|removed|51001||
    ");
    gate.stop().await;
}
