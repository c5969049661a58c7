//! One reconcile of one Tenant.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{ConditionType, Reason, Tenant, TenantStatus, module_model::DeletionPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt as _,
    runtime::{controller::Action, events::EventType},
};
use model::TenantId;
use tracing::instrument;

use super::{
    Looked,
    apply::{apply, check_conflicts, placed_elsewhere},
    deletion::erase_away,
    observe::{Observed, ObservedPolicies, observe, observe_policies},
    validate::{Desired, validate},
    withdraw::withdraw,
};
use crate::{
    context::{Context, Guarded, uids},
    error::Error,
    events, finalizer,
    metrics::{Kind, Outcome},
    module_model::waits_for_tenants,
    outcome::{self, End},
    plane::Plane,
    report::{self, Stage, conditions},
    telemetry::{TARGET, chain, spans},
};

/// The stages of a Tenant, in order.
pub(super) const STAGES: [ConditionType; 3] = [
    ConditionType::RegistryWritten,
    ConditionType::PoliciesApplied,
    ConditionType::ModulesServed,
];

/// Brings one tenant to what its resource says.
pub async fn reconcile(
    object: Arc<Guarded<Tenant>>,
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
            report::write_unreadable::<Tenant>(&context.client, &invalid.metadata, &invalid.error)
                .await?;
            return Ok(Action::requeue(outcome::LOOK_AGAIN));
        }
    };
    let api = Api::<Tenant>::all(context.client.clone());
    if resource.metadata.deletion_timestamp.is_some() {
        let action = match resource.spec.deletion_policy {
            DeletionPolicy::Retain => remove(&api, resource, &context).await?,
            DeletionPolicy::Delete => erase_away(&api, resource, &context).await?,
        };
        context
            .metrics
            .reconciled(Kind::Tenant, Outcome::Withdrawn, started.elapsed());
        spans::came_to(Outcome::Withdrawn, None);
        return Ok(action);
    }
    if context.is_starting(&resource.spec.data_plane_ref) {
        // Its connection triggers this again.
        return Ok(Action::requeue(outcome::WAIT));
    }
    let (end, revision) = run(&api, resource, &context).await;
    if matches!(end.error, Some(Error::Superseded)) {
        return Err(Error::Superseded);
    }
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    let after = TenantStatus {
        observed_generation: Some(generation),
        catalog_revision: revision.or(before.catalog_revision),
        erasure: None,
        conditions: conditions(&before.conditions, generation, &STAGES, &end.verdict),
    };
    if after != before {
        report::write_status(&api, &resource.name_any(), &after).await?;
        context.metrics.status_written(Kind::Tenant);
        events::publish_transition(
            &context.client,
            resource,
            &before.conditions,
            &after.conditions,
        )
        .await;
        // No warning: they may come next.
        events::publish_aside(
            &context.client,
            resource,
            ConditionType::ModulesServed,
            EventType::Normal,
            &before.conditions,
            &after.conditions,
        )
        .await;
    }
    context
        .metrics
        .reconciled(Kind::Tenant, end.outcome, started.elapsed());
    spans::came_to(end.outcome, Some(end.verdict.reason()));
    end.into_action(
        &context.backoff,
        &resource.uid().unwrap_or_default(),
        context.config.drift_interval,
    )
}

/// What happens after a failure.
pub fn on_error(object: Arc<Guarded<Tenant>>, error: &Error, context: Arc<Context>) -> Action {
    outcome::on_error(&*object, error, &context, Kind::Tenant)
}

async fn run(api: &Api<Tenant>, resource: &Tenant, context: &Context) -> (End, Option<i64>) {
    let desired = match validate(resource) {
        Ok(desired) => desired,
        Err(refusal) => return (End::refused(refusal), None),
    };
    let plane = match context.plane(&desired.data_plane) {
        Ok(plane) => plane,
        Err(why) => {
            let stage = Stage::missing(ConditionType::RegistryWritten, why.reason, why.message);
            return (End::waiting(stage), None);
        }
    };
    converge(api, resource, &desired, &plane, context)
        .await
        .unwrap_or_else(|error| {
            let kind = if error.is_clickhouse() {
                ConditionType::PoliciesApplied
            } else {
                ConditionType::RegistryWritten
            };
            (
                End::failed(Stage::missing(kind, error.reason(), chain(&error)), error),
                None,
            )
        })
}

async fn converge(
    api: &Api<Tenant>,
    resource: &Tenant,
    desired: &Desired,
    plane: &Plane,
    context: &Context,
) -> Result<(End, Option<i64>), Error> {
    let (mut registry, mut policies) = look(plane, desired).await?;
    let owner = registry.row.as_ref().map(|row| &row.resource_uid);
    let gone = owner.is_some_and(|uid| {
        *uid != desired.uid && uids(&context.tenants).is_some_and(|all| !all.contains(uid))
    });
    if let Err(refusal) = check_conflicts(desired, &registry, gone) {
        return Ok((End::refused(refusal), None));
    }
    let changed = !registry.matches(desired) || !policies.is_open_for(&desired.id);
    if changed {
        if registry.row.is_none()
            && let Some(refusal) = placed_elsewhere(desired, context).await
        {
            return Ok((End::refused(refusal), None));
        }
        finalizer::add(api, resource).await?;
        if let Err(refusal) = apply(plane, desired, gone).await? {
            return Ok((End::refused(refusal), None));
        }
        tracing::info!(tenant = %desired.id, resource = desired.resource, "tenant applied");
        for module in &resource.spec.modules {
            context.waiting.wake(&waits_for_tenants(module));
        }
        if was_whole(resource) {
            tell(resource, desired, &registry, &policies, context).await;
        }
        (registry, policies) = look(plane, desired).await?;
    }
    let revision = registry.row.as_ref().map(|row| row.revision);
    Ok((
        End::looked(stages(desired, &registry, &policies), changed),
        revision,
    ))
}

