//! Four invented days of the simulator's world, for the questions of `docs/queries.md`.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tollgate::clock::Clock;
use tollgate::domain::action::{Action, Outcome};
use tollgate::domain::caller::Person;
use tollgate::domain::diff::{Change, Kind, diff, sentence};
use tollgate::domain::endpoint::Touches;
use tollgate::domain::event::{
    Actor, Draft, Intent, Relation, RelationKind, RequestRecord, ResponseRecord, Source, Target,
};
use tollgate::domain::group::Group;
use tollgate::domain::ids::{EventId, GroupId, OrganizationId, ProjectId, UserId};
use tollgate::store::sqlite::SqliteStore;
use tollgate::store::{Fact, Identities as _, Learned, Trail as _};

const ORG: OrganizationId = OrganizationId(4123);

fn group(id: i64, name: &str, users: &[(i64, &str)]) -> Group {
    let users: Vec<_> = users
        .iter()
        .map(|(id, name)| json!({"user_id": id, "name": name}))
        .collect();
    let group = json!({"group_id": id, "name": name, "users": users, "workspaces": [51001]});
    Group::read(&group).expect("a group")
}

/// A change that Ann's sync asked for.
pub(crate) fn change(
    at: Timestamp,
    action: Action,
    before: Option<&Group>,
    after: Option<&Group>,
) -> Draft {
    let group = before.or(after);
    let changes = diff(before, after);
    let intent = Intent {
        id: EventId::new(),
        occurred_at: at,
        action,
        actor: Actor {
            credential_id: Some("a0".repeat(32)),
            user_id: Some(UserId(7001)),
            name: Some("Ann Becker".into()),
            tool: Some("hr-sync".into()),
            ..Actor::default()
        },
        source: Source {
            ip: Some("192.0.2.7".into()),
            request_id: Some(EventId::new().to_string()),
            ..Source::default()
        },
        target: Target {
            organization_id: Some(ORG),
            group_id: group.map(|group| group.id),
            group_name: group.map(|group| group.name.clone()),
            ..Target::default()
        },
        request: RequestRecord {
            method: "PATCH".into(),
            path: "/api/v9/organizations/4123/groups".into(),
            ..RequestRecord::default()
        },
        touches: Touches::Organization(ORG, None),
        flags: vec![],
    };
    Draft {
        completed_at: at,
        duration_ms: 80,
        outcome: Outcome::Applied,
        response: ResponseRecord {
            status: Some(200),
            ..ResponseRecord::default()
        },
        before: before.map(Group::to_json),
        after: after.map(Group::to_json),
        relations: vec![],
        summary: sentence(group.map(|group| group.name.as_str()), &changes),
        changes,
        intent,
    }
}

/// Writes the days.
pub(crate) async fn days(path: &Path) {
    let clock = Clock::system();
    let now = clock.now();
    let ago = |hours: i64| now - SignedDuration::from_hours(hours);
    let last_night: Timestamp = format!("{}T22:00:00Z", ago(24).strftime("%Y-%m-%d"))
        .parse()
        .expect("a time");

    let (ann, cleo, dan, eve) = (
        (7001, "Ann Becker"),
        (7003, "Cleo Martin"),
        (7004, "Dan Okafor"),
        (7005, "Eve Lindqvist"),
    );
    let studio = group(9001, "Studio", &[ann, cleo]);
    let design = group(9001, "Design", &[ann, cleo]);
    let with_eve = group(9001, "Design", &[ann, cleo, eve]);
    let without_cleo = group(9001, "Design", &[ann, eve]);
    let marketing = group(9003, "Marketing", &[cleo, eve]);
    let support = group(9004, "Support", &[dan]);
    let help = group(9004, "Help centre", &[dan]);

    let patch = Action::GroupPatch;
    let renamed = change(ago(90), Action::GroupUpdate, Some(&studio), Some(&design));
    let joined = change(ago(80), patch, Some(&design), Some(&with_eve));
    let mut left = change(ago(30), patch, Some(&with_eve), Some(&without_cleo));
    left.relations = vec![Relation {
        kind: RelationKind::Overwrote,
        id: joined.intent.id,
    }];
    left.intent.source.request_id = Some("nightly-sync-17".into());
    let mut deleted = change(last_night, Action::GroupDelete, Some(&marketing), None);
    deleted.intent.actor.tool = None;
    deleted.intent.source.ip = Some("192.0.2.50".into());
    let mut refused = change(ago(6), patch, None, None);
    refused.outcome = Outcome::Rejected;
    refused.summary =
        "tried to change \"Engineering\": User does not have access to this resource (403)".into();
    // Known by its fingerprint alone until somebody asks.
    refused.intent.actor = Actor {
        credential_id: Some(format!("c1e0{}", "0".repeat(60))),
        tool: Some("slack-bot".into()),
        ..Actor::default()
    };
    let mut unknown = change(ago(5), patch, None, None);
    unknown.outcome = Outcome::Unknown;
    unknown.summary = "outcome unknown: patch of group 9002".into();
    let mut observed = change(ago(4), Action::GroupObserved, Some(&support), Some(&help));
    observed.intent.actor = Actor::default();
    let mut several = change(ago(3), Action::MembershipChange, None, None);
    several.changes = [(9001, "Design"), (9004, "Help centre")]
        .map(|(id, name)| Change {
            group_id: Some(GroupId(id)),
            group_name: Some(name.into()),
            ..Change::member(Kind::Added, UserId(7002), Some("Bob Ito".into()))
        })
        .to_vec();
    several.summary = "added Bob Ito (7002) to two groups".into();
    let mut project = change(ago(2), Action::ProjectGroupAdd, None, None);
    project.intent.target.group_id = Some(GroupId(9001));
    project.intent.target.group_name = Some("Design".into());
    project.changes = vec![Change::project(Kind::Added, ProjectId(30002))];
    project.summary = "gave \"Design\" access to project 30002".into();
    let mut exported = change(ago(1), Action::TollgateExport, None, None);
    exported.intent.request.path = "audit export --format csv".into();
    exported.summary = "exported 10 events".into();

    let (store, _) = SqliteStore::open(path, clock).await.expect("a database");
    let known = Learned {
        at: ago(1),
        fact: Fact::Group(Some(ORG), Box::new(without_cleo)),
    };
    let mut all = vec![
        renamed, joined, left, deleted, refused, unknown, observed, several, project, exported,
    ];
    all.sort_by_key(|draft| draft.intent.occurred_at);
    for draft in all {
        let written = store.complete(draft, vec![]).await;
        written.expect("a store that writes");
    }
    let bot = Person {
        user_id: Some(UserId(7003)),
        email: None,
        name: Some("Cleo Martin".into()),
    };
    let remembered = store.remember(&"cc".repeat(32), &bot, now).await;
    remembered.expect("a store that writes");
    let last = change(now, Action::ApiWrite, None, None);
    let written = store.complete(last, vec![known]).await;
    written.expect("a store that writes");
    store.close().await;
}

/// Adds a change whose request had a body of that many characters, which JSON cannot hold as they are.
pub(crate) async fn wide(path: &Path, characters: usize) {
    let clock = Clock::system();
    let mut draft = change(clock.now(), Action::ApiWrite, None, None);
    draft.intent.request.body = Some("\u{1}".repeat(characters));
    let (store, _) = SqliteStore::open(path, clock).await.expect("a database");
    let written = store.complete(draft, vec![]).await;
    written.expect("a store that writes");
    store.close().await;
}
