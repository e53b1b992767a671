//! `docs/queries.md` tells the truth: each SQL and each command runs, and finds something in a trail where
//! what it asks for has happened.

use std::path::Path;
use std::process::Command;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::seed;

/// A question of the page.
struct Question {
    title: String,
    sql: String,
    commands: Vec<String>,
}

fn questions() -> Vec<Question> {
    let page = include_str!("../../docs/queries.md");
    let sections = page.split("\n### ").skip(1);
    sections
        .map(|section| {
            let block = |language: &str| {
                let (_, block) = section
                    .split_once(&format!("```{language}\n"))
                    .expect(language);
                let (block, _) = block.split_once("\n```").expect("an end of the block");
                block.to_owned()
            };
            Question {
                title: section.lines().next().expect("a title").to_owned(),
                sql: block("sql"),
                commands: block("sh").lines().map(str::to_owned).collect(),
            }
        })
        .collect()
}

async fn rows(connection: &mut SqliteConnection, question: &Question) -> usize {
    let sql = AssertSqlSafe(question.sql.clone());
    match sqlx::query(sql).fetch_all(connection).await {
        Ok(rows) => rows.len(),
        Err(error) => panic!("{}: {error}", question.title),
    }
}

fn printed(command: &str, database: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate"));
    let folder = binary.parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Command::new("sh")
        .args(["-c", command])
        .env_clear()
        .env("PATH", format!("{}:{path}", folder.display()))
        .env(
            "TOLLGATE_AUDIT__DATABASE",
            format!("sqlite://{}", database.display()),
        )
        .current_dir(database.parent().expect("a folder"))
        .output()
        .expect("a shell");
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && error.is_empty(),
        "{command}: {error}"
    );
    String::from_utf8(ran.stdout).expect("text")
}

#[tokio::test]
async fn every_question_of_the_page_is_answered_by_its_sql_and_by_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&database)
        .read_only(true)
        .connect()
        .await
        .unwrap();
    let questions = questions();
    assert_eq!(questions.len(), 20);
    for question in &questions {
        let title = &question.title;
        assert!(
            rows(&mut connection, question).await > 0,
            "{title}: the SQL finds nothing"
        );
        for command in &question.commands {
            let printed = printed(command, &database);
            assert!(
                printed.lines().count() > 0 && !printed.starts_with("No "),
                "{title}: {printed}"
            );
        }
    }
}

#[tokio::test]
async fn the_answers_are_the_right_ones() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db");
    seed::days(&database).await;
    let now = printed("tollgate audit groups 4123", &database);
    assert!(
        now.contains("Design       Ann Becker (7001), Eve Lindqvist (7005) "),
        "{now}"
    );
    let then = printed("tollgate audit groups 4123 --at 2d", &database);
    assert!(
        then.contains("Ann Becker (7001), Cleo Martin (7003), Eve Lindqvist (7005)"),
        "{then}"
    );
    assert!(
        then.contains("Marketing") && !now.contains("Marketing"),
        "{then}{now}"
    );
    assert!(
        then.contains("Support") && now.contains("Help centre"),
        "{then}{now}"
    );
    let life = printed("tollgate audit history 4123 9001", &database);
    assert_eq!(life.lines().count(), 6, "{life}");
    assert!(life.contains("Ann Becker via hr-sync"), "{life}");
}
