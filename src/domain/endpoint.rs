//! placeholder
use serde::{Deserialize, Serialize};

use super::ids::{OrganizationId, WorkspaceId};

/// Whose lists a change may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Touches {
    /// Nobody's.
    Nothing,
    /// A workspace's, and those of the organization it belongs to.
    Workspace(WorkspaceId),
    /// An organization's and all that hangs on it; the workspace, where the path names one too.
    Organization(OrganizationId, Option<WorkspaceId>),
    /// Everybody's: the path does not say.
    Everything,
}
