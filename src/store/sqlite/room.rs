//! How much room the database takes, and how much is left for it.

use std::io;
use std::path::Path;

use rustix::fs::statvfs;

use super::SqliteStore;

/// See the [module](self); in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The database, with the log that is not folded into it yet.
    pub database: u64,
    /// What this user may still fill of the file system.
    pub free: u64,
    /// The file system.
    pub size: u64,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// As the system says at this moment; asks the file system, and nobody waits for a writer.
    ///
    /// # Errors
    ///
    /// When the file or its directory cannot be looked at.
    pub fn room(&self) -> io::Result<Room> {
        Room::of(self.place.path())
    }
}

// === impl Room ===

impl Room {
    /// Whether less than a tenth is left: time to do something about it.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.free < self.size / 10
    }

    fn of(database: &Path) -> io::Result<Self> {
        let file_system = statvfs(database)?;
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        // There is none when all of it has been folded in.
        let log = std::fs::metadata(log).map_or(0, |log| log.len());
        Ok(Self {
            database: std::fs::metadata(database)?.len() + log,
            free: file_system.f_bavail * file_system.f_frsize,
            size: file_system.f_blocks * file_system.f_frsize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_count_and_there_is_less_left_than_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert!(Room::of(&database).is_err(), "it is not there");
        std::fs::write(&database, [0; 100]).unwrap();
        std::fs::write(folder.path().join("a.db-wal"), [0; 11]).unwrap();
        let room = Room::of(&database).unwrap();
        assert_eq!(room.database, 111);
        assert!(room.free <= room.size && room.size > 0);
    }
}
