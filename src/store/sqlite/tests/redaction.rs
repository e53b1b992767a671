//! A person is erased: the file forgets them, the chain does not break.

use serde_json::{Value, json};
use sqlx::Row as _;

use super::*;
use crate::domain::action::Action;
use crate::domain::diff::{Change, Kind, diff, sentence};
use crate::domain::event::Actor;
use crate::domain::own::{self, Operator};
use crate::domain::row::Broken;
use crate::store::suite::{ORG, at, group, news, seen};
use crate::store::{Fact, Seen};

pub(super) const ANN: UserId = UserId(7_000_005);
const NAME: &str = "Ann Müller";
const EMAIL: &str = "ann.mueller@acme.example";

fn credential(n: u8) -> String {
    hex::encode([n; 32])
}

/// A trail of six in which Ann acts, is added, stands in texts, and is known everywhere.
pub(super) async fn place() -> Place {
    let place = Place::new();
    let (store, _) = place.open().await;
    let person = Person {
        user_id: Some(ANN),
        email: Some(EMAIL.into()),
        name: Some(NAME.into()),
    };
    store
        .remember(&credential(1), &person, at(0))
        .await
        .unwrap();
    let (empty, full) = (
        group(7, "Design", &[(7_000_006, "Bob")]),
        group(7, "Design", &[(7_000_005, NAME), (7_000_006, "Bob")]),
    );

    let mut acts = applied(intent(0));
    acts.intent.actor = Actor {
        credential_id: Some(credential(1)),
        user_id: Some(ANN),
        email: Some(EMAIL.into()),
        name: Some(NAME.into()),
        ..Actor::default()
    };
    acts.intent.source.ip = Some("203.0.113.99".into());
    // Before anybody knew who she was.
    let mut unknown = applied(intent(1));
    unknown.intent.actor = Actor {
        credential_id: Some(credential(1)),
        ..Actor::default()
    };
    let mut added = applied(intent(2));
    added.intent.actor.email = Some("bob@acme.example".into());
    added.changes = diff(Some(&empty), Some(&full));
    added.summary = sentence(Some("Design"), &added.changes);
    added.before = Some(empty.to_json());
    added.after = Some(full.to_json());
    added.intent.request.body = Some(json!({"users": [ANN, 7_000_006]}).to_string());
    added.response.body = Some(full.to_json().to_string());
    let mut named = applied(intent(3));
    named.intent.actor.email = Some("bob@acme.example".into());
    named.intent.actor.on_behalf_of = Some(NAME.into());
    named.intent.request.path = format!("/api/v9/organizations/1/users/{ANN}");
    named.intent.request.query = Some("name=Ann%20M%C3%BCller".into());
    named.intent.source.user_agent = Some(format!("sync ({EMAIL})"));
    named.intent.target.group_name = Some(format!("{NAME}'s"));
    let mut other = applied(intent(4));
    other.intent.actor.email = Some("bob@acme.example".into());
    for draft in [acts, unknown, added, named, other] {
        store
            .complete(draft, vec![seen(0, full.clone())])
            .await
            .unwrap();
    }
    store.close().await;
    place
}

fn operator() -> Operator {
    Operator {
        name: Some("root".into()),
        source: crate::domain::event::Source::default(),
        by: "CLI",
        asked: "audit redact".into(),
    }
}

pub(super) async fn redact(place: &Place, user: UserId) -> Result<Redacted, RedactError> {
    let (store, _) = place.open().await;
    let mentions = store.reader().mentions(user).await.unwrap();
    let event = |rows, digest: String| {
        own::redacted(&operator(), i64::try_from(rows).unwrap(), &digest, at(5000))
    };
    let result = store.redact(mentions, event).await;
    store.close().await;
    result
}

async fn verdict(place: &Place) -> Verdict {
    let reader = Reader::open(&place.path).await.unwrap();
    reader.verify().await.unwrap()
}

