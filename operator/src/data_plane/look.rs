//! One look at everything that hangs on a DataPlane, bringing in order what is not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{
    ConditionType, DataPlane, Reason,
    condition::State,
    status::{DRIFT_NAMES_MAX, DriftStatus},
};
use kube::ResourceExt as _;
use tracing::instrument;

use super::{
    analytics::ensure_analytics,
    capture::{ObservedCapture, observe_capture},
    connector::{ObservedConnector, Restarts, ensure_connector, watch_connector},
    fetch::{Endpoints, fetch},
    status::WalRate,
};
use crate::{
    context::{Context, uids},
    error::Error,
    module_model,
    plane::{Capture, Plane},
    planes::{Entry, NotReady},
    postgres::bootstrap,
    report::Stage,
    telemetry::TARGET,
    tenant,
};

/// Between two reads of the Secrets: a new password is noticed within this.
const SECRETS_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks for published resources that exist no longer.
const ABSENT_INTERVAL: Duration = Duration::from_secs(60);
/// Looks in a row without capture before models are told: a restart of Connect is not their concern.
const PATIENCE_LOOKS: u32 = 3;

/// What is remembered from one look to the next.
#[derive(Default)]
pub struct Memory {
    endpoints: Option<(Endpoints, Instant)>,
    plane: Option<Arc<Plane>>,
    /// When roles, privileges and ClickHouse's users were last brought in order.
    ordered: Option<Instant>,
    analytics_ready: bool,
    restarts: Restarts,
    pub(super) rate: WalRate,
    /// What is there and nobody asked for.
    extra: Vec<String>,
    absent_looked: Option<Instant>,
    looks_without_capture: u32,
}

/// What one look found: a stage each, and the figures where there were any.
pub(super) struct Found {
    pub(super) stages: Vec<Stage>,
    pub(super) plane: Option<Arc<Plane>>,
    pub(super) capture: Option<(ObservedCapture, ObservedConnector)>,
    /// What was put right.
    pub(super) repaired: Vec<String>,
    pub(super) drift: DriftStatus,
    pub(super) error: Option<Error>,
}

/// Secrets → PostgreSQL → ClickHouse → connector. What comes first must stand before what comes later is tried;
/// ClickHouse and Connect do not wait for one another.
pub(super) async fn look(
    resource: &DataPlane,
    context: &Context,
    entry: &Entry,
    memory: &mut Memory,
) -> Found {
    let mut found = Found {
        stages: Vec::new(),
        plane: entry.plane(),
        capture: None,
        repaired: Vec::new(),
        drift: DriftStatus::default(),
        error: None,
    };
    let schema = ConditionType::SchemaApplied;
    let plane = match connect(resource, context, entry, memory, &mut found.repaired).await {
        Ok(plane) => plane,
        Err(error) => {
            // Read the Secrets again, and bring everything in order again, before the next try.
            (memory.endpoints, memory.ordered) = (None, None);
            note_away(resource, entry, context, Some(&error));
            found
                .stages
                .push(Stage::missing(schema, error.reason(), error.told()));
            let unchecked = Stage {
                condition: ConditionType::Drifted,
                state: State::Unknown,
                reason: Reason::CheckFailed,
                message: "the databases could not be looked at".into(),
            };
            for kind in [ConditionType::AnalyticsReady, ConditionType::CaptureRunning] {
                let message = "PostgreSQL comes first".into();
                found.stages.push(Stage {
                    condition: kind,
                    state: State::Unknown,
                    reason: Reason::Progressing,
                    message,
                });
            }
            found.stages.push(unchecked);
            found.error = Some(error);
            return found;
        }
    };
    found.stages.push(Stage::reached(
        schema,
        "roles, schema platform and publication are there",
    ));
    found.plane = Some(Arc::clone(&plane));
    let Some((endpoints, _)) = memory.endpoints.clone() else {
        return found;
    };

    let analytics = if memory.analytics_ready {
        Ok(Vec::new())
    } else {
        ensure_analytics(&endpoints).await
    };
    memory.analytics_ready = analytics.is_ok();
    let analytics = analytics.map(|repaired| found.repaired.extend(repaired));
    note(
        &mut found,
        ConditionType::AnalyticsReady,
        "database, roles and users are there",
        analytics,
    );

    let captured = capture(resource, &plane, &endpoints, context, memory).await;
    let lost = captured
        .as_ref()
        .err()
        .filter(|error| error.is_unreachable());
    note_away(resource, entry, context, lost);
    let capture_now = match &captured {
        Ok((_, connector)) => connector.capture.clone(),
        Err(error) => Capture::Stopped {
            reason: error.reason(),
            message: error.told(),
        },
    };
    tell_models(resource, &plane, &capture_now, entry, memory, context);
    match (captured, capture_now) {
        (Ok(figures), Capture::Running) => {
            note(
                &mut found,
                ConditionType::CaptureRunning,
                "the task runs and reads the slot",
                Ok(()),
            );
            found.capture = Some(figures);
        }
        (Ok(figures), Capture::Stopped { reason, message }) => {
            found.stages.push(Stage::missing(
                ConditionType::CaptureRunning,
                reason,
                message,
            ));
            found.capture = Some(figures);
        }
        (Err(error), _) => note(&mut found, ConditionType::CaptureRunning, "", Err(error)),
    }
    drifted(&mut found, memory);
    let ours = resource.name_any();
    if let Err(error) = withdraw_absent(&plane, &ours, context, memory).await {
        found.error.get_or_insert(error);
    }
    found
}

