//! One event of each action and of each outcome, whole, as its JSON.

use http::Method;
use insta::assert_snapshot;
use serde_json::json;
use tollgate::domain::event::Event;
use tollgate::simulator::{Match, Toggl};

use super::drift::Day;
use super::events::{toggl, without_hashes};
use crate::support::{
    CARE, Client, DESIGN, ENGINEERING, Gateway, ORG, STUDIO, group, groups, project_groups,
};

/// A gateway at noon, before the simulator at the same time.
async fn noon(toggl: &Toggl) -> Gateway {
    let day = Day::noon();
    let gate = Gateway::before(toggl).clock(day.clock());
    gate.config(|config| config.identity.lookup = false)
        .start()
        .await
}

/// What does not differ from run to run of an event, a field a line.
fn whole(event: &Event) -> String {
    let mut all = serde_json::to_value(event).unwrap();
    for place in [
        "/id",
        "/duration_ms",
        "/actor/credential_id",
        "/response/upstream_request_id",
        "/hash",
    ] {
        let value = all.pointer_mut(place).unwrap();
        if !value.is_null() {
            *value = json!("…");
        }
    }
    let fields = all.as_object().unwrap().iter();
    let lines = fields.map(|(name, value)| format!("{name}: {value}"));
    without_hashes(&lines.collect::<Vec<_>>().join("\n"))
}

async fn last(gate: &Gateway) -> String {
    whole(gate.events().await.last().expect("an event"))
}

/// A tool of Ann's whose requests are known.
fn ann(gate: &Gateway) -> Client {
    gate.client("ann")
        .labelled("hr-sync")
        .with("user-agent", "hr-sync/2.1")
        .with("x-request-id", "nightly-17")
}

