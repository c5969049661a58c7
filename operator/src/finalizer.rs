//! Our finalizer on a resource: added before the first thing is done for it, removed when that has been withdrawn.

use std::time::Duration;

use crds::FINALIZER;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// How long a deletion waits for a database that does not answer. Then the resource goes, so that its namespace can
/// end, and the periodic look for absent resources withdraws what it published.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(30);

use crate::error::Error;

/// Whether the deletion of this resource has waited longer than [`WITHDRAW_PATIENCE`].
pub fn has_waited(resource: &impl Resource) -> bool {
    let deleted_at = resource.meta().deletion_timestamp.as_ref();
    deleted_at.is_some_and(|at| {
        let since = chrono::Utc::now().timestamp() - at.0.as_second();
        since > i64::try_from(WITHDRAW_PATIENCE.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Adds it unless it is there. Fails when the resource changed meanwhile; the next reconcile sees the change.
pub async fn add<K>(api: &Api<K>, resource: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    if resource.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(());
    }
    let mut finalizers = resource.finalizers().to_vec();
    finalizers.push(FINALIZER.into());
    replace(api, resource, finalizers).await
}

/// Removes it if it is there.
pub async fn remove<K>(api: &Api<K>, resource: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    if !resource.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(());
    }
    let finalizers = resource
        .finalizers()
        .iter()
        .filter(|f| *f != FINALIZER)
        .cloned()
        .collect();
    replace(api, resource, finalizers).await
}

async fn replace<K>(api: &Api<K>, resource: &K, finalizers: Vec<String>) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    // The version makes it a compare-and-swap: another controller's finalizer is never lost.
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": resource.resource_version()}});
    match api
        .patch(
            &resource.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kubernetes("a finalizer")(error)),
    }
}
