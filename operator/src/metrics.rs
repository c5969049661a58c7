//! Metrics. Labels come from closed lists: never a name, a tenant or the text of an error.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

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

/// Every metric of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    seconds: Family<KindLabels, Histogram>,
    status_writes: Family<KindLabels, Counter>,
    connector_restarts: Counter,
    capture_running: Gauge,
    retained_bytes: Gauge,
    last_sync_seconds: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("operator");
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
        let status_writes = Family::default();
        registry.register(
            "status_writes",
            "Statuses written by kind",
            status_writes.clone(),
        );
        let connector_restarts = Counter::default();
        registry.register(
            "connector_restarts",
            "Restarts of a failed task",
            connector_restarts.clone(),
        );
        let capture_running = Gauge::default();
        registry.register(
            "capture_running",
            "1 while the task runs and reads the slot",
            capture_running.clone(),
        );
        let retained_bytes = Gauge::default();
        registry.register(
            "slot_retained_bytes",
            "WAL that the slot holds back",
            retained_bytes.clone(),
        );
        let last_sync_seconds = Gauge::<f64, AtomicU64>::default();
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
            status_writes,
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

    /// Counts a restart of the connector's task.
    pub fn connector_restarted(&self) {
        self.connector_restarts.inc();
    }

    /// What the last look at the capture found.
    pub fn capture(&self, running: bool, retained_bytes: i64, last_sync_seconds: f64) {
        self.capture_running.set(i64::from(running));
        self.retained_bytes.set(retained_bytes);
        self.last_sync_seconds.set(last_sync_seconds);
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