/// What is in the directory, each byte of it.
fn bytes(place: &Place) -> Vec<u8> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(place.directory.path()).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn nothing_of_the_person_is_left_in_the_file_and_the_chain_holds() {
    let place = place().await;
    // A reader that is beside it keeps the log from being folded in at a close.
    let (beside, _) = place.open().await;
    let of_her = [
        "7000005".to_owned(),
        NAME.to_owned(),
        "M%C3%BCller".to_owned(),
        EMAIL.to_owned(),
        credential(1),
        "203.0.113.99".to_owned(),
    ];
    let before = bytes(&place);
    for text in &of_her {
        assert!(holds(&before, text), "{text} is there before");
    }
    let done = redact(&place, ANN).await.unwrap();
    assert_eq!(
        done,
        Redacted {
            rows: 4,
            event: 6,
            emptied: true
        }
    );
    let after = bytes(&place);
    for text in &of_her {
        assert!(!holds(&after, text), "{text} is left");
    }
    assert!(holds(&after, "bob@acme.example"));
    // A number that SQLite keeps as an integer is no text.
    let left = "SELECT (SELECT count(*) FROM audit_events WHERE actor_user_id = 7000005)
        + (SELECT count(*) FROM identities) + (SELECT count(*) FROM known_people WHERE user_id = 7000005)
        + (SELECT count(*) FROM known_groups)";
    assert_eq!(told(&place, left).await, "0");

    let Verdict::Intact { rows, redacted, .. } = verdict(&place).await else {
        panic!("{:?}", verdict(&place).await);
    };
    assert_eq!((rows, redacted), (6, 4));
    beside.complete(applied(intent(9)), vec![]).await.unwrap();
    beside.close().await;
    assert!(matches!(
        verdict(&place).await,
        Verdict::Intact { rows: 7, .. }
    ));
}

#[tokio::test]
async fn what_finds_her_changes_of_several_groups_is_erased_and_pruned_with_them() {
    let place = Place::new();
    let (store, _) = place.open().await;
    let mut several = applied(intent(0));
    several.intent.target.group_id = None;
    several.intent.actor = Actor {
        credential_id: Some(credential(1)),
        user_id: Some(ANN),
        name: Some(NAME.into()),
        ..Actor::default()
    };
    several.changes = [7, 9]
        .map(|id| Change {
            group_id: Some(GroupId(id)),
            ..Change::member(Kind::Added, UserId(6), None)
        })
        .to_vec();
    store.complete(several, vec![]).await.unwrap();
    store.close().await;
    let who = "SELECT count(*), count(DISTINCT who), sum(who LIKE '%Ann M%') FROM audit_several";
    assert_eq!(told(&place, who).await, "2 | 1 | 2");

    redact(&place, ANN).await.unwrap();
    assert_eq!(told(&place, who).await, "2 | 1 | 0");
    assert!(!holds(&bytes(&place), NAME));
    assert!(matches!(
        verdict(&place).await,
        Verdict::Intact { rows: 2, .. }
    ));

    let (store, _) = place.open().await;
    let pruned = |removal: &Removal| {
        let removed = (removal.rows(), removal.last);
        own::pruned(&operator(), removed.0, removed.1, &removal.hash, at(6000))
    };
    store.prune(at(1), pruned).await.unwrap();
    store.close().await;
    assert_eq!(
        told(&place, "SELECT count(*) FROM audit_several").await,
        "0"
    );
}

