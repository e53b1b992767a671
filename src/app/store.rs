//! What the store tells of itself: to `/readyz` and to the metrics.

use std::sync::Arc;

use crate::admin::{Readiness, Watched};
use crate::clock::Clock;
use crate::config::{Config, OnFailure};
use crate::live::Live;
use crate::metrics::{Disk, Metrics};
use crate::store::Trail;
use crate::store::sqlite::SqliteStore;
use crate::upstream::Upstream;

/// Whether changes can be recorded, as `/readyz` has it.
pub(super) fn readiness(
    config: &Config,
    trail: Arc<dyn Trail>,
    store: &SqliteStore,
    upstream: &Upstream,
    on_failure: Live<OnFailure>,
    clock: Clock,
) -> Readiness {
    let path = config.audit.database.path();
    let file = path.file_name().unwrap_or(path.as_os_str());
    let store = store.clone();
    Readiness::new(Watched {
        trail,
        file: file.to_string_lossy().into_owned(),
        room: Box::new(move || store.room().ok()),
        on_failure,
        upstream: upstream.health(),
        clock,
    })
}

/// Has the store's own figures told with the others.
pub(super) fn sample(metrics: &Metrics, store: &SqliteStore) {
    let store = store.clone();
    metrics.sample_with(move |metrics| {
        for (organization, so_far) in store.noticed() {
            metrics.noticed(organization, so_far);
        }
        // Without its file there is nothing to tell of it, and `tollgate_ready` says so.
        if let Ok(room) = store.room() {
            metrics.disk(Disk {
                database: room.database,
                free: room.free,
                size: room.size,
            });
        }
    });
}
