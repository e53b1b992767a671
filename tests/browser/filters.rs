//! What is asked for is shown, stands in the address, and is what an export holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::browser::Browser;
use crate::day::{self, LINES, MEMBERS, REFUSED, RENAMED};
use crate::support::{Gateway, toggl};

const ENTRY: &str = "POST /api/v9/workspaces/51001/time_entries";

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn each_filter_shows_what_it_says_and_its_address_shows_the_same_to_others() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let browser = Browser::logged_in(&gate).await;
    browser.shows(".row .what", &LINES).await;
    browser
        .shows(".row .by", &["Cleo Martin", "Ann Becker", "Ann Becker"])
        .await;

    let mut addresses = BTreeMap::new();
    for (name, value, shown) in [
        ("actor", "Cleo Martin", &[REFUSED][..]),
        ("actor", "7001", &[MEMBERS, RENAMED]),
        ("group", "Brand", &[MEMBERS, RENAMED]),
        ("group", "9002", &[REFUSED]),
        ("action", "group.update", &[RENAMED]),
        ("outcome", "rejected", &[REFUSED]),
        ("q", "Dan Okafor", &[MEMBERS]),
        ("since", "1h", &LINES),
        ("since", "2099-01-01", &[]),
        ("all", "1", &[REFUSED, ENTRY]),
    ] {
        // All that there is would be too much: also that somebody has logged in.
        let begin = if name == "all" {
            "/?actor=Cleo+Martin"
        } else {
            "/"
        };
        browser.open(begin).await;
        if ["action", "outcome", "all"].contains(&name) {
            browser.click(".filters summary").await;
        }
        match name {
            "action" | "outcome" => browser.choose(name, value).await,
            "all" => browser.click("[name=all]").await,
            _ => browser.fill(name, value).await,
        }
        browser.click(".filters button").await;
        browser.shows(".row .what", shown).await;
        addresses.insert(browser.address().await, (name, value, shown));
    }
    assert_eq!(addresses.len(), 10);
    browser.close().await;

    let other = Browser::logged_in(&gate).await;
    for (address, (name, value, shown)) in addresses {
        assert!(address.contains(&format!("{name}=")), "{address}");
        other.open(&address).await;
        other.shows(".row .what", shown).await;
        // The form says what is shown, also where its field would be folded away.
        let said = format!(
            "const field = document.querySelector('[name={name}]');
             return field.checkVisibility() && (field.type != 'checkbox' || field.checked) ? field.value : null"
        );
        assert_eq!(other.script(&said).await, Value::from(value), "{address}");
    }
    other.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn what_matches_nothing_or_cannot_be_read_is_said() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let browser = Browser::logged_in(&gate).await;
    browser
        .shows(
            ".empty p:first-child",
            &["No change of a group has passed this gateway yet."],
        )
        .await;
    browser.open("/?q=nothing").await;
    browser
        .shows(".empty p:first-child", &["Nothing matches."])
        .await;
    browser.open("/?since=soon").await;
    let said = browser.texts("[role=alert]").await;
    assert!(said.len() == 1 && said[0].contains("since"), "{said:?}");
    browser.shows(".empty", &[]).await;
    browser.close().await;
    gate.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn an_export_holds_what_the_view_shows() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    day::played(&gate).await;
    let browser = Browser::logged_in(&gate).await;
    let cookie = browser
        .client
        .get_named_cookie("tollgate_session")
        .await
        .unwrap();
    let client = gate
        .admin_stranger()
        .with("cookie", &format!("tollgate_session={}", cookie.value()));
    for (view, actions) in [
        ("/", &["group.patch", "group.patch", "group.update"][..]),
        ("/?group=Brand", &["group.patch", "group.update"]),
        ("/?outcome=rejected", &["group.patch"]),
        ("/?actor=Cleo+Martin&all=1", &["group.patch", "api.write"]),
    ] {
        browser.open(view).await;
        let shown = browser.texts(".row").await.len();
        assert_eq!(shown, actions.len(), "{view}");
        let links = browser
            .script("return [...document.querySelectorAll('a[download]')].map(a => a.getAttribute('href'))")
            .await;
        let [csv, ndjson] = [0, 1].map(|at| links[at].as_str().unwrap().to_owned());

        let lines = client.get(ndjson).await.assert_ok().text();
        let events = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let mut told: Vec<_> = events.map(|event: Value| event["action"].clone()).collect();
        told.sort_by_key(Value::to_string);
        let mut expected: Vec<_> = actions.iter().map(|&action| Value::from(action)).collect();
        expected.sort_by_key(Value::to_string);
        assert_eq!(told, expected, "{view}");

        let table = client.get(csv).await.assert_ok();
        let rows = csv::Reader::from_reader(&*table.body).records().count();
        assert_eq!(rows, actions.len(), "{view}");
    }
    browser.close().await;
    gate.stop().await;
}
