//! Without a mouse, and without a script.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::day::{self, LINES};
use crate::support::{Gateway, toggl};

// Goes on to the next element until it is one that fits; each on the way has to be seen to be the one.
async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..40 {
        browser.press(&Key::Tab).await;
        let told = browser
            .script(&format!(
                "const focus = document.activeElement;
                 return [focus.matches({css:?}), getComputedStyle(focus).outlineStyle, focus.outerHTML]"
            ))
            .await;
        assert_ne!(
            told[1], "none",
            "nobody sees that this has the focus: {}",
            told[2]
        );
        if told[0] == Value::Bool(true) {
            return;
        }
    }
    panic!("no way to {css} by the keyboard");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_keyboard_alone_logs_in_filters_and_opens_a_change() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let browser = Browser::start(&gate).await;
    browser.open("/").await;
    browser.press(gate.admin_token()).await;
    browser.press(&Key::Enter).await;
    browser.shows("h1", &["Changes"]).await;
    // The first stop leads past the navigation.
    browser.press(&Key::Tab).await;
    browser.press(&Key::Enter).await;
    browser.is_at("/#content").await;
    tab_to(&browser, "[name=actor]").await;
    browser.press("Ann Becker").await;
    browser.press(&Key::Enter).await;
    browser.shows(".row .what", &LINES[1..]).await;
    tab_to(&browser, ".row .when").await;
    browser.press(&Key::Enter).await;
    browser
        .shows(
            "h1",
            &["Brand: added Dan Okafor (7004), removed Cleo Martin (7003)"],
        )
        .await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn without_scripts_the_pages_show_and_filter_all_the_same() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let browser = Browser::start(&gate).await;
    let off = json!({ "value": true });
    browser
        .devtools("Emulation.setScriptExecutionDisabled", off)
        .await;
    browser.open("/").await;
    browser.fill("token", gate.admin_token()).await;
    browser.click("button").await;
    browser.shows(".row .what", &LINES).await;
    // As the server wrote it: no script has been here.
    let times = browser.texts(".row time").await;
    assert!(times[0].ends_with(" UTC"), "{times:?}");
    browser.shows(".switch", &[]).await;
    browser.fill("q", "renamed").await;
    browser.click(".filters button").await;
    browser.shows(".row .what", &LINES[2..]).await;
    browser.click(".row .when").await;
    browser.shows(".sides ins", &["Brand"]).await;
    browser.close().await;
    gate.stop().await;
}
