//! What the API gives is the trail: page by page, as it happens, and as a whole.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{
    Client, DESIGN, ENGINEERING, Gateway, ORG, eventually, group, groups, soon, toggl,
};

async fn rename(ann: &Client, name: &str) {
    let renamed = ann.put(group(ORG, DESIGN), json!({ "name": name }));
    renamed.await.assert_ok();
}

#[tokio::test]
async fn a_cursor_neither_skips_nor_repeats_while_events_arrive() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for number in 0..5 {
        rename(&ann, &format!("first {number}")).await;
    }
    let admin = gate.admin();
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin
            .get(format!("/api/events?limit=2{next}"))
            .await
            .assert_ok()
            .json();
        let events = page["events"].as_array().unwrap();
        seen.extend(events.iter().map(|event| event["seq"].as_i64().unwrap()));
        rename(&ann, &format!("meanwhile {}", seen.len())).await;
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    gate.stop().await;
}

#[tokio::test]
async fn filters_are_those_of_the_command_line_and_a_wrong_one_is_told() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let (ann, cleo) = (gate.client("ann"), gate.client("cleo"));
    rename(&ann, "Brand").await;
    let refused = cleo
        .put(group(ORG, ENGINEERING), json!({ "name": "Mine" }))
        .await;
    assert_eq!(refused.status, 403);
    let found = async |query: &str| {
        let page = gate
            .admin()
            .get(format!("/api/events?{query}"))
            .await
            .assert_ok()
            .json();
        let events = page["events"].as_array().unwrap().clone();
        events
            .iter()
            .map(|event| event["seq"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let by_ann = async || (found("actor=ann%40acme.example").await == [1]).then_some(());
    eventually("it is known who Ann is", by_ann).await;
    assert_eq!(found("").await, [2, 1]);
    assert_eq!(found("group=9001").await, [1]);
    assert_eq!(found("outcome=rejected").await, [2]);
    assert_eq!(
        found("action=group.patch,group.update&outcome=").await,
        [2, 1]
    );
    assert_eq!(found("action=group.patch").await, [0; 0]);
    assert_eq!(found("org=5").await, [0; 0]);
    assert_eq!(found("since=1h&until=0s").await, [2, 1]);
    assert_eq!(found("q=BRAND").await, [1]);
    for (query, says) in [
        ("outcome=good", "there are applied, partial"),
        ("since=yesterday", "since: write how long ago"),
        ("limit=0", "limit: from 1 to 1000"),
        ("limit=1001", "limit: from 1 to 1000"),
        ("cursor=x", "the `next` of the page before"),
        ("org=acme", "org"),
        ("who=ann", "unknown field `who`"),
    ] {
        let problem = gate.admin().get(format!("/api/events?{query}")).await;
        let problem = problem.assert_problem(400, "bad-request");
        assert!(problem.text().contains(says), "{query}: {}", problem.text());
    }
    let id = gate.events().await[1].id;
    let one = gate
        .admin()
        .get(format!("/api/events/{id}"))
        .await
        .assert_ok()
        .json();
    assert_eq!(one["seq"], 2);
    assert_eq!(one["response"]["status"], 403);
    for none in ["0193f0a2-7c11-7000-8000-3b1a5c0e9d42", "x", "2"] {
        gate.admin()
            .get(format!("/api/events/{none}"))
            .await
            .assert_status(404);
    }
    gate.stop().await;
}

/// A stream of server-sent events that is read.
struct Stream {
    body: hyper::body::Incoming,
    text: String,
}

impl Stream {
    async fn open(client: &Client, path: &str, last: Option<i64>) -> Self {
        let mut ask = client.get(path);
        if let Some(last) = last {
            ask = ask.header("last-event-id", &last.to_string());
        }
        let answer = ask.open().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// The next event's id and data; `None` at the end.
    async fn next(&mut self) -> Option<(i64, Value)> {
        loop {
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = message.lines();
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let event = field("id")
                    .zip(field("data"))
                    .map(|(id, data)| (id.parse().unwrap(), serde_json::from_str(data).unwrap()));
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let frame = self.body.frame().await?.ok()?;
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    #[track_caller]
    fn soon(&mut self) -> impl Future<Output = (i64, Value)> {
        let next = soon("an event comes", self.next());
        async { next.await.expect("no end") }
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_who_comes_back_misses_none() {
    let toggl = toggl().await;
    let mut gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    rename(&ann, "before").await;
    let admin = gate.admin();
    let mut stream = Stream::open(&admin, "/api/events/stream", None).await;
    rename(&ann, "live").await;
    let (id, event) = stream.soon().await;
    assert_eq!((id, &event["seq"]), (2, &json!(2)));
    assert_eq!(event["after"]["name"], "live");
    drop(stream);

    rename(&ann, "away").await;
    gate.client("cleo")
        .put(group(ORG, ENGINEERING), json!({ "name": "x" }))
        .await;
    let mut stream = Stream::open(&admin, "/api/events/stream?outcome=applied", Some(2)).await;
    assert_eq!(stream.soon().await.0, 3);
    // What another process writes is seen too.
    let export = gate.database();
    let exported = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["audit", "export", "--database"])
        .arg(export)
        .output()
        .unwrap();
    assert!(exported.status.success());
    let (id, event) = stream.soon().await;
    assert_eq!((id, &event["action"]), (5, &json!("tollgate.export")));
    // It does not keep the gateway from stopping.
    gate.halt().await;
    assert_eq!(soon("the stream ends", stream.next()).await, None);
    gate.stop().await;
}

#[tokio::test]
async fn an_export_is_whole_and_recorded() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for name in ["one", "=two", "three"] {
        rename(&ann, name).await;
    }
    let path = "/api/events/export?action=group.update";
    let lines = gate.admin().get(path).await.assert_ok();
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let events: Vec<Value> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = events
        .iter()
        .map(|event| event["after"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "=two", "three"]);
    let table = gate
        .admin()
        .get("/api/events/export?format=csv&q=two")
        .await
        .assert_ok();
    assert!(
        table
            .header("content-disposition")
            .unwrap()
            .ends_with(".csv\"")
    );
    assert_eq!(
        table.text().lines().count(),
        3,
        "two events with `two`, below a header"
    );
    gate.admin()
        .get("/api/events/export?format=xml")
        .await
        .assert_status(400);
    let events = gate.events_when(5).await;
    let exports: Vec<_> = events
        .iter()
        .filter(|event| event.action == "tollgate.export")
        .collect();
    let said: Vec<_> = exports.iter().map(|event| event.summary.as_str()).collect();
    assert_eq!(said, ["exported 3 events", "exported 2 events"]);
    assert_eq!(exports[0].request.path, "/api/events/export");
    let kept = |event: &tollgate::domain::event::Event| event.request.query.clone().unwrap();
    assert_eq!(kept(exports[0]), "action=group.update");
    assert_eq!(
        kept(exports[1]),
        "q=%28hidden%29&format=csv",
        "it may be anything"
    );
    let head = gate.admin().ask(http::Method::HEAD, path);
    head.await.assert_status(405);
    for path in [
        "/api/events/export?limit=10",
        "/api/events/stream?limit=10",
        "/api/events?format=csv",
    ] {
        gate.admin().get(path).await.assert_status(400);
    }
    let long = format!("/api/events?q={}", "x".repeat(257));
    gate.admin().get(long).await.assert_status(400);
    gate.stop().await;
}

#[tokio::test]
async fn an_export_that_nobody_reads_to_the_end_is_recorded_as_such() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    // More than fits into what the sockets hold.
    let long = "x".repeat(500_000);
    let ann = gate.client("ann");
    for _ in 0..48 {
        let body = json!({ "name": "Brand", "note": long });
        ann.put(group(ORG, DESIGN), body).await.assert_ok();
    }
    let answer = gate.admin().get("/api/events/export").open().await.unwrap();
    drop(answer);
    let event = eventually("the export is recorded", async || {
        let newest = gate.events().await.pop()?;
        (newest.action == "tollgate.export").then_some(newest)
    })
    .await;
    assert_eq!(event.outcome, "partial");
    assert!(
        event.summary.contains("the reader hung up"),
        "{}",
        event.summary
    );
    gate.stop().await;
}

#[tokio::test]
async fn groups_and_their_lives_are_told_as_they_were() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    ann.get(groups(ORG)).await.assert_ok();
    rename(&ann, "Brand").await;
    let admin = gate.admin();
    let name_of = |list: Value| {
        let groups = list["groups"].as_array().unwrap().clone();
        let design = groups
            .into_iter()
            .find(|group| group["group_id"] == 9001)
            .unwrap();
        design["name"].as_str().unwrap().to_owned()
    };
    let path = format!("/api/organizations/{ORG}/groups");
    assert_eq!(name_of(admin.get(&path).await.assert_ok().json()), "Brand");
    let event = gate.events_when(1).await.swap_remove(0);
    let just_before =
        event.occurred_at.parse::<jiff::Timestamp>().unwrap() - Duration::from_millis(1);
    let then = admin
        .get(format!("{path}?at={just_before}"))
        .await
        .assert_ok()
        .json();
    assert_eq!(name_of(then), "Design");
    let life = admin
        .get(format!("{path}/9001/history"))
        .await
        .assert_ok()
        .json();
    assert_eq!(life["events"][0]["id"], json!(event.id));
    assert_eq!(life["next"], Value::Null);
    admin
        .get(format!("{path}?at=noon"))
        .await
        .assert_status(400);
    admin
        .get("/api/organizations/acme/groups")
        .await
        .assert_status(400);
    let all = admin.get(&path).await.assert_ok().json();
    assert_eq!(all["next"], Value::Null);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(format!("{path}?limit=1{cursor}")).await;
        let page = page.assert_ok().json();
        paged.extend(page["groups"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert!(paged.len() > 1, "{paged:?}");
    assert_eq!(Value::from(paged), all["groups"]);
    for wrong in ["limit=0", "limit=1001", "cursor=next"] {
        let answer = admin.get(format!("{path}?{wrong}")).await;
        answer.assert_status(400);
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_cache_is_told_and_the_checkpoint_is_given() {
    let toggl = toggl().await;
    let gate = Gateway::before(&toggl).start().await;
    let ann = gate.client("ann");
    for _ in 0..4 {
        ann.get(groups(ORG)).await.assert_ok();
        // Nothing that the cache could have answered.
        ann.get("/api/v9/me").await.assert_ok();
    }
    let cache = eventually("the list is counted", async || {
        let cache = gate.admin().get("/api/cache").await.assert_ok().json();
        (cache["entries"] == 1).then_some(cache)
    })
    .await;
    assert!(cache["bytes"].as_u64().unwrap() > 100);
    assert_eq!(cache["organizations"][0]["organization_id"], 4123);
    let ratio = cache["hit_ratio"].as_f64().unwrap();
    assert!(
        (ratio - 0.75).abs() < 1e-9,
        "one of four went upstream: {ratio}"
    );
    gate.admin().get("/api/checkpoint").await.assert_status(404);
    gate.stop().await;
}
