//! `export`, `backup`, and how tables look.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use serde_json::Value;

use super::*;
use crate::store::filter::Filter;

async fn newest(path: &Path) -> crate::domain::event::Event {
    let reader = Reader::open(path).await.unwrap();
    let page = reader.events(&Filter::default(), None, 1).await.unwrap();
    page.events.into_iter().next().unwrap()
}

/// What is in the folder of the database besides it.
fn beside(directory: &tempfile::TempDir) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("audit.db"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_export_is_the_trail_oldest_first_and_is_in_the_trail() {
    let (_directory, path) = trail(two()).await;
    let text = audit(&path, "export").await.unwrap();
    let seqs: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone())
        .collect();
    assert_eq!(seqs, [1, 2]);

    let event = newest(&path).await;
    assert_eq!(
        (event.action.as_str(), event.outcome.as_str()),
        ("tollgate.export", "applied")
    );
    assert_eq!(event.summary, "exported 2 events");
    assert_eq!(
        (event.request.method.as_str(), event.request.path.as_str()),
        ("CLI", "audit export --format ndjson")
    );
    assert_eq!(event.actor.tool.as_deref(), Some("tollgate"));
    assert_eq!(event.actor.name, whoami::username().ok());

    audit(
        &path,
        "export --format csv --org 1 --actor Anna-Lena --outcome applied --since 2026-11-24",
    )
    .await
    .unwrap();
    let event = newest(&path).await;
    assert_snapshot!(event.request.path, @"audit export --format csv --org 1 --actor Anna-Lena --outcome applied --since 2026-11-24T00:00:00Z");
    assert_eq!(event.summary, "exported 0 events");
    assert!(
        audit(&path, "verify")
            .await
            .unwrap()
            .contains("intact: 4 rows")
    );
}

#[tokio::test]
async fn a_file_is_complete_or_not_there() {
    let (directory, path) = trail(two()).await;
    let file = directory.path().join("out.csv");
    let to = |file: &Path| format!("export --format csv --output {}", file.display());
    assert_eq!(audit(&path, &to(&file)).await.unwrap(), "");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("'=cmd|"), "inert");
    assert_eq!(beside(&directory), ["out.csv"]);

    let nowhere = directory.path().join("nowhere/out.csv");
    let error = audit(&path, &to(&nowhere)).await.unwrap_err();
    assert!(error.contains("nowhere/out.csv"), "{error}");
    assert_eq!(newest(&path).await.outcome, "partial");
    // The device that is always full: what cannot be written is an error, and is recorded.
    let error = audit(&path, &to(Path::new("/dev/full"))).await.unwrap_err();
    assert!(error.contains("cannot write /dev/full"), "{error}");
    let event = newest(&path).await;
    assert!(
        event.summary.starts_with("exported up to "),
        "{}",
        event.summary
    );
    assert!(Path::new("/dev/full").exists());
    assert_eq!(beside(&directory), ["out.csv"]);
}

