//! The connector: there, configured as it must be, and its task alive.

use std::time::{Duration, Instant};

use crds::Reason;
use sql::postgres::ddl::PUBLICATION;

use super::{capture::ObservedCapture, fetch::Endpoints};
use crate::{
    connect::{
        ConnectorSettings, ConnectorStatus, Progress, SNAPSHOT_TABLES, connector_config,
        connector_name,
    },
    error::Error,
    metrics::Metrics,
    plane::{Capture, Plane},
    postgres::Timeouts,
};

/// Longest pause between two restarts of a failed task.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(300);
/// A task that ran this long has recovered: the pauses start again.
const STABLE: Duration = Duration::from_secs(120);

/// Restarts of the failed task, in a row.
#[derive(Debug, Default)]
pub struct Restarts {
    count: u32,
    not_before: Option<Instant>,
    running_since: Option<Instant>,
}

/// What a look at the connector found.
#[derive(Debug, Clone)]
pub struct ObservedConnector {
    /// State of its only task, such as `RUNNING`, or `UNASSIGNED` without one.
    pub task: String,
    /// Whether changes flow.
    pub capture: Capture,
}

/// Makes the connector what it must be: its configuration is read and compared whole, and written only when it
/// differs. Around the write the operator's epoch is held.
pub async fn ensure_connector(
    plane: &Plane,
    endpoints: &Endpoints,
    events_topic: &str,
) -> Result<(), Error> {
    let name = connector_name(&plane.database);
    let doing = "the connector's configuration";
    let cdc = &endpoints.roles.cdc;
    let observed = endpoints
        .connect
        .config(&name)
        .await
        .map_err(Error::connect(doing))?;
    let mut config = connector_config(&ConnectorSettings {
        host: cdc.host.clone(),
        port: cdc.port,
        ssl_mode: cdc.ssl_mode.clone(),
        database: plane.database.clone(),
        user: cdc.user.clone(),
        password: cdc.password.clone(),
        generation: plane.generation,
        events_topic: events_topic.to_owned(),
        unavailable_placeholder: unavailable_placeholder(plane).await?,
        snapshot_tables: published_tables(plane).await?,
    });
    if let Some(then) = observed.as_ref().and_then(|o| o.get(SNAPSHOT_TABLES)) {
        // The list matters until the snapshot is done. A table published before that belongs to it: the snapshot
        // starts again with every start, at a moment that may be after the table's first rows.
        if endpoints
            .connect
            .progress(&name)
            .await
            .map_err(Error::connect(doing))?
            == Progress::Streaming
        {
            config.insert(SNAPSHOT_TABLES.into(), then.clone());
        }
    }
    if observed.as_ref() == Some(&config) {
        return Ok(());
    }
    let fenced = plane.fenced(Timeouts::default()).await?;
    endpoints
        .connect
        .put_config(&name, &config)
        .await
        .map_err(Error::connect("the connector"))?;
    fenced.commit().await?;
    tracing::info!(
        connector = name,
        created = observed.is_none(),
        "connector configured"
    );
    Ok(())
}

async fn unavailable_placeholder(plane: &Plane) -> Result<String, Error> {
    sqlx::query_scalar("select unavailable_placeholder from platform.data_plane")
        .fetch_one(&plane.looks)
        .await
        .map_err(Error::postgres("a look at its placeholder"))
}

async fn published_tables(plane: &Plane) -> Result<Vec<String>, Error> {
    // The signal table is read by Debezium itself. The heartbeat's is always there, so the list is never empty, which
    // would mean every table.
    sqlx::query_scalar(
        "select schemaname || '.' || tablename from pg_publication_tables where pubname = $1 and not (schemaname = 'platform' and tablename = 'cdc_signal') order by 1",
    )
    .bind(PUBLICATION)
    .fetch_all(&plane.looks)
    .await
    .map_err(Error::postgres("a look at its publication"))
}

/// Looks at task and slot. A failed task is started again, with growing pauses; a lost slot is told and left alone,
/// since nothing that the connector could do brings the lost changes back.
pub async fn watch_connector(
    plane: &Plane,
    endpoints: &Endpoints,
    capture: &ObservedCapture,
    pause: bool,
    restarts: &mut Restarts,
    metrics: &Metrics,
) -> Result<ObservedConnector, Error> {
    let name = connector_name(&plane.database);
    let doing = "the connector's status";
    let status = endpoints
        .connect
        .status(&name)
        .await
        .map_err(Error::connect(doing))?;
    let status = status.unwrap_or(ConnectorStatus {
        paused: false,
        task: None,
        trace: String::new(),
    });
    if status.paused != pause {
        // Somebody's pause by hand ends here too: the spec says whether there is one.
        let doing = if pause { "its pause" } else { "its resumption" };
        endpoints
            .connect
            .pause(&name, pause)
            .await
            .map_err(Error::connect(doing))?;
        tracing::info!(connector = name, paused = pause, "connector told");
    }
    let slot_lost = match &capture.slot {
        Some(slot) => slot.is_lost(),
        // Before the first start there is no slot; afterwards there are offsets.
        None => {
            let progress = endpoints
                .connect
                .progress(&name)
                .await
                .map_err(Error::connect(doing))?;
            progress == Progress::Streaming
        }
    };
    let judged = judge(&status, capture, slot_lost, pause);
    if status.task.as_deref() == Some("FAILED") && !slot_lost && restarts.is_due(Instant::now()) {
        endpoints
            .connect
            .restart_failed(&name)
            .await
            .map_err(Error::connect("a restart of its task"))?;
        metrics.connector_restarted();
        tracing::warn!(
            connector = name,
            restarts = restarts.count,
            trace = status.trace,
            "failed task restarted"
        );
    }
    restarts.note(judged == Capture::Running, Instant::now());
    Ok(ObservedConnector {
        task: status.task.unwrap_or_else(|| "UNASSIGNED".into()),
        capture: judged,
    })
}