#[tokio::test]
async fn her_acts_stay_connected_and_her_next_one_reveals_none_of_them() {
    let place = place().await;
    redact(&place, ANN).await.unwrap();
    let (store, _) = place.open().await;
    let person = Person {
        user_id: Some(ANN),
        email: Some(EMAIL.into()),
        name: Some(NAME.into()),
    };
    store
        .remember(&credential(1), &person, at(6000))
        .await
        .unwrap();
    let events = store
        .reader()
        .events(&crate::store::filter::Filter::default(), None, 10)
        .await
        .unwrap()
        .events;
    store.close().await;
    let acts: Vec<_> = events[4..]
        .iter()
        .map(|event| event.actor.clone())
        .collect();
    let stand_in = acts[0].credential_id.clone().unwrap();
    assert!(stand_in.starts_with("redacted-"), "{stand_in}");
    let nobody = Actor {
        credential_id: Some(stand_in),
        ..Actor::default()
    };
    assert_eq!(acts, [nobody.clone(), nobody]);
    assert_eq!(
        told(
            &place,
            "SELECT count(*) FROM who_changed_what WHERE actor LIKE 'Ann%'"
        )
        .await,
        "0"
    );
    assert_eq!(events[0].action, Action::TollgateRedact.as_str());
    assert_eq!(events[0].summary, "erased a person from 4 events");
    assert_eq!(events[2].summary, r#"renamed "Design" to "Brand""#);
    assert_eq!(
        events[3].summary, r#"in "Design": added [redacted]"#,
        "what was done is still told"
    );
}

#[tokio::test]
async fn a_group_that_is_forgotten_is_not_taken_for_a_new_one() {
    let place = place().await;
    let show = async |seconds| {
        let (store, _) = place.open().await;
        let view = Fact::View(Box::new(Seen {
            credential_id: credential(9),
            organization: ORG,
            groups: vec![group(70, "Sales", &[(ANN.0, NAME)])],
        }));
        store.learn(vec![news(seconds, view)]).await;
        store.close().await;
    };
    show(4000).await;
    redact(&place, ANN).await.unwrap();
    show(6000).await;
    let noticed = "SELECT count(*) FROM audit_events WHERE action = 'group.observed'";
    assert_eq!(told(&place, noticed).await, "0");
}

#[tokio::test]
async fn a_row_may_be_redacted_again() {
    let place = place().await;
    redact(&place, ANN).await.unwrap();
    let done = redact(&place, UserId(7_000_006)).await.unwrap();
    assert!(done.rows > 0);
    let found = verdict(&place).await;
    assert!(
        matches!(
            found,
            Verdict::Intact {
                rows: 7,
                redacted: 4,
                ..
            }
        ),
        "{found:?}"
    );
    let left = told(
        &place,
        "SELECT after || summary FROM audit_events WHERE seq = 3",
    )
    .await;
    assert!(!left.contains("Bob") && left.contains("Design"), "{left}");
    let again = redact(&place, ANN).await.unwrap_err();
    assert!(matches!(again, RedactError::Nobody(ANN)), "{again:?}");
    assert_eq!(told(&place, "SELECT max(seq) FROM audit_events").await, "7");
}

#[tokio::test]
async fn whoever_is_named_by_nothing_is_not_redacted() {
    let place = place().await;
    let error = redact(&place, UserId(42)).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing in the trail names user 42");
    assert_eq!(told(&place, "SELECT max(seq) FROM audit_events").await, "5");
}

#[tokio::test]
async fn a_change_under_way_that_names_them_is_waited_for() {
    let place = place().await;
    let (store, _) = place.open().await;
    let mut intent = intent(9);
    intent.request.body = Some(json!({"users": [ANN]}).to_string());
    store.intend(intent.clone()).await.unwrap();
    let error = redact(&place, ANN).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a change is under way that name them: try again when these have ended"
    );
    let untouched = "SELECT count(*) FROM audit_redactions";
    assert_eq!(told(&place, untouched).await, "0");
    store.complete(applied(intent), vec![]).await.unwrap();
    redact(&place, ANN).await.unwrap();
    store.close().await;
}

/// What `verify` says after somebody with the file in hand ran `sql` on the redacted trail.
async fn forged(sql: &str) -> Verdict {
    let place = place().await;
    redact(&place, ANN).await.unwrap();
    let mut raw = place.raw().await;
    let disarm = "DROP TRIGGER audit_events_no_update; DROP TRIGGER audit_redactions_no_update;
        DROP TRIGGER audit_redactions_no_delete;";
    run(&mut raw, &format!("{disarm}{sql}")).await.unwrap();
    verdict(&place).await
}

fn broken(rows: i64, fault: impl Into<Fault>) -> Verdict {
    let fault = fault.into();
    Verdict::Broken { rows, fault }
}

#[tokio::test]
async fn an_edit_of_a_redacted_row_is_found() {
    for (edit, seq) in [
        ("UPDATE audit_events SET summary = 'x' WHERE seq = 3", 3),
        (
            "UPDATE audit_events SET actor_name = 'Eve' WHERE seq = 1",
            1,
        ),
        ("UPDATE audit_events SET group_id = 8 WHERE seq = 3", 3),
        (
            "UPDATE audit_events SET salt = randomblob(16) WHERE seq = 2",
            2,
        ),
        ("DELETE FROM audit_redactions WHERE seq = 4", 1),
    ] {
        match forged(edit).await {
            Verdict::Broken { fault, .. } => assert_eq!(fault.seq(), seq, "{edit}: {fault}"),
            intact @ Verdict::Intact { .. } => panic!("{edit}: {intact:?}"),
        }
    }
}

