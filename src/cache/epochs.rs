//! Which lists may still be believed: a counter for everything that a change can touch.
//!
//! **Guarantee** (DESIGN §1.3). A list is stored and served only under the [`Snapshot`] that was taken
//! before its fetch began, and only while nothing it depends on is closed or has moved on since. A
//! change closes what it touches before it is sent and moves it on when it lands, so that no list from
//! before a change outlives the change's answer, not even one whose fetch was already under way. A
//! change without an outcome keeps closed for a grace what it touched, because upstream may still
//! apply it, and moves on twice: when that is told, and when the grace is over, so that nobody is shown
//! after it what was fetched within it. One that upstream refused moves nothing on.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::domain::action::Outcome;
use crate::domain::caller::Fingerprint;
use crate::domain::endpoint::{List, Touches};
use crate::domain::ids::{OrganizationId, WorkspaceId};
use crate::shelf::Shelf;

/// See the [module](self).
pub struct Epochs {
    slots: Box<[Slot]>,
    organizations: Cache<WorkspaceId, Vec<OrganizationId>>,
    /// Each caller's standing, another one after a revocation; for as long as a list depends on it. Apart
    /// from the slots, so that strangers with wrong credentials outdate nobody's lists.
    callers: Shelf<Fingerprint, Standing>,
    next_caller: AtomicU64,
    grace: Duration,
    #[cfg(test)]
    lacking: Option<Safeguard>,
}

/// What is true of one domain, or of several that share the slot.
#[derive(Default)]
struct Slot {
    /// Moves on with each change that landed.
    epoch: AtomicU64,
    /// Changes in flight, or in their grace.
    closed: AtomicU64,
}

/// Whether upstream still accepts a caller, as far as anybody told.
#[derive(Debug)]
struct Standing {
    /// No two have the same.
    number: u64,
    is_revoked: AtomicBool,
}

/// Something that a list depends on.
#[derive(Hash)]
enum Domain {
    Everything,
    AnyOrganization,
    Organization(OrganizationId),
    Workspace(WorkspaceId),
}

/// The state of all that one list depends on, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    slots: [(usize, u64); 3],
    caller: Arc<Standing>,
}

/// A change under way. What it touches is closed until it has landed; dropped without an outcome, it
/// lands as unknown.
#[derive(Debug)]
pub struct Flight {
    epochs: Arc<Epochs>,
    slots: Vec<usize>,
}

/// Something that keeps reads from going back behind a change. A test turns one off, to show that it
/// would see what is lost without it.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safeguard {
    /// A list is believed under the epochs from before its fetch.
    EpochAtStart,
    /// A list is given out only if those are the epochs still.
    EpochAtEnd,
    /// Nothing is given out or stored while a change is in flight.
    InFlightBar,
    /// Nor for a while after one that ended without an outcome.
    Grace,
    /// A fetch is shared only within one epoch.
    JoinsWithinAnEpoch,
    /// Which the end of a grace ends too.
    JoinsWithinAGrace,
    /// Whether an older list may be given out is asked when it is.
    AsksAgain,
}

// Enough that a company's organizations and workspaces seldom share one, small enough for a CPU's cache.
const SLOTS: usize = 4096;

// Far more workspaces than any organization has.
const KNOWN_WORKSPACES: u64 = 100_000;

// === impl Epochs ===

impl Epochs {
    /// After a change without an outcome, what it touched stays closed for `grace`: the longest time
    /// in which upstream could still apply it.
    #[must_use]
    pub fn with_grace(grace: Duration) -> Arc<Self> {
        Arc::new(Self::new(grace))
    }

    fn new(grace: Duration) -> Self {
        Self {
            slots: std::iter::repeat_with(Slot::default).take(SLOTS).collect(),
            organizations: Cache::new(KNOWN_WORKSPACES),
            callers: Shelf::default(),
            next_caller: AtomicU64::new(0),
            grace,
            #[cfg(test)]
            lacking: None,
        }
    }

