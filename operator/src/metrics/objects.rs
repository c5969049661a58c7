//! How many objects there are, and how they are: counted from what is watched, at the moment of a scrape. An operator
//! that stands by tells the same as the one that works.

use std::fmt::Debug;

use crds::{DataPlane, ModuleModel, Tenant};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, runtime::reflector::Store};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _},
    metrics::{MetricType, family::Family, gauge::Gauge},
};

use super::{Kind, KindLabels};
use crate::context::Guarded;

/// How an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ObjectState {
    /// `Ready` is true for the spec that is there.
    Ready,
    /// Something is under way, or is tried again, or waits for something else.
    Waiting,
    /// Somebody has to change it.
    Stalled,
    /// It is being deleted.
    Deleting,
    /// This version cannot read it.
    Unreadable,
}

const STATES: [ObjectState; 5] = [
    ObjectState::Ready,
    ObjectState::Waiting,
    ObjectState::Stalled,
    ObjectState::Deleting,
    ObjectState::Unreadable,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    kind: Kind,
    state: ObjectState,
}

/// What is watched.
#[derive(Debug)]
pub struct Objects {
    /// ModuleModels.
    pub models: Store<Guarded<ModuleModel>>,
    /// Tenants.
    pub tenants: Store<Guarded<Tenant>>,
    /// DataPlanes.
    pub data_planes: Store<Guarded<DataPlane>>,
}

/// What a status says: the generation that it is about, and the conditions.
type Said<'a> = (Option<i64>, &'a [Condition]);

#[derive(Default)]
struct Counts {
    objects: Family<ObjectLabels, Gauge>,
    drifted: Family<KindLabels, Gauge>,
}

impl Counts {
    fn add<K>(&self, kind: Kind, store: &Store<Guarded<K>>, said: fn(&K) -> Option<Said<'_>>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + 'static,
    {
        let gauge = |state| {
            self.objects
                .get_or_create_owned(&ObjectLabels { kind, state })
        };
        for state in STATES {
            gauge(state);
        }
        let drifted = self.drifted.get_or_create_owned(&KindLabels { kind });
        for object in store.state() {
            let Ok(object) = &object.0 else {
                gauge(ObjectState::Unreadable).inc();
                continue;
            };
            let (observed, conditions) = said(object).unwrap_or_default();
            let is = |name: &str| {
                conditions
                    .iter()
                    .any(|c| c.type_ == name && c.status == "True")
            };
            let state = if object.meta().deletion_timestamp.is_some() {
                ObjectState::Deleting
            } else if observed != object.meta().generation {
                ObjectState::Waiting
            } else if is("Stalled") {
                ObjectState::Stalled
            } else if is("Ready") {
                ObjectState::Ready
            } else {
                ObjectState::Waiting
            };
            gauge(state).inc();
            if is("Drifted") {
                drifted.inc();
            }
        }
    }
}

impl Collector for Objects {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = Counts::default();
        counts.add(Kind::ModuleModel, &self.models, |m| {
            let status = m.status.as_ref()?;
            Some((status.observed_generation, &status.conditions))
        });
        counts.add(Kind::Tenant, &self.tenants, |t| {
            let status = t.status.as_ref()?;
            Some((status.observed_generation, &status.conditions))
        });
        counts.add(Kind::DataPlane, &self.data_planes, |d| {
            let status = d.status.as_ref()?;
            Some((status.observed_generation, &status.conditions))
        });
        let Counts { objects, drifted } = counts;
        let help = "Objects by kind and how they are";
        let metric = encoder.encode_descriptor("objects", help, None, MetricType::Gauge)?;
        objects.encode(metric)?;
        let help = "Objects whose condition Drifted is true, by kind";
        let metric = encoder.encode_descriptor("objects_drifted", help, None, MetricType::Gauge)?;
        drifted.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::runtime::{reflector, watcher::Event};
    use serde_json::{Value, json};

    use super::*;
    use crate::{lease::Leadership, metrics::Metrics};

    fn model(name: &str, conditions: &[(&str, &str)], more: &Value) -> Guarded<ModuleModel> {
        let condition = |(type_, status): &(&str, &str)| {
            json!({"type": type_, "status": status, "reason": "R", "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions: Vec<_> = conditions.iter().map(condition).collect();
        let mut object = json!({
            "apiVersion": "data.septemcore.com/v1alpha1", "kind": "ModuleModel",
            "metadata": {"name": name, "namespace": "n", "generation": 2},
            "spec": {"module": "crm", "model": name, "fields": []},
            "status": {"observedGeneration": 2, "conditions": conditions},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            object["metadata"][key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn objects_are_counted_by_how_they_are_and_never_named() {
        let (models, mut writer) = reflector::store();
        let ready = ("Ready", "True");
        let none = json!({});
        let objects = [
            model("fine", &[ready, ("Drifted", "False")], &none),
            model("changed", &[ready, ("Drifted", "True")], &none),
            model("refused", &[("Ready", "False"), ("Stalled", "True")], &none),
            model("early", &[("Ready", "Unknown")], &none),
            model("edited", &[ready], &json!({"generation": 3})),
            model(
                "going",
                &[ready],
                &json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f"]}),
            ),
        ];
        for object in objects {
            writer.apply_watcher_event(&Event::Apply(object));
        }
        let objects = Objects {
            models,
            tenants: reflector::store().0,
            data_planes: reflector::store().0,
        };
        let text = Metrics::new(Arc::new(Leadership::alone()), objects).encode();
        for (state, count) in [
            ("Ready", 2),
            ("Waiting", 2),
            ("Stalled", 1),
            ("Deleting", 1),
            ("Unreadable", 0),
        ] {
            let line =
                format!("operator_objects{{kind=\"ModuleModel\",state=\"{state}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        for line in [
            "operator_objects_drifted{kind=\"ModuleModel\"} 1\n",
            "operator_objects_drifted{kind=\"Tenant\"} 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        for name in ["fine", "changed", "refused", "crm"] {
            assert!(!text.contains(name), "{name}");
        }
    }
}
