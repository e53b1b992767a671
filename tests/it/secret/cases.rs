//! Every operation of the reference as a request that is full of secrets.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::canary::Canaries;
use super::upstream::Scripted;
use crate::support::basic;

/// The operations of the reference.
const OPERATIONS: &str = include_str!("../fixtures/operations.tsv");

/// Operations that nobody has listed, and odd spellings of those that are.
const UNLISTED: [(&str, &str, &str); 8] = [
    ("POST", "/api/v9/brand_new/{code}", "unlisted"),
    (
        "GET",
        "/api/v9/brand_new/{code}/organizations/4123",
        "unlisted",
    ),
    (
        "DELETE",
        "/webhooks/api/v1/subscriptions/51001/{code}",
        "unlisted",
    ),
    ("GET", "/api/v9//invitations/{code}/", "read"),
    (
        "POST",
        "/api/v9/%6frganizations//invitations/{code}/accept",
        "membership-change",
    ),
    ("PROPFIND", "/api/v9/workspaces/51001/{code}", "unlisted"),
    ("OPTIONS", "/api/v9/ical/workspace_user/{code}", "unlisted"),
    ("POST", "/{code}", "unlisted"),
];

/// How a path is filled, and what upstream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Numbers where the reference has them, secrets elsewhere; upstream does it.
    Done,
    /// Secrets everywhere, behind a tool's label; upstream refuses.
    Refused,
}

/// A request and how it is answered.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) answer: Scripted,
}

/// What an operation's bodies are by TOGGL.md's allow-list.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Keeps {
    request: bool,
    answer: bool,
    reason: bool,
    list: bool,
}

/// How many operations the reference has.
pub(super) fn operations() -> usize {
    rows().count()
}

/// All of them, each in both passes.
pub(super) fn cases(canaries: &mut Canaries) -> Vec<Case> {
    let mut cases = Vec::new();
    for pass in [Pass::Done, Pass::Refused] {
        for (method, path, class) in rows().chain(UNLISTED) {
            let case = case(canaries, pass, method, path, class, cases.len());
            cases.push(case);
        }
    }
    cases
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = OPERATIONS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("method, path, class, touches");
        (next(), next(), next())
    })
}

fn case(
    canaries: &mut Canaries,
    pass: Pass,
    method: &str,
    path: &str,
    class: &str,
    number: usize,
) -> Case {
    let name = format!("{method} {path} ({pass:?})");
    let keeps = Keeps {
        request: matches!(
            class,
            "group-change" | "project-group-change" | "membership-change"
        ),
        answer: class == "group-change",
        reason: class == "project-group-change",
        list: class == "group-list",
    };
    let mut target = match pass {
        Pass::Done => String::new(),
        Pass::Refused => "/~hr-sync".to_owned(),
    };
    target.push_str(&filled(canaries, pass, path, &name));
    let mut secret = |what: &str| canaries.secret(format!("{what} of {name}"));
    let query = format!(
        "?code={}&SAMLResponse={}&{}&page=2&token%5B%5D={}&flag",
        secret("the code in the query"),
        secret("the SAMLResponse in the query"),
        secret("the word in the query"),
        secret("the token[] in the query"),
    );
    target.push_str(&query);
    let mut headers = credential(&mut secret, number);
    headers.extend([
        ("x-api-key", secret("the X-Api-Key")),
        ("x-tollgate-actor", secret("the X-Tollgate-Actor")),
        ("x-request-id", secret("the odd X-Request-Id")),
        ("x-forwarded-for", secret("the X-Forwarded-For")),
        (
            "referer",
            format!("https://x.example/?code={}", secret("the Referer")),
        ),
    ]);
    let has_body = method != "GET" || pass == Pass::Refused;
    let body = has_body.then(|| request_body(canaries, &name, keeps));
    let answer = answer(canaries, pass, path, &name, keeps);
    Case {
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        name,
        target,
        headers,
        body,
        answer,
    }
}

