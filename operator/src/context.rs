//! What all reconcilers share.

use std::{sync::Arc, time::Duration};

use crds::{DataPlane, ModuleModel, Tenant};
use futures::FutureExt as _;
use kube::{
    Client, Resource,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff, config::Config, lease::Leadership, metrics::Metrics, planes::Planes,
    waiting::Waiting,
};

/// Connecting takes a second or two; Connect may be slow to answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A resource as watched: one that cannot be read is an error of its own, and stops nobody else's watch.
pub type Guarded<K> = DeserializeGuard<K>;

/// Everything that is the same for all reconciles.
pub struct Context {
    /// The API server; writes pass only while this operator works.
    pub client: Client,
    /// How we were started.
    pub config: Config,
    /// The data planes, connected or not.
    pub planes: Planes,
    /// Failures in a row, by object.
    pub backoff: Backoff,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Every ModuleModel of ours.
    pub models: Store<Guarded<ModuleModel>>,
    /// Every Tenant of ours.
    pub tenants: Store<Guarded<Tenant>>,
    /// Every DataPlane of ours.
    pub data_planes: Store<Guarded<DataPlane>>,
    /// ModuleModels that wait for another one.
    pub waiting: Waiting,
    /// HTTP to ClickHouse and Connect.
    pub http: reqwest::Client,
    /// Whether this operator works, and since when.
    pub leadership: Arc<Leadership>,
    /// Cancelled when a newer operator has taken over.
    pub superseded: CancellationToken,
}

impl Context {
    /// Whether the first moments are over, in which everything is looked at for the first time.
    pub fn has_started(&self) -> bool {
        let since = self.leadership.since();
        since.is_some_and(|since| since.elapsed() >= START_PATIENCE)
    }

    /// Whether a data plane is not connected because we have only just started: what statuses say is left alone for
    /// that long, so that a restart of the operator shows in none of them.
    pub fn is_starting(&self, plane: &str) -> bool {
        !self.has_started()
            && self.connected(plane).is_none()
            && (!is_listed(&self.data_planes)
                || self
                    .data_planes
                    .get(&ObjectRef::<Guarded<DataPlane>>::new(plane))
                    .is_some())
    }
}

/// Whether the watch has listed everything once.
pub fn is_listed<K>(store: &Store<Guarded<K>>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// The uids of every object in a store; none until the watch has listed them all once.
pub fn uids<K>(store: &Store<Guarded<K>>) -> Option<std::collections::HashSet<String>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    is_listed(store).then(|| {
        let state = store.state();
        let uids = state.iter().filter_map(|object| object.meta().uid.clone());
        uids.collect()
    })
}