/// Whether this spec had been carried out: what differs now is somebody's hand.
fn was_whole(resource: &Tenant) -> bool {
    let status = resource.status.as_ref();
    status.is_some_and(|status| {
        status.observed_generation == resource.metadata.generation
            && STAGES
                .iter()
                .filter(|s| !s.leaves_ready_alone())
                .all(|stage| {
                    let is = |c: &&Condition| c.type_ == stage.as_str();
                    let found = status.conditions.iter().find(is);
                    found.is_some_and(|c| c.status == "True")
                })
    })
}

/// What was found changed, and has been put right: all of it decides who may do what.
async fn tell(
    resource: &Tenant,
    desired: &Desired,
    registry: &Observed,
    policies: &ObservedPolicies,
    context: &Context,
) {
    let mut repaired = Vec::new();
    if !registry.matches(desired) {
        repaired.push("the registry");
    }
    if !policies.is_open_for(&desired.id) {
        repaired.push("role or row policy in ClickHouse");
    }
    let what = repaired.join(", ");
    tracing::error!(tenant = %desired.id, repaired = what, "fence repaired");
    context.metrics.repaired(Kind::Tenant, repaired.len());
    let note = format!("changed by hand and put right: {what}");
    events::publish(
        &context.client,
        resource,
        EventType::Warning,
        "FenceRepaired",
        &note,
    )
    .await;
}

#[instrument(target = TARGET, name = "look", skip_all)]
async fn look(plane: &Plane, desired: &Desired) -> Result<Looked, Error> {
    let asked = (desired.id, desired.slug.clone());
    let all = |tenants| look_all(plane, tenants);
    let looked = plane.tenants.looks.ask(asked, all).await?;
    Ok(looked.unwrap_or_default())
}

/// Looks at all of them. The connection is free again while ClickHouse is asked.
async fn look_all(
    plane: &Plane,
    tenants: Vec<(TenantId, String)>,
) -> Result<Vec<Option<Looked>>, Error> {
    let registries = {
        let mut conn = plane
            .looks
            .acquire()
            .await
            .map_err(Error::postgres("a connection"))?;
        observe(&mut conn, &tenants).await?
    };
    let ids: Vec<_> = tenants.into_iter().map(|(id, _)| id).collect();
    let policies = observe_policies(&plane.clickhouse, &ids).await?;
    Ok(registries.into_iter().zip(policies).map(Some).collect())
}

fn stages(desired: &Desired, registry: &Observed, policies: &ObservedPolicies) -> Vec<Stage> {
    let written = match &registry.row {
        Some(row) if registry.matches(desired) => Stage::reached(
            ConditionType::RegistryWritten,
            format!("published in revision {}", row.revision),
        ),
        _ => Stage::missing(
            ConditionType::RegistryWritten,
            Reason::Progressing,
            "not in the registry yet",
        ),
    };
    let applied = if policies.is_open_for(&desired.id) {
        Stage::reached(
            ConditionType::PoliciesApplied,
            "role and row policy were seen in ClickHouse",
        )
    } else {
        Stage::missing(
            ConditionType::PoliciesApplied,
            Reason::Progressing,
            "role or row policy are missing",
        )
    };
    vec![written, applied, modules(desired, registry)]
}

/// Modules that nobody has applied a model of: they may still come, or the name is wrong.
fn modules(desired: &Desired, registry: &Observed) -> Stage {
    let kind = ConditionType::ModulesServed;
    let missing = desired.modules.difference(&registry.modules_served);
    let missing: Vec<_> = missing.map(String::as_str).collect();
    if missing.is_empty() {
        return Stage::reached(kind, "every module has a model that is served");
    }
    let message = format!(
        "spec.modules: there is no ModuleModel of {}; apply one, or correct the name",
        missing.join(", ")
    );
    Stage::missing(kind, Reason::ModuleNotFound, message)
}

/// Shuts the tenant out and lets the resource go; its data stays.
pub(super) async fn remove(
    api: &Api<Tenant>,
    resource: &Tenant,
    context: &Context,
) -> Result<Action, Error> {
    let uid = resource.uid().unwrap_or_default();
    let plane = context.plane(&resource.spec.data_plane_ref).ok();
    let withdrawn = match &plane {
        Some(plane) => withdraw(plane, &uid).await,
        None => Ok(false),
    };
    let waited = finalizer::has_waited(resource);
    match withdrawn {
        Err(error) if !waited || matches!(error, Error::Superseded) => return Err(error),
        Err(error) => tracing::error!(
            name = resource.name_any(),
            error = chain(&error),
            "withdrawn later"
        ),
        Ok(true) => tracing::info!(
            name = resource.name_any(),
            "tenant withdrawn, its data retained"
        ),
        Ok(false) if plane.is_none() && !waited => {
            return Ok(Action::requeue(Duration::from_secs(2)));
        }
        Ok(false) => {}
    }
    finalizer::remove(api, resource).await?;
    context.backoff.succeeded(&uid);
    Ok(Action::await_change())
}
