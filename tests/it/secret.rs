//! DESIGN §1.7: no secret at rest. Every operation of the reference goes through the real binary with
//! a secret in each place where one can be, and then everything that it wrote and said is searched.
//!
//! What may be kept is TOGGL.md's allow-list: the bodies of requests to the group, project-group and
//! membership endpoints, and the answers of the first two, in the database and nowhere else.

mod canary;
mod cases;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::process::{Folder, NOBODY, Process};
use crate::support::{Ask, Client, eventually};
use canary::{Canaries, find};
use cases::{Case, cases, operations};
use upstream::{CASE, Scripted, Upstream, WAIT};

/// How many requests are under way at a time.
const AT_ONCE: usize = 32;

/// What was found, by place; a place of the database is one that may keep something.
#[derive(Default)]
struct Findings {
    database: BTreeMap<String, BTreeSet<usize>>,
    elsewhere: BTreeMap<String, BTreeSet<usize>>,
}

// === impl Findings ===

impl Findings {
    /// Searches every file of the folder, byte by byte.
    fn files(&mut self, folder: &Folder) {
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            // Gone meanwhile: the database's helpers come and go.
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let of_database = name.starts_with("tollgate.db");
            let places = match of_database {
                true => &mut self.database,
                false => &mut self.elsewhere,
            };
            places.entry(name).or_default().extend(find(&bytes));
        }
    }

    /// Searches every value of the database, also those that a file has in pieces.
    async fn values(&mut self, folder: &Folder) {
        let mut connection = folder.sqlite().await;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
             WHERE t.type = 'table'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        for (table, column) in columns {
            let sql = format!(
                "SELECT hex(CAST(\"{column}\" AS BLOB)) FROM {table} WHERE \"{column}\" NOT NULL"
            );
            let values: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let place = self
                .database
                .entry(format!("{table}.{column}"))
                .or_default();
            for value in values {
                place.extend(find(&hex::decode(value).unwrap()));
            }
        }
        connection.close().await.unwrap();
    }

    /// Searches something that was said.
    fn said(&mut self, place: &str, bytes: &[u8]) {
        let place = self.elsewhere.entry(place.to_owned()).or_default();
        place.extend(find(bytes));
    }

    fn in_database(&self) -> BTreeSet<usize> {
        self.database.values().flatten().copied().collect()
    }

    /// What is where it must not be, one a line.
    fn leaks(&self, canaries: &Canaries) -> Vec<String> {
        let database = self.database.iter().map(|place| (place, true));
        let elsewhere = self.elsewhere.iter().map(|place| (place, false));
        let places = database.chain(elsewhere);
        places
            .flat_map(|((place, found), keeps)| {
                let leaks = found.iter().map(|number| canaries.get(*number));
                let leaks = leaks.filter(move |canary| !(keeps && canary.may_be_kept));
                leaks.map(move |canary| format!("{place}: {}", canary.what))
            })
            .collect()
    }
}

/// A case as it is sent.
fn ask(client: &Client, case: &Case) -> Ask {
    let mut ask = client.ask(case.method.clone(), &case.target);
    if let Some(body) = &case.body {
        ask = ask.json(body);
    }
    for (name, value) in &case.headers {
        ask = ask.header(name, value);
    }
    ask
}

/// Sends every case, and sees that its answer comes through as it is.
async fn play(gate: &Process, cases: &[Case]) {
    // By turns over both versions of HTTP: each is read by code, and logs, of its own.
    let clients = [gate.stranger(), gate.stranger().http2()];
    stream::iter(cases.iter().enumerate())
        .for_each_concurrent(AT_ONCE, async |(number, case)| {
            let client = &clients[number % clients.len()];
            let answer = ask(client, case).header(CASE, &number.to_string()).await;
            assert_eq!(
                answer.status,
                case.answer.status,
                "{}: {}",
                case.name,
                answer.text()
            );
            assert_eq!(answer.text(), case.answer.body, "{}", case.name);
        })
        .await;
}

/// What upstream answers when Tollgate asks by itself who somebody is.
fn me(canaries: &mut Canaries) -> Scripted {
    let (token, cookie) = (
        canaries.secret("the api_token of /me"),
        canaries.secret("the cookie of /me"),
    );
    Scripted {
        status: StatusCode::OK,
        cookie: format!("session={cookie}"),
        body: format!(
            r#"{{"id":7001,"email":"ann@acme.example","fullname":"Ann Becker","api_token":"{token}"}}"#
        ),
    }
}

/// Leaves one change of each class on its way, so that its intent is on disk.
async fn leave_on_the_way(gate: &Process, upstream: &Upstream, cases: &[Case]) {
    let chosen: Vec<_> = cases
        .iter()
        .filter(|case| case.method != Method::GET)
        .filter(|case| {
            [
                "groups/",
                "project_groups",
                "/accept",
                "/me/reset_token",
                "brand_new",
            ]
            .iter()
            .any(|part| case.target.contains(part))
        })
        .collect();
    // The changes of one group go one at a time: the others of this one would wait here.
    let mut of_the_group = 0;
    let chosen: Vec<_> = chosen
        .into_iter()
        .filter(|case| {
            let is_of_the_group = case.target.contains("/groups/");
            of_the_group += usize::from(is_of_the_group);
            !is_of_the_group || of_the_group == 1
        })
        .collect();
    let client = gate.stranger();
    for case in &chosen {
        let ask = ask(&client, case).header(WAIT, "for ever");
        tokio::spawn(ask.attempt());
    }
    eventually("all of them are upstream", async || {
        (upstream.waiting() == chosen.len()).then_some(())
    })
    .await;
}