    /// The same, with one of the safeguards turned off.
    #[cfg(test)]
    pub(crate) fn without(lacking: Option<Safeguard>, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            lacking,
            ..Self::new(grace)
        })
    }

    #[cfg(test)]
    pub(crate) fn lacks(&self, safeguard: Safeguard) -> bool {
        self.lacking == Some(safeguard)
    }

    /// The state of what `list` depends on; `None` while any of it is closed.
    #[must_use]
    pub fn snapshot(&self, list: List, caller: Fingerprint) -> Option<Snapshot> {
        let snapshot = self.now(list, caller);
        // Read after the epochs: a change that closes in between is seen here, and one that landed
        // in between has moved the epochs on.
        self.is_open(&snapshot).then_some(snapshot)
    }

    /// The state of what `list` depends on, closed or not: fetches in one state may be shared.
    #[must_use]
    pub fn state(&self, list: List, caller: Fingerprint) -> Snapshot {
        let state = self.now(list, caller);
        #[cfg(test)]
        let state = Snapshot {
            slots: state.slots.map(|(slot, epoch)| {
                let is_one = self.lacks(Safeguard::JoinsWithinAnEpoch);
                (slot, if is_one { 0 } else { epoch })
            }),
            ..state
        };
        state
    }

    fn now(&self, list: List, caller: Fingerprint) -> Snapshot {
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
        Snapshot {
            slots,
            caller: self.callers.get_or_make(caller, || Standing {
                number: self.next_caller.fetch_add(1, Ordering::Relaxed),
                is_revoked: AtomicBool::new(false),
            }),
        }
    }

    /// Whether a list fetched under `snapshot` may be stored or served now.
    #[must_use]
    pub fn admits(&self, snapshot: &Snapshot) -> bool {
        let is_revoked = snapshot.caller.is_revoked.load(Ordering::SeqCst);
        self.admits_of_anybody(snapshot) && !is_revoked
    }

    /// The same, whether or not the caller was revoked since.
    #[must_use]
    pub fn admits_of_anybody(&self, snapshot: &Snapshot) -> bool {
        let is_same = |(index, epoch): &(usize, u64)| {
            self.slots[*index].epoch.load(Ordering::SeqCst) == *epoch
        };
        #[cfg(test)]
        let is_same = |slot: &(usize, u64)| self.lacks(Safeguard::EpochAtEnd) || is_same(slot);
        self.is_open(snapshot) && snapshot.slots.iter().all(is_same)
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
        if let Some(standing) = self.callers.forget(&caller) {
            standing.is_revoked.store(true, Ordering::SeqCst);
        }
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
        #[cfg(test)]
        if self.lacks(Safeguard::InFlightBar) {
            return true;
        }
        let is_open = |(index, _): &(usize, u64)| {
            let closed = self.slots[*index].closed.load(Ordering::SeqCst);
            closed == 0
        };
        snapshot.slots.iter().all(is_open)
    }

    fn move_on(&self, slots: &[usize]) {
        for index in slots {
            self.slots[*index].epoch.fetch_add(1, Ordering::SeqCst);
        }
    }

    // Last of all, so that whoever finds it open finds the new epoch too.
    fn open(&self, slots: &[usize]) {
        for index in slots {
            self.slots[*index].closed.fetch_sub(1, Ordering::SeqCst);
        }
    }

    // Opens when upstream can no longer apply what nobody knows the outcome of.
    fn open_after_grace(self: &Arc<Self>, slots: Vec<usize>) {
        // Where nothing runs any more, nobody is left to open for.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let over = sleep(self.grace);
        let epochs = Arc::clone(self);
        // None of the tasks that are waited for at the end, which would come no sooner than the grace.
        runtime.spawn(async move {
            over.await;
            #[cfg(test)]
            if epochs.lacks(Safeguard::JoinsWithinAGrace) {
                return epochs.open(&slots);
            }
            epochs.move_on(&slots);
            epochs.open(&slots);
        });
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

// === impl Standing ===

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Standing {}

impl Hash for Standing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

// === impl Flight ===

impl Flight {
    /// Opens what the change touched, as its outcome allows.
    pub fn land(mut self, outcome: Outcome) {
        self.open(outcome);
    }

    fn open(&mut self, outcome: Outcome) {
        let slots = std::mem::take(&mut self.slots);
        if slots.is_empty() {
            return;
        }
        #[cfg(test)]
        let outcome = match outcome {
            Outcome::Unknown if self.epochs.lacks(Safeguard::Grace) => Outcome::Applied,
            outcome => outcome,
        };
        match outcome {
            Outcome::Rejected | Outcome::NotSent => self.epochs.open(&slots),
            Outcome::Applied | Outcome::Partial => {
                self.epochs.move_on(&slots);
                self.epochs.open(&slots);
            }
            Outcome::Unknown => {
                self.epochs.move_on(&slots);
                self.epochs.open_after_grace(slots);
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.open(Outcome::Unknown);
    }
}

#[cfg(test)]
mod tests;