/// Whether changes flow. The connector's own state is not asked: it says RUNNING while its task has failed, and while
/// its slot is gone.
fn judge(
    status: &ConnectorStatus,
    capture: &ObservedCapture,
    slot_lost: bool,
    pause: bool,
) -> Capture {
    let stopped = |reason, message: String| Capture::Stopped { reason, message };
    if slot_lost {
        return stopped(
            Reason::SlotLost,
            "the replication slot is gone or invalidated: changes since then cannot be read any more; analytics stay \
             at lastSyncAt until a new capture generation is built"
                .into(),
        );
    }
    if pause {
        return stopped(
            Reason::Paused,
            "spec.cdc.paused: nothing is read, and PostgreSQL keeps its WAL until it is false"
                .into(),
        );
    }
    let active = capture.slot.as_ref().is_some_and(|slot| slot.active);
    match status.task.as_deref() {
        Some("RUNNING") if active => Capture::Running,
        Some("RUNNING") => stopped(
            Reason::SlotInactive,
            "the task runs and does not read the slot yet".into(),
        ),
        Some("FAILED") => stopped(
            Reason::TasksFailed,
            format!("the task failed: {}", status.trace),
        ),
        Some(other) => stopped(Reason::ConnectorFailed, format!("the task is {other}")),
        None => stopped(
            Reason::ConnectorFailed,
            "the connector has no task yet".into(),
        ),
    }
}

impl Restarts {
    /// Whether a restart may be tried now; counts it.
    fn is_due(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|at| now < at) {
            return false;
        }
        let pause = Duration::from_secs(5 << self.count.min(6)).min(RESTART_PAUSE_MAX);
        self.count += 1;
        self.not_before = Some(now + pause);
        true
    }

    fn note(&mut self, running: bool, now: Instant) {
        self.running_since = running.then(|| self.running_since.unwrap_or(now));
        if self
            .running_since
            .is_some_and(|since| now.duration_since(since) >= STABLE)
        {
            *self = Self {
                running_since: self.running_since,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::capture::ObservedSlot;

    fn capture(slot: Option<(bool, &str)>) -> ObservedCapture {
        let slot = slot.map(|(active, status)| ObservedSlot {
            active,
            wal_status: Some(status.into()),
            invalidation_reason: None,
            retained_bytes: Some(0),
        });
        ObservedCapture {
            slot,
            wal_bytes: 0,
            keep_bytes_max: None,
            last_sync_seconds: None,
        }
    }

    #[test]
    fn running_is_a_task_that_reads_its_slot() {
        let status = |task: Option<&str>| ConnectorStatus {
            paused: false,
            task: task.map(Into::into),
            trace: "boom".into(),
        };
        let reason = |judged: Capture| match judged {
            Capture::Running => None,
            Capture::Stopped { reason, .. } => Some(reason),
        };
        let cases = [
            (Some("RUNNING"), Some((true, "reserved")), false, None),
            (
                Some("RUNNING"),
                Some((false, "reserved")),
                false,
                Some(Reason::SlotInactive),
            ),
            (Some("RUNNING"), None, false, Some(Reason::SlotInactive)),
            (
                Some("FAILED"),
                Some((false, "reserved")),
                false,
                Some(Reason::TasksFailed),
            ),
            (None, None, false, Some(Reason::ConnectorFailed)),
            (
                Some("RUNNING"),
                Some((false, "lost")),
                true,
                Some(Reason::SlotLost),
            ),
            (Some("FAILED"), None, true, Some(Reason::SlotLost)),
        ];
        for (task, slot, lost, expected) in cases {
            assert_eq!(
                reason(judge(&status(task), &capture(slot), lost, false)),
                expected,
                "{task:?} {slot:?}"
            );
        }
        assert!(capture(Some((false, "lost"))).slot.unwrap().is_lost());
        let paused = judge(
            &status(Some("PAUSED")),
            &capture(Some((false, "reserved"))),
            false,
            true,
        );
        assert_eq!(reason(paused), Some(Reason::Paused));
    }

    #[test]
    fn restarts_pause_longer_each_time_and_start_again_after_a_stable_spell() {
        let mut restarts = Restarts::default();
        let start = Instant::now();
        assert!(restarts.is_due(start));
        assert!(!restarts.is_due(start + Duration::from_secs(4)));
        assert!(restarts.is_due(start + Duration::from_secs(5)));
        assert!(!restarts.is_due(start + Duration::from_secs(14)));
        restarts.note(true, start + Duration::from_secs(20));
        restarts.note(true, start + Duration::from_secs(200));
        assert_eq!(restarts.count, 0);
        assert!(restarts.is_due(start + Duration::from_secs(201)));
    }
}
