//! Metrics. Labels come from closed lists: never a model, a tenant or the text of an error. DataPlanes have names,
//! since they are few.

mod objects;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

pub use objects::{ObjectState, Objects};

use crate::{lease::Leadership, module_model::Phase};

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    ModuleModel,
    Tenant,
    DataPlane,
}

/// What came of a reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Everything was there already.
    Unchanged,
    /// Something was done.
    Applied,
    /// The resource has to be changed.
    Refused,
    /// Something else has to happen first.
    Waiting,
    /// It will be tried again.
    Failed,
    /// It was withdrawn.
    Withdrawn,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: Kind,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

/// The one name among the labels: DataPlanes are few, and each has an alert of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaneLabels {
    data_plane: String,
}

/// Verb of a request to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Verb {
    /// Reads, lists and watches.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: Verb,
}

/// 1 while this operator works.
#[derive(Debug)]
struct IsLeader(Arc<Leadership>);

impl Collector for IsLeader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::from(self.0.holds()));
        let help = "1 while this operator works, 0 while another one does";
        let metric = encoder.encode_descriptor("lease_is_leader", help, None, MetricType::Gauge)?;
        gauge.encode(metric)
    }
}

/// Every metric of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    seconds: Family<KindLabels, Histogram>,
    running: Family<KindLabels, Gauge>,
    steps: Family<StepLabels, Histogram>,
    status_writes: Family<KindLabels, Counter>,
    requests: Family<VerbLabels, Counter>,
    repairs: Family<KindLabels, Counter>,
    connector_restarts: Counter,
    capture_running: Family<PlaneLabels, Gauge>,
    retained_bytes: Family<PlaneLabels, Gauge>,
    last_sync_seconds: Family<PlaneLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// All at zero. `objects` are counted whenever somebody asks.
    pub fn new(leadership: Arc<Leadership>, objects: Objects) -> Self {
        let mut registry = Registry::with_prefix("operator");
        registry.register_collector(Box::new(IsLeader(leadership)));
        registry.register_collector(Box::new(objects));
        let requests = Family::default();
        registry.register(
            "api_requests",
            "Requests to the API server by verb",
            requests.clone(),
        );
        let reconciles = Family::default();
        registry.register(
            "reconciles",
            "Reconciles by kind and outcome",
            reconciles.clone(),
        );
        let failures = Family::default();
        registry.register(
            "reconcile_failures",
            "Failed reconciles by kind and reason",
            failures.clone(),
        );
        let seconds = Family::<KindLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ])
        });
        registry.register(
            "reconcile_duration_seconds",
            "Time of a reconcile by kind",
            seconds.clone(),
        );
        let running = Family::default();
        registry.register(
            "reconciles_running",
            "Reconciles under way by kind",
            running.clone(),
        );
        // An index of a large table takes as long as a statement may.
        let steps = Family::<StepLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1_200.0, 3_600.0,
            ])
        });
        registry.register(
            "migration_step_duration_seconds",
            "Time of a step of a migration that was carried out",
            steps.clone(),
        );
        // There before the first step: whoever asks can tell none from a name that is wrong.
        for phase in [Phase::Expand, Phase::Publish, Phase::Contract] {
            let step = phase.as_str();
            drop(steps.get_or_create(&StepLabels { step }));
        }
        let status_writes = Family::default();
        registry.register(
            "status_writes",
            "Statuses written by kind",
            status_writes.clone(),
        );
        let repairs = Family::default();
        registry.register(
            "drift_repairs",
            "Differences that were put right, by kind",
            repairs.clone(),
        );
        let connector_restarts = Counter::default();
        registry.register(
            "connector_restarts",
            "Restarts of a failed task",
            connector_restarts.clone(),
        );
        let capture_running = Family::default();
        registry.register(
            "capture_running",
            "1 while the task runs and reads the slot",
            capture_running.clone(),
        );
        let retained_bytes = Family::default();
        registry.register(
            "slot_retained_bytes",
            "WAL that the slot holds back",
            retained_bytes.clone(),
        );
        let last_sync_seconds = Family::default();
        registry.register(
            "last_sync_timestamp_seconds",
            "lastSyncAt as Unix time",
            last_sync_seconds.clone(),
        );
        Self {
            registry,
            reconciles,
            failures,
            seconds,
            running,
            steps,
            status_writes,
            requests,
            repairs,
            connector_restarts,
            capture_running,
            retained_bytes,
            last_sync_seconds,
        }
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: Kind, outcome: Outcome, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { kind, outcome })
            .inc();
        self.seconds
            .get_or_create(&KindLabels { kind })
            .observe(took.as_secs_f64());
    }

    /// Counts a reconcile among those under way, until what is returned is dropped.
    pub fn begun(&self, kind: Kind) -> Running {
        let running = self.running.get_or_create_owned(&KindLabels { kind });
        running.inc();
        Running(running)
    }

    /// Counts a step of a migration, by its name.
    pub fn stepped(&self, step: &'static str, took: Duration) {
        self.steps
            .get_or_create(&StepLabels { step })
            .observe(took.as_secs_f64());
    }

    /// Counts why one failed.
    pub fn failed(&self, kind: Kind, reason: crds::Reason) {
        self.failures
            .get_or_create(&FailureLabels {
                kind,
                reason: reason.as_str(),
            })
            .inc();
    }

    /// Counts a status written.
    pub fn status_written(&self, kind: Kind) {
        self.status_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts what was put right.
    pub fn repaired(&self, kind: Kind, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.repairs
            .get_or_create(&KindLabels { kind })
            .inc_by(count);
    }

    /// Counts a request to the API server.
    pub fn requested(&self, method: &http::Method) {
        let verb = match method.as_str() {
            "POST" => Verb::Post,
            "PUT" => Verb::Put,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            _ => Verb::Get,
        };
        self.requests.get_or_create(&VerbLabels { verb }).inc();
    }

    /// Counts a restart of the connector's task.
    pub fn connector_restarted(&self) {
        self.connector_restarts.inc();
    }

    /// What the last look at the capture found.
    pub fn capture(
        &self,
        data_plane: &str,
        running: bool,
        retained_bytes: i64,
        last_sync_seconds: f64,
    ) {
        let of = PlaneLabels {
            data_plane: data_plane.to_owned(),
        };
        self.capture_running
            .get_or_create(&of)
            .set(i64::from(running));
        self.retained_bytes.get_or_create(&of).set(retained_bytes);
        self.last_sync_seconds
            .get_or_create(&of)
            .set(last_sync_seconds);
    }

    /// Forgets the figures of a DataPlane that is gone.
    pub fn forget(&self, data_plane: &str) {
        let of = PlaneLabels {
            data_plane: data_plane.to_owned(),
        };
        self.capture_running.remove(&of);
        self.retained_bytes.remove(&of);
        self.last_sync_seconds.remove(&of);
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// A reconcile under way.
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
