//! Wherever the pages lead to, there is a page, and nothing goes wrong on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::browser::Browser;
use crate::seed;
use crate::support::{Gateway, toggl};

/// As many pages of one kind are looked at.
const MOST: usize = 6;

/// An address without what tells one of its kind from the next: numbers, ids, and what is asked for.
fn kind(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let part = |part: &str| {
        let is_id = part
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit());
        if is_id { "{}" } else { part }.to_owned()
    };
    let path: Vec<_> = path.split('/').map(part).collect();
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    let names: BTreeSet<_> = names.collect();
    format!("{} {names:?}", path.join("/"))
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn every_link_leads_to_a_page_on_which_the_console_is_silent() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl);
    seed::days(&gate.folder().join("tollgate.db")).await;
    let gate = gate.start().await;
    let browser = Browser::logged_in(&gate).await;
    let mut waiting = VecDeque::from(["/".to_owned(), "/?all=1".to_owned()]);
    let mut known: BTreeSet<_> = waiting.iter().cloned().collect();
    let mut seen = BTreeMap::<_, usize>::new();
    while let Some(address) = waiting.pop_front() {
        let times = seen.entry(kind(&address)).or_default();
        if *times == MOST {
            continue;
        }
        *times += 1;
        browser.open(&address).await;
        let status = browser
            .script("return performance.getEntriesByType('navigation')[0].responseStatus")
            .await;
        assert_eq!(status, 200, "{address}");
        let console = browser.console().await;
        assert!(console.is_empty(), "{address}: {console:#?}");
        let links = browser
            .script(
                "return [...document.querySelectorAll('a[href]:not([download])')]
                     .map(link => new URL(link.getAttribute('href'), location))
                     .filter(link => link.origin === location.origin)
                     .map(link => link.pathname + link.search)",
            )
            .await;
        let links: Vec<String> = serde_json::from_value(links).unwrap();
        waiting.extend(links.into_iter().filter(|link| known.insert(link.clone())));
    }
    let kinds: Vec<_> = seen.keys().map(String::as_str).collect();
    assert!(
        kinds.contains(&"/events/{} {\"\"}") && seen.len() > 3,
        "it led nowhere: {kinds:#?}"
    );
    browser.close().await;
    gate.stop().await;
}