/// Every answer that Tollgate makes itself, to requests with secrets.
async fn provoke(gate: &Process, canaries: &mut Canaries, cases: &[Case], findings: &mut Findings) {
    let client = gate.stranger();
    let mut refused = |part: &str| canaries.secret(format!("{part} of a refused request"));
    let odd = [
        (
            Method::DELETE,
            format!("/api/v9/invitations/{}/..", refused("the path")),
        ),
        (
            Method::POST,
            format!("/api/v9/ical/{}%2Fx", refused("the escaped path")),
        ),
        (
            Method::PUT,
            format!("/api/v9/me;{}", refused("the parameter")),
        ),
        (Method::GET, format!("/~{}/api/v9/me", refused("the label"))),
        (
            Method::GET,
            format!("/~{}?code=x", refused("the label without a path")),
        ),
    ];
    for (method, target) in odd {
        let bearer = format!("Bearer {}", refused("the bearer"));
        let answer = client
            .ask(method, &target)
            .header("authorization", &bearer)
            .await;
        let kind = answer.header("content-type");
        let own = kind == Some("application/problem+json");
        assert!(own || answer.status == 502, "{target}: {}", answer.text());
        findings.said(&format!("the answer to {target}"), &answer.body);
        findings.said("its headers", format!("{:?}", answer.headers).as_bytes());
    }
    for case in cases {
        let answer = ask(&client, case).await;
        let answer = answer.assert_problem(502, "upstream-unreachable");
        findings.said(&format!("the error answer to {}", case.name), &answer.body);
        findings.said(
            "the headers of one",
            format!("{:?}", answer.headers).as_bytes(),
        );
    }
}

/// What the admin side says, to its owner and to somebody with a secret that is not its own.
async fn administer(gate: &Process, canaries: &mut Canaries, findings: &mut Findings) {
    let token = fs::read_to_string(gate.path().join("tollgate.token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let metrics = gate.admin().authorized(&bearer).get("/metrics").await;
    let metrics = metrics.assert_ok();
    assert!(metrics.text().contains("tollgate_audit_events_total"));
    findings.said("/metrics", &metrics.body);
    let wrong = format!("Bearer {}", canaries.secret("a wrong admin token"));
    let path = format!(
        "/api/{}?code={}",
        canaries.secret("an admin path"),
        canaries.secret("an admin query")
    );
    for target in ["/metrics", "/readyz", &path] {
        let answer = gate.admin().authorized(&wrong).get(target).await;
        findings.said(&format!("the admin side's {target}"), &answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_operation_is_written_or_said_but_what_the_allow_list_keeps() {
    assert_eq!(operations(), 318, "the table is whole");
    let mut canaries = Canaries::default();
    let cases = cases(&mut canaries);
    let script = cases.iter().map(|case| case.answer.clone()).collect();
    let upstream = Upstream::start(script, me(&mut canaries)).await;
    // At a level at which every library talks as well.
    let folder = Folder::before(&upstream.url).set("log.filter", "trace");
    let gate = folder.start().await;
    let mut findings = Findings::default();

    play(&gate, &cases).await;
    assert_eq!(upstream.answered(), cases.len(), "everything went through");
    leave_on_the_way(&gate, &upstream, &cases).await;
    findings.files(&gate);
    findings.values(&gate).await;
    let gate = gate.kill().set("upstream.url", NOBODY).start().await;
    provoke(&gate, &mut canaries, &cases, &mut findings).await;
    administer(&gate, &mut canaries, &mut findings).await;
    findings.files(&gate);
    findings.values(&gate).await;
    let (folder, status) = gate.stop().await;
    assert!(status.success(), "{status}");
    findings.files(&folder);
    assert!(folder.log().contains(r#""level":"TRACE""#));

    let leaks = findings.leaks(&canaries);
    assert!(
        leaks.is_empty(),
        "{} leaks: {:#?}",
        leaks.len(),
        &leaks[..leaks.len().min(40)]
    );
    // The search finds what there is, or the test would prove nothing.
    let found = findings.in_database();
    let expected = canaries.keepable(|canary| canary.what.contains("of the body of"));
    let unseen: Vec<_> = expected
        .difference(&found)
        .map(|number| &canaries.get(*number).what)
        .collect();
    assert!(
        !expected.is_empty() && unseen.is_empty(),
        "not recorded: {unseen:#?}"
    );
    assert_own_secrets_stay_where_they_are(&folder);
}

/// The gateway's own secrets: the key, and the admin token, which is printed once.
fn assert_own_secrets_stay_where_they_are(folder: &Folder) {
    let places = [
        ("tollgate.key", vec![]),
        ("tollgate.token", vec!["output.txt"]),
    ];
    for (file, shown) in places {
        let secret = fs::read_to_string(folder.path().join(file)).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name != file && !shown.contains(&&*name) {
                let bytes = fs::read(entry.path()).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(secret.trim()), "{name} has what {file} has");
            }
        }
    }
}
