//! One look at the DataPlane.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{DataPlane, Reason};
use kube::{
    Api, ResourceExt as _,
    runtime::{controller::Action, events::EventType},
};

use super::{
    look::{Found, look},
    status::status,
};
use crate::{
    context::{Context, Guarded},
    error::Error,
    events,
    metrics::{Kind, Outcome},
    outcome::{self, LOOK_AGAIN},
    report::{self, Refusal, Verdict},
    telemetry::{chain, spans},
};

/// Longest pause after a failed look.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Looks, and brings in order what is not.
pub async fn reconcile(
    object: Arc<Guarded<DataPlane>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if !context.leadership.holds() {
        // The beginning of our term triggers this again.
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let resource = match &object.0 {
        Ok(resource) => resource,
        Err(invalid) => {
            report::write_unreadable::<DataPlane>(
                &context.client,
                &invalid.metadata,
                &invalid.error,
            )
            .await?;
            return Ok(Action::requeue(LOOK_AGAIN));
        }
    };
    let name = resource.name_any();
    if let Some(older) = context.older_unseen(resource) {
        // Of two that claim the same thing the older has it, whichever is looked at first after a start.
        tracing::debug!(
            data_plane = name,
            older,
            "an older DataPlane is looked at first"
        );
        return Ok(Action::requeue(Duration::from_millis(500)));
    }
    let entry = context.planes.entry(&name);
    let mut memory = entry.memory.lock().await;
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    let (verdict, found) = match refuse(resource, &context) {
        Some(refusal) => (Verdict::Refused(refusal), None),
        None => {
            let found = look(resource, &context, &entry, &mut memory).await;
            (Verdict::Looked(found.stages.clone()), Some(found))
        }
    };
    if matches!(
        found.as_ref().and_then(|f| f.error.as_ref()),
        Some(Error::Superseded)
    ) {
        return Err(Error::Superseded);
    }
    entry.looked();
    let plane = found.as_ref().and_then(|f| f.plane.as_deref());
    let figures = found
        .as_ref()
        .and_then(|f| f.capture.as_ref())
        .map(|(capture, c)| (capture, c.task.as_str()));
    let after = status(
        &before,
        generation,
        &verdict,
        plane,
        figures,
        found.as_ref().map(|f| &f.drift),
        &mut memory.rate,
    );
    if let Some(after) = after {
        let api = Api::<DataPlane>::all(context.client.clone());
        report::write_status(&api, &resource.name_any(), &after).await?;
        context.metrics.status_written(Kind::DataPlane);
        events::publish_transition(
            &context.client,
            resource,
            &before.conditions,
            &after.conditions,
        )
        .await;
    }
    if let Some(repaired) = found
        .as_ref()
        .map(|f| &f.repaired)
        .filter(|r| !r.is_empty())
    {
        context.metrics.repaired(Kind::DataPlane, repaired.len());
        let note = format!("put right: {}", repaired.join(", "));
        tracing::error!(
            data_plane = name,
            repaired = repaired.join(", "),
            "fence repaired"
        );
        events::publish(
            &context.client,
            resource,
            EventType::Warning,
            "FenceRepaired",
            &note,
        )
        .await;
    }
    let outcome = match (&verdict, &found) {
        (Verdict::Refused(_), _) => Outcome::Refused,
        (_, Some(Found { error: Some(_), .. })) => Outcome::Failed,
        _ => Outcome::Unchanged,
    };
    context
        .metrics
        .reconciled(Kind::DataPlane, outcome, started.elapsed());
    spans::came_to(outcome, Some(verdict.reason()));
    match found.and_then(|f| f.error) {
        Some(error) => Err(error),
        None => {
            context
                .backoff
                .succeeded(&resource.uid().unwrap_or_default());
            Ok(Action::requeue(context.config.watch_interval))
        }
    }
}

/// What happens after a failure. The watch over the slot goes on: the pause stays short.
pub fn on_error(object: Arc<Guarded<DataPlane>>, error: &Error, context: Arc<Context>) -> Action {
    let uid = object.uid().unwrap_or_default();
    if matches!(error, Error::Superseded) {
        return outcome::on_error(&*object, error, &context, Kind::DataPlane);
    }
    context.metrics.failed(Kind::DataPlane, error.reason());
    let pause = context.backoff.failed(&uid).min(PAUSE_MAX);
    tracing::warn!(
        name = object.name_any(),
        error = chain(error),
        retry_after_seconds = pause.as_secs_f64(),
        "data plane not in order"
    );
    Action::requeue(pause)
}

fn refuse(resource: &DataPlane, context: &Context) -> Option<Refusal> {
    if !context.config.serves(&resource.name_any()) {
        let message = "metadata.name: this operator serves the DataPlanes that SEPTEM_OPERATOR_DATA_PLANES lists";
        return Some(Refusal::of_spec(Reason::NotYetSupported, message));
    }
    let cdc = resource.spec.cdc.as_ref()?;
    let message = "not yet supported: spec.cdc.resyncRequest";
    cdc.resync_request
        .is_some()
        .then(|| Refusal::of_spec(Reason::NotYetSupported, message))
}
