//! A Tenant that is being deleted with `deletionPolicy: Delete`: the resource stays until nothing of the tenant does.

use std::time::Duration;

use chrono::Utc;
use crds::{
    ConditionType, Reason, Tenant, TenantStatus,
    status::{ErasureStatus, ErasureStep},
};
use kube::{
    Api, ResourceExt as _,
    runtime::{controller::Action, events::EventType},
};

use super::{
    erase::{Progress, begin, carry_on, finish, of_resource},
    reconcile::{STAGES, remove},
    validate::grace_period,
    withdraw::withdraw,
};
use crate::{
    context::Context,
    definition::{cannot_tell, is_terminating},
    error::Error,
    events, finalizer,
    metrics::Kind,
    plane::Plane,
    report::{self, Stage, Verdict, conditions},
};

/// Between two looks at what an erasure waits for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Erases, as far as that goes now; the finalizer goes last.
pub(super) async fn erase_away(
    api: &Api<Tenant>,
    resource: &Tenant,
    context: &Context,
) -> Result<Action, Error> {
    let uid = resource.uid().unwrap_or_default();
    let name = &resource.spec.data_plane_ref;
    let plane = match context.plane(name) {
        Ok(plane) => plane,
        // Its connection triggers this again.
        Err(_) if context.is_starting(name) => return Ok(Action::requeue(LOOK_INTERVAL)),
        // An erasure that had begun is carried on without the resource.
        Err(_) if is_terminating::<Tenant>(context).await.unwrap_or(false) => {
            return remove(api, resource, context).await;
        }
        Err(away) => {
            let message = format!(
                "{}. If it is gone for good, remove the finalizer by hand: what is left there then stays",
                away.message
            );
            let before = resource.status.as_ref().and_then(|s| s.erasure.clone());
            let status = before.unwrap_or_else(|| at(ErasureStep::Waiting));
            tell(api, resource, context, status, message).await?;
            return Ok(Action::requeue(LOOK_INTERVAL * 5));
        }
    };
    let begun = match of_resource(&plane, &uid).await? {
        Some(erasure) => Some(erasure),
        None => match (
            is_terminating::<Tenant>(context).await,
            grace_left(resource),
        ) {
            (Ok(true), _) => {
                let name = resource.name_any();
                tracing::warn!(name, "the CRD of Tenants is being deleted: data retained");
                return remove(api, resource, context).await;
            }
            (Err(error), _) => {
                let message = cannot_tell::<Tenant>(&error);
                tell(api, resource, context, at(ErasureStep::Waiting), message).await?;
                return Err(error);
            }
            (Ok(false), Some(left)) => {
                return wait_out(api, resource, context, &plane, &uid, left).await;
            }
            (Ok(false), None) => begin(&plane, &uid).await?,
        },
    };
    let Some(erasure) = begun else {
        // It never came to own a tenant, so there is nothing of its to erase.
        return remove(api, resource, context).await;
    };
    let Progress {
        status,
        message,
        error,
        done,
    } = carry_on(&plane, &erasure).await;
    if matches!(error, Some(Error::Superseded)) {
        return Err(Error::Superseded);
    }
    if !done {
        tell(api, resource, context, status, message).await?;
        return match error {
            Some(error) => Err(error),
            None => {
                context.backoff.succeeded(&uid);
                Ok(Action::requeue(LOOK_INTERVAL))
            }
        };
    }
    tracing::info!(tenant = %erasure.tenant_id, result = message, "tenant erased");
    // Before the end is noted: twice is allowed, never is not.
    let reason = Reason::Erased.as_str();
    events::publish(
        &context.client,
        resource,
        EventType::Normal,
        reason,
        &message,
    )
    .await;
    finish(&plane, &erasure).await?;
    finalizer::remove(api, resource).await?;
    context.backoff.succeeded(&uid);
    Ok(Action::await_change())
}

/// What is left of `spec.gracePeriod`; none when it is over. A spec that was never accepted has none.
fn grace_left(resource: &Tenant) -> Option<Duration> {
    let deleted_at = resource.metadata.deletion_timestamp.as_ref()?.0.as_second();
    let since = u64::try_from(Utc::now().timestamp() - deleted_at).unwrap_or(0);
    let left = grace_period(resource)?.checked_sub(Duration::from_secs(since))?;
    (!left.is_zero()).then_some(left)
}

/// The tenant is shut out while it can still be kept.
async fn wait_out(
    api: &Api<Tenant>,
    resource: &Tenant,
    context: &Context,
    plane: &Plane,
    uid: &str,
    left: Duration,
) -> Result<Action, Error> {
    withdraw(plane, uid).await?;
    let message = "spec.gracePeriod runs; the tenant is shut out, and nothing is erased yet. To keep it, set \
                   spec.deletionPolicy to Retain: this resource then goes, and can be applied again";
    let status = at(ErasureStep::Waiting);
    tell(api, resource, context, status, message.to_owned()).await?;
    Ok(Action::requeue(left.min(Duration::from_secs(60))))
}

fn at(step: ErasureStep) -> ErasureStatus {
    ErasureStatus {
        step,
        rows_deleted: 0,
        waiting_for_revision: None,
        topic_erased_by: None,
    }
}

/// Writes the status if it says something new.
async fn tell(
    api: &Api<Tenant>,
    resource: &Tenant,
    context: &Context,
    erasure: ErasureStatus,
    message: String,
) -> Result<(), Error> {
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    let stage = Stage::missing(ConditionType::RegistryWritten, Reason::Erasing, message);
    let verdict = Verdict::Retrying(stage);
    let after = TenantStatus {
        observed_generation: Some(generation),
        catalog_revision: before.catalog_revision,
        erasure: Some(erasure),
        conditions: conditions(&before.conditions, generation, &STAGES, &verdict),
    };
    if after == before {
        return Ok(());
    }
    report::write_status(api, &resource.name_any(), &after).await?;
    context.metrics.status_written(Kind::Tenant);
    events::publish_transition(
        &context.client,
        resource,
        &before.conditions,
        &after.conditions,
    )
    .await;
    Ok(())
}
