use insta::assert_snapshot;
use serde_json::json;

use super::*;

fn ann(id: i64) -> Named {
    let mut ann = Named::numbered(id);
    ann.extend(
        Some("Ann Müller"),
        Some("ann@acme.example"),
        Some(&"ab".repeat(32)),
    );
    ann.extend(Some("Ann"), None, None);
    ann
}

fn masked(text: &str) -> String {
    let eraser = Eraser::of(ann(5));
    eraser
        .text(text, false)
        .unwrap_or_else(|| "(nobody)".to_owned())
}

fn erased(value: &Value) -> String {
    let eraser = Eraser::of(ann(5));
    eraser
        .json(&value.to_string())
        .unwrap_or_else(|| "(nobody)".to_owned())
}

#[test]
fn a_text_loses_the_person_in_every_spelling() {
    assert_snapshot!(masked("added Ann (5), Bob (6)"), @"added [redacted], Bob (6)");
    assert_snapshot!(masked("added ANN MÜLLER (5)"), @"added [redacted]");
    assert_snapshot!(masked(r#"renamed "Ann's" to "Anna""#), @r#"renamed "[redacted]'s" to "Anna""#);
    assert_snapshot!(masked("name=Ann%20M%C3%BCller&x=1"), @"name=[redacted]&x=1");
    assert_snapshot!(masked("name=Ann+M%c3%bcller"), @"name=[redacted]");
    assert_snapshot!(masked(r"Ann M\u00FCller"), @"[redacted]");
    assert_snapshot!(masked("to=ann%40acme.example"), @"to=[redacted]");
    assert_snapshot!(masked("for Ann@Acme.Example."), @"for [redacted].");
    assert_snapshot!(masked("/api/v9/organizations/5/users/5"), @"/api/v9/organizations/5/users/[redacted]");
    assert_snapshot!(masked("user_id=5&page=5"), @"user_id=[redacted]&page=5");
    assert_snapshot!(masked(&format!("seen {} there", "AB".repeat(32))), @"seen [redacted] there");
}

#[test]
fn a_final_sigma_is_the_same_letter() {
    let mut nikos = Named::numbered(5);
    nikos.extend(Some("ΝΊΚΟΣ ΓΊΓΑΣ"), None, None);
    let eraser = Eraser::of(nikos);
    let text = |text| eraser.text(text, false);
    assert_eq!(text("added ΝΊΚΟΣ ΓΊΓΑΣ (5)").unwrap(), "added [redacted]");
    assert_eq!(text("added Νίκος Γίγας (5)").unwrap(), "added [redacted]");
}

#[test]
fn somebody_else_stays() {
    for text in [
        "added Ann (6)",
        "added Bob (51)",
        "Joann joined, Annette left",
        "/organizations/5/groups/5",
        "joann@acme.example",
        "Mozilla/5.0",
        "",
    ] {
        assert_eq!(masked(text), "(nobody)", "{text}");
    }
    let value = json!({"users": [{"user_id": 6, "name": "Ann"}], "group_id": 5, "id": 5});
    assert_eq!(erased(&value), "(nobody)");
}

#[test]
fn a_long_number_is_the_person_wherever_it_is_not_said_to_be_something_else() {
    let eraser = Eraser::of(Named::numbered(7_000_005));
    let text = |text| eraser.text(text, false);
    assert_eq!(text("seen 7000005 there").unwrap(), "seen [redacted] there");
    assert_eq!(text("group 7000005"), None);
    assert_eq!(text("17000005"), None);
    let json = |value: Value| eraser.json(&value.to_string());
    assert_eq!(
        json(json!({"list": [7_000_005]})).unwrap(),
        r#"{"list":[null]}"#
    );
    assert_eq!(json(json!({"group_id": 7_000_005})), None);
}

#[test]
fn in_json_an_entry_keeps_its_place() {
    assert_snapshot!(
        erased(&json!([
            {"field": "users", "change": "added", "id": 5, "label": "Ann Müller", "group_id": 7, "group_name": "D"},
            {"field": "workspaces", "change": "added", "id": 5}])),
        @r#"[{"field":"users","change":"added","id":null,"label":"redacted","group_id":7,"group_name":"D"},{"field":"workspaces","change":"added","id":5}]"#
    );
    assert_snapshot!(
        erased(&json!({"group_id": 5, "name": "Ann's", "user_id": 5, "users": [
            {"user_id": 5, "name": "A. M.", "avatar_url": "https://x/y", "joined": true},
            {"user_id": 6, "name": "Ann"}]})),
        @r#"{"group_id":5,"name":"[redacted]'s","user_id":null,"users":[{"user_id":null,"name":"redacted","avatar_url":null,"joined":true},{"user_id":6,"name":"Ann"}]}"#
    );
    assert_snapshot!(
        erased(&json!([{"op": "add", "path": "/users", "value": [5, 6]}, {"op": "add", "path": "/workspaces", "value": [5]}])),
        @r#"[{"op":"add","path":"/users","value":[null,6]},{"op":"add","path":"/workspaces","value":[5]}]"#
    );
    assert_snapshot!(
        erased(&json!({"operation": "add", "user_id": "5", "group_id": 5, "joined": true})),
        @r#"{"operation":"add","user_id":null,"group_id":5,"joined":true}"#
    );
    assert_snapshot!(erased(&json!({"users": {"5": "x", "6": "y"}})), @r#"{"users":{"[redacted]":"x","6":"y"}}"#);
    assert_snapshot!(erased(&json!({"note": "ask ann@acme.example"})), @r#"{"note":"ask [redacted]"}"#);
}

#[test]
fn a_body_that_is_no_json_or_says_a_key_twice_loses_them_too() {
    let eraser = Eraser::of(ann(5));
    let json = |text| eraser.json(text).unwrap();
    assert_snapshot!(json("name=Ann&x"), @"name=[redacted]&x");
    assert_snapshot!(json(r#"{"name":"Ann","name":"B"}"#), @r#"{"name":"B"}"#);
    assert_snapshot!(json(r#"{"name":"Ann M\u00fcller"}"#), @r#"{"name":"[redacted]"}"#);
}

fn row(cells: &[(&str, Cell)]) -> Row {
    let mut row = Row(vec![Cell::Null; COLUMNS.len()]);
    for (column, cell) in cells {
        set(&mut row, column, cell.clone());
    }
    row
}

fn said(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

#[test]
fn what_they_did_is_nobodys_now_but_stays_connected() {
    let row = row(&[
        ("actor_user_id", Cell::Integer(5)),
        ("actor_email", said("ann@acme.example")),
        ("actor_name", said("Ann")),
        ("credential_id", said(&"ab".repeat(32))),
        ("client_ip", said("192.0.2.7")),
        ("user_agent", said("hr-sync/2")),
        ("summary", said("added 5, Bob (6)")),
    ]);
    let erased = Eraser::of(ann(5))
        .erase(&row, "redacted-1")
        .unwrap()
        .unwrap();
    for column in ["actor_user_id", "actor_email", "actor_name", "client_ip"] {
        assert_eq!(cell(&erased, column), &Cell::Null, "{column}");
    }
    assert_eq!(text(&erased, "credential_id"), Some("redacted-1"));
    assert_eq!(text(&erased, "user_agent"), Some("hr-sync/2"));
    assert_eq!(text(&erased, "summary"), Some("added [redacted], Bob (6)"));
    assert_eq!(Eraser::of(ann(5)).erase(&erased, "redacted-2"), Ok(None));
}

#[test]
fn what_a_prune_says_stays_as_it_is() {
    let row = row(&[
        ("action", said("tollgate.prune")),
        ("after", said(r#"{"hash":"ab","up_to_seq":7000005}"#)),
        ("summary", said("removed 7000005 events, up to row 7000005")),
    ]);
    let eraser = Eraser::of(Named::numbered(7_000_005));
    assert_eq!(eraser.erase(&row, "redacted-1"), Ok(None));
}

#[test]
fn a_number_that_stands_for_them_at_another_door_goes_too() {
    let row = row(&[
        ("action", said("membership.change")),
        ("path", said("/api/v9/organizations/4/users/610005")),
        ("request_body", said(r#"{"delete":[610005],"groups":[7]}"#)),
        (
            "changes",
            said(r#"[{"field":"users","change":"removed","id":5,"label":"Ann"}]"#),
        ),
        (
            "summary",
            said("removed Ann (5) (by PUT /api/v9/organizations/4/users/610005)"),
        ),
    ]);
    let erased = Eraser::of(ann(5))
        .erase(&row, "redacted-1")
        .unwrap()
        .unwrap();
    assert_snapshot!(text(&erased, "path").unwrap(), @"/api/v9/organizations/4/users/[redacted]");
    assert_snapshot!(text(&erased, "request_body").unwrap(), @r#"{"delete":[null],"groups":[7]}"#);
    assert_snapshot!(text(&erased, "summary").unwrap(), @"removed [redacted] (by PUT /api/v9/organizations/4/users/[redacted])");
    assert_eq!(Eraser::of(ann(5)).erase(&erased, "redacted-2"), Ok(None));
}

#[test]
fn a_row_of_a_namesake_is_not_theirs() {
    let row = row(&[
        ("actor_user_id", Cell::Integer(6)),
        ("actor_name", said("Ann")),
    ]);
    assert_eq!(Eraser::of(ann(5)).erase(&row, "redacted-1"), Ok(None));
}

#[test]
fn a_row_tells_what_else_they_are_called() {
    let mut person = Named::numbered(5);
    let told = row(&[(
        "before",
        said(
            r#"{"users":[{"user_id":5,"name":"A. Müller","email":"a@acme.example"},{"user_id":6,"name":"Bob"}]}"#,
        ),
    )]);
    assert!(person.gather(&told));
    assert!(!person.gather(&told), "nothing new");
    assert_eq!(person.names, ["A. Müller".to_owned()].into());
    assert_eq!(person.emails, ["a@acme.example".to_owned()].into());
    let acts = row(&[
        ("actor_email", said("A@acme.example")),
        ("credential_id", said("cd")),
    ]);
    assert!(person.gather(&acts));
    assert_eq!(person.credentials, ["cd".to_owned()].into());
}
