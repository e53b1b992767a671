//! The demo, run as somebody runs it: the binary, in an empty folder, with nothing set.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::tempdir;

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let files = folder.join("files");
    std::fs::create_dir_all(&files).expect("the folder is ours");
    command
        .arg("demo")
        .env_clear()
        .env("TMPDIR", files)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("what is printed is text")
}

#[track_caller]
fn assert_empty(folder: &Path) {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let left: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    assert!(left.is_empty(), "{left:?} was left behind");
}

#[test]
fn the_demo_plays_a_day_and_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let output = demo(folder.path()).output().unwrap();
    let text = printed(&output);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert_eq!(errors, "");
    for wanted in [
        "Bob   dashboard  polls them 40 times",
        "10  reads, for 62 that were answered: 52 calls saved, 83 %",
        "group.patch           partial",
        "group.patch           rejected",
        "tried to change \"Engineering\"",
        "renamed \"Design\" to \"Brand\"",
        "All of it happened as it should.",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too long: {line}");
    }
    assert!(
        !text.contains('\x1b'),
        "colour where there is no terminal:\n{text}"
    );
    assert_empty(&folder.path().join("files"));
    std::fs::remove_dir(folder.path().join("files")).unwrap();
    assert_empty(folder.path());
}

#[test]
fn what_is_set_for_a_real_gateway_does_not_reach_the_demo() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("tollgate.toml"), "nonsense").unwrap();
    let output = demo(folder.path())
        .env("TOLLGATE_UPSTREAM__URL", "http://127.0.0.1:9")
        .env("TOLLGATE_CACHE__ENABLED", "false")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
}
