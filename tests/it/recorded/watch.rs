//! `[[watch]]`: what somebody does elsewhere is noticed though nobody reads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tollgate::config::Watch;
use tollgate::simulator::{Match, Toggl};

use crate::support::{DESIGN, Gateway, ORG, eventually, groups, simulate, toggl};

/// A folder with a credential, away from the gateway's own, in which no credential may be.
fn credential(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("watch.token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

async fn watching(toggl: &Toggl, credential_file: &std::path::Path, reserve: u32) -> Gateway {
    let gate = Gateway::before(toggl).config(|config| {
        config.identity.lookup = false;
        config.quota.reserve = reserve;
        config.watch = vec![Watch {
            organization: ORG,
            credential_file: credential_file.to_owned(),
            every: Duration::from_millis(20),
        }];
    });
    gate.start().await
}

fn lists() -> Match {
    Match::new(Method::GET, groups(ORG))
}

#[tokio::test]
async fn a_change_made_elsewhere_is_noticed_though_nobody_reads() {
    let toggl = toggl().await;
    let ann = toggl.person("ann");
    for text in [
        format!("{}\n", ann.token),
        format!("{}:{}\n", ann.email, ann.password),
    ] {
        let (_folder, file) = credential(&text);
        let gate = watching(&toggl, &file, 10).await;
        eventually("it is watched", async || {
            let views = gate.sql("SELECT count(*) FROM known_views").await;
            (views == ["1"]).then_some(())
        })
        .await;
        let name = format!("Brand {}", text.len());
        toggl.rename_group(DESIGN, &name);
        let events = gate.events_when(1).await;
        assert_eq!(events[0].action, "group.observed");
        assert!(
            events[0]
                .summary
                .contains(&format!("to {:?} elsewhere", name))
        );
        assert_eq!(events[0].changes[0]["to"], json!(name));
        assert!(!gate.log().contains("can be read by others"));
        let waiting = toggl.received();
        gate.stop().await;
        let stopped = toggl.received();
        assert!(stopped <= waiting + 2, "it stops with the gateway");
    }
}

#[tokio::test]
async fn the_reserve_is_left_to_the_changes() {
    let toggl = simulate(|options| options.quota = Some(13)).await;
    let (_folder, file) = credential(&toggl.token("ann"));
    let gate = watching(&toggl, &file, 10).await;
    eventually("the reserve is reached", async || {
        let log = gate.log();
        log.contains("what is left of the quota is for changes")
            .then_some(())
    })
    .await;
    assert_eq!(toggl.received_matching(&lists()).len(), 3);
    gate.client("ann").get(groups(ORG)).await.assert_ok();
    gate.stop().await;
    assert_eq!(toggl.received_matching(&lists()).len(), 3, "not once more");
}

#[tokio::test]
async fn that_it_fails_is_told_once_and_without_the_credential() {
    let toggl = toggl().await;
    let (_folder, file) = credential("not-a-token-of-anybody");
    let mut gate = watching(&toggl, &file, 10).await;
    gate.must_not_keep("not-a-token-of-anybody");
    let failed = "are not watched: upstream answered 403 Forbidden";
    eventually("three rounds have failed", async || {
        (toggl.received_matching(&lists()).len() >= 3).then_some(())
    })
    .await;
    assert_eq!(gate.log().matches(failed).count(), 1);
    // A new one needs no restart.
    fs::write(&file, toggl.token("ann")).unwrap();
    eventually("it is watched again", async || {
        gate.log().contains("are watched again").then_some(())
    })
    .await;
    toggl.every(lists()).status(StatusCode::BAD_GATEWAY);
    eventually("another failure is told", async || {
        gate.log().contains("upstream answered 502").then_some(())
    })
    .await;
    gate.stop().await;
}

#[tokio::test]
async fn a_start_with_a_file_that_holds_no_credential_says_so() {
    let toggl = toggl().await;
    let (_folder, file) = credential("");
    let builder = Gateway::before(&toggl).config(|config| {
        config.watch = vec![Watch {
            organization: ORG,
            credential_file: file.clone(),
            every: Duration::from_secs(60),
        }];
    });
    let refused = builder.refused().await;
    assert!(
        refused.contains("credential_file") && refused.contains("one line"),
        "{refused}"
    );
}