/// Whether everything is as it must be, after what was ours has been put right.
fn drifted(found: &mut Found, memory: &Memory) {
    found.drift.extra.clone_from(&memory.extra);
    let (state, reason, message) = if !memory.analytics_ready {
        let message = "ClickHouse could not be looked at".to_owned();
        (State::Unknown, Reason::CheckFailed, message)
    } else if memory.extra.is_empty() {
        let message = "roles, grants, publication and access rules are as they must be".to_owned();
        (State::False, Reason::NoDrift, message)
    } else {
        let message = format!("extra: {}", memory.extra.join(", "));
        (State::True, Reason::DriftDetected, message)
    };
    found.stages.push(Stage {
        condition: ConditionType::Drifted,
        state,
        reason,
        message,
    });
}

/// The stage of a step, and its error if it is the first.
fn note(found: &mut Found, kind: ConditionType, message: &str, result: Result<(), Error>) {
    match result {
        Ok(()) => found.stages.push(Stage::reached(kind, message)),
        Err(error) => {
            found
                .stages
                .push(Stage::missing(kind, error.reason(), error.told()));
            found.error.get_or_insert(error);
        }
    }
}

/// A connected plane: the one that is there while the Secrets are the same, else a new one. Every few minutes roles
/// and privileges are brought in order again.
#[instrument(target = TARGET, name = "connect", skip_all)]
async fn connect(
    resource: &DataPlane,
    context: &Context,
    entry: &Entry,
    memory: &mut Memory,
    repaired: &mut Vec<String>,
) -> Result<Arc<Plane>, Error> {
    let now = Instant::now();
    let fresh = memory
        .endpoints
        .as_ref()
        .filter(|(_, read)| now.duration_since(*read) < SECRETS_INTERVAL);
    let known = memory
        .endpoints
        .as_ref()
        .map(|(endpoints, _)| endpoints.fingerprint);
    let endpoints = match fresh {
        Some((endpoints, _)) => endpoints.clone(),
        None => {
            let endpoints = fetch(&context.client, &context.http, &resource.spec).await?;
            memory.endpoints = Some((endpoints.clone(), now));
            endpoints
        }
    };
    let holdings = endpoints.holdings(events_topic(resource, context));
    if let Some((what, by)) = context.held_by_older(resource, &holdings) {
        return Err(Error::Held { what, by });
    }
    entry.hold(holdings);
    let same = known == Some(endpoints.fingerprint);
    let in_order = same
        && memory
            .ordered
            .is_some_and(|at| now.duration_since(at) < context.config.drift_interval);
    match &memory.plane {
        Some(plane) if in_order => return Ok(Arc::clone(plane)),
        _ => {}
    }
    let connected = memory
        .plane
        .clone()
        .filter(|plane| plane.database == endpoints.owner.database);
    let ours = connected.as_ref().map(|plane| plane.epoch());
    let claim = context.claim(resource);
    let done = bootstrap(&endpoints.owner, &endpoints.roles, &claim, ours).await?;
    memory.ordered = Some(now);
    repaired.extend(done.repaired);
    memory.extra = done.extra;
    memory.extra.truncate(DRIFT_NAMES_MAX);
    memory.analytics_ready = false;
    let current = |p: &Arc<Plane>| {
        p.generation == done.generation && p.fingerprint() == endpoints.fingerprint
    };
    if let Some(plane) = connected.filter(current) {
        return Ok(plane);
    }
    let Endpoints {
        owner,
        clickhouse,
        valkey,
        fingerprint,
        ..
    } = endpoints;
    let plane = Arc::new(Plane::new(
        owner,
        done.epoch,
        done.generation,
        clickhouse,
        valkey,
        fingerprint,
    ));
    tracing::info!(
        database = plane.database,
        epoch = done.epoch,
        generation = done.generation.0,
        data_plane = resource.name_any(),
        "data plane connected"
    );
    memory.plane = Some(Arc::clone(&plane));
    Ok(plane)
}

