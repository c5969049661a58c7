//! One reconcile of one ModuleModel.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{ConditionType, ModuleModel, Reason, module_model::Approval};
use kube::{
    Api, ResourceExt as _,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};

use super::{
    apply::{Done, Look, Stop, apply_next, look_now},
    approval::{self, Permit, Proposal, permit},
    build::{Phase, Plan, Rivals, Step},
    deletion::delete_away,
    drift,
    files::{Files, Read, waits_for_tenants},
    references::{Missing, check_deletes, missing_references},
    status::{Facts, stage_of, stages, status},
    validate::{Desired, drift_interval_of, validate},
    withdraw::withdraw,
};
use crate::{
    context::{Context, Guarded, uids},
    error::Error,
    events, finalizer,
    merge::merge,
    metrics::{Kind, Outcome},
    outcome::{self, End},
    plane::Plane,
    report::{self, Stage},
    telemetry::spans,
};

/// Between two reads of ConfigMaps: their changes are not watched, since that would take the right to list them all.
const FILES_AGAIN: Duration = Duration::from_secs(15);

/// Brings one model to what its resource says.
pub async fn reconcile(
    object: Arc<Guarded<ModuleModel>>,
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
            report::write_unreadable::<ModuleModel>(
                &context.client,
                &invalid.metadata,
                &invalid.error,
            )
            .await?;
            return Ok(Action::requeue(outcome::LOOK_AGAIN));
        }
    };
    let api = Api::<ModuleModel>::namespaced(
        context.client.clone(),
        &resource.namespace().unwrap_or_default(),
    );
    if resource.metadata.deletion_timestamp.is_some() {
        let action = remove(&api, resource, &context).await?;
        context
            .metrics
            .reconciled(Kind::ModuleModel, Outcome::Withdrawn, started.elapsed());
        spans::came_to(Outcome::Withdrawn, None);
        return Ok(action);
    }
    let told = resource.status.as_ref().and_then(|s| s.observed_generation);
    if told != resource.metadata.generation {
        // It may permit more than before.
        let (module, model) = (&resource.spec.module, &resource.spec.model);
        context.waiting.wake(&format!("{module}.{model}"));
    }
    let mut facts = Facts::default();
    let end = run(&api, resource, &context, &mut facts).await;
    if matches!(end.error, Some(Error::Superseded)) {
        // A newer operator speaks for this resource now.
        return Err(Error::Superseded);
    }
    if refs(resource).any(|name| context.is_starting(name)) {
        // What can be done is done; its connection triggers this again, and then the status tells of all.
        return Ok(Action::requeue(outcome::WAIT));
    }
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    let after = status(&before, generation, facts, &end.verdict);
    if after != before {
        report::write_status(&api, &resource.name_any(), &after).await?;
        context.metrics.status_written(Kind::ModuleModel);
        events::publish_transition(
            &context.client,
            resource,
            &before.conditions,
            &after.conditions,
        )
        .await;
        events::publish_aside(
            &context.client,
            resource,
            ConditionType::IndexesServe,
            EventType::Warning,
            &before.conditions,
            &after.conditions,
        )
        .await;
    }
    context
        .metrics
        .reconciled(Kind::ModuleModel, end.outcome, started.elapsed());
    spans::came_to(end.outcome, Some(end.verdict.reason()));
    let interval = drift_interval_of(&resource.spec).ok().flatten();
    end.into_action(
        &context.backoff,
        &resource.uid().unwrap_or_default(),
        interval.unwrap_or(context.config.drift_interval),
    )
}

/// What happens after a failure.
pub fn on_error(object: Arc<Guarded<ModuleModel>>, error: &Error, context: Arc<Context>) -> Action {
    outcome::on_error(&*object, error, &context, Kind::ModuleModel)
}

/// Steps of one reconcile; a change of every field and index has fewer.
const STEPS_MAX: usize = 512;

/// Validate → look → build → apply → look. `facts` are found out on the way, however it ends.
async fn run(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    context: &Context,
    facts: &mut Facts,
) -> End {
    if resource.spec.paused {
        return End::paused();
    }
    let desired = match validate(resource) {
        Ok(desired) => desired,
        Err(refusal) => return End::refused(refusal),
    };
    let mut ends = Vec::new();
    for name in refs(resource) {
        let mut its = Facts::default();
        let end = run_on(name, api, resource, &desired, context, &mut its).await;
        facts.merge(its);
        ends.push((name.to_owned(), end));
    }
    merge(ends)
}

/// The DataPlanes that the resource names.
fn refs(resource: &ModuleModel) -> impl Iterator<Item = &str> {
    resource.spec.data_plane_refs.iter().map(String::as_str)
}

