//! The status of a DataPlane. Its figures move all the time: they are written with a change of the conditions, and
//! otherwise once a minute.

use std::time::{Duration, Instant};

use crds::{ConditionType, DataPlaneStatus, status::DriftStatus};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::capture::ObservedCapture;
use crate::{
    connect::slot_name,
    plane::Plane,
    report::{Verdict, conditions},
};

/// The stages of a DataPlane, in order.
pub const STAGES: [ConditionType; 4] = [
    ConditionType::SchemaApplied,
    ConditionType::AnalyticsReady,
    ConditionType::CaptureRunning,
    ConditionType::Drifted,
];

/// Between two writes of figures alone.
const FIGURES_INTERVAL: Duration = Duration::from_secs(60);
/// A rate over less than this says little.
const RATE_SPAN_MIN: Duration = Duration::from_secs(60);

/// How fast WAL is written, measured since the operator began to watch.
#[derive(Debug, Default)]
pub struct WalRate {
    first: Option<(Instant, i64)>,
    written: Option<Instant>,
}

impl WalRate {
    /// Hours until a slot that is not read reaches its limit at the rate measured; none without limit or rate.
    fn hours(&mut self, capture: &ObservedCapture, now: Instant) -> Option<i64> {
        let (since, bytes) = *self.first.get_or_insert((now, capture.wal_bytes));
        let span = now.duration_since(since);
        let written = capture.wal_bytes - bytes;
        if span < RATE_SPAN_MIN || written <= 0 {
            return None;
        }
        let retained = capture
            .slot
            .as_ref()
            .and_then(|s| s.retained_bytes)
            .unwrap_or(0);
        let left = (capture.keep_bytes_max? - retained).max(0);
        // Integers all the way: bytes fit i128 times seconds.
        let hours = i128::from(left) * i128::from(span.as_secs()) / i128::from(written) / 3_600;
        i64::try_from(hours).ok()
    }
}

/// The status to be written, or none when the one there will do.
pub fn status(
    before: &DataPlaneStatus,
    generation: i64,
    verdict: &Verdict,
    plane: Option<&Plane>,
    found: Option<(&ObservedCapture, &str)>,
    drift: Option<&DriftStatus>,
    rate: &mut WalRate,
) -> Option<DataPlaneStatus> {
    let mut after = before.clone();
    after.observed_generation = Some(generation);
    after.conditions = conditions(&before.conditions, generation, &STAGES, verdict);
    if let Some(plane) = plane {
        after.generation = Some(plane.generation.0);
    }
    after.drift = drift
        .filter(|drift| **drift != DriftStatus::default())
        .cloned();
    let now = Instant::now();
    if found.is_none() {
        // What it was when we could still ask is not what it is.
        after.connector = None;
    }
    if let (Some(plane), Some((capture, task))) = (plane, found) {
        after.slot = capture
            .slot
            .is_some()
            .then(|| slot_name(&plane.database, plane.generation));
        after.connector = Some(task.to_owned());
        let hours = rate.hours(capture, now);
        let due = rate
            .written
            .is_none_or(|at| now.duration_since(at) >= FIGURES_INTERVAL);
        if due || after != *before {
            after.retained_bytes = capture.slot.as_ref().and_then(|s| s.retained_bytes);
            after.wal_hours = hours;
            after.last_sync_at = capture.last_sync_seconds.and_then(whole_second);
            rate.written = Some(now);
        }
    }
    (after != *before).then_some(after)
}

/// Times in Kubernetes have whole seconds; rounded down, since the claim is "everything before".
fn whole_second(seconds: f64) -> Option<Time> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounding down is meant, and a date is far from the bounds"
    )]
    let seconds = seconds.floor() as i64;
    Timestamp::from_second(seconds).ok().map(Time)
}
