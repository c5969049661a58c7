//! Metrics. Names are `septem_sink_<noun>_<unit>`; labels come from the enums below, never from data.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::encode::Adjusted;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// It is a row of a table.
    Row,
    /// It moves the watermark.
    Heartbeat,
    /// A row of the connector's signal table.
    Signal,
    /// Of a table that is not captured.
    Uncaptured,
    /// Of a tenant that was erased.
    Erased,
    /// Of another generation or database than the catalogue's.
    Retired,
    /// Nothing to write: a tombstone or a logical message.
    Empty,
    /// It went to the dead-letter topic.
    Dead,
}

/// Why a record went to the dead-letter topic; also its header `error-class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ErrorClass {
    /// Not a change event.
    Envelope,
    /// A row without a key, or not an object.
    Key,
    /// A value that its column cannot hold.
    Value,
    /// An untouched value that ClickHouse does not have either.
    Placeholder,
    /// A table was truncated, which cannot be followed row by row.
    Truncate,
    /// ClickHouse refused the row.
    Refused,
}

impl ErrorClass {
    /// The text of the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Key => "key",
            Self::Value => "value",
            Self::Placeholder => "placeholder",
            Self::Truncate => "truncate",
            Self::Refused => "refused",
        }
    }
}

/// What was tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Retried {
    /// An insert.
    Insert,
    /// A record to the dead-letter topic, or its hold.
    DeadLetter,
    /// A commit of offsets.
    Commit,
    /// A look at the catalogue.
    Catalog,
    /// A write of the watermark.
    Watermark,
    /// A call of a hook.
    Hook,
}

/// How the call of a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum HookOutcome {
    /// The hook took it.
    Taken,
    /// It is a dead letter.
    Dead,
    /// It was let go, as the hook's policy says.
    GivenUp,
    /// The event could not be read, so there was none.
    Unreadable,
}

/// What was changed so that a value fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Adjustment {
    Clamped,
    NotFinite,
    NullFilled,
}

macro_rules! labels {
    ($($name:ident { $field:ident: $type:ty })*) => {
        $(#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $field: $type })*
    };
}

labels! {
    OutcomeLabel { outcome: Outcome }
    ClassLabel { class: ErrorClass }
    HookLabel { outcome: HookOutcome }
    RetryLabel { of: Retried }
    AdjustmentLabel { kind: Adjustment }
}

/// Every metric of the sink. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    events: Family<OutcomeLabel, Counter>,
    rows: Counter,
    batches: Counter,
    dead: Family<ClassLabel, Counter>,
    retries: Family<RetryLabel, Counter>,
    adjusted: Family<AdjustmentLabel, Counter>,
    insert: Histogram,
    lag: Gauge,
    buffered: Gauge,
    watermark_age: Gauge<f64, AtomicU64>,
    assigned: Gauge,
    stalled: Gauge,
    out_of_range: Gauge,
    hooks: Family<HookLabel, Counter>,
    hook_dead_letters: Gauge,
    /// Microseconds since the epoch of the newest watermark; 0 is none.
    last_sync: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("septem_sink");
        let insert = Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
        ]);
        let mut inner = Inner {
            events: Family::default(),
            rows: Counter::default(),
            batches: Counter::default(),
            dead: Family::default(),
            retries: Family::default(),
            adjusted: Family::default(),
            insert,
            lag: Gauge::default(),
            buffered: Gauge::default(),
            watermark_age: Gauge::default(),
            assigned: Gauge::default(),
            stalled: Gauge::default(),
            out_of_range: Gauge::default(),
            hooks: Family::default(),
            hook_dead_letters: Gauge::default(),
            last_sync: AtomicI64::new(0),
            registry: Registry::default(),
        };
        registry.register(
            "events",
            "Records read, by what became of them",
            inner.events.clone(),
        );
        registry.register(
            "rows",
            "Rows that ClickHouse has acknowledged",
            inner.rows.clone(),
        );
        registry.register(
            "batches",
            "Inserts that ClickHouse has acknowledged",
            inner.batches.clone(),
        );
        registry.register(
            "dead_letters",
            "Records sent to the dead-letter topic",
            inner.dead.clone(),
        );
        registry.register("retries", "Things tried again", inner.retries.clone());
        registry.register(
            "adjusted_values",
            "Values changed to fit their column",
            inner.adjusted.clone(),
        );
        registry.register(
            "insert_seconds",
            "Time of one acknowledged insert",
            inner.insert.clone(),
        );
        registry.register(
            "lag_records",
            "Records in the assigned partitions that are not durable",
            inner.lag.clone(),
        );
        registry.register(
            "buffered_bytes",
            "Memory between Kafka and ClickHouse",
            inner.buffered.clone(),
        );
        let help = "Now less lastSyncAt; absent before the first heartbeat is proven";
        registry.register("watermark_age_seconds", help, inner.watermark_age.clone());
        registry.register(
            "assigned_partitions",
            "Partitions of this sink",
            inner.assigned.clone(),
        );
        registry.register(
            "stalled_partitions",
            "Partitions that wait for the catalogue",
            inner.stalled.clone(),
        );
        let help = "Partitions whose committed offset Kafka no longer has: a gap that needs a new generation";
        registry.register("out_of_range_partitions", help, inner.out_of_range.clone());
        registry.register(
            "hook_calls",
            "Calls of after-hooks, by how they ended",
            inner.hooks.clone(),
        );
        let help = "Calls of after-hooks that wait to be replayed or dropped";
        registry.register("hook_dead_letters", help, inner.hook_dead_letters.clone());
        inner.registry = registry;
        Self(Arc::new(inner))
    }
}

