//! What is in the trail when people look at it.

use serde_json::json;

use crate::support::{DESIGN, ENGINEERING, Gateway, ORG, STUDIO, eventually, group, groups};

/// The lines of [`played`], as the page of changes shows them.
pub(crate) const REFUSED: &str = "Engineering tried to change \"Engineering\" (add users Cleo Martin (7003)): User does not have access to this resource (403)";
pub(crate) const MEMBERS: &str = "Brand added Dan Okafor (7004), removed Cleo Martin (7003)";
pub(crate) const RENAMED: &str = "Brand renamed “Design” to “Brand”";
/// All of them, newest first.
pub(crate) const LINES: [&str; 3] = [REFUSED, MEMBERS, RENAMED];

/// Plays changes of two people through the proxy: three that are about groups, and one that is not.
pub(crate) async fn played(gate: &Gateway) {
    let (ann, cleo) = (gate.client("ann"), gate.client("cleo"));
    ann.get(groups(ORG)).await.assert_ok();
    ann.put(group(ORG, DESIGN), json!({ "name": "Brand" }))
        .await
        .assert_ok();
    let members = json!([
        { "op": "add", "path": "/users", "value": [7004] },
        { "op": "remove", "path": "/users", "value": [7003] },
    ]);
    ann.patch(group(ORG, DESIGN), members).await.assert_ok();
    let entry = json!({ "description": "Reading", "workspace_id": 51001 });
    cleo.post(format!("/api/v9/workspaces/{STUDIO}/time_entries"), entry)
        .await;
    let members = json!([{ "op": "add", "path": "/users", "value": [7003] }]);
    cleo.patch(group(ORG, ENGINEERING), members)
        .await
        .assert_status(403);
    // Whose credential it is may be learned after the row was written.
    eventually("everybody's name is known", async || {
        let events = gate.events().await;
        let known = events.iter().all(|event| event.actor.name.is_some());
        (known && events.len() == 4).then_some(())
    })
    .await;
}
