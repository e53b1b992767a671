//! Where the day is played: a simulated Toggl, a gateway in front of it, and the tools that know the gateway alone.

use std::path::PathBuf;

use http::Method;

use super::day::ME;
use super::tool::{self, Client, Tool};
use crate::clock::Clock;
use crate::config::Address;
use crate::simulator::{Received, Toggl};

/// See the [module](self).
pub(super) struct Scene {
    pub(super) toggl: Toggl,
    pub(super) clock: Clock,
    pub(super) proxy: Address,
    /// The gateway's audit database.
    pub(super) database: PathBuf,
    client: Client,
}

// === impl Scene ===

impl Scene {
    pub(super) fn new(toggl: Toggl, clock: Clock, proxy: Address, database: PathBuf) -> Self {
        Self {
            toggl,
            clock,
            proxy,
            database,
            client: Client::default(),
        }
    }

    /// A tool that uses the API token of a person.
    pub(super) fn labelled(&self, handle: &str, label: &'static str) -> Tool {
        self.tool(handle, label, self.toggl.authorization(handle))
    }

    /// Somebody at a terminal, with address and password.
    pub(super) fn curl(&self, handle: &str) -> Tool {
        let person = self.toggl.person(handle);
        self.tool(handle, "curl", tool::basic(&person.email, &person.password))
    }

    // The label is in its base URL.
    fn tool(&self, handle: &str, label: &'static str, authorization: String) -> Tool {
        Tool {
            person: self.toggl.person(handle).name,
            label,
            base: format!("http://{}/~{label}", self.proxy),
            authorization,
            client: self.client.clone(),
        }
    }

    /// How many of the requests that came to upstream match.
    pub(super) fn calls(&self, wanted: impl Fn(&Received) -> bool) -> u64 {
        self.toggl.log(|log| {
            let matching = log.requests().filter(|request| wanted(request));
            matching.map(|_| 1).sum()
        })
    }

    /// How many reads came to upstream, those that the gateway asks by itself aside.
    pub(super) fn fetched(&self) -> u64 {
        self.calls(|request| request.method == Method::GET && request.path() != ME)
    }
}