#[tokio::test]
async fn a_backup_is_whole_private_and_goes_on() {
    let (directory, path) = trail(two()).await;
    let file = directory.path().join("copy.db");
    let command = format!("backup {}", file.display());
    // While somebody writes.
    let (store, _) = SqliteStore::open(&path, clock()).await.unwrap();
    store.complete(applied(intent(90)), vec![]).await.unwrap();
    let said = audit(&path, &command).await.unwrap();
    assert!(said.starts_with("The trail up to row 3 is in "), "{said}");
    store.complete(applied(intent(91)), vec![]).await.unwrap();
    store.close().await;

    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(beside(&directory), ["copy.db"]);
    assert!(
        audit(&file, "verify")
            .await
            .unwrap()
            .contains("intact: 3 rows")
    );
    let (copy, _) = SqliteStore::open(&file, clock()).await.unwrap();
    copy.complete(applied(intent(92)), vec![]).await.unwrap();
    copy.close().await;

    let again = audit(&path, &command).await.unwrap_err();
    assert!(
        again.ends_with("copy.db is there already: --force replaces it"),
        "{again}"
    );
    assert!(
        audit(&file, "verify")
            .await
            .unwrap()
            .contains("intact: 4 rows"),
        "left alone"
    );
    audit(&path, &format!("{command} --force")).await.unwrap();
    assert_eq!(newest(&file).await.request.method, "PUT");
    assert_eq!(newest(&file).await.seq, 4);

    let nowhere = directory.path().join("nowhere/copy.db");
    let error = audit(&path, &format!("backup {}", nowhere.display()))
        .await
        .unwrap_err();
    assert!(
        error.contains("cannot write ") && error.contains("nowhere/copy.db"),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_written_over_the_trail_itself() {
    let (directory, path) = trail(two()).await;
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let other_way = directory.path().join("../").join(
        [directory.path().file_name().unwrap(), "audit.db".as_ref()]
            .iter()
            .collect::<PathBuf>(),
    );
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    for target in [&path, &link, &other_way, &PathBuf::from(wal)] {
        for command in ["export --output", "backup --force"] {
            let command = format!("{command} {}", target.display());
            let error = audit(&path, &command).await.unwrap_err();
            assert!(error.ends_with("belongs to the trail itself"), "{error}");
        }
    }
    let through_the_link = format!("export --output {}", path.display());
    let error = audit(&link, &through_the_link).await.unwrap_err();
    assert!(error.ends_with("belongs to the trail itself"), "{error}");
    let verified = audit(&path, "verify").await.unwrap();
    assert!(verified.contains("intact: 2 rows"), "{verified}");
}

#[tokio::test]
async fn whatever_the_format_a_name_does_not_drive_the_terminal() {
    let mut drafts = two();
    drafts[0].intent.target.group_name = Some("a\u{9b}2Jb\u{7f}".into());
    let (_directory, path) = trail(drafts).await;
    let terminal = Look {
        now: Some(clock().now()),
        ..Look::default()
    };
    let name =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["target"]["group_name"].clone();
    for command in ["list --format", "export --format"] {
        for format in ["csv", "ndjson"] {
            let text = shown(&path, &format!("{command} {format}"), terminal)
                .await
                .unwrap();
            assert!(
                !text.chars().any(|char| char.is_control() && char != '\n'),
                "{text:?}"
            );
        }
    }
    let event = shown(&path, "show 1 --format json", terminal)
        .await
        .unwrap();
    assert!(!event.contains('\u{9b}'), "{event:?}");
    assert_eq!(name(&event), "a\u{9b}2Jb\u{7f}");
    // A file has what was there.
    let csv = audit(&path, "list --format csv").await.unwrap();
    assert!(csv.contains("a\u{9b}2Jb\u{7f}"), "{csv:?}");
}

#[tokio::test]
async fn a_tail_ends_when_the_file_is_replaced() {
    let (directory, path) = trail(two()).await;
    let copy = directory.path().join("copy.db");
    let replace = async {
        loop {
            std::fs::copy(&path, &copy).unwrap();
            std::fs::rename(&copy, &path).unwrap();
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::select! {
        ended = audit(&path, "tail --lines 0") => ended,
        () = replace => unreachable!(),
    };
    assert_eq!(ended.unwrap_err(), "DATABASE was replaced by another file");
}

#[tokio::test]
async fn a_terminal_gets_colours_and_times_from_now() {
    let mut drafts = two();
    drafts[0].intent.actor.name = Some("設計部 Ann".into());
    drafts[0].intent.actor.tool = Some("hr-sync".into());
    let (_directory, path) = trail(drafts).await;
    let look = Look {
        width: Some(100),
        colour: true,
        now: Some(clock().now()),
    };
    let table = shown(&path, "list", look).await.unwrap();
    assert!(table.contains("\u{1b}[38;5;9mrejected"), "{table:?}");
    assert!(
        table.contains("59 min ago") && table.contains("1 h ago"),
        "{table}"
    );
    assert!(table.contains("設計部 Ann via"), "{table}");
    let plain = shown(
        &path,
        "list",
        Look {
            colour: false,
            ..look
        },
    )
    .await
    .unwrap();
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    use unicode_width::UnicodeWidthStr as _;
    assert!(plain.lines().all(|line| line.width() <= 100), "{plain}");
}

#[test]
fn colour_is_for_terminals_unless_somebody_says_otherwise() {
    let args = |words: &str| Cli::try_parse_from(words.split(' ')).unwrap().audit;
    let no_color = |text: &str| Some(OsString::from(text));
    assert!(args("audit list").colour(true, None));
    assert!(!args("audit list").colour(false, None));
    assert!(!args("audit list").colour(true, no_color("1")));
    assert!(args("audit list").colour(true, no_color("")));
    assert!(args("audit list --color always").colour(false, no_color("1")));
    assert!(!args("audit --color never list").colour(true, None));
}