#[tokio::test]
async fn an_edit_cannot_be_passed_off_as_a_redaction() {
    // With the row's true commitments and the right hash of its new content, as a forger can have them.
    for event in [6, 5, 99] {
        let place = place().await;
        redact(&place, ANN).await.unwrap();
        let mut raw = place.raw().await;
        let row = sqlx::query(query::AT.as_str())
            .bind(5)
            .fetch_one(&mut raw)
            .await
            .unwrap();
        let original = reader::stored(&row).unwrap();
        let commitments =
            crate::domain::canonical::Commitments::to(&original.row.pieces(5), &original.salt);
        let edit = "DROP TRIGGER audit_events_no_update;
            UPDATE audit_events SET summary = 'nothing' WHERE seq = 5";
        run(&mut raw, edit).await.unwrap();
        let row = sqlx::query(query::AT.as_str())
            .bind(5)
            .fetch_one(&mut raw)
            .await
            .unwrap();
        let edited = reader::stored(&row).unwrap();
        let content =
            crate::domain::canonical::Canonical::new().content(&edited.row.pieces(5), &edited.salt);
        sqlx::query("INSERT INTO audit_redactions VALUES (?, 5, ?, ?)")
            .bind(event)
            .bind(serde_json::to_string(&commitments).unwrap())
            .bind(hex::encode(content))
            .execute(&mut raw)
            .await
            .unwrap();
        let Verdict::Broken { fault, .. } = verdict(&place).await else {
            panic!("{event}: passed off");
        };
        // An entry more makes all of that redaction doubtful.
        let seq = if event == 6 { 1 } else { 5 };
        assert_eq!(fault, Fault::Redaction { seq, event }, "{event}");
    }
}

#[tokio::test]
async fn an_event_that_says_another_digest_is_found() {
    let edit = "UPDATE audit_events SET after = json_set(after, '$.digest', 'ab') WHERE seq = 6";
    let fault = Fault::Redaction { seq: 1, event: 6 };
    assert_eq!(forged(edit).await, broken(0, fault));
    let edit = "UPDATE audit_events SET after = json_set(after, '$.rows', 9) WHERE seq = 6";
    assert_eq!(forged(edit).await, broken(5, Broken::Edited { seq: 6 }));
}

#[tokio::test]
async fn no_weaker_trigger_is_left() {
    let place = place().await;
    let triggers = "SELECT group_concat(sql, char(10)) FROM
        (SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name)";
    let before = told(&place, triggers).await;
    redact(&place, ANN).await.unwrap();
    assert_eq!(told(&place, triggers).await, before);
}

#[tokio::test]
async fn a_row_of_format_1_that_cannot_be_changed_is_named_and_nothing_is() {
    let place = place().await;
    let mut raw = place.raw().await;
    let age = "DROP TRIGGER audit_events_no_update;
        UPDATE audit_events SET format = 1 WHERE seq = 2;";
    let guard: String =
        sqlx::query("SELECT sql FROM sqlite_schema WHERE name = 'audit_events_no_update'")
            .fetch_one(&mut raw)
            .await
            .unwrap()
            .get(0);
    run(&mut raw, &format!("{age}{guard}")).await.unwrap();
    let error = redact(&place, ANN).await.unwrap_err();
    assert!(
        matches!(
            error,
            RedactError::Fixed {
                seq: 2,
                column: "credential_id"
            }
        ),
        "{error:?}"
    );
    assert_eq!(told(&place, "SELECT max(seq) FROM audit_events").await, "5");
    assert_eq!(told(&place, "SELECT count(*) FROM identities").await, "1");
}

#[test]
fn an_event_of_a_redaction_does_not_say_who() {
    let draft = own::redacted(&operator(), 3, "ab", at(0));
    assert_eq!(draft.after, Some(json!({"rows": 3, "digest": "ab"})));
    let row: Vec<Value> = vec![json!(draft.summary), json!(draft.intent.request)];
    assert!(!format!("{row:?}").contains('5'));
}
