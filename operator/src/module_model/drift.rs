//! What somebody changed by hand: the objects of a model as both databases describe them, compared with how they
//! described them when the model had been applied.
//!
//! The fence is not among it: that is looked at with every reconcile and closed at once.

mod compare;
mod observe;

use crds::{
    ConditionType, ModuleModel, Reason,
    condition::State,
    module_model::DriftPolicy,
    status::{DRIFT_NAMES_MAX, DriftStatus},
};
use kube::runtime::events::EventType;
use model::ModelName;
use tracing::instrument;

use super::validate::Desired;
use crate::{
    context::Context,
    error::Error,
    events,
    metrics::Kind,
    outcome::End,
    plane::Plane,
    postgres::{Timeouts, execute},
    report::{Stage, Verdict},
    telemetry::{TARGET, chain},
};

use compare::{Difference, compare, repairs};
pub use observe::{Asked, Found};
use observe::{Objects, observe};

/// What a check came to.
#[derive(Debug, Default)]
struct Checked {
    /// What still differs.
    drift: DriftStatus,
    /// What was put back.
    repaired: Vec<String>,
}

/// Compares, and puts back what may be put back. Called when nothing is left to do for the model: what is there after a
/// revision was published is noted, and later looks are compared with that.
#[instrument(target = TARGET, name = "look for drift", skip_all)]
async fn check(
    plane: &Plane,
    desired: &Desired,
    revision: i64,
    policy: DriftPolicy,
) -> Result<Checked, Error> {
    let name = desired.model.name();
    let asked = Asked {
        name: name.clone(),
        revision,
        analytics: desired.model.analytics(),
    };
    let found = observe(plane, asked.clone()).await?;
    let Some(applied) = found.noted else {
        note(plane, name, revision, &found.objects).await?;
        return Ok(Checked::default());
    };
    let difference = compare(&applied, &found.objects);
    let statements = match policy {
        DriftPolicy::Report => Vec::new(),
        DriftPolicy::Repair => repairs(name, &applied, &difference),
    };
    if statements.is_empty() {
        return Ok(Checked {
            drift: shown(difference),
            repaired: Vec::new(),
        });
    }
    let timeouts: Timeouts = desired.timeouts;
    let mut fenced = plane.fenced(timeouts).await?;
    let mut repaired = Vec::new();
    for (what, statement) in statements {
        execute(fenced.conn(), &statement)
            .await
            .map_err(Error::postgres("what was applied"))?;
        repaired.push(what);
    }
    fenced.commit().await?;
    let left = compare(&applied, &observe(plane, asked).await?.objects);
    Ok(Checked {
        drift: shown(left),
        repaired,
    })
}

/// Looks for drift where nothing is left to do, and puts the stage of it in place of what was found on the way. Says
/// what differs; none while a change is under way.
pub async fn look(
    resource: &ModuleModel,
    desired: &Desired,
    plane: &Plane,
    revision: Option<i64>,
    end: &mut End,
    context: &Context,
) -> Option<DriftStatus> {
    let Verdict::Looked(stages) = &mut end.verdict else {
        return None;
    };
    let reached = |stage: &Stage| {
        let aside = stage.condition.leaves_ready_alone()
            || stage.condition == ConditionType::CaptureRunning;
        aside || stage.state == State::True
    };
    let revision = revision.filter(|_| stages.iter().all(reached))?;
    let checked = check(plane, desired, revision, desired.drift_policy).await;
    let found = stage(&checked);
    let own = stages.iter_mut().find(|s| s.condition == found.condition);
    if let Some(own) = own {
        // What the plan has found stands, where this look finds nothing: an older state was noted.
        if own.state != State::True || found.state == State::True {
            *own = found;
        }
    }
    let Checked { drift, repaired } = match checked {
        Ok(checked) => checked,
        Err(error) => {
            tracing::warn!(
                resource = desired.resource,
                error = chain(&error),
                "not looked for drift"
            );
            return None;
        }
    };
    if !repaired.is_empty() {
        let what = repaired.join(", ");
        tracing::warn!(
            resource = desired.resource,
            repaired = what,
            "drift repaired"
        );
        context.metrics.repaired(Kind::ModuleModel, repaired.len());
        let note = format!("put back as it was applied: {what}");
        events::publish(
            &context.client,
            resource,
            EventType::Warning,
            "DriftRepaired",
            &note,
        )
        .await;
    }
    let before = resource.status.as_ref().and_then(|s| s.drift.as_ref());
    if drift != DriftStatus::default() && before != Some(&drift) {
        let note = stage(&Ok(Checked {
            drift: drift.clone(),
            repaired: Vec::new(),
        }));
        let note = note.message;
        events::publish(
            &context.client,
            resource,
            EventType::Warning,
            "DriftDetected",
            &note,
        )
        .await;
    }
    Some(drift)
}

/// The stage that a check came to; one that could not be carried out is not known to be without drift.
fn stage(checked: &Result<Checked, Error>) -> Stage {
    let (state, reason, message) = match checked {
        Err(error) => (State::Unknown, Reason::CheckFailed, chain(error)),
        Ok(checked) if checked.drift == DriftStatus::default() => {
            let message = "the databases hold what was applied".to_owned();
            (State::False, Reason::NoDrift, message)
        }
        Ok(Checked { drift, .. }) => {
            let kinds = [
                ("extra", &drift.extra),
                ("missing", &drift.missing),
                ("modified", &drift.modified),
            ];
            let named = kinds.iter().filter(|(_, names)| !names.is_empty());
            let parts: Vec<_> = named
                .map(|(kind, names)| format!("{kind}: {}", names.join(", ")))
                .collect();
            (State::True, Reason::DriftDetected, parts.join("; "))
        }
    };
    Stage {
        condition: ConditionType::Drifted,
        state,
        reason,
        message,
    }
}

fn shown(difference: Difference) -> DriftStatus {
    let cut = |mut names: Vec<String>| {
        names.truncate(DRIFT_NAMES_MAX);
        names
    };
    let Difference {
        extra,
        missing,
        modified,
    } = difference;
    DriftStatus {
        extra: cut(extra),
        missing: cut(missing),
        modified: cut(modified),
    }
}

async fn note(
    plane: &Plane,
    name: &ModelName,
    revision: i64,
    found: &Objects,
) -> Result<(), Error> {
    let objects = serde_json::to_value(found).map_err(Error::Observed)?;
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    sqlx::query(
        "insert into platform.applied_objects (module, model, revision, objects) values ($1, $2, $3, $4) on conflict (module, model) do update set revision = excluded.revision, objects = excluded.objects",
    )
    .bind(name.module.as_str())
    .bind(name.model.as_str())
    .bind(revision)
    .bind(objects)
    .execute(fenced.conn())
    .await
    .map_err(Error::postgres("what was applied"))?;
    fenced.commit().await
}
