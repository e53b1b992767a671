mod out;
mod past;
mod trust;

use std::path::Path;

use clap::Parser;
use insta::assert_snapshot;
use serde_json::Value;

use super::*;
use crate::domain::action::Outcome;
use crate::domain::event::{Actor, Draft};
use crate::domain::ids::EventId;
use crate::store::Trail;
use crate::store::sqlite::SqliteStore;
use crate::store::suite::{applied, clock, intent};

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    audit: AuditArgs,
}

/// What `tollgate audit ARGS` prints, or says and fails.
async fn audit(path: &Path, args: &str) -> Result<String, String> {
    printed(path, args, None).await
}

async fn printed(path: &Path, args: &str, width: Option<u16>) -> Result<String, String> {
    let look = Look {
        width,
        ..Look::default()
    };
    shown(path, args, look).await
}

async fn shown(path: &Path, args: &str, look: Look) -> Result<String, String> {
    let database = path.to_str().unwrap();
    let words = ["audit", "--database", database];
    let cli = Cli::try_parse_from(words.into_iter().chain(args.split_whitespace()))
        .map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    cli.audit
        .run_to(&mut out, look, &clock())
        .await
        .map_err(|error| format!("{error:#}").replace(database, "DATABASE"))?;
    Ok(String::from_utf8(out).unwrap())
}

/// A database with these events; the directory lives as long as the test holds it.
async fn trail(drafts: impl IntoIterator<Item = Draft>) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
    for draft in drafts {
        store.complete(draft, vec![]).await.unwrap();
    }
    store.close().await;
    (directory, path)
}

/// Ann renames a group; a tool with a name that wants to be a command is refused.
fn two() -> [Draft; 2] {
    let mut refused = applied(intent(60));
    refused.outcome = Outcome::Rejected;
    refused.response.status = Some(400);
    refused.summary = "refused: \"Name has already been taken\"".into();
    refused.intent.target.group_name = Some("=cmd|'/c calc'!A1\u{1b}[2J".into());
    refused.intent.actor = Actor {
        credential_id: Some("cd".repeat(32)),
        tool: Some("hr-sync".into()),
        on_behalf_of: Some("@bob".into()),
        ..Actor::default()
    };
    [applied(intent(0)), refused]
}