/// On one DataPlane.
async fn run_on(
    name: &str,
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    desired: &Desired,
    context: &Context,
    facts: &mut Facts,
) -> End {
    let plane = match context.plane(name) {
        Ok(plane) => plane,
        Err(why) => {
            let stage = Stage::missing(ConditionType::SchemaApplied, why.reason, why.message);
            return End::waiting(stage);
        }
    };
    let end = match converge(api, resource, desired, &plane, context, facts).await {
        Ok(mut end) => {
            let revision = facts.revision;
            let drift = drift::look(resource, desired, &plane, revision, &mut end, context).await;
            facts
                .drift
                .extend(drift.map(|drift| (name.to_owned(), drift)));
            end
        }
        Err(Stop::Refused(refusal)) => {
            if refusal.reason == Reason::NameConflict {
                context
                    .waiting
                    .wait(desired.model.name().to_string(), object_ref(resource));
            }
            End::refused(refusal)
        }
        Err(Stop::Failed(error)) => {
            facts.failed(&error);
            End::failed(stage_of(&error), error)
        }
    };
    match desired.file_maps.is_empty() {
        true => end,
        false => end.soon(FILES_AGAIN),
    }
}

async fn converge(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    desired: &Desired,
    plane: &Plane,
    context: &Context,
    facts: &mut Facts,
) -> Result<End, Stop> {
    let mut files = match Files::read(&context.client, plane, desired).await? {
        Read::Files(files) => files,
        Read::Missing(stage) => return Ok(End::waiting(stage)),
    };
    facts.migrations = files.status();
    if files.wait_for_tenants() {
        let module = desired.model.name().module.as_str();
        context
            .waiting
            .wait(waits_for_tenants(module), object_ref(resource));
    }
    let mut found = look_now(plane, desired).await?;
    let rivals = rivals(&found, desired, context);
    let waiting = match missing_references(&found, desired, resource, context) {
        Missing::None => None,
        Missing::WaitFor(stage) => return Ok(End::waiting(stage)),
        Missing::Later(fields, stage) => Some((desired.without_references(&fields)?, stage)),
    };
    check_deletes(&found, desired, resource, context)?;
    let desired = waiting.as_ref().map_or(desired, |(without, _)| without);
    let mut plan = found.plan(plane, desired, rivals)?;
    let changed = !plan.is_empty() || !files.are_done();
    let mut stopped = Done::Nothing;
    let mut ran = files.are_done();
    // `resource` is as it was before: asked for twice, the finalizer would be a conflict.
    let mut held = false;
    for _ in 0..STEPS_MAX {
        facts.looked(&found, &plan);
        // An open fence is closed first, and nobody is asked.
        let asks = desired.approval == Approval::Manual && plan.repaired.is_empty();
        let proposal = match asks {
            true => Proposal::of(desired, &found, &plan, &files),
            false => None,
        };
        match permit(desired, &found.observed, proposal) {
            Permit::Granted => {}
            Permit::Begin(approved) => {
                hold(api, resource, &mut held).await?;
                approval::begin(plane, desired, rivals, &files, &approved).await?;
                found = look_now(plane, desired).await?;
                plan = found.plan(plane, desired, rivals)?;
                continue;
            }
            Permit::Missing(proposal, refusal) => {
                facts.waits_for_approval(proposal.pending(desired));
                approval::keep(&context.client, resource, desired, &proposal).await?;
                return Err(refusal.into());
            }
        }
        if !ran && only_takes_away(&plan) {
            // After what adds, before what takes away: a file may use the new columns, and the old ones.
            ran = true;
            let hash = approval::running(desired, &found.observed).map(|p| &*p.hash);
            let runs = files.run(plane, desired, hash).await?;
            tell_files(resource, desired, runs, context).await;
            facts.migrations = files.status_now(plane, desired).await?;
        }
        if plan.is_empty() {
            break;
        }
        hold(api, resource, &mut held).await?;
        let began = Instant::now();
        stopped = apply_next(plane, desired, rivals).await?;
        if let Done::Step(done) = &stopped {
            if let Some(step) = done.steps.first() {
                context.metrics.stepped(step.name(), began.elapsed());
            }
            tell(resource, desired, done, context).await;
            if done.steps.first().is_some_and(Step::publishes) {
                context.waiting.wake(&desired.model.name().to_string());
                context.wake_tenants_with(desired.model.name().module.as_str());
            }
        }
        found = look_now(plane, desired).await?;
        plan = found.plan(plane, desired, rivals)?;
        if !matches!(stopped, Done::Step(_)) {
            break;
        }
    }
    facts.looked(&found, &plan);
    match Proposal::of(desired, &found, &plan, &files) {
        None => approval::end(plane, desired, &found).await?,
        Some(rest) => {
            let approved = approval::running(desired, &found.observed);
            let hash = approved.map_or_else(|| rest.hash.clone(), |a| a.hash.clone());
            facts.plan = Some(rest.rest_of(hash).status(None));
        }
    }
    let mut stages = stages(plane, desired, &found, &plan, &stopped);
    if let Some((_, waiting)) = waiting {
        stages.retain(|s| s.condition != waiting.condition);
        stages.insert(0, waiting);
    }
    Ok(End::looked(stages, changed))
}

