//! What the tests are written with.
//!
//! [`Gateway`] is one gateway with a folder, a database, a key and ports of its own; [`Client`] is one
//! person's tool, over real HTTP; [`eventually`] is the one place that waits by looking again.

mod certificate;
mod client;
mod gateway;
mod log;
pub(crate) mod process;
mod wire;

use std::time::Duration;

use serde_json::Value;
use tollgate::domain::ids::{GroupId, OrganizationId, WorkspaceId};
use tollgate::simulator::{Options, Toggl};

pub(crate) use certificate::{Made, TLS_CERT, TLS_KEY};
pub(crate) use client::{Ask, Client, Reply, trusting};
pub(crate) use gateway::{Builder, Gateway, basic};
pub(crate) use wire::{RawUpstream, Wire, values};

/// The organization of the simulator's company, and its two workspaces.
pub(crate) const ORG: OrganizationId = OrganizationId(4123);
pub(crate) const STUDIO: WorkspaceId = WorkspaceId(51001);
pub(crate) const CARE: WorkspaceId = WorkspaceId(51002);

/// Groups of it. Ann and Cleo are in the first, Bob and Dan in the second.
pub(crate) const DESIGN: GroupId = GroupId(9001);
pub(crate) const ENGINEERING: GroupId = GroupId(9002);

/// Long enough for a machine with a lot to do; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The simulator as it comes.
pub(crate) async fn toggl() -> Toggl {
    simulate(|_| {}).await
}

/// The simulator with other options.
pub(crate) async fn simulate(set: impl FnOnce(&mut Options)) -> Toggl {
    let mut options = Options::default();
    set(&mut options);
    Toggl::start(options).await.expect("a free port")
}

/// `/api/v9/organizations/4123/groups`
pub(crate) fn groups(organization: OrganizationId) -> String {
    format!("/api/v9/organizations/{organization}/groups")
}

/// `/api/v9/organizations/4123/groups/9001`
pub(crate) fn group(organization: OrganizationId, group: GroupId) -> String {
    format!("/api/v9/organizations/{organization}/groups/{group}")
}

/// `/api/v9/organizations/4123/workspaces/51001/groups`
pub(crate) fn workspace_groups(organization: OrganizationId, workspace: WorkspaceId) -> String {
    format!("/api/v9/organizations/{organization}/workspaces/{workspace}/groups")
}

/// `/api/v9/workspaces/51001/project_groups`
pub(crate) fn project_groups(workspace: WorkspaceId) -> String {
    format!("/api/v9/workspaces/{workspace}/project_groups")
}

/// `/api/v9/workspaces/51001/groups`, the deprecated list.
pub(crate) fn old_groups(workspace: WorkspaceId) -> String {
    format!("/api/v9/workspaces/{workspace}/groups")
}

/// The names in a list of groups.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    let groups = list.as_array().expect("a list");
    let names = groups.iter().map(|group| group["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

/// Looks until there is something to see, and gives it back.
///
/// For what nobody announces. Where somebody does (a `Hold`, the simulator's log), wait for that.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let looking = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(seen) => seen,
            Err(_) => panic!("{caller}: waited in vain until {what}"),
        }
    }
}

/// Waits for something that is bound to happen, and fails the test if it does not.
#[track_caller]
pub(crate) fn soon<T>(what: &str, happens: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, happens).await {
            Ok(seen) => seen,
            Err(_) => panic!("{caller}: waited in vain until {what}"),
        }
    }
}
