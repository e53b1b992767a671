//! What both stores do alike about views: the bounds, and the facts in the words of [`drift`].
//!
//! [`drift`]: crate::domain::drift

use jiff::Timestamp;

use super::{Fact, Learned};
use crate::domain::drift::Doubt;
use crate::domain::endpoint::Touches;
use crate::domain::ids::OrganizationId;

/// Views of one organization at most; who comes then makes the one that was shown nothing for the longest
/// time begin anew. A change costs a row of each.
pub(super) const MOST_VIEWS: usize = 64;

/// Changes that left something open, at most; the oldest make room.
pub(super) const MOST_UNSETTLED: usize = 1000;

/// The time as a database keeps it, so that both stores compare alike.
pub(super) fn in_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// What an event left nobody to know.
pub(super) fn doubts(learned: &[Learned]) -> Vec<Doubt> {
    let doubt = |learned: &Learned| match &learned.fact {
        Fact::DoubtfulGroup(group) => Some(Doubt::Group(*group)),
        Fact::DoubtfulGroups(organization) => Some(Doubt::Organization(*organization)),
        _ => None,
    };
    learned.iter().filter_map(doubt).collect()
}

/// Whether a change under way may show in the lists of an organization.
pub(super) fn overlaps(touches: Touches, organization: OrganizationId) -> bool {
    match touches {
        Touches::Nothing => false,
        Touches::Organization(touched, _) => touched == organization,
        Touches::Workspace(_) | Touches::Everything => true,
    }
}

/// One line for what was found in one list.
pub(super) fn log(organization: OrganizationId, count: usize) {
    if count > 0 {
        let noun = if count == 1 { "change" } else { "changes" };
        tracing::info!(
            organization.id = %organization,
            count,
            "Noticed {count} {noun} made elsewhere in organization {organization}"
        );
    }
}
