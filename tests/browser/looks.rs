//! How the pages look: on a wide screen and on a telephone, by day and by night.
//!
//! The pictures are for people: `target/screenshots/PAGE-WIDTH-SCHEME.png`.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::seed;
use crate::support::{DESIGN, Gateway, ORG, group, groups, toggl};

const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// The pages, by what their pictures are called.
const PAGES: [(&str, &str); 10] = [
    ("changes", "/"),
    ("filtered", "/?actor=Ann+Becker&outcome=applied&since=90d"),
    ("nothing", "/?q=nothing"),
    ("mistaken", "/?since=soon"),
    ("groups", "/organizations/4123/groups"),
    ("groups-then", "/organizations/4123/groups?at=2d"),
    ("group", "/organizations/4123/groups/9001"),
    ("group-then", "/organizations/4123/groups/9001?at=2d"),
    ("overview", "/overview"),
    ("problem", "/nothing"),
];

// What is in the way of somebody who cannot see well, and badly so.
async fn barriers(browser: &Browser, axe: &str) -> Value {
    browser
        .client
        .execute(&format!("if (!window.axe) {{ {axe} }}"), vec![])
        .await
        .unwrap();
    let run = "const done = arguments[0];
        axe.run(document, { resultTypes: ['violations'] }).then(
            found => done(found.violations
                .filter(rule => ['serious', 'critical'].includes(rule.impact))
                .map(rule => [rule.id, rule.nodes.map(node => [node.html, node.failureSummary])])),
            error => done(String(error)))";
    browser.client.execute_async(run, vec![]).await.unwrap()
}

// Takes the pictures of a page, and gives what is wrong with it.
async fn look(browser: &Browser, name: &str, axe: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (width, scheme) in [
        (1280, "light"),
        (1280, "dark"),
        (390, "light"),
        (390, "dark"),
    ] {
        browser.looks(width, scheme).await;
        let which = format!("{name}-{width}-{scheme}");
        let picture = Path::new(TARGET).join(format!("screenshots/{which}.png"));
        std::fs::write(picture, browser.picture().await).unwrap();
        let wide = browser
            .script("return document.documentElement.scrollWidth - innerWidth")
            .await;
        if wide != 0 {
            wrong.push(format!("{which}: it scrolls sideways, by {wide}"));
        }
        let barriers = barriers(browser, axe).await;
        if barriers != json!([]) {
            wrong.push(format!("{which}: {barriers:#}"));
        }
    }
    wrong
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver, and axe-core of .ci/axe"]
async fn every_page_fits_its_screen_and_has_no_serious_barrier() {
    let axe = Path::new(TARGET).join("axe/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("axe-core, which .ci/axe fetches");
    std::fs::create_dir_all(Path::new(TARGET).join("screenshots")).unwrap();
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl);
    seed::days(&gate.folder().join("tollgate.db")).await;
    let gate = gate.start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let members = json!([
        { "op": "add", "path": "/users", "value": [7004, 7005] },
        { "op": "remove", "path": "/users", "value": [7003] },
    ]);
    let sent = ann
        .patch(group(ORG, DESIGN), members)
        .header("user-agent", "hr-sync/2.1");
    sent.await.assert_ok();

    let mut wrong = Vec::new();
    let browser = Browser::start(&gate).await;
    browser.open("/login").await;
    wrong.extend(look(&browser, "login", &axe).await);
    browser.fill("token", "guessed").await;
    browser.click("button").await;
    browser
        .shows("[role=alert]", &["this is no token of this gateway"])
        .await;
    wrong.extend(look(&browser, "refused", &axe).await);
    browser
        .open(&format!("/login#{}", gate.admin_token()))
        .await;
    browser.is_at("/login").await;
    browser.click("button").await;
    browser.is_at("/").await;
    for (name, address) in PAGES {
        browser.open(address).await;
        wrong.extend(look(&browser, name, &axe).await);
    }
    browser.open("/").await;
    let rows = browser
        .script("return [...document.querySelectorAll('.row .when')].map(link => link.getAttribute('href'))")
        .await;
    // One of one group, one of a project, one of several groups, and one that was found in a list.
    for (at, row) in rows.as_array().unwrap().iter().take(4).enumerate() {
        browser.open(row.as_str().unwrap()).await;
        wrong.extend(look(&browser, &format!("change-{at}"), &axe).await);
    }
    browser.close().await;
    gate.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