/// `path` with numbers and secrets in place of its parameters.
fn filled(canaries: &mut Canaries, pass: Pass, path: &str, name: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, parameter)) = rest.split_once('{') {
        let (parameter, behind) = parameter.split_once('}').expect("a whole parameter");
        let number = parameter.ends_with("_id") || parameter.ends_with("_ids");
        filled.push_str(before);
        match pass {
            Pass::Done if number => filled.push_str("4123"),
            _ => {
                filled.push_str(&canaries.secret(format!("the {parameter} in the path of {name}")))
            }
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// One of the ways in which somebody says who they are.
fn credential(
    secret: &mut impl FnMut(&str) -> String,
    number: usize,
) -> Vec<(&'static str, String)> {
    let authorization = |value| vec![("authorization", value)];
    match number % 9 {
        0 => authorization(basic(&secret("the token"), "api_token")),
        1 => authorization(basic("ann@acme.example", &secret("the password"))),
        2 => authorization(format!("Bearer {}", secret("the bearer"))),
        3 => vec![(
            "cookie",
            format!(
                "__Host-timer-session={}; a={}",
                secret("the session"),
                secret("a cookie")
            ),
        )],
        4 => authorization(format!(
            "Token {}",
            secret("a credential of no known scheme")
        )),
        5 => authorization(format!("Basic {}", secret("a Basic that is no base64"))),
        6 => authorization(secret("a credential without a scheme")),
        7 => authorization(basic(
            &secret("a user who is no address"),
            &secret("their password"),
        )),
        _ => {
            let mut both = authorization(basic(&secret("one credential of two"), "api_token"));
            both.push(("authorization", format!("Bearer {}", secret("the other"))));
            both.push(("proxy-authorization", secret("a credential for the proxy")));
            both
        }
    }
}

fn request_body(canaries: &mut Canaries, name: &str, keeps: Keeps) -> Value {
    let mut canary =
        |what: &str| canaries.make(format!("{what} of the body of {name}"), keeps.request);
    json!({
        "name": canary("the name"),
        "password": canary("the password"),
        "emails": [canary("an address")],
        "groups": [9001],
        "users": [7001],
        "group_id": 9001,
        "project_id": 30001,
    })
}

fn answer(canaries: &mut Canaries, pass: Pass, path: &str, name: &str, keeps: Keeps) -> Scripted {
    let cookie = canaries.secret(format!("the Set-Cookie of the answer to {name}"));
    // Of the endpoints whose answers nobody can rely on, the reason of a refusal is told.
    let told = keeps.reason && pass == Pass::Refused;
    let kept = keeps.answer || told || keeps.list && pass == Pass::Done;
    let mut canary = |what: &str| canaries.make(format!("{what} of the answer to {name}"), kept);
    let (status, body) = match pass {
        // Also upstream's words stand in a row only if its answers may.
        Pass::Refused => (StatusCode::BAD_REQUEST, json!(canary("the reason"))),
        Pass::Done if keeps.list && path.ends_with("project_groups") => {
            let row =
                json!({ "id": 1, "group_id": 9001, "pid": 2, "wid": 3, "x": canary("a field") });
            (StatusCode::OK, json!([row]))
        }
        Pass::Done if keeps.list => {
            let member = json!({ "user_id": 7001, "name": canary("a member") });
            let group = json!({ "group_id": 9001, "id": 9001, "name": canary("the name"),
                "users": [member], "workspaces": [51001], "x": canary("a field") });
            (StatusCode::OK, json!([group]))
        }
        Pass::Done => {
            let url = format!("https://x.example/ical/{}", canary("the ical_url"));
            let token = canary("the api_token");
            (
                StatusCode::OK,
                json!({ "id": 5, "api_token": token, "ical_url": url }),
            )
        }
    };
    Scripted {
        status,
        cookie: format!("session={cookie}; Path=/; HttpOnly"),
        body: body.to_string(),
    }
}
