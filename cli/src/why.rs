//! One screen: what an object waits for, and what would help.

mod advice;
mod render;

use anyhow::{Result, anyhow, bail};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
};

use crate::cluster::{Cluster, said};

pub use render::render;

/// Events that are shown, the newest.
const EVENTS_MAX: usize = 5;

/// Explains `kind/name`.
pub async fn explain(cluster: &Cluster, object: &str) -> Result<String> {
    let (kind, name) = object
        .split_once('/')
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| anyhow!("an object is kind/name, such as mm/crm-deals or tenant/acme"))?;
    let resource = match kind.to_lowercase().as_str() {
        "mm" | "modulemodel" | "modulemodels" => ApiResource::erase::<crds::ModuleModel>(&()),
        "tn" | "tenant" | "tenants" => ApiResource::erase::<crds::Tenant>(&()),
        "dp" | "dataplane" | "dataplanes" => ApiResource::erase::<crds::DataPlane>(&()),
        _ => bail!("kind {kind} is none of mm, tenant, dataplane"),
    };
    let namespaced = resource.kind == "ModuleModel";
    let api: Api<DynamicObject> = match namespaced {
        true => Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource),
        false => Api::all_with(cluster.client.clone(), &resource),
    };
    let found = api.get_opt(name).await.map_err(said)?;
    let found = found.ok_or_else(|| match namespaced {
        true => anyhow!(
            "there is no {} {name} in namespace {}",
            resource.kind,
            cluster.namespace
        ),
        false => anyhow!("there is no {} {name}", resource.kind),
    })?;
    // Events of cluster-scoped objects are in this namespace.
    let namespace = if namespaced {
        cluster.namespace.as_str()
    } else {
        "default"
    };
    let events = events_of(cluster, namespace, &found).await;
    let found = serde_json::to_value(&found)?;
    Ok(render(&found, &resource.kind, events.as_deref()))
}

/// The newest Events, oldest first; none where they may not be read.
async fn events_of(
    cluster: &Cluster,
    namespace: &str,
    object: &DynamicObject,
) -> Option<Vec<Event>> {
    let api = Api::<Event>::namespaced(cluster.client.clone(), namespace);
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let mine = ListParams::default().fields(&format!("regarding.uid={uid}"));
    let mut events = api.list(&mine).await.ok()?.items;
    events.sort_by_key(seen_at);
    let older = events.len().saturating_sub(EVENTS_MAX);
    Some(events.split_off(older))
}

/// When it was last seen, as text that sorts.
fn seen_at(event: &Event) -> String {
    let series = event
        .series
        .as_ref()
        .map(|s| s.last_observed_time.0.to_string());
    let first = || event.event_time.as_ref().map(|t| t.0.to_string());
    series.or_else(first).unwrap_or_default()
}
