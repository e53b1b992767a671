//! Who runs a command that changes the trail.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::domain::own::Operator;

/// The user that this process runs as, who asked for `command`.
pub(super) fn operator(command: String) -> Operator {
    Operator {
        name: name(),
        by: "CLI",
        asked: command,
    }
}

// By whom the system says that it is: a variable such as `USER` says what somebody wants.
fn name() -> Option<String> {
    let uid = fs::metadata("/proc/self").ok()?.uid();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(named(&users, uid).map_or_else(|| format!("uid {uid}"), str::to_owned))
}

// `name:password:uid:…`
fn named(users: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_the_systems_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(named(users, 1000), Some("ann"));
        assert_eq!(named(users, 0), Some("root"));
        assert_eq!(named(users, 100), None);
        assert!(operator("audit prune".into()).name.is_some());
    }
}
