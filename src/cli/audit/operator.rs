//! Who runs a command that changes the trail.

use crate::domain::event::Source;
use crate::domain::own::Operator;

/// The user that this process runs as, who asked for `command`.
pub(super) fn operator(command: String) -> Operator {
    Operator {
        // By whom the system says that it is: a variable such as `USER` says what somebody wants.
        name: whoami::username().ok(),
        source: Source::default(),
        by: "CLI",
        asked: command,
    }
}
