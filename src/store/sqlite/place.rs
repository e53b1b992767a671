//! Whether the database is still the file that was opened.
//!
//! A file that somebody deleted or replaced can be written for as long as it is open, and all that was recorded would be
//! gone with the process. So nothing is recorded from the moment at which that is [noticed](Place::look), until the
//! first file is back in its place. To look costs one question to the file system, and no wait for the disk.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::open;
use crate::live::Live;
use crate::store::StoreError;

/// See the [module](self). Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    // Device and number of the file: another one of the same name may take its place.
    file: (u64, u64),
    trouble: Live<Option<StoreError>>,
}

// === impl Place ===

impl Place {
    /// Of the file that is there now.
    pub(super) async fn of(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.to_owned(),
            file: identity(path).await?,
            trouble: None.into(),
        })
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether it is there.
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let seen = match identity(&self.path).await {
            Ok(file) if file == self.file => Ok(()),
            Ok(_) => Err(StoreError::Replaced(self.path.display().to_string())),
            Err(error) => Err(error),
        };
        self.trouble.replace(seen.clone().err());
        seen
    }

    /// What was seen last.
    pub(super) fn seen(&self) -> Result<(), StoreError> {
        self.trouble.read().as_ref().clone().map_or(Ok(()), Err)
    }
}

async fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    match tokio::fs::metadata(path).await {
        Ok(file) => Ok((file.dev(), file.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StoreError::Missing(path.display().to_string()))
        }
        Err(error) => Err(open::cannot("look at", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_gone_or_replaced_is_seen_and_so_is_its_return() {
        let folder = tempfile::tempdir().unwrap();
        let [path, aside] = ["a.db", "aside"].map(|name| folder.path().join(name));
        fs::write(&path, "").unwrap();
        let place = Place::of(&path).await.unwrap();
        place.look().await.unwrap();
        fs::rename(&path, &aside).unwrap();
        place.seen().unwrap();
        let gone = place.look().await.unwrap_err();
        assert!(matches!(gone, StoreError::Missing(_)), "{gone}");
        fs::write(&path, "").unwrap();
        let other = place.look().await.unwrap_err();
        assert!(matches!(other, StoreError::Replaced(_)), "{other}");
        assert!(place.clone().seen().is_err());
        fs::rename(&aside, &path).unwrap();
        place.look().await.unwrap();
        place.seen().unwrap();
    }
}
