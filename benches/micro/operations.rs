//! What a request and an event are made of, each by itself.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tollgate::cache::entry::Entry;
use tollgate::cache::epochs::{Epochs, Snapshot};
use tollgate::cache::key::CacheKey;
use tollgate::cache::lists::Lists;
use tollgate::domain::action::Outcome;
use tollgate::domain::diff::{Change, diff};
use tollgate::domain::endpoint::{Endpoint, List, Touches, classify};
use tollgate::domain::event::Draft;
use tollgate::domain::group::Group;
use tollgate::domain::ids::OrganizationId;
use tollgate::domain::row::{GENESIS, Link, Row};

#[path = "../support/events.rs"]
mod events;
#[path = "../support/lists.rs"]
mod lists;

pub(crate) use self::lists::{credential, fingerprint};

const ORGANIZATION: OrganizationId = OrganizationId(4123);

/// The path of a list, and the path of a change.
pub(crate) const PATHS: [&str; 2] = [
    "/api/v9/organizations/4123/groups",
    "/api/v9/workspaces/3000001/time_entries/17",
];

/// What a path asks for.
pub(crate) fn classified(path: &str) -> Endpoint {
    let method = if path.ends_with("groups") {
        Method::GET
    } else {
        Method::PUT
    };
    classify(&method, [], path).expect("a plain path")
}

/// The path; the table of operations is built by the first look into it.
pub(crate) fn known(path: &str) -> &str {
    classified(path);
    path
}

/// A cache of so many lists, and the key of one of them.
pub(crate) fn lists(count: u64) -> (Lists, CacheKey) {
    let caller = fingerprint(&credential());
    (lists::kept(caller, count), lists::key(caller, count / 2))
}

/// The list under the key.
pub(crate) fn found((lists, key): &(Lists, CacheKey)) -> Arc<Entry> {
    lists.get(key).expect("it is kept")
}

/// The state of all that a list depends on.
pub(crate) fn epochs() -> (Arc<Epochs>, Snapshot) {
    let epochs = Epochs::with_grace(Duration::ZERO);
    let caller = fingerprint(&credential());
    let snapshot = epochs.snapshot(List::Organization(ORGANIZATION), caller);
    (epochs, snapshot.expect("nothing is closed"))
}

/// Whether a list may still be given out.
pub(crate) fn admitted((epochs, snapshot): &(Arc<Epochs>, Snapshot)) -> bool {
    epochs.admits(snapshot)
}

/// A change in an organization closes what it touches, and moves it on.
pub(crate) fn changed((epochs, _): &(Arc<Epochs>, Snapshot)) {
    let touched = Touches::Organization(ORGANIZATION, None);
    epochs.close(touched).land(Outcome::Applied);
}

/// A group of ten before and after a change.
pub(crate) fn groups() -> (Group, Group) {
    (events::group(1), events::group(2))
}

/// What became of the group.
pub(crate) fn difference((before, after): &(Group, Group)) -> Vec<Change> {
    diff(Some(before), Some(after))
}

/// A change of a group, with bodies and a before and after.
pub(crate) fn event() -> Draft {
    events::group_change(10, jiff::Timestamp::UNIX_EPOCH)
}

/// The event in columns.
pub(crate) fn row(event: &Draft) -> Row {
    Row::of(event)
}

/// The row's place in the chain.
pub(crate) fn link(row: &Row) -> Link {
    Link::new(1, GENESIS, row, &[7; 16])
}
