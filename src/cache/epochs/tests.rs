use tokio::task::yield_now;
use tokio::time::advance;

use super::*;
use crate::layers::testing;

const ORG: OrganizationId = OrganizationId(1);
const OTHER: OrganizationId = OrganizationId(2);
const WORKSPACE: WorkspaceId = WorkspaceId(3);
const GRACE: Duration = Duration::from_secs(60);

fn caller(name: &str) -> Fingerprint {
    testing::get(name, "/").caller.unwrap().fingerprint
}

fn all_lists() -> [List; 4] {
    [
        List::Organization(ORG),
        List::OrganizationWorkspace(ORG, WORKSPACE),
        List::Workspace(WORKSPACE),
        List::ProjectGroups(WORKSPACE),
    ]
}

// Which lists survive a change that was applied.
fn survivors(epochs: &Arc<Epochs>, touches: Touches) -> Vec<List> {
    let before = all_lists().map(|list| (list, epochs.snapshot(list, caller("ann")).unwrap()));
    epochs.close(touches).land(Outcome::Applied);
    before
        .into_iter()
        .filter(|(_, snapshot)| epochs.admits(snapshot))
        .map(|(list, _)| list)
        .collect()
}

#[tokio::test]
async fn an_applied_change_outdates_all_that_it_touches_and_no_more() {
    let epochs = Epochs::with_grace(GRACE);
    assert_eq!(survivors(&epochs, Touches::Nothing), all_lists());
    assert_eq!(survivors(&epochs, Touches::Everything), []);
    assert_eq!(survivors(&epochs, Touches::Organization(ORG, None)), []);
    let organizations = [
        List::Organization(ORG),
        List::OrganizationWorkspace(ORG, WORKSPACE),
    ];
    assert_eq!(
        survivors(&epochs, Touches::Organization(OTHER, None)),
        organizations
    );
    assert_eq!(
        survivors(&epochs, Touches::Workspace(WORKSPACE)),
        [],
        "unknown organization"
    );
    epochs.learn(OTHER, WorkspaceId(4));
    assert_eq!(
        survivors(&epochs, Touches::Workspace(WorkspaceId(4))),
        organizations
    );
    epochs.learn(ORG, WORKSPACE);
    assert_eq!(survivors(&epochs, Touches::Workspace(WORKSPACE)), []);
}

#[tokio::test]
async fn in_flight_nothing_is_admitted_and_a_fetch_from_before_never_again() {
    let epochs = Epochs::with_grace(GRACE);
    let list = List::Organization(ORG);
    let before = epochs.snapshot(list, caller("ann")).unwrap();
    let flight = epochs.close(Touches::Organization(ORG, None));
    assert!(!epochs.admits(&before));
    assert_eq!(epochs.snapshot(list, caller("ann")), None);
    flight.land(Outcome::Applied);
    assert!(!epochs.admits(&before));
    let after = epochs.snapshot(list, caller("ann")).unwrap();
    assert!(epochs.admits(&after));
}

#[tokio::test]
async fn a_refused_change_outdates_nothing() {
    let epochs = Epochs::with_grace(GRACE);
    let before = epochs
        .snapshot(List::Organization(ORG), caller("ann"))
        .unwrap();
    epochs
        .close(Touches::Organization(ORG, None))
        .land(Outcome::Rejected);
    assert!(epochs.admits(&before));
}

#[tokio::test]
async fn two_changes_at_once_keep_closed_until_both_have_landed() {
    let epochs = Epochs::with_grace(GRACE);
    let list = List::Organization(ORG);
    let [first, second] = [(), ()].map(|()| epochs.close(Touches::Organization(ORG, None)));
    first.land(Outcome::Applied);
    assert_eq!(epochs.snapshot(list, caller("ann")), None);
    second.land(Outcome::Rejected);
    assert!(epochs.snapshot(list, caller("ann")).is_some());
}

#[tokio::test(start_paused = true)]
async fn without_an_outcome_it_stays_closed_for_the_grace() {
    let epochs = Epochs::with_grace(GRACE);
    let list = List::Organization(ORG);
    let before = epochs.snapshot(list, caller("ann")).unwrap();
    drop(epochs.close(Touches::Organization(ORG, None)));
    advance(GRACE - Duration::from_millis(1)).await;
    assert_eq!(epochs.snapshot(list, caller("ann")), None);
    advance(Duration::from_millis(1)).await;
    yield_now().await;
    assert!(epochs.snapshot(list, caller("ann")).is_some());
    assert!(!epochs.admits(&before));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_each_grace_begins_a_new_state() {
    let epochs = Epochs::with_grace(GRACE);
    let state = || epochs.state(List::Organization(ORG), caller("ann"));
    let mut seen = vec![state()];
    for _ in 0..2 {
        drop(epochs.close(Touches::Organization(ORG, None)));
        seen.push(state());
        advance(GRACE / 2).await;
        assert_eq!(state(), *seen.last().unwrap());
    }
    // The graces overlap, and what upstream applied within the first is seen when that is over.
    for closed in [true, false] {
        yield_now().await;
        seen.push(state());
        let open = epochs.snapshot(List::Organization(ORG), caller("ann"));
        assert_eq!(open.is_none(), closed);
        advance(GRACE / 2).await;
    }
    for (index, state) in seen.iter().enumerate() {
        assert!(!seen[index + 1..].contains(state), "{index}");
    }
}

#[tokio::test]
async fn revoking_one_caller_leaves_the_others_theirs() {
    let epochs = Epochs::with_grace(GRACE);
    let list = List::Organization(ORG);
    let [ann, bob] = ["ann", "bob"].map(|name| epochs.snapshot(list, caller(name)).unwrap());
    epochs.revoke(caller("ann"));
    assert!(!epochs.admits(&ann));
    assert!(epochs.admits(&bob));
    for stranger in 0..10_000 {
        epochs.revoke(caller(&stranger.to_string()));
    }
    assert!(epochs.admits(&bob), "strangers outdate nobody's lists");
}
