//! What two DataPlanes would take from each other: the older has it.

use std::collections::HashMap;

use crds::DataPlane;
use kube::ResourceExt as _;

use super::Holdings;
use crate::context::{Context, is_listed};

/// Who asks for a database, and who else is there that may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The uid of the DataPlane that asks.
    pub uid: String,
    /// Names of the other DataPlanes, by uid. A claim of one that is not among them is nobody's any more.
    pub others: HashMap<String, String>,
}

impl Context {
    /// This DataPlane's claim on its database.
    pub fn claim(&self, resource: &DataPlane) -> Claim {
        let uid = resource.uid().unwrap_or_default();
        let others = self.data_planes.state().into_iter().filter_map(|other| {
            let name = other.name_any();
            other.uid().map(|uid| (uid, name))
        });
        let mut others: HashMap<_, _> = others.collect();
        others.remove(&uid);
        Claim { uid, others }
    }

    /// What of these an older DataPlane holds, and its name.
    pub fn held_by_older(
        &self,
        resource: &DataPlane,
        holdings: &Holdings,
    ) -> Option<(&'static str, String)> {
        for older in self.older(resource) {
            let Some(held) = self.planes.find(&older).and_then(|entry| entry.holdings()) else {
                continue;
            };
            if held.clickhouse == holdings.clickhouse {
                return Some(("the ClickHouse server", older));
            }
            if held.events == holdings.events {
                return Some(("the topic of change events (spec.cdc.topic)", older));
            }
        }
        None
    }

    /// An older DataPlane that was not looked at yet, soon after a start.
    pub fn older_unseen(&self, resource: &DataPlane) -> Option<String> {
        if self.has_started() || !is_listed(&self.data_planes) {
            return None;
        }
        let seen = |name: &String| self.planes.find(name).is_some_and(|e| e.was_looked_at());
        self.older(resource).into_iter().find(|name| !seen(name))
    }

    fn older(&self, resource: &DataPlane) -> Vec<String> {
        let age = |made: &kube::core::ObjectMeta| {
            let at = made.creation_timestamp.as_ref().map(|at| at.0);
            (at, made.name.clone())
        };
        let ours = age(&resource.metadata);
        let all = self.data_planes.state().into_iter();
        let older = all.filter(|other| age(kube::Resource::meta(&**other)) < ours);
        older
            .map(|other| other.name_any())
            .filter(|name| self.config.serves(name))
            .collect()
    }
}