/// Our finalizer, before the first thing that is done.
async fn hold(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    held: &mut bool,
) -> Result<(), Error> {
    if !*held {
        finalizer::add(api, resource).await?;
        *held = true;
    }
    Ok(())
}

/// Whether nothing is left but to wait for proxies and to remove what they do not use any more.
fn only_takes_away(plan: &Plan) -> bool {
    let mut steps = plan.steps.iter();
    steps.all(|s| s.phase() == Some(Phase::Contract))
}

fn rivals(found: &Look, desired: &Desired, context: &Context) -> Rivals {
    let Some(published) = &found.observed.published else {
        return Rivals::Exist;
    };
    if published.resource_uid == desired.uid {
        return Rivals::Exist;
    }
    match uids(&context.models) {
        Some(existing) if !existing.contains(&published.resource_uid) => Rivals::Gone,
        _ => Rivals::Exist,
    }
}

/// What was done, in the log and as Events.
async fn tell(resource: &ModuleModel, desired: &Desired, plan: &Plan, context: &Context) {
    let (Some(step), Some(model)) = (plan.steps.first(), plan.model.as_deref()) else {
        return;
    };
    let statements = step.statements(model).len();
    tracing::info!(
        resource = desired.resource,
        statements,
        step = step.name(),
        "step carried out"
    );
    // Closing the fence comes before everything else.
    if !plan.repaired.is_empty() {
        let note = format!(
            "the fence between tenants was open and has been closed: {}",
            plan.repaired.join(", ")
        );
        tracing::error!(
            resource = desired.resource,
            open = plan.repaired.join(", "),
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
    } else if matches!(step, Step::Transaction { .. }) && statements > 0 {
        let note = format!(
            "{statements} statements were run in PostgreSQL ({})",
            step.name()
        );
        events::publish(
            &context.client,
            resource,
            EventType::Normal,
            "SchemaChanged",
            &note,
        )
        .await;
    }
}

async fn tell_files(resource: &ModuleModel, desired: &Desired, runs: usize, context: &Context) {
    tracing::info!(resource = desired.resource, runs, "files run");
    let note = format!("SQL files were run {runs} times");
    events::publish(
        &context.client,
        resource,
        EventType::Normal,
        "FilesRun",
        &note,
    )
    .await;
}

/// Withdraws what the resource published and lets it go.
async fn remove(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    context: &Context,
) -> Result<Action, Error> {
    let uid = resource.uid().unwrap_or_default();
    if !delete_away(api, resource, context).await? {
        context.backoff.succeeded(&uid);
        return Ok(Action::requeue(outcome::SOON));
    }
    let waited = finalizer::has_waited(resource);
    for name in refs(resource) {
        let plane = context.plane(name).ok();
        let withdrawn = match &plane {
            Some(plane) => withdraw(plane, &uid).await,
            None => Ok(false),
        };
        match withdrawn {
            Err(error) if !waited || matches!(error, Error::Superseded) => return Err(error),
            Err(error) => tracing::error!(
                name = resource.name_any(),
                data_plane = name,
                error = crate::telemetry::chain(&error),
                "withdrawn later"
            ),
            Ok(true) => tracing::info!(
                name = resource.name_any(),
                data_plane = name,
                "model withdrawn, its data retained"
            ),
            Ok(false) if plane.is_none() && !waited => {
                return Ok(Action::requeue(Duration::from_secs(2)));
            }
            Ok(false) => {}
        }
    }
    finalizer::remove(api, resource).await?;
    context.backoff.succeeded(&uid);
    context
        .waiting
        .wake(&format!("{}.{}", resource.spec.module, resource.spec.model));
    Ok(Action::await_change())
}

/// For those who wake it.
pub(super) fn object_ref(resource: &ModuleModel) -> ObjectRef<Guarded<ModuleModel>> {
    ObjectRef::new(&resource.name_any()).within(&resource.namespace().unwrap_or_default())
}
