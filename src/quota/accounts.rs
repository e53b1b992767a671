//! What upstream counts together, by whose it is: held while anybody asks about it, and longer where
//! upstream told of it.
//!
//! **Guarantee**: what upstream told of a quota is not forgotten because others come, as long as it tells of
//! no more than [`MOST`](super::MOST) of them. Anybody can make up credentials, and each has a seat, which has an
//! account; but only what upstream tells puts one among the [told](Accounts::keep), and there is a place for those
//! alone.

use std::sync::Arc;

use super::seat::Account;
use super::{Table, table};
use crate::domain::caller::Fingerprint;
use crate::domain::ids::UserId;
use crate::domain::usage::Pool;
use crate::shelf::Shelf;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Accounts {
    held: Shelf<Owner, Account>,
    told: Table<Owner, Arc<Account>>,
}

/// Whose quota it is, and which.
pub(super) type Owner = (Who, Pool);

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Person(UserId),
    /// Nobody told yet who that is.
    Credential(Fingerprint),
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            held: Shelf::default(),
            told: table(),
        }
    }
}

// === impl Accounts ===

impl Accounts {
    /// The account, if anybody asks about it or upstream told of it.
    pub(super) fn get(&self, owner: &Owner) -> Option<Arc<Account>> {
        // Here first, so that the one which is asked about stays.
        self.told.get(owner).or_else(|| self.held.get(owner))
    }

    /// The account, an empty one if nothing is known.
    pub(super) fn get_or_make(&self, owner: Owner) -> Arc<Account> {
        let told = self.told.get(&owner);
        told.unwrap_or_else(|| self.held.get_or_make(owner, Account::default))
    }

    /// Keeps it whoever else comes: upstream told of it.
    pub(super) fn keep(&self, owner: Owner, account: &Arc<Account>) {
        // Each answer says so again.
        if self.told.get(&owner).is_none() {
            self.told.insert(owner, Arc::clone(account));
        }
    }

    /// It is another's, as became known; tells whether upstream told of it.
    pub(super) fn give_up(&self, owner: &Owner) -> bool {
        self.told.remove(owner).is_some()
    }

    /// Those that upstream told of.
    pub(super) fn told(&self) -> impl Iterator<Item = (Owner, Arc<Account>)> {
        // Those that made room are still there until then.
        self.told.run_pending_tasks();
        let told = self.told.iter();
        told.map(|(owner, account)| (*owner, account))
    }
}