#[tokio::test]
async fn changes_of_groups() {
    let toggl = toggl().await;
    let gate = noon(&toggl).await;
    let ann = ann(&gate);
    let new = json!({ "name": "New", "users": [7002], "workspaces": [STUDIO] });
    let made = ann.post(groups(ORG), new).await.assert_ok().json();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 1
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.create"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":90000018,"group_name":"New","project_id":null,"project_group_id":null}
    request: {"method":"POST","path":"/api/v9/organizations/4123/groups","query":null,"body":"{\"name\":\"New\",\"users\":[7002],\"workspaces\":[51001]}"}
    response: {"status":200,"body":"{\"group_id\":90000018,\"name\":\"New\",\"at\":\"2026-05-04T12:00:00.000007Z\",\"permissions\":null,\"users\":[{\"user_id\":7002,\"name\":\"Bob Tamm\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7002.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001]}","upstream_request_id":"…"}
    before: null
    after: {"group_id":90000018,"name":"New","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm","avatar_url":"https://assets.track.toggl.com/avatars/7002.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000007Z"}
    changes: [{"field":"group","change":"created","to":"New"},{"field":"users","change":"added","id":7002,"label":"Bob Tamm"},{"field":"workspaces","change":"added","id":51001}]
    relations: []
    flags: []
    summary: "created \"New\" with Bob Tamm (7002), workspace 51001"
    hash: "…"
    "#);
    let made = format!("{}/{}", groups(ORG), made["group_id"]);
    ann.put(&*made, json!({ "name": "Newer", "users": [7003] }))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 2
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.update"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":90000018,"group_name":"Newer","project_id":null,"project_group_id":null}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/groups/90000018","query":null,"body":"{\"name\":\"Newer\",\"users\":[7003]}"}
    response: {"status":200,"body":"{\"group_id\":90000018,\"name\":\"Newer\",\"at\":\"2026-05-04T12:00:00.000008Z\",\"permissions\":null,\"users\":[{\"user_id\":7003,\"name\":\"Cleo Martin\",\"avatar_url\":\"https://assets.track.toggl.com/avatars/7003.png\",\"inactive\":false,\"joined\":true}],\"workspaces\":[51001]}","upstream_request_id":"…"}
    before: {"group_id":90000018,"name":"New","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm","avatar_url":"https://assets.track.toggl.com/avatars/7002.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000007Z"}
    after: {"group_id":90000018,"name":"Newer","permissions":null,"users":[{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000008Z"}
    changes: [{"field":"name","change":"set","from":"New","to":"Newer"},{"field":"users","change":"added","id":7003,"label":"Cleo Martin"},{"field":"users","change":"removed","id":7002,"label":"Bob Tamm"}]
    relations: []
    flags: []
    summary: "renamed \"New\" to \"Newer\"; added Cleo Martin (7003); removed Bob Tamm (7002)"
    hash: "…"
    "#);
    let patches = json!([
        { "op": "add", "path": "/users", "value": [7002] },
        { "op": "remove", "path": "/users", "value": [7003] },
    ]);
    ann.patch(&*made, patches).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 3
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.patch"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":90000018,"group_name":"Newer","project_id":null,"project_group_id":null}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/90000018","query":null,"body":"[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002]},{\"op\":\"remove\",\"path\":\"/users\",\"value\":[7003]}]"}
    response: {"status":200,"body":"{\"success\":[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002]},{\"op\":\"remove\",\"path\":\"/users\",\"value\":[7003]}],\"failure\":[]}","upstream_request_id":"…"}
    before: {"group_id":90000018,"name":"Newer","permissions":null,"users":[{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000008Z"}
    after: {"group_id":90000018,"name":"Newer","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm"}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000008Z"}
    changes: [{"field":"users","change":"added","id":7002,"label":"Bob Tamm"},{"field":"users","change":"removed","id":7003,"label":"Cleo Martin"}]
    relations: []
    flags: []
    summary: "in \"Newer\": added Bob Tamm (7002); removed Cleo Martin (7003)"
    hash: "…"
    "#);
    ann.delete(&*made).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 4
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.delete"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":90000018,"group_name":"Newer","project_id":null,"project_group_id":null}
    request: {"method":"DELETE","path":"/api/v9/organizations/4123/groups/90000018","query":null,"body":null}
    response: {"status":200,"body":"OK","upstream_request_id":"…"}
    before: {"group_id":90000018,"name":"Newer","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm"}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000008Z"}
    after: null
    changes: [{"field":"group","change":"deleted","from":"Newer"},{"field":"users","change":"removed","id":7002,"label":"Bob Tamm"},{"field":"workspaces","change":"removed","id":51001}]
    relations: []
    flags: []
    summary: "deleted \"Newer\" (it had Bob Tamm (7002), workspace 51001)"
    hash: "…"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn changes_of_what_groups_may_do_and_who_is_in_them() {
    let toggl = toggl().await;
    let gate = noon(&toggl).await;
    let ann = ann(&gate);
    let access = json!({ "group_id": ENGINEERING, "project_id": 30003 });
    let row = ann
        .post(project_groups(STUDIO), access)
        .await
        .assert_ok()
        .json();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 1
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "project_group.add"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":null,"workspace_id":51001,"group_id":9002,"group_name":null,"project_id":30003,"project_group_id":90000018}
    request: {"method":"POST","path":"/api/v9/workspaces/51001/project_groups","query":null,"body":"{\"group_id\":9002,\"project_id\":30003}"}
    response: {"status":200,"body":null,"upstream_request_id":"…"}
    before: null
    after: null
    changes: [{"field":"project","change":"added","id":30003}]
    relations: []
    flags: []
    summary: "gave group 9002 access to project 30003"
    hash: "…"
    "#);
    ann.delete(format!("{}/{}", project_groups(STUDIO), row["id"]))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 2
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "project_group.remove"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":null,"workspace_id":51001,"group_id":9002,"group_name":null,"project_id":30003,"project_group_id":90000018}
    request: {"method":"DELETE","path":"/api/v9/workspaces/51001/project_groups/90000018","query":null,"body":null}
    response: {"status":200,"body":null,"upstream_request_id":"…"}
    before: null
    after: null
    changes: [{"field":"project","change":"removed","id":30003}]
    relations: []
    flags: []
    summary: "took from group 9002 the access to project 30003"
    hash: "…"
    "#);
    let edit = format!("/api/v9/organizations/{ORG}/users/610003");
    ann.put(edit, json!({ "groups": [9001, 9002] }))
        .await
        .assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 3
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "membership.change"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":null,"group_name":null,"project_id":null,"project_group_id":null}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/users/610003","query":null,"body":"{\"groups\":[9001,9002]}"}
    response: {"status":200,"body":null,"upstream_request_id":"…"}
    before: null
    after: null
    changes: [{"field":"users","change":"added","id":7003,"label":"Cleo Martin","group_id":9002,"group_name":"Engineering"},{"field":"users","change":"removed","id":7003,"label":"Cleo Martin","group_id":9003,"group_name":"Marketing"}]
    relations: []
    flags: []
    summary: "in \"Engineering\": added Cleo Martin (7003); in \"Marketing\": removed Cleo Martin (7003) (by PUT /api/v9/organizations/4123/users/610003)"
    hash: "…"
    "#);
    let assign = format!("/api/v9/organizations/{ORG}/workspaces/{CARE}/assignments");
    let wanted = json!({ "operation": "assign", "group_id": DESIGN });
    ann.put(assign, wanted).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 4
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "membership.change"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":51002,"group_id":9001,"group_name":"Design","project_id":null,"project_group_id":null}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/workspaces/51002/assignments","query":null,"body":"{\"operation\":\"assign\",\"group_id\":9001}"}
    response: {"status":200,"body":null,"upstream_request_id":"…"}
    before: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    after: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001,51002],"at":"2026-05-04T12:00:00.00001Z"}
    changes: [{"field":"workspaces","change":"added","id":51002}]
    relations: []
    flags: []
    summary: "in \"Design\": added workspace 51002 (by PUT /api/v9/organizations/4123/workspaces/51002/assignments)"
    hash: "…"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn what_was_done_elsewhere_and_what_is_no_business_of_groups() {
    let (toggl, day) = (toggl().await, Day::noon());
    let gate = Gateway::before(&toggl).clock(day.clock());
    let gate = gate
        .config(|config| config.identity.lookup = false)
        .start()
        .await;
    let ann = ann(&gate);
    ann.get(groups(ORG)).await.assert_ok();
    day.pass(70);
    toggl.rename_group(DESIGN, "Elsewhere");
    let anew = ann.get(groups(ORG)).header("cache-control", "no-cache");
    anew.await.assert_ok();
    // Written behind the list that told it.
    ann.post("/api/v9/feedback", json!({ "text": "hello" }))
        .await
        .assert_ok();
    let events = gate.events().await;
    assert_eq!(events.len(), 2);
    assert_snapshot!(whole(&events[0]), @r#"
    seq: 1
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:01:10.000Z"
    duration_ms: "…"
    action: "group.observed"
    outcome: "applied"
    actor: {"credential_id":null,"user_id":null,"email":null,"name":null,"tool":null,"on_behalf_of":null}
    source: {"ip":null,"user_agent":null,"request_id":null}
    target: {"organization_id":4123,"workspace_id":null,"group_id":9001,"group_name":"Elsewhere","project_id":null,"project_group_id":null}
    request: {"method":"GET","path":"/api/v9/organizations/4123/groups","query":null,"body":null}
    response: {"status":200,"body":null,"upstream_request_id":null}
    before: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    after: {"group_id":9001,"name":"Elsewhere","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000006Z"}
    changes: [{"field":"name","change":"set","from":"Design","to":"Elsewhere"}]
    relations: []
    flags: []
    summary: "noticed: renamed \"Design\" to \"Elsewhere\" elsewhere, between 12:00:00Z and 12:01:10Z"
    hash: "…"
    "#);
    assert_snapshot!(whole(&events[1]), @r#"
    seq: 2
    id: "…"
    occurred_at: "2026-11-24T12:01:10.000Z"
    completed_at: "2026-11-24T12:01:10.000Z"
    duration_ms: "…"
    action: "api.write"
    outcome: "applied"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":null,"workspace_id":null,"group_id":null,"group_name":null,"project_id":null,"project_group_id":null}
    request: {"method":"POST","path":"/api/v9/feedback","query":null,"body":null}
    response: {"status":200,"body":null,"upstream_request_id":"…"}
    before: null
    after: null
    changes: []
    relations: []
    flags: []
    summary: "POST /api/v9/feedback"
    hash: "…"
    "#);
    gate.stop().await;
}

#[tokio::test]
async fn what_came_to_something_else() {
    let toggl = toggl().await;
    let gate = noon(&toggl).await;
    let ann = ann(&gate);
    let refused = ann.put(group(ORG, DESIGN), json!({ "name": "Engineering" }));
    refused.await.assert_status(400);
    assert_snapshot!(last(&gate).await, @r#"
    seq: 1
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.update"
    outcome: "rejected"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":9001,"group_name":"Design","project_id":null,"project_group_id":null}
    request: {"method":"PUT","path":"/api/v9/organizations/4123/groups/9001","query":null,"body":"{\"name\":\"Engineering\"}"}
    response: {"status":400,"body":"\"Name has already been taken\"","upstream_request_id":"…"}
    before: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    after: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    changes: []
    relations: []
    flags: []
    summary: "tried to rename \"Design\" to \"Engineering\": Name has already been taken (400)"
    hash: "…"
    "#);
    let patches = json!([
        { "op": "add", "path": "/users", "value": [7002] },
        { "op": "add", "path": "/users", "value": [1] },
    ]);
    ann.patch(group(ORG, DESIGN), patches).await.assert_ok();
    assert_snapshot!(last(&gate).await, @r#"
    seq: 2
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.patch"
    outcome: "partial"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":9001,"group_name":"Design","project_id":null,"project_group_id":null}
    request: {"method":"PATCH","path":"/api/v9/organizations/4123/groups/9001","query":null,"body":"[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002]},{\"op\":\"add\",\"path\":\"/users\",\"value\":[1]}]"}
    response: {"status":200,"body":"{\"success\":[{\"op\":\"add\",\"path\":\"/users\",\"value\":[7002]}],\"failure\":[{\"message\":\"User 1 not exists in the organization 4123\",\"patch\":{\"op\":\"add\",\"path\":\"/users\",\"value\":[1]}}]}","upstream_request_id":"…"}
    before: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    after: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7002,"name":"Bob Tamm"},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    changes: [{"field":"users","change":"added","id":7002,"label":"Bob Tamm"}]
    relations: []
    flags: []
    summary: "in \"Design\": added Bob Tamm (7002); not done: add users 1 (User 1 not exists in the organization 4123)"
    hash: "…"
    "#);
    toggl
        .next(Match::new(Method::DELETE, group(ORG, DESIGN)))
        .reset_after_apply();
    ann.delete(group(ORG, DESIGN))
        .await
        .assert_problem(502, "upstream-unreachable");
    assert_snapshot!(last(&gate).await, @r#"
    seq: 3
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.delete"
    outcome: "unknown"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":9001,"group_name":"Design","project_id":null,"project_group_id":null}
    request: {"method":"DELETE","path":"/api/v9/organizations/4123/groups/9001","query":null,"body":null}
    response: {"status":null,"body":null,"upstream_request_id":null}
    before: {"group_id":9001,"name":"Design","permissions":null,"users":[{"user_id":7001,"name":"Ann Becker","avatar_url":"https://assets.track.toggl.com/avatars/7001.png","inactive":false,"joined":true},{"user_id":7002,"name":"Bob Tamm"},{"user_id":7003,"name":"Cleo Martin","avatar_url":"https://assets.track.toggl.com/avatars/7003.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00Z"}
    after: null
    changes: []
    relations: []
    flags: []
    summary: "sent, outcome unknown: delete \"Design\""
    hash: "…"
    "#);
    let late = ann
        .delete(group(ORG, ENGINEERING))
        .header("if-match", "\"old\"");
    late.await.assert_problem(412, "changed-since");
    assert_snapshot!(last(&gate).await, @r#"
    seq: 4
    id: "…"
    occurred_at: "2026-11-24T12:00:00.000Z"
    completed_at: "2026-11-24T12:00:00.000Z"
    duration_ms: "…"
    action: "group.delete"
    outcome: "not_sent"
    actor: {"credential_id":"…","user_id":null,"email":null,"name":null,"tool":"hr-sync","on_behalf_of":null}
    source: {"ip":"127.0.0.1","user_agent":"hr-sync/2.1","request_id":"nightly-17"}
    target: {"organization_id":4123,"workspace_id":null,"group_id":9002,"group_name":"Engineering","project_id":null,"project_group_id":null}
    request: {"method":"DELETE","path":"/api/v9/organizations/4123/groups/9002","query":null,"body":null}
    response: {"status":null,"body":null,"upstream_request_id":null}
    before: {"group_id":9002,"name":"Engineering","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm","avatar_url":"https://assets.track.toggl.com/avatars/7002.png","inactive":false,"joined":true},{"user_id":7004,"name":"Dan Okafor","avatar_url":"https://assets.track.toggl.com/avatars/7004.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000001Z"}
    after: {"group_id":9002,"name":"Engineering","permissions":null,"users":[{"user_id":7002,"name":"Bob Tamm","avatar_url":"https://assets.track.toggl.com/avatars/7002.png","inactive":false,"joined":true},{"user_id":7004,"name":"Dan Okafor","avatar_url":"https://assets.track.toggl.com/avatars/7004.png","inactive":false,"joined":true}],"workspaces":[51001],"at":"2026-05-04T12:00:00.000001Z"}
    changes: []
    relations: []
    flags: ["changed-since"]
    summary: "not sent: delete \"Engineering\""
    hash: "…"
    "#);
    gate.stop().await;
}
