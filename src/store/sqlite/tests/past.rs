//! Groups as they stood at a time, and what that costs where somebody made many rows.

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
    let reader = store.reader();
    assert_eq!(reader.mentioned_groups(ORG).await.unwrap(), []);
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
    let mentioned = reader.mentioned_groups(ORG).await.unwrap();
    assert_eq!(mentioned, [GroupId(7), GroupId(8), GroupId(9)]);
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
    assert_eq!(store.reader().mentioned_groups(ORG).await.unwrap(), []);
    store.complete(applied(intent(300)), vec![]).await.unwrap();
    let mentioned = store.reader().mentioned_groups(ORG).await.unwrap();
    assert_eq!(mentioned, [GroupId(7)]);
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
