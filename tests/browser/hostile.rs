//! Whatever stands in the trail is shown as text.

use serde_json::{Value, json};
use tollgate::clock::Clock;
use tollgate::domain::action::Action;
use tollgate::domain::group::Group;
use tollgate::store::Trail as _;
use tollgate::store::sqlite::SqliteStore;

use crate::browser::Browser;
use crate::seed;
use crate::support::{ENGINEERING, Gateway, ORG, group, groups, toggl};

const HOSTILE: &str = r#"<script>alert(1)</script>"'&"#;

/// A row in which it stands wherever somebody else's text may stand.
async fn written(gate: &Gateway) {
    let group = |id, name: &str| {
        let users: Vec<_> = [1, id]
            .map(|id| json!({ "user_id": id, "name": HOSTILE }))
            .into();
        let group = json!({
            "group_id": 9001, "name": name, "users": users, "workspaces": [51001], "permissions": HOSTILE,
        });
        Group::read(&group).expect("a group")
    };
    let (before, after) = (group(2, HOSTILE), group(3, "Brand"));
    let clock = Clock::system();
    let patch = Action::GroupPatch;
    let mut draft = seed::change(clock.now(), patch, Some(&before), Some(&after));
    let text = || Some(HOSTILE.to_owned());
    draft.intent.actor.name = text();
    draft.intent.actor.email = text();
    draft.intent.actor.tool = text();
    draft.intent.actor.on_behalf_of = text();
    draft.intent.source.ip = text();
    draft.intent.source.user_agent = text();
    draft.intent.source.request_id = text();
    draft.intent.request.method = HOSTILE.to_owned();
    draft.intent.request.path = HOSTILE.to_owned();
    draft.intent.request.query = text();
    draft.intent.request.body = text();
    draft.response.body = text();
    draft.response.upstream_request_id = text();
    draft.summary = HOSTILE.to_owned();
    let mut told = seed::change(clock.now(), patch, None, None);
    told.summary = HOSTILE.to_owned();
    let (store, _) = SqliteStore::open(&gate.database(), clock).await.unwrap();
    store.complete(draft, vec![]).await.unwrap();
    store.complete(told, vec![]).await.unwrap();
    store.close().await;
}

// Nothing of it became a part of the page. A box that asks would have stopped the browser by itself.
async fn assert_unharmed(browser: &Browser, times: usize) {
    let address = browser.address().await;
    let told = browser
        .script(
            "const foreign = document.querySelectorAll('script:not([src^=\"/assets/\"])');
             return [foreign.length, document.body.innerText + ' '
                 + [...document.querySelectorAll('input')].map(field => field.value).join(' ')]",
        )
        .await;
    assert_eq!(told[0], 0, "{address}: scripts that are not ours");
    let shown = told[1].as_str().unwrap().matches(HOSTILE).count();
    assert!(shown >= times, "{address}: it is shown {shown} times");
    let console = browser.console().await;
    assert!(console.is_empty(), "{address}: {console:#?}");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn what_looks_like_a_script_is_text_on_every_page() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    gate.halt().await;
    written(&gate).await;
    gate.resume().await;
    let browser = Browser::logged_in(&gate).await;
    // Two rows: of the first, the person, whom they stand for, the tool and the group's names.
    assert_unharmed(&browser, 6).await;

    // One that arrives, with a name that went through the proxy.
    browser.click("#live").await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    let rename = ann.put(group(ORG, ENGINEERING), json!({ "name": HOSTILE }));
    rename.header("user-agent", HOSTILE).await.assert_ok();
    browser
        .shows(
            ".row.new .what",
            &[&format!("{HOSTILE} renamed “Engineering” to “{HOSTILE}”")],
        )
        .await;
    assert_unharmed(&browser, 8).await;

    let rows = browser
        .script("return [...document.querySelectorAll('.row .when')].map(link => link.getAttribute('href'))")
        .await;
    let rows: Vec<Value> = rows.as_array().unwrap().clone();
    assert_eq!(rows.len(), 3);
    for (row, times) in rows.iter().zip([4, 1, 18]) {
        browser.open(row.as_str().unwrap()).await;
        browser
            .script("document.querySelectorAll('details').forEach(part => part.open = true)")
            .await;
        assert_unharmed(&browser, times).await;
    }

    for (page, times) in [
        ("/groups", 1),
        ("/organizations/4123/groups/9001", 4),
        ("/organizations/4123/groups/9002", 1),
        ("/overview", 2),
    ] {
        browser.open(page).await;
        assert_unharmed(&browser, times).await;
    }

    let mut query = form_urlencoded::Serializer::new(String::new());
    let asked = query
        .extend_pairs(["actor", "group", "since", "until", "q", "org"].map(|name| (name, HOSTILE)));
    browser.open(&format!("/?{}", asked.finish())).await;
    assert_unharmed(&browser, 6).await;
    browser.close().await;
    gate.stop().await;
}
