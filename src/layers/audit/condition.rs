//! `If-Match` on a change of a group (RFC 9110 §13.1.1, CONTRACT §3).
//!
//! **Guarantee**: the change is sent only while the list that its maker saw, by the `ETag` that they were
//! given for it, is still what upstream shows them. That is asked of upstream and not of the cache,
//! because somebody may have changed it elsewhere. Where it cannot be asked, nothing is sent either.

use http::HeaderMap;
use http::header::{HeaderValue, IF_MATCH};
use tower::Service;

use super::Answer;
use super::facts::Facts;
use super::lists::Lists;
use crate::cache::entry::uncoded;
use crate::cache::tags::Asked;
use crate::domain::endpoint::{Change, List};
use crate::error::ProxyError;
use crate::layers::Call;

// Who names more has looked at none of them: each costs a request, and others wait meanwhile.
const MOST_LISTS: usize = 4;

/// The tags of which one must still hold.
#[derive(Debug)]
pub(super) struct Condition(Vec<HeaderValue>);

// === impl Condition ===

impl Condition {
    /// Takes the condition off a change of a group: it is ours to check, and nothing that upstream knows.
    pub(super) fn take(change: &Change, headers: &mut HeaderMap) -> Option<Self> {
        if !change.action.is_of_a_group() || !headers.contains_key(IF_MATCH) {
            return None;
        }
        let values = headers.get_all(IF_MATCH).iter();
        let tags: Vec<_> = values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|tag| tag.trim_ascii())
            .filter(|tag| !tag.is_empty())
            .filter_map(|tag| HeaderValue::from_bytes(tag).ok())
            .map(|tag| uncoded(&tag))
            .collect();
        headers.remove(IF_MATCH);
        // `*` asks that there is something at all, which upstream says itself.
        (!tags.iter().any(|tag| tag == "*")).then_some(Self(tags))
    }

    /// Whether the list is as it was.
    pub(super) async fn check<S>(
        &self,
        lists: &Lists<'_, S>,
        facts: &Facts,
    ) -> Result<(), ProxyError>
    where
        S: Service<Call, Response = Answer, Error = ProxyError, Future: Send> + Clone + Send + Sync,
    {
        let Some(caller) = lists.caller else {
            return Err(ProxyError::ChangedSince(
                "without a credential there is no list that could match",
            ));
        };
        // By the list that they were given out for: each is asked for once, however many tags it has.
        let mut held: Vec<(Asked, Vec<&HeaderValue>)> = Vec::new();
        for tag in &self.0 {
            let known = lists.recorder.tags.list_of(caller.fingerprint, tag);
            // After a restart: the list that most people read.
            let whole = facts.organization.map(|id| (List::Organization(id), None));
            let Some(list) = known.or(whole) else {
                continue;
            };
            match held.iter_mut().find(|(of, _)| *of == list) {
                Some((_, tags)) => tags.push(tag),
                None => held.push((list, vec![tag])),
            }
        }
        let mut asked = false;
        for ((list, query), tags) in held.iter().take(MOST_LISTS) {
            match lists.tag(*list, query.as_deref()).await {
                Some(current) if tags.contains(&&current) => return Ok(()),
                Some(_) => asked = true,
                None => {}
            }
        }
        Err(ProxyError::ChangedSince(if asked {
            "the list has changed since it was read"
        } else {
            "the list could not be asked for, so nobody knows whether it has changed since it was read"
        }))
    }
}
