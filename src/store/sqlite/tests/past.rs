//! Groups as they stood at a time, and what that costs where somebody made many rows.

use jiff::Timestamp;

use super::*;
use crate::domain::action::{Action, Outcome};
use crate::domain::replay::State;
use crate::store::Fact;
use crate::store::suite::{ORG, at, group, news, seen};

/// The numbers of the groups there at the end of the day.
async fn groups(store: &SqliteStore) -> Vec<i64> {
    let groups = store.reader().groups_at(ORG, at(86_400)).await.unwrap();
    groups.into_iter().map(|(id, _)| id.0).collect()
}

async fn mentioned(store: &SqliteStore) -> Vec<i64> {
    let groups = store.reader().mentioned_groups(ORG, None, 100).await;
    groups
        .unwrap()
        .into_iter()
        .map(|group| group.id.0)
        .collect()
}

/// Somebody asked for a group by its number, and was refused.
fn refused(seconds: i64, id: i64) -> Draft {
    let mut draft = applied(intent(seconds));
    draft.outcome = Outcome::Rejected;
    draft.intent.target.group_id = Some(GroupId(id));
    draft.intent.target.group_name = None;
    (draft.before, draft.after) = (None, None);
    draft.changes = vec![];
    draft
}

#[tokio::test]
async fn a_number_that_somebody_tried_is_no_group() {
    let place = Place::new();
    let (store, _) = place.open().await;
    for id in 100..200 {
        store.complete(refused(id, id), vec![]).await.unwrap();
    }
    assert_eq!(mentioned(&store).await, [0; 0]);
    // Changed, seen, and once found by a change of which nobody knows what became.
    store.complete(applied(intent(300)), vec![]).await.unwrap();
    store
        .learn(vec![seen(300, group(8, "Brand", &[(5, "Ann")]))])
        .await;
    let mut lost = applied(intent(301));
    lost.outcome = Outcome::Unknown;
    lost.intent.target.group_id = Some(GroupId(9));
    lost.before = Some(group(9, "Sales", &[(5, "Ann")]).to_json());
    lost.after = None;
    lost.changes = vec![];
    let doubtful = news(301, Fact::DoubtfulGroup(GroupId(9)));
    store.complete(lost, vec![doubtful]).await.unwrap();
    assert_eq!(mentioned(&store).await, [7, 8, 9]);
    assert_eq!(groups(&store).await, [7, 8, 9]);
    store.close().await;
}

#[tokio::test]
async fn what_was_done_to_a_group_is_found_behind_many_refusals() {
    let place = Place::new();
    let (store, _) = place.open().await;
    for n in 0..120 {
        let mut draft = refused(n, 7);
        draft.intent.action = Action::GroupDelete;
        store.complete(draft, vec![]).await.unwrap();
    }
    assert_eq!(mentioned(&store).await, [0; 0]);
    store.complete(applied(intent(300)), vec![]).await.unwrap();
    assert_eq!(mentioned(&store).await, [7]);
    store.close().await;
}

#[tokio::test]
async fn what_lies_behind_too_many_events_of_a_group_is_not_known() {
    let place = Place::new();
    let (store, _) = place.open().await;
    store.complete(applied(intent(0)), vec![]).await.unwrap();
    let many = (0..8_400).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.complete(refused(100, 7 + n % 2), vec![]).await })
    });
    for one in many.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    let learned = seen(9_000, group(8, "Now", &[(5, "Ann")]));
    store.learn(vec![learned]).await;
    store.check().await.unwrap();
    let state = async |id, time| {
        let state = store.reader().group_at(ORG, GroupId(id), at(time)).await;
        state.unwrap()
    };
    assert!(matches!(state(7, 10).await, State::Present(_)));
    assert_eq!(state(7, 86_400).await, State::Unknown);
    // The newest knowledge is that of today, and what lies between nobody looked at.
    assert!(matches!(state(8, 86_400).await, State::Present(_)));
    assert_eq!(state(8, 10).await, State::Unknown);
    store.close().await;
}

/// What an invented trail lacks: rows that end in another order, that tell a part or nothing, that know no
/// organization, and groups that come and go.
const DISORDER: &str = r#"
    DROP TRIGGER audit_events_no_update;
    INSERT INTO audit_event_groups
    SELECT seq, organization_id, changes ->> '$[0].group_id' FROM audit_events
    WHERE action = 'membership.change';
    UPDATE audit_events SET
        completed_at = strftime('%Y-%m-%dT%H:%M:%S.080Z', 1700000000 + (seq + seq * 17 % 40) * 6, 'unixepoch'),
        organization_id = iif(seq % 11 = 0, NULL, organization_id),
        before = iif(seq % 5 < 2, NULL, json_set(before, '$.name', 'Before ' || seq)),
        after = iif(seq % 3 = 0 OR action = 'group.delete', NULL, json_set(after, '$.name', 'After ' || seq)),
        changes = CASE action
            WHEN 'group.delete' THEN json('[{"field":"group","change":"deleted"}]')
            WHEN 'group.create' THEN json('[{"field":"group","change":"created"}]')
            ELSE changes
        END;
"#;

#[tokio::test]
async fn many_groups_at_once_are_what_each_is_by_itself() {
    let place = Place::new();
    let (store, _) = place.open().await;
    // Some are known besides, since the day or since the middle of what was invented.
    for id in 1_000..1_015 {
        let mut learned = seen(0, group(id, &format!("Known {id}"), &[(5, "Ann")]));
        if id % 2 == 0 {
            learned.at = Timestamp::from_second(1_700_004_800).unwrap();
        }
        store.learn(vec![learned]).await;
    }
    store.check().await.unwrap();
    store.close().await;
    let mut raw = place.raw().await;
    // Fewer groups, of which each has some forty events.
    let seed = include_str!("../../../../benches/support/seed.sql").replace("s % 300", "s % 25");
    let seed = sqlx::query(AssertSqlSafe(seed)).bind(1).bind(1_600);
    seed.execute(&mut raw).await.unwrap();
    run(&mut raw, DISORDER).await.unwrap();
    let reader = Reader::open(&place.path).await.unwrap();
    let mut told = 0;
    let times = (1_700_000_000..1_700_010_000).step_by(1_600);
    for time in times.map(Timestamp::from_second).chain([Ok(at(0))]) {
        let time = time.unwrap();
        let mut apart = Vec::new();
        for group in reader.mentioned_groups(ORG, None, 1_000).await.unwrap() {
            let state = reader.group_at(ORG, group.id, time).await.unwrap();
            if matches!(state, State::Present(_)) {
                apart.push((group.id, state));
            }
        }
        assert_eq!(reader.groups_at(ORG, time).await.unwrap(), apart, "{time}");
        told += apart.len();
        // And by pages.
        let (mut paged, mut last) = (Vec::new(), None);
        let mut is_more = true;
        while is_more {
            let page = reader.groups_behind(ORG, time, last, 7).await;
            let (groups, more) = page.unwrap();
            assert!(groups.len() == 7 || !more);
            last = groups.last().map(|(id, _)| *id);
            paged.extend(groups);
            is_more = more;
        }
        assert_eq!(paged, apart, "{time}");
    }
    assert!(told > 100, "{told}");
    reader.close().await;
}
