//! A group's page at another moment.

use serde_json::json;

use crate::browser::Browser;
use crate::seed;
use crate::support::{Gateway, toggl};

const MEMBERS: &str = ".members th[scope=row]";

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_slider_moves_the_date_and_shows_who_was_in_the_group_then() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl);
    seed::days(&gate.folder().join("tollgate.db")).await;
    let gate = gate.start().await;
    let browser = Browser::logged_in(&gate).await;
    // Nobody's clock goes by UTC.
    let zone = json!({ "timezoneId": "Asia/Kathmandu" });
    browser
        .devtools("Emulation.setTimezoneOverride", zone)
        .await;
    browser.open("/organizations/4123/groups/9001").await;
    browser
        .shows(MEMBERS, &["Ann Becker 7001", "Eve Lindqvist 7005"])
        .await;

    // Held somewhere: the field follows, in the reader's time.
    let moved = browser
        .script(
            "const range = document.querySelector('.moment input[type=range]');
             range.value = Number(range.min) + 7200;
             range.dispatchEvent(new Event('input'));
             const there = new Date((Number(range.value) + (5 * 60 + 45) * 60) * 1000);
             return [document.querySelector('#at').value, there.toISOString().slice(0, 19)]",
        )
        .await;
    assert_eq!(moved[0], moved[1]);
    // Let go in the middle, which is before Cleo left and after Eve came.
    browser.click(".moment input[type=range]").await;
    browser
        .shows(
            MEMBERS,
            &["Ann Becker 7001", "Cleo Martin 7003", "Eve Lindqvist 7005"],
        )
        .await;
    // The address says the moment in UTC, so that it is the same one for everybody.
    let asked = browser
        .script(
            "const at = Date.parse(new URLSearchParams(location.search).get('at'));
             const there = new Date(at + (5 * 60 + 45) * 60 * 1000);
             return [document.querySelector('#at').value, there.toISOString().slice(0, 19)]",
        )
        .await;
    assert_eq!(asked[0], asked[1]);
    browser.click(".moment a").await;
    browser
        .shows(MEMBERS, &["Ann Becker 7001", "Eve Lindqvist 7005"])
        .await;
    browser.close().await;
    gate.stop().await;
}
