//! Which lists may still be believed: a counter for everything that a change can touch.
//!
//! **Guarantee** (DESIGN §1.3). A list is stored and served only under the [`Snapshot`] that was taken
//! before its fetch began, and only while nothing it depends on is closed or has moved on since. A
//! change closes what it touches before it is sent and moves it on when it lands, so that no list from
//! before a change outlives the change's answer, not even one whose fetch was already under way. A
//! change without an outcome keeps closed for a grace what it touched, because upstream may still
//! apply it; one that upstream refused moves nothing on.
//!
//! **Cost**: invalidation is one addition, whoever cached whatever. The counters are a fixed table,
//! indexed by a hash: two domains that share a slot invalidate each other, which costs a fetch and
//! never a lie, and in return nothing grows.
//!
//! **What depends on what** (DESIGN §3):
//!
//! | list | organization | its workspace | any organization | everything | caller |
//! |---|---|---|---|---|---|
//! | an organization's | ✓ | | | ✓ | ✓ |
//! | a workspace's, by its organization | ✓ | ✓ | | ✓ | ✓ |
//! | a workspace's, deprecated; project groups | | ✓ | ✓ | ✓ | ✓ |
//!
//! A change in an organization touches that organization and *any organization*, since nobody tells
//! which workspaces are its own. A change in a workspace touches the workspace and its organization if
//! a list has told which that is, else everything.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::domain::action::Outcome;
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::{List, Touches};
use crate::domain::ids::{OrganizationId, WorkspaceId};

/// See the [module](self).
pub struct Epochs {
    slots: Box<[Slot]>,
    organizations: Cache<WorkspaceId, Vec<OrganizationId>>,
    /// A number for each caller, another one after a revocation. Apart from the slots, so that
    /// strangers with wrong credentials outdate nobody's lists; one that was evicted is never given
    /// out again, so what depends on it is outdated, which costs a fetch.
    callers: Cache<Fingerprint, u64>,
    next_caller: AtomicU64,
    grace: Duration,
    started: Instant,
}

/// What is true of one domain, or of several that share the slot.
#[derive(Default)]
struct Slot {
    /// Moves on with each change that landed.
    epoch: AtomicU64,
    /// Changes in flight.
    closed: AtomicU64,
    /// Milliseconds after `started` until which it stays closed.
    closed_until: AtomicU64,
}

/// Something that a list depends on.
#[derive(Hash)]
enum Domain {
    Everything,
    AnyOrganization,
    Organization(OrganizationId),
    Workspace(WorkspaceId),
}

/// The state of all that one list depends on, at one moment at which nothing of it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    slots: [(usize, u64); 3],
    caller: (Fingerprint, u64),
}

/// A change under way. What it touches is closed until it has landed; dropped without an outcome, it
/// lands as unknown.
#[derive(Debug)]
pub struct Flight {
    epochs: Arc<Epochs>,
    slots: Vec<usize>,
}

// Enough that a company's organizations and workspaces seldom share one, small enough for a CPU's cache.
const SLOTS: usize = 4096;

// Far more workspaces than any organization has.
const KNOWN_WORKSPACES: u64 = 100_000;

// Those who read often are not evicted for those who came once.
const KNOWN_CALLERS: u64 = 100_000;

// === impl Epochs ===