/// The topic of this DataPlane's change events.
fn events_topic<'a>(resource: &'a DataPlane, context: &'a Context) -> &'a str {
    let cdc = resource.spec.cdc.as_ref();
    cdc.and_then(|cdc| cdc.topic.as_deref())
        .unwrap_or(&context.config.events_topic)
}

/// Says whether the database answers; once it does again, everybody who has work there is woken.
fn note_away(resource: &DataPlane, entry: &Entry, context: &Context, error: Option<&Error>) {
    let name = resource.name_any();
    let away = error.map(|error| NotReady {
        reason: error.reason(),
        message: format!("DataPlane {name}: {}", error.told()),
    });
    if entry.away(away) {
        context.wake_models_of(&name);
        context.wake_tenants_of(&name);
    }
}

#[instrument(target = TARGET, name = "look at capture", skip_all)]
async fn capture(
    resource: &DataPlane,
    plane: &Plane,
    endpoints: &Endpoints,
    context: &Context,
    memory: &mut Memory,
) -> Result<(ObservedCapture, ObservedConnector), Error> {
    ensure_connector(plane, endpoints, events_topic(resource, context)).await?;
    let capture = observe_capture(&plane.looks, &plane.database, plane.generation).await?;
    let connector = watch_connector(
        plane,
        endpoints,
        &capture,
        resource.spec.cdc.as_ref().is_some_and(|cdc| cdc.paused),
        &mut memory.restarts,
        &context.metrics,
    )
    .await?;
    let retained = capture
        .slot
        .as_ref()
        .and_then(|s| s.retained_bytes)
        .unwrap_or(0);
    let running = connector.capture == Capture::Running;
    context.metrics.capture(
        &resource.name_any(),
        running,
        retained,
        capture.last_sync_seconds.unwrap_or(0.0),
    );
    Ok((capture, connector))
}

/// Models hear of a stop only when it lasts, and of a start at once. A new plane is handed to them with its first
/// look, so that a restart of the operator alone changes no status.
fn tell_models(
    resource: &DataPlane,
    plane: &Arc<Plane>,
    capture: &Capture,
    entry: &Entry,
    memory: &mut Memory,
    context: &Context,
) {
    memory.looks_without_capture = match capture {
        Capture::Running => 0,
        Capture::Stopped { .. } => memory.looks_without_capture.saturating_add(1),
    };
    let new = !entry
        .plane()
        .is_some_and(|known| Arc::ptr_eq(&known, plane));
    let at_once = matches!(
        capture,
        Capture::Running
            | Capture::Stopped {
                reason: Reason::SlotLost | Reason::Paused,
                ..
            }
    );
    let mut news = false;
    if new || at_once || memory.looks_without_capture >= PATIENCE_LOOKS {
        news = plane.capture.send_if_modified(|told| {
            let news = told != capture;
            told.clone_from(capture);
            news
        });
    }
    let name = resource.name_any();
    if new {
        entry.connect(Arc::clone(plane));
        context.wake_tenants_of(&name);
    }
    if new || news {
        context.wake_models_of(&name);
    }
}

async fn withdraw_absent(
    plane: &Plane,
    name: &str,
    context: &Context,
    memory: &mut Memory,
) -> Result<(), Error> {
    let now = Instant::now();
    if memory
        .absent_looked
        .is_some_and(|at| now.duration_since(at) < ABSENT_INTERVAL)
    {
        return Ok(());
    }
    memory.absent_looked = Some(now);
    let models = module_model::withdraw_absent(plane, || uids(&context.models)).await?;
    let tenants = tenant::withdraw_absent(plane, || uids(&context.tenants)).await?;
    module_model::carry_on_absent(plane, || uids(&context.models)).await?;
    tenant::carry_on_absent(plane, || uids(&context.tenants)).await?;
    if models + tenants > 0 {
        tracing::warn!(
            data_plane = name,
            models,
            tenants,
            "published resources that exist no longer were withdrawn"
        );
    }
    Ok(())
}
