//! Who gets in, how, and that they get out again.

use fantoccini::key::Key;

use crate::browser::Browser;
use crate::support::{Gateway, toggl};

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_form_lets_in_who_has_the_token_and_leads_to_where_they_wanted_to_go() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::start(&gate).await;
    browser.open("/?actor=Ann+Becker").await;
    browser.shows("h1", &["Tollgate"]).await;
    browser.fill("token", gate.admin_token()).await;
    browser.click("button").await;
    browser.shows("h1", &["Changes"]).await;
    browser.is_at("/?actor=Ann+Becker").await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_link_lets_in_and_its_token_is_in_no_address_afterwards() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::start(&gate).await;
    let link = format!("/login#{}", gate.admin_token());
    browser.open(&link).await;
    assert_eq!(browser.address().await, "/login");
    // It is filled in; who sits there sends it.
    browser.press(&Key::Enter).await;
    browser.shows("h1", &["Changes"]).await;
    assert_eq!(browser.address().await, "/");
    browser.client.back().await.unwrap();
    let before = browser.client.current_url().await.unwrap();
    assert!(!before.as_str().contains(gate.admin_token()), "{before}");
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_link_lets_in_from_the_form_too() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::start(&gate).await;
    browser.open("/login").await;
    // To the browser this is the same page, which stays.
    let link = format!("/login#{}", gate.admin_token());
    browser.open(&link).await;
    browser.is_at("/login").await;
    browser.click("button").await;
    browser.is_at("/").await;
    browser.client.back().await.unwrap();
    browser.is_at("/login").await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_wrong_token_is_refused_and_the_form_says_so() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::start(&gate).await;
    browser.open("/login").await;
    browser.fill("token", "guessed").await;
    browser.click("button").await;
    browser
        .shows("[role=alert]", &["this is no token of this gateway"])
        .await;
    browser.open("/").await;
    browser.is_at("/login?next=%2F").await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn who_logs_out_is_led_to_the_form() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::logged_in(&gate).await;
    browser.click(".out button").await;
    browser.is_at("/login").await;
    browser.open("/").await;
    browser.is_at("/login?next=%2F").await;
    browser.shows("h1", &["Tollgate"]).await;
    browser.close().await;
    gate.stop().await;
}