/// A moment of the sink's own state, for `/health`.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Partitions of this sink.
    pub assigned_partitions: i64,
    /// Partitions that wait for the catalogue.
    pub stalled_partitions: i64,
    /// Partitions that cannot go on.
    pub out_of_range_partitions: i64,
    /// Memory between Kafka and ClickHouse.
    pub buffered_bytes: i64,
    /// Records that are not durable.
    pub lag_records: i64,
    /// The newest watermark.
    pub last_sync_at: Option<DateTime<Utc>>,
}

impl Metrics {
    /// A record was read and decided upon.
    pub fn event(&self, outcome: Outcome) {
        self.0.events.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A record is on its way to the dead-letter topic.
    pub fn dead(&self, class: ErrorClass) {
        self.event(Outcome::Dead);
        self.0.dead.get_or_create(&ClassLabel { class }).inc();
    }

    /// The call of a hook ended.
    pub fn hook(&self, outcome: HookOutcome) {
        self.0.hooks.get_or_create(&HookLabel { outcome }).inc();
    }

    /// Calls of hooks that ended so far.
    pub fn hook_total(&self, outcome: HookOutcome) -> u64 {
        self.0.hooks.get_or_create(&HookLabel { outcome }).get()
    }

    /// Dead letters of hooks now.
    pub fn hook_dead_letters(&self, count: i64) {
        self.0.hook_dead_letters.set(count);
    }

    /// Something is tried again.
    pub fn retry(&self, of: Retried) {
        self.0.retries.get_or_create(&RetryLabel { of }).inc();
    }

    /// A row was encoded.
    pub fn adjusted(&self, adjusted: Adjusted) {
        let Adjusted {
            clamped,
            not_finite,
            null_filled,
        } = adjusted;
        for (kind, count) in [
            (Adjustment::Clamped, clamped),
            (Adjustment::NotFinite, not_finite),
            (Adjustment::NullFilled, null_filled),
        ] {
            if count > 0 {
                self.0
                    .adjusted
                    .get_or_create(&AdjustmentLabel { kind })
                    .inc_by(count);
            }
        }
    }

    /// ClickHouse acknowledged an insert.
    pub fn written(&self, rows: usize, seconds: f64) {
        self.0.rows.inc_by(rows as u64);
        self.0.batches.inc();
        self.0.insert.observe(seconds);
    }

    /// The pipeline's state now.
    pub fn pipeline(
        &self,
        assigned: usize,
        stalled: usize,
        out_of_range: usize,
        buffered_bytes: usize,
    ) {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.0.assigned, assigned);
        set(&self.0.stalled, stalled);
        set(&self.0.out_of_range, out_of_range);
        set(&self.0.buffered, buffered_bytes);
    }

    /// Records that are not durable.
    pub fn lag(&self, records: i64) {
        self.0.lag.set(records);
    }

    /// The watermark in the database.
    pub fn last_sync(&self, at: DateTime<Utc>) {
        self.0
            .last_sync
            .store(at.timestamp_micros(), Ordering::Relaxed);
    }

    /// Records sent to the dead-letter topic so far.
    pub fn dead_total(&self, class: ErrorClass) -> u64 {
        self.0.dead.get_or_create(&ClassLabel { class }).get()
    }

    /// How often that was tried again so far.
    pub fn retries_total(&self, of: Retried) -> u64 {
        self.0.retries.get_or_create(&RetryLabel { of }).get()
    }

    /// Rows that ClickHouse has acknowledged so far.
    pub fn rows_total(&self) -> u64 {
        self.0.rows.get()
    }

    /// What `/health` tells.
    pub fn health(&self) -> Health {
        let at = self.0.last_sync.load(Ordering::Relaxed);
        Health {
            assigned_partitions: self.0.assigned.get(),
            stalled_partitions: self.0.stalled.get(),
            out_of_range_partitions: self.0.out_of_range.get(),
            buffered_bytes: self.0.buffered.get(),
            lag_records: self.0.lag.get(),
            last_sync_at: DateTime::from_timestamp_micros(at).filter(|_| at != 0),
        }
    }

    /// The text that `/metrics` answers.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        if let Some(at) = self.health().last_sync_at {
            let age = Utc::now() - at;
            self.0.watermark_age.set(age.as_seconds_f64());
        } else {
            self.0.watermark_age.set(f64::NAN);
        }
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_prefix_and_unit() {
        let metrics = Metrics::default();
        metrics.event(Outcome::Row);
        metrics.written(3, 0.01);
        metrics.dead(ErrorClass::Value);
        let text = metrics.render().unwrap();
        for line in [
            "septem_sink_events_total{outcome=\"Row\"} 1",
            "septem_sink_rows_total 3",
            "septem_sink_dead_letters_total{class=\"Value\"} 1",
            "septem_sink_watermark_age_seconds NaN",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
