//! Who asks for what, as the intent has it and the event keeps it.

use http::StatusCode;
use http::header::USER_AGENT;

use super::Recorder;
use super::change::Recorded;
use super::told::Told;
use crate::domain::action::Outcome;
use crate::domain::caller::Caller;
use crate::domain::endpoint::Change;
use crate::domain::event::{Actor, Flag, Intent, RequestRecord, Source, Target};
use crate::domain::ids::EventId;
use crate::domain::redact;
use crate::layers::Call;
use crate::layers::classify::METHOD_OVERRIDES;

// Longer than any that a browser sends.
const LONGEST_AGENT: usize = 512;

// What the request itself tells; who is behind it and what it touches is asked for afterwards.
pub(super) fn intent(recorder: &Recorder, call: &Call, change: &Change, body: &Recorded) -> Intent {
    let origin = &call.origin;
    let headers = call.request.headers();
    let uri = call.request.uri();
    let (sent, method) = (call.request.method(), named_method(call));
    let agent = headers
        .get(USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    let flags = [
        body.whole.is_none().then_some(Flag::BodyTooLarge),
        (method != sent.as_str()).then_some(Flag::MethodOverride),
    ];
    Intent {
        id: EventId::new(),
        occurred_at: origin.received_at,
        action: change.action,
        actor: Actor {
            credential_id: call
                .caller
                .as_ref()
                .map(|caller| caller.fingerprint.to_string()),
            tool: origin.tool.as_ref().map(ToString::to_string),
            on_behalf_of: origin.on_behalf_of.clone(),
            ..Actor::default()
        },
        source: Source {
            ip: Some(origin.client.to_string()),
            user_agent: agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect()),
            request_id: Some(origin.request_id.to_string()),
        },
        target: Target::default(),
        request: RequestRecord {
            method,
            path: redact::path(&recorder.key, sent, uri.path()).into_owned(),
            query: uri.query().map(|query| redact::query(&recorder.key, query)),
            body: None,
            body_digest: body.whole.is_some().then(|| body.digest()),
        },
        touches: change.touches,
        flags: flags.into_iter().flatten().collect(),
    }
}

// The method that counts: the one that a header names, if any does (see `classify`).
fn named_method(call: &Call) -> String {
    let headers = call.request.headers();
    let named = METHOD_OVERRIDES
        .iter()
        .find_map(|name| headers.get(name)?.to_str().ok());
    let named = named.map(|named| named.trim().to_ascii_uppercase());
    named.unwrap_or_else(|| call.request.method().to_string())
}

// Who it was, in the light of upstream's answer.
pub(super) fn settle_actor(recorder: &Recorder, caller: &Caller, told: &Told, actor: &mut Actor) {
    let is = |status| told.status == Some(status);
    // With a 403 upstream refuses a credential, or a person: only `/me` tells which. A 401 is clear. What
    // was answered by nobody may have been done all the same, and then by somebody.
    if told.outcome() != Outcome::NotSent && !is(StatusCode::UNAUTHORIZED) {
        recorder.people.look_up(caller);
    }
    // An address in a credential that upstream did not take is what anybody may claim.
    let refused = is(StatusCode::UNAUTHORIZED) || is(StatusCode::FORBIDDEN);
    if refused && actor.user_id.is_none() {
        actor.email = None;
    }
}