#[tokio::test]
async fn a_list_is_a_plain_table() {
    let (_directory, path) = trail(two()).await;
    assert_snapshot!(audit(&path, "list").await.unwrap(), @r#"
    SEQ  TIME (UTC)           WHO               ACTION        OUTCOME   GROUP                       WHAT
    2    2026-11-24 12:01:00  hr-sync for @bob  group.update  rejected  =cmd|'/c calc'!A1\u{1b}[2J  refused: "Name has already been taken"
    1    2026-11-24 12:00:00  ann@acme.example  group.update  applied   Design                      renamed "Design" to "Brand"
    "#);
}

#[tokio::test]
async fn on_a_terminal_the_table_fits_and_loses_nothing() {
    let (_directory, path) = trail(two()).await;
    let table = printed(&path, "list --limit 1 --outcome applied", Some(90))
        .await
        .unwrap();
    assert!(
        table.lines().all(|line| line.chars().count() <= 90),
        "{table}"
    );
    assert_snapshot!(table, @r#"
    SEQ  TIME (UTC)           WHO                 ACTION        OUTCOME  GROUP   WHAT
    1    2026-11-24 12:00:00  ann@acme.example    group.update  applied  Design  renamed
                                                                                 "Design" to
                                                                                 "Brand"
    "#);
}

#[tokio::test]
async fn nothing_found_is_said() {
    let (_directory, path) = trail(two()).await;
    assert_eq!(audit(&path, "list --org 9").await.unwrap(), "No events.\n");
    assert_eq!(
        audit(&path, "list --since 10m").await.unwrap(),
        "No events.\n"
    );
    assert_eq!(
        audit(&path, "list --org 9 --format json").await.unwrap(),
        "[]\n"
    );
    assert_eq!(
        audit(&path, "list --org 9 --format ndjson").await.unwrap(),
        ""
    );
}

#[tokio::test]
async fn each_option_reaches_its_filter() {
    let (_directory, path) = trail(two()).await;
    for (options, expected) in [
        ("", vec![2, 1]),
        ("--limit 1", vec![2]),
        ("--org 1 --group 7", vec![2, 1]),
        ("--actor cdcdcd", vec![2]),
        ("--action group.update --outcome applied", vec![1]),
        ("--since 59m30s", vec![]),
        ("--since 3570s", vec![2]),
        ("--until 3570s", vec![1]),
        (
            "--since 2026-11-24T12:00:00Z --until 2026-11-24T12:00:01Z",
            vec![1],
        ),
    ] {
        let answer = audit(&path, &format!("list --format ndjson {options}")).await;
        if options == "--since 59m30s" {
            assert!(answer.unwrap_err().contains("write how long ago"));
            continue;
        }
        let lines = answer.unwrap();
        let seq = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_i64()
                .unwrap()
        };
        let found: Vec<_> = lines.lines().map(seq).collect();
        assert_eq!(found, expected, "{options}");
    }
}

#[tokio::test]
async fn a_spreadsheet_computes_nothing() {
    let (_directory, path) = trail(two()).await;
    let text = audit(&path, "list --format csv").await.unwrap();
    let mut csv = ::csv::Reader::from_reader(text.as_bytes());
    let column = |name| {
        crate::export::COLUMNS
            .iter()
            .position(|(of, _)| *of == name)
            .unwrap()
    };
    let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        &rows[0][column("group_name")],
        "'=cmd|'/c calc'!A1\u{1b}[2J"
    );
    assert_eq!(&rows[0][column("on_behalf_of")], "'@bob");
    assert_eq!(&rows[1][column("actor_email")], "ann@acme.example");
    assert_eq!(&rows[1][column("actor_name")], "");
    assert_eq!(&rows[1][column("status")], "200");
    assert!(rows[1][column("changes")].starts_with(r#"[{"field":"name""#));
}

#[tokio::test]
async fn an_event_fills_a_page() {
    let (_directory, path) = trail(two()).await;
    let page = audit(&path, "show 1").await.unwrap();
    let hidden = |line: &str| !line.starts_with("event ") && !line.starts_with("hash ");
    let page: Vec<_> = page.lines().filter(|line| hidden(line)).collect();
    assert_snapshot!(page.join("\n"), @r#"
    renamed "Design" to "Brand"

    when          2026-11-24T12:00:00.000Z, took 12 ms
    who           ann@acme.example
    credential    abababababababababababababababababababababababababababababababab
    from          192.0.2.7
    user agent    hr-sync/2
    request id    request-0

    action        group.update
    outcome       applied (status 200)
    organization  1
    group         7 "Design"
    request       PUT /api/v9/organizations/1/groups/7

    Difference
      ~ name "Design" -> "Brand"

    Before
      {"group_id":7,"name":"Design","permissions":null,"users":[{"user_id":5,"name":"Ann","joined":true}],"workspaces":[3],"at":"2026-11-01T09:00:00Z"}

    After
      {"group_id":7,"name":"Brand","permissions":null,"users":[{"user_id":5,"name":"Ann","joined":true}],"workspaces":[3],"at":"2026-11-01T09:00:00Z"}

    Request body
      {"name":"Brand"}
    "#);
}

#[tokio::test]
async fn the_json_of_an_event_has_the_names_of_the_contract() {
    let draft = applied(intent(0));
    let (_directory, path) = trail([draft.clone()]).await;
    let json = audit(&path, &format!("show {} --format json", draft.intent.id))
        .await
        .unwrap();
    let event: Value = serde_json::from_str(&json).unwrap();
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_snapshot!(names(&event), @"seq id occurred_at completed_at duration_ms action outcome actor source target request response before after changes relations flags summary hash");
    assert_snapshot!(names(&event["actor"]), @"credential_id user_id email name tool on_behalf_of");
    assert_snapshot!(names(&event["source"]), @"ip user_agent request_id");
    assert_snapshot!(names(&event["target"]), @"organization_id workspace_id group_id group_name project_id project_group_id");
    assert_snapshot!(names(&event["request"]), @"method path query body");
    assert_snapshot!(names(&event["response"]), @"status body upstream_request_id");
    assert_eq!(event["before"], draft.before.unwrap());
}

#[tokio::test]
async fn verify_tells_the_head_or_the_first_bad_row() {
    let (_directory, path) = trail(two()).await;
    let text = audit(&path, "verify").await.unwrap();
    assert!(text.starts_with("The trail is intact: 2 rows"), "{text}");
    let mut raw = {
        use sqlx::Connection as _;
        sqlx::SqliteConnection::connect(path.to_str().unwrap())
            .await
            .unwrap()
    };
    sqlx::raw_sql(
        "DROP TRIGGER audit_events_no_update; UPDATE audit_events SET status = 201 WHERE seq = 2",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    assert_snapshot!(
        audit(&path, "verify").await.unwrap_err(),
        @"the trail is broken: row 2 was edited: its columns do not match its hash; the one row before it is as it was written"
    );
}

#[tokio::test]
async fn what_goes_wrong_is_a_sentence() {
    let (directory, path) = trail([]).await;
    let unknown = EventId::new();
    let answer = audit(&path, &format!("show {unknown}")).await;
    assert_eq!(answer.unwrap_err(), format!("there is no event {unknown}"));
    assert_snapshot!(
        audit(&path, "show tuesday").await.unwrap_err(),
        @r#""tuesday" is neither an event's id, such as 0193f0a2-7c11-7000-8000-3b1a5c0e9d42, nor its number in the list"#
    );
    assert_snapshot!(
        audit(&directory.path().join("none.db"), "list").await.unwrap_err(),
        @"DATABASE does not exist: no audit database was written there yet"
    );
    std::fs::write(directory.path().join("text.db"), "dear diary, ".repeat(99)).unwrap();
    assert_snapshot!(
        audit(&directory.path().join("text.db"), "list").await.unwrap_err(),
        @"DATABASE is not a database"
    );
}
