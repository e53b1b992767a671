//! The database's file is deleted, replaced and put back under a gateway that runs.

use std::fs;

use serde_json::json;

use super::{ann, reread, started};
use crate::support::process::Process;
use crate::support::{DESIGN, ORG, eventually, group, groups, toggl};

async fn ready(gate: &Process, status: u16) -> String {
    eventually("readiness follows", async || {
        let told = gate.admin().get("/readyz").await;
        (told.status == status).then(|| told.text())
    })
    .await
}

#[tokio::test]
async fn a_database_that_is_gone_is_noticed_with_nobody_asking_and_changes_wait_for_its_return() {
    let toggl = toggl().await;
    let gate = started(&toggl, "").await;
    let ann = ann(&gate, &toggl);
    let rename = async |name: &str| ann.put(group(ORG, DESIGN), json!({ "name": name })).await;
    rename("Brand").await.assert_ok();
    // The file itself stays as it is under another name: what deletes it, deletes the name.
    let aside = gate.path().join("aside.db");
    fs::rename(gate.database(), &aside).unwrap();
    gate.logged("The audit database is not in its place").await;
    rename("Lost")
        .await
        .assert_problem(503, "audit-unavailable");
    let told = ready(&gate, 503).await;
    assert!(
        told.contains("tollgate.db is gone from its place"),
        "{told}"
    );
    ann.get(groups(ORG)).await.assert_ok();

    fs::write(gate.database(), "").unwrap();
    let replaced = "tollgate.db was replaced by another file";
    eventually("it is another file", async || {
        ready(&gate, 503).await.contains(replaced).then_some(())
    })
    .await;
    rename("Lost")
        .await
        .assert_problem(503, "audit-unavailable");

    fs::rename(&aside, gate.database()).unwrap();
    gate.logged("The audit database is in its place again")
        .await;
    ready(&gate, 200).await;
    rename("Seen").await.assert_ok();
    let (folder, status) = gate.stop().await;
    assert!(status.success());
    let log = folder.log();
    assert_eq!(
        log.matches("The audit database is not in its place")
            .count(),
        1
    );
    let trail = folder.trail().await;
    let names: Vec<_> = trail.iter().map(|event| &*event.summary).collect();
    insta::assert_snapshot!(names.join("\n"), @r#"
    renamed "Design" to "Brand"
    renamed "Brand" to "Seen"
    "#);
    folder.assert_intact(2).await;
}

#[tokio::test]
async fn the_audit_settings_are_repaired_while_the_store_is_broken() {
    let toggl = toggl().await;
    let gate = started(&toggl, "").await;
    let ann = ann(&gate, &toggl);
    let rename = async |name: &str| ann.put(group(ORG, DESIGN), json!({ "name": name })).await;
    let aside = gate.path().join("aside.db");
    fs::rename(gate.database(), &aside).unwrap();
    gate.logged("The audit database is not in its place").await;
    rename("Lost")
        .await
        .assert_problem(503, "audit-unavailable");
    let (_, told) = reread(&gate, "[audit]\non_failure = \"forward\"\n").await;
    insta::assert_snapshot!(told, @"The configuration was read anew: audit.on_failure: refuse → forward");
    gate.logged("The configuration is another one, and that could not be recorded")
        .await;
    let told = ready(&gate, 503).await;
    assert!(told.contains("changes are sent and not recorded"), "{told}");
    rename("Seen").await.assert_ok();
    fs::rename(&aside, gate.database()).unwrap();
    let (_, status) = gate.stop().await;
    assert!(status.success());
}
