//! Secrets in files: those that a gateway makes for itself on its first start and keeps in a file of its
//! own, and those that somebody has put there for it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// 32 secret bytes, in hexadecimal: those in the file, or new ones, which are then in the file.
///
/// Tells whether they are new. The file is made with mode 0600.
///
/// # Errors
///
/// When the file can neither be read nor made, or holds something else.
pub fn read_or_make(path: &Path, what: &str) -> anyhow::Result<([u8; 32], bool)> {
    let about = || format!("{what} {}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => Ok((parse(&text, path, what)?, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).context("the system gives no random bytes")?;
            make(path, &hex::encode(secret))
                .with_context(|| format!("{} cannot be made", about()))?;
            Ok((secret, true))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", about())),
    }
}

/// The 32 secret bytes in the file, for whoever must not make new ones.
///
/// # Errors
///
/// When the file cannot be read, or holds something else.
pub fn read(path: &Path, what: &str) -> anyhow::Result<[u8; 32]> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{what} {} cannot be read", path.display()))?;
    parse(&text, path, what)
}

fn parse(text: &str, path: &Path, what: &str) -> anyhow::Result<[u8; 32]> {
    let about = || format!("{what} {}", path.display());
    let secret: Option<[u8; 32]> = hex::decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let secret = secret.with_context(|| {
        format!(
            "{} does not hold 64 hexadecimal digits; restore it, or move it away to have a new one made",
            about()
        )
    })?;
    warn_if_shared(path, what).with_context(about)?;
    Ok(secret)
}

/// The one line in a file that somebody has put there, without its end.
///
/// # Errors
///
/// When the file cannot be read, or holds less or more. What it holds is not told.
pub fn read_line(path: &Path, what: &str) -> anyhow::Result<String> {
    let about = || format!("{what} {}", path.display());
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", about()))?;
    let line = text.trim();
    if line.is_empty() || line.contains(char::is_control) {
        anyhow::bail!("{} does not hold one line with the secret", about());
    }
    Ok(line.to_owned())
}

/// Warns if a file with a secret can be read by others than its owner.
///
/// # Errors
///
/// When the system does not tell.
pub fn warn_if_shared(path: &Path, what: &str) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            "{what} {} can be read by others: chmod 600 it",
            path.display()
        );
    }
    Ok(())
}

fn make(path: &Path, text: &str) -> io::Result<()> {
    // Never in place of one that another process made meanwhile.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.key");
        let (secret, new) = read_or_make(&path, "the key file").unwrap();
        assert!(new);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            read_or_make(&path, "the key file").unwrap(),
            (secret, false)
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.key");
        fs::write(&path, "not a key").unwrap();
        let error = read_or_make(&path, "the key file").unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
        let nowhere = folder.path().join("missing/tollgate.key");
        assert!(read_or_make(&nowhere, "the key file").is_err());
        assert!(read(&path, "the key file").is_err());
        let missing = folder.path().join("other.key");
        assert!(read(&missing, "the key file").is_err());
        assert!(!missing.exists(), "a reader makes none");
    }
}
