//! What kind of file system a database would be on.
//!
//! **Guarantee**: a network's is refused, before a file is made there. SQLite's write-ahead log takes memory that all who
//! use the database share, which two machines do not, and their locks are promises that such file systems are known to
//! break: the trail would be damaged without a word. One that somebody else's program serves (FUSE, and what a virtual
//! machine gets from its host) may be either, so it is let through with a warning.

use std::path::Path;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A disk of this machine, or as good as one.
    Local,
    /// Another machine's, by this name.
    Network(&'static str),
    /// Nobody knows whose, by this name.
    Served(&'static str),
}

/// Why a database cannot be where it is to be.
#[derive(Debug, thiserror::Error)]
#[error(
    "is on a network file system ({0}), where SQLite's locks and its write-ahead log are not safe: put it on a disk of this \
     machine"
)]
pub struct OnNetwork(&'static str);

/// Whether a database may be at `path`, whether or not it is there yet. Gives the name of a file system that may be a
/// network's.
///
/// # Errors
///
/// That it may not.
pub fn suits(path: &Path) -> Result<Option<&'static str>, OnNetwork> {
    match kind_at(path) {
        Kind::Local => Ok(None),
        Kind::Served(name) => Ok(Some(name)),
        Kind::Network(name) => Err(OnNetwork(name)),
    }
}

// Of the file, or of the folder where it would be; what cannot be asked is told by whoever opens it.
fn kind_at(path: &Path) -> Kind {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let places = [path, folder.unwrap_or(Path::new("."))];
    let found = places.into_iter().find_map(magic);
    found.map_or(Kind::Local, kind_of)
}

#[cfg(target_os = "linux")]
fn magic(path: &Path) -> Option<u32> {
    let file_system = rustix::fs::statfs(path).ok()?;
    // Wider or signed on some machines; the number is of 32 bits on each.
    Some(file_system.f_type as u32)
}

// Elsewhere the number says something else.
#[cfg(not(target_os = "linux"))]
fn magic(_: &Path) -> Option<u32> {
    None
}

// The numbers stand in `linux/magic.h` and in the sources of each; see also statfs(2).
fn kind_of(magic: u32) -> Kind {
    match magic {
        0x6969 => Kind::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Kind::Network("SMB"),
        0x564c => Kind::Network("NCP"),
        0x5346_414f | 0x6b41_4653 => Kind::Network("AFS"),
        0x7375_7245 => Kind::Network("Coda"),
        0x00c3_6400 => Kind::Network("Ceph"),
        0x0bd0_0bd0 => Kind::Network("Lustre"),
        0x6573_5546 => Kind::Served("FUSE"),
        // How a virtual machine for development sees its host's folders.
        0x0102_1997 => Kind::Served("9p"),
        0x786f_4256 => Kind::Served("vboxsf"),
        _ => Kind::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_networks_is_refused_a_served_one_doubted_and_a_disk_taken() {
        let (nfs, cifs, fuse) = (0x6969, 0xff53_4d42, 0x6573_5546);
        let (ext4, xfs, btrfs, overlay, tmpfs) =
            (0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630, 0x0102_1994);
        assert_eq!(kind_of(nfs), Kind::Network("NFS"));
        assert_eq!(kind_of(cifs), Kind::Network("SMB"));
        assert_eq!(kind_of(fuse), Kind::Served("FUSE"));
        for magic in [ext4, xfs, btrfs, overlay, tmpfs] {
            assert_eq!(kind_of(magic), Kind::Local, "{magic:x}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked_of_the_folder_where_there_is_no_file_yet() {
        // Of /proc, on every Linux.
        assert_eq!(magic(Path::new("/proc")), Some(0x9fa0));
        assert_eq!(magic(Path::new("/proc/no such file")), None);
        assert_eq!(kind_at(Path::new("/proc/no such file")), Kind::Local);
    }
}
