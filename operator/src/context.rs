//! What all reconcilers share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{DataPlane, ModuleModel, Tenant};
use futures::FutureExt as _;
use kube::{
    Client, Resource,
    core::DeserializeGuard,
    runtime::{events::Recorder, reflector::Store},
};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff, config::Config, data_plane::Memory, metrics::Metrics, plane::Plane,
    waiting::Waiting,
};

/// Connecting takes a second or two; Connect may be slow to answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A resource as watched: one that cannot be read is an error of its own, and stops nobody else's watch.
pub type Guarded<K> = DeserializeGuard<K>;

/// Everything that is the same for all reconciles.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// How we were started.
    pub config: Config,
    /// The data plane, once it is connected.
    pub plane: watch::Sender<Option<Arc<Plane>>>,
    /// Failures in a row, by object.
    pub backoff: Backoff,
    /// Counters.
    pub metrics: Metrics,
    /// Events.
    pub recorder: Recorder,
    /// Every ModuleModel of ours.
    pub models: Store<Guarded<ModuleModel>>,
    /// Every Tenant of ours.
    pub tenants: Store<Guarded<Tenant>>,
    /// Every DataPlane of ours.
    pub data_planes: Store<Guarded<DataPlane>>,
    /// ModuleModels that wait for another one.
    pub waiting: Waiting,
    /// What the DataPlane's reconciler remembers from one look to the next.
    pub memory: Mutex<Memory>,
    /// HTTP to ClickHouse and Connect.
    pub http: reqwest::Client,
    /// When the operator began to watch.
    pub started: Instant,
    /// Cancelled when a newer operator has taken over.
    pub superseded: CancellationToken,
}

impl Context {
    /// The connected data plane, or none.
    pub fn connected(&self) -> Option<Arc<Plane>> {
        self.plane.borrow().clone()
    }

    /// Whether the data plane is not connected because we have only just started: what statuses say is left alone
    /// for that long, so that a restart of the operator shows in none of them.
    pub fn is_starting(&self) -> bool {
        self.connected().is_none() && self.started.elapsed() < START_PATIENCE
    }
}

/// The uids of every object in a store; none until the watch has listed them all once.
pub fn uids<K>(store: &Store<Guarded<K>>) -> Option<std::collections::HashSet<String>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match store.wait_until_ready().now_or_never() {
        Some(Ok(())) => Some(
            store
                .state()
                .iter()
                .filter_map(|object| object.meta().uid.clone())
                .collect(),
        ),
        _ => None,
    }
}
