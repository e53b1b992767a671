//! Tells an intent that a crash left behind from one of another process that lives.
//!
//! Every process that writes holds a lock beside the database for as long as it runs. Who gets it for
//! itself alone is the only one there: then the intents in the database have nobody who will finish
//! them. A second gateway, say one that takes over while the first one drains, shares the lock and
//! leaves them.
//!
//! The lock is on a file of its own. SQLite's locks on the database would go with the first handle
//! that this process closes.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::open::cannot;
use crate::store::StoreError;

/// A mark that this process works on the database; gone when the process is.
#[derive(Debug)]
pub(super) struct Presence {
    _lock: Option<File>,
    /// Whether no other process was there: then what intents there are were left behind by a crash.
    pub(super) alone: bool,
}

// === impl Presence ===

impl Presence {
    /// Marks the database at `path` as worked on.
    pub(super) fn at(path: &Path) -> Result<Self, StoreError> {
        let mut name = path.as_os_str().to_owned();
        name.push("-lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(PathBuf::from(&name))
            .map_err(|error| cannot("open", Path::new(&name), &error))?;
        let alone = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            // A file system without locks: whoever puts two gateways on one of those was warned.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "Could not lock {}", path.display());
                return Ok(Self {
                    _lock: None,
                    alone: true,
                });
            }
        };
        if !alone {
            file.try_lock_shared().map_err(|_| {
                StoreError::Unusable(format!(
                    "{} is being opened by another process at this moment: try again",
                    path.display()
                ))
            })?;
        }
        Ok(Self {
            _lock: Some(file),
            alone,
        })
    }

    /// Lets others in, when what was left behind has been taken care of.
    pub(super) fn share(&self) {
        if let Some(file) = &self._lock
            && let Err(error) = file.unlock().and_then(|()| file.lock_shared())
        {
            tracing::warn!(%error, "Could not share the audit database's lock");
        }
    }
}