impl Epochs {
    /// After a change without an outcome, what it touched stays closed for `grace`: the longest time
    /// in which upstream could still apply it.
    #[must_use]
    pub fn with_grace(grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect(),
            organizations: Cache::new(KNOWN_WORKSPACES),
            callers: Cache::new(KNOWN_CALLERS),
            next_caller: AtomicU64::new(0),
            grace,
            started: Instant::now(),
        })
    }

    /// The state of what `list` depends on; `None` while any of it is closed.
    #[must_use]
    pub fn snapshot(&self, list: List, caller: Fingerprint) -> Option<Snapshot> {
        let snapshot = self.state(list, caller);
        // Read after the epochs: a change that closes in between is seen here, and one that landed
        // in between has moved the epochs on.
        self.is_open(&snapshot).then_some(snapshot)
    }

    /// The epochs of what `list` depends on, closed or not: fetches in one state may be shared.
    #[must_use]
    pub fn state(&self, list: List, caller: Fingerprint) -> Snapshot {
        let scope = match (list.organization(), list.workspace()) {
            (Some(organization), Some(workspace)) => [
                Domain::Organization(organization),
                Domain::Workspace(workspace),
            ],
            (Some(organization), None) => [Domain::Organization(organization), Domain::Everything],
            (None, Some(workspace)) => [Domain::AnyOrganization, Domain::Workspace(workspace)],
            (None, None) => [Domain::AnyOrganization, Domain::Everything],
        };
        let [first, second] = scope;
        let slots = [Domain::Everything, first, second].map(|domain| {
            let index = index(&domain);
            (index, self.slots[index].epoch.load(Ordering::SeqCst))
        });
        let number = self.callers.get_with(caller, || self.next_caller());
        Snapshot {
            slots,
            caller: (caller, number),
        }
    }

    /// Whether a list fetched under `snapshot` may be stored or served now.
    #[must_use]
    pub fn admits(&self, snapshot: &Snapshot) -> bool {
        let (caller, number) = snapshot.caller;
        self.admits_of_anybody(snapshot) && self.callers.get(&caller) == Some(number)
    }

    /// The same, whether or not the caller was revoked since.
    #[must_use]
    pub fn admits_of_anybody(&self, snapshot: &Snapshot) -> bool {
        self.is_open(snapshot)
            && snapshot
                .slots
                .iter()
                .all(|(index, epoch)| self.slots[*index].epoch.load(Ordering::SeqCst) == *epoch)
    }

    /// Closes what a change touches, from now until the flight lands.
    pub fn close(self: &Arc<Self>, touches: Touches) -> Flight {
        let slots: Vec<usize> = self.domains(touches).iter().map(index).collect();
        for slot in &slots {
            self.slots[*slot].closed.fetch_add(1, Ordering::SeqCst);
        }
        Flight {
            epochs: Arc::clone(self),
            slots,
        }
    }

    /// Drops all that a caller has cached, because upstream no longer accepts the credential.
    pub fn revoke(&self, caller: Fingerprint) {
        // Who has nothing cached and fetches nothing has nothing to lose.
        if self.callers.contains_key(&caller) {
            self.callers.insert(caller, self.next_caller());
        }
    }

    fn next_caller(&self) -> u64 {
        self.next_caller.fetch_add(1, Ordering::SeqCst)
    }

    /// Remembers that a workspace belongs to an organization, as a list of its groups told.
    pub fn learn(&self, organization: OrganizationId, workspace: WorkspaceId) {
        // More than one only if a workspace moved, or if a list told nonsense: then all count.
        let mut known = self.organizations.get(&workspace).unwrap_or_default();
        if !known.contains(&organization) {
            known.push(organization);
            self.organizations.insert(workspace, known);
        }
    }

    fn domains(&self, touches: Touches) -> Vec<Domain> {
        match touches {
            Touches::Nothing => Vec::new(),
            Touches::Everything => vec![Domain::Everything],
            Touches::Organization(organization, workspace) => {
                let workspace = workspace.map(Domain::Workspace);
                let mut domains = vec![Domain::AnyOrganization, Domain::Organization(organization)];
                domains.extend(workspace);
                domains
            }
            Touches::Workspace(workspace) => match self.organizations.get(&workspace) {
                None => vec![Domain::Everything],
                Some(organizations) => {
                    let mut domains = vec![Domain::AnyOrganization, Domain::Workspace(workspace)];
                    domains.extend(organizations.into_iter().map(Domain::Organization));
                    domains
                }
            },
        }
    }

    fn is_open(&self, snapshot: &Snapshot) -> bool {
        let now = self.millis(Duration::ZERO);
        snapshot.slots.iter().all(|(index, _)| {
            let slot = &self.slots[*index];
            slot.closed.load(Ordering::SeqCst) == 0
                && slot.closed_until.load(Ordering::SeqCst) <= now
        })
    }

    fn millis(&self, ahead: Duration) -> u64 {
        let since = self.started.elapsed() + ahead;
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn index(domain: &Domain) -> usize {
    let mut hasher = DefaultHasher::new();
    domain.hash(&mut hasher);
    // Less than SLOTS, so it fits.
    (hasher.finish() % SLOTS as u64) as usize
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Epochs")
    }
}

// === impl Flight ===

impl Flight {
    /// Opens what the change touched, as its outcome allows.
    pub fn land(mut self, outcome: Outcome) {
        self.open(outcome);
    }

    fn open(&mut self, outcome: Outcome) {
        let epochs = &self.epochs;
        let until = epochs.millis(epochs.grace);
        for index in self.slots.drain(..) {
            let slot = &epochs.slots[index];
            match outcome {
                Outcome::Rejected | Outcome::NotSent => {}
                Outcome::Applied | Outcome::Partial => {
                    slot.epoch.fetch_add(1, Ordering::SeqCst);
                }
                Outcome::Unknown => {
                    slot.epoch.fetch_add(1, Ordering::SeqCst);
                    slot.closed_until.fetch_max(until, Ordering::SeqCst);
                }
            }
            // Last, so that whoever finds it open finds the new epoch too.
            slot.closed.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.open(Outcome::Unknown);
    }
}

#[cfg(test)]
mod tests {
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
        assert!(epochs.snapshot(list, caller("ann")).is_some());
        assert!(!epochs.admits(&before));
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
}
