//! A handle on a running simulator.
//!
//! **Guarantee**: when [`Toggl::start`] returns, the port is open; when [`Toggl::stop`] returns, it
//! and every connection is closed. The last handle that is dropped stops it too. What it says about
//! the world is what a client would be told at that moment; what it alters is altered behind the
//! back of everything in front of it, and is not in [`Toggl::applied`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Options;
use super::faults::{Match, Next};
use super::log::{Applied, Log, Received};
use super::server;
use super::state::Shared;
use super::world::{Group, Person, World};
use crate::domain::ids::{GroupId, OrganizationId, UserId};

/// A running simulator. Cloning gives another handle on the same one; the last that is dropped stops
/// it.
#[derive(Clone, Debug)]
pub struct Toggl {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    addr: SocketAddr,
    running: Mutex<Option<Running>>,
}

/// Ends the server when it is dropped.
#[derive(Debug)]
struct Running {
    /// Never sent: the other end sees that it is gone.
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

// === impl Toggl ===

impl Toggl {
    /// Opens the port and serves.
    ///
    /// # Errors
    /// When the address cannot be bound or the seed makes no world.
    pub async fn start(options: Options) -> io::Result<Self> {
        let world = options.seed.world(options.clock.clone());
        let world = world.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options, world));
        let running = Mutex::new(Some(Running::start(listener, &shared)));
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                addr,
                running,
            }),
        })
    }

    /// Closes the port and every connection; what waits in a [`Hold`](super::Hold) is not applied.
    pub async fn stop(&self) {
        let running = self.running().take();
        if let Some(Running { _stop, task }) = running {
            drop(_stop);
            if let Err(error) = task.await {
                tracing::warn!(%error, "The simulator did not end well");
            }
        }
    }

    /// Opens the same port again after a [`stop`](Self::stop), with the world as it was.
    ///
    /// # Errors
    /// When somebody else has taken the port.
    pub async fn resume(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.inner.addr).await?;
        *self.running() = Some(Running::start(listener, &self.inner.shared));
        Ok(())
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// The same as a base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.addr)
    }

    /// Everybody with an account.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        self.world(|world| world.people().cloned().collect())
    }

    /// The person of that name: `person("ann")`.
    ///
    /// # Panics
    /// When there is nobody of that name.
    #[must_use]
    #[track_caller]
    pub fn person(&self, handle: &str) -> Person {
        let mut people = self.people().into_iter();
        people
            .find(|person| person.handle == handle)
            .expect("somebody of that name is in the seed")
    }

    /// The API token of a person.
    ///
    /// # Panics
    /// When there is nobody of that name.
    #[must_use]
    #[track_caller]
    pub fn token(&self, handle: &str) -> String {
        self.person(handle).token
    }

    /// The `Authorization` of a person with their API token.
    ///
    /// # Panics
    /// When there is nobody of that name.
    #[must_use]
    #[track_caller]
    pub fn authorization(&self, handle: &str) -> String {
        let pair = format!("{}:api_token", self.token(handle));
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// The groups of an organization at this moment, sorted by name.
    #[must_use]
    pub fn groups(&self, organization: OrganizationId) -> Vec<Group> {
        self.world(|world| world.groups(organization).into_iter().cloned().collect())
    }

    /// The same as the list that an administrator would be told.
    #[must_use]
    pub fn groups_json(&self, organization: OrganizationId) -> Value {
        self.world(|world| {
            let groups = world.groups(organization).into_iter();
            groups.map(|group| world.shown(group, true)).collect()
        })
    }

    /// One group at this moment.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.world(|world| world.group(id).cloned())
    }

    /// Asks the world.
    pub fn world<T>(&self, ask: impl FnOnce(&World) -> T) -> T {
        ask(&self.inner.shared.state().world)
    }

    /// Alters the world behind everybody's back. The world is locked meanwhile, so `change` must not
    /// use a handle.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.inner.shared.state().world)
    }

    /// [Makes](World::create_group) a group.
    pub fn create_group(&self, organization: OrganizationId, name: &str) -> GroupId {
        self.change(|world| world.create_group(organization, name))
    }

    /// [Renames](World::rename_group) a group.
    pub fn rename_group(&self, id: GroupId, name: &str) {
        self.change(|world| world.rename_group(id, name));
    }

    /// [Removes](World::delete_group) a group.
    pub fn delete_group(&self, id: GroupId) {
        self.change(|world| world.delete_group(id));
    }

    /// [Puts](World::add_member) a person into a group.
    pub fn add_member(&self, id: GroupId, user: UserId) {
        self.change(|world| world.add_member(id, user));
    }

    /// [Takes](World::remove_member) a person out of a group.
    pub fn remove_member(&self, id: GroupId, user: UserId) {
        self.change(|world| world.remove_member(id, user));
    }

    /// Somebody new in an organization, with credentials of their own.
    pub fn add_person(&self, name: &str, organization: OrganizationId, admin: bool) -> Person {
        self.change(|world| {
            let email = format!(
                "{}@simulator.example",
                name.replace(' ', ".").to_lowercase()
            );
            let person = world.add_person(name, &email).clone();
            world.join(organization, person.id, admin);
            person
        })
    }

    /// Something happens to the next request that matches, and to that one alone.
    pub fn next(&self, wanted: Match) -> Next {
        Next {
            shared: Arc::clone(&self.inner.shared),
            wanted,
            lasting: false,
        }
    }

    /// Something happens to every request that matches, until [`clear_faults`](Self::clear_faults).
    pub fn every(&self, wanted: Match) -> Next {
        Next {
            shared: Arc::clone(&self.inner.shared),
            wanted,
            lasting: true,
        }
    }

    /// Nothing goes wrong from now on. What waits goes on waiting.
    pub fn clear_faults(&self) {
        self.inner.shared.state().faults.clear();
    }

    /// How many faults wait for a request; a test that queued one can see that it happened.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.inner.shared.state().faults.len()
    }

    /// How many requests came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.log(Log::received)
    }

    /// The requests that match, oldest first, of those that are remembered.
    #[must_use]
    pub fn received_matching(&self, wanted: &Match) -> Vec<Arc<Received>> {
        self.log(|log| log.matching(wanted).cloned().collect())
    }

    /// The requests that altered the world, in that order.
    #[must_use]
    pub fn applied(&self) -> Vec<Applied> {
        self.log(|log| log.applied().cloned().collect())
    }

    /// Asks the log.
    pub fn log<T>(&self, ask: impl FnOnce(&Log) -> T) -> T {
        ask(&self.inner.shared.state().log)
    }

    /// Returns when so many requests have come since the start.
    pub async fn wait_for(&self, requests: u64) {
        self.wait_until(|log| log.received() >= requests).await;
    }

    /// Returns when the log is as wanted.
    pub async fn wait_until(&self, wanted: impl Fn(&Log) -> bool) {
        let mut news = self.inner.shared.news.subscribe();
        // Subscribed before the first look: what comes in between is news.
        while !self.log(&wanted) {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Running ===

impl Running {
    fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::run(listener, Arc::clone(shared), stopped));
        Self { _stop: stop, task }
    }
}
