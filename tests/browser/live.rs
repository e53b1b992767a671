//! Changes that arrive while somebody looks.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::{DESIGN, ENGINEERING, Gateway, ORG, group, groups, toggl};

async fn rename(gate: &Gateway, id: tollgate::domain::ids::GroupId, name: &str) {
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    ann.put(group(ORG, id), json!({ "name": name }))
        .await
        .assert_ok();
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_change_arrives_once_and_at_the_top_while_the_switch_is_on_and_not_while_it_is_off() {
    const FIRST: &str = "Brand renamed “Design” to “Brand”";
    const SECOND: &str = "Studio renamed “Brand” to “Studio”";
    const THIRD: &str = "Works renamed “Studio” to “Works”";
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    rename(&gate, DESIGN, "Brand").await;
    let browser = Browser::logged_in(&gate).await;
    browser.shows(".row .what", &[FIRST]).await;
    browser.script("window.unloaded = false").await;
    browser.click("#live").await;
    rename(&gate, DESIGN, "Studio").await;
    browser.shows(".row .what", &[SECOND, FIRST]).await;
    assert_eq!(
        browser.script("return window.unloaded").await,
        Value::from(false),
        "the page is still the one that it was"
    );
    browser.click("#live").await;

    // Another window, which is live, says when the next one would have been here.
    let off = browser.client.window().await.unwrap();
    let on = browser.client.new_window(false).await.unwrap().handle;
    browser.client.switch_to_window(on).await.unwrap();
    browser.open("/").await;
    browser.click("#live").await;
    rename(&gate, DESIGN, "Works").await;
    browser.shows(".row .what", &[THIRD, SECOND, FIRST]).await;
    browser.client.switch_to_window(off).await.unwrap();
    assert_eq!(browser.texts(".row .what").await, [SECOND, FIRST]);

    // What was missed meanwhile is there when it is on again.
    browser.click("#live").await;
    browser.shows(".row .what", &[THIRD, SECOND, FIRST]).await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_filter_holds_for_what_arrives() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    rename(&gate, DESIGN, "Brand").await;
    let browser = Browser::logged_in(&gate).await;
    browser.open("/?group=9002").await;
    browser
        .shows(".empty p:first-child", &["Nothing matches."])
        .await;
    browser.click("#live").await;
    rename(&gate, DESIGN, "Studio").await;
    rename(&gate, ENGINEERING, "Machines").await;
    browser
        .shows(
            ".row .what",
            &["Machines renamed “Engineering” to “Machines”"],
        )
        .await;
    browser.shows(".empty", &[]).await;
    browser.close().await;
    gate.stop().await;
}
