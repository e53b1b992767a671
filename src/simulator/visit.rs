//! One request at its endpoint: the world, who asks, and what they sent.
//!
//! **Guarantee**: an endpoint reads a request through here alone, so that numbers, parameters and
//! bodies are refused everywhere with the same words. As tolerant as upstream: a body is read
//! whatever its `Content-Type` says, a key that stands twice counts as its last value, unknown keys
//! are ignored.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Reply;
use super::log::Received;
use super::refusal::Refusal;
use super::world::World;
use crate::domain::ids::UserId;

/// What an endpoint comes to.
pub(super) type Outcome = Result<Reply, Refusal>;

/// See the [module](self).
pub(super) struct Visit<'a> {
    pub(super) world: &'a mut World,
    pub(super) caller: UserId,
    pub(super) request: &'a Received,
}

// === impl Visit ===

impl Visit<'_> {
    /// A query parameter, the first if it stands twice, and none if it is empty.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.request.query().as_bytes())
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    }

    /// The body, whatever JSON it is.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.request.body).map_err(|_| Refusal::InvalidJson)
    }

    /// The body as an object of the expected form.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // By way of a `Value`: derived code refuses a key that stands twice, upstream does not.
        serde_json::from_value(self.json()?).map_err(|_| Refusal::InvalidJson)
    }
}

/// An id as it stands in a path or a query.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|_| Refusal::InvalidNumber(text.to_owned()))
}

/// A list of ids with commas between them, as it stands in a query.
pub(super) fn numbers<T: FromStr>(text: &str) -> Result<Vec<T>, Refusal> {
    text.split(',').map(|one| number(one.trim())).collect()
}
