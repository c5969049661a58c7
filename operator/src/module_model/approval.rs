//! Whether a plan may be carried out. With `approval: Manual` nothing is changed but by a plan whose hash
//! `approvedPlan` names, and the hash binds it to the state that it was made from.
//!
//! Carrying out a plan changes that state. So what was approved is kept with the first step, statement by statement, and
//! what is left to do has to be a part of it: whoever changes the database meanwhile makes another plan necessary, and
//! that one waits.

mod config_map;
mod proposal;
#[cfg(test)]
mod tests;

use crds::{ConditionType, Reason, module_model::Approval};

pub use config_map::keep;
pub use proposal::Proposal;

use super::{
    apply::Look,
    build::{Plan, Rivals},
    files::Files,
    observe::{ApprovedPlan, Observed},
    validate::Desired,
};
use crate::{digest::sha256, error::Error, plane::Plane, report::Refusal};

use super::apply::{Stop, look};

/// Whether a plan may be carried out.
#[derive(Debug, PartialEq)]
pub enum Permit {
    /// It may.
    Granted,
    /// It may once it is noted what was approved.
    Begin(Proposal),
    /// Somebody has to approve it.
    Missing(Proposal, Refusal),
}

/// Judges. Pure.
pub fn permit(desired: &Desired, observed: &Observed, proposal: Option<Proposal>) -> Permit {
    let (Approval::Manual, Some(proposal)) = (desired.approval, proposal) else {
        return Permit::Granted;
    };
    let running = running(desired, observed);
    let other = running.and_then(|approved| proposal.first_beyond(&approved.statements));
    if running.is_some() && other.is_none() {
        return Permit::Granted;
    }
    let (hash, name) = (&proposal.hash, config_map::name(desired));
    let reason_and_why = match (&desired.approved_plan, observed.approved.as_ref()) {
        (Some(named), _) if named == hash => return Permit::Begin(proposal),
        _ if other.is_some() => (
            Reason::PlanOutdated,
            format!(
                "the database was changed while the approved plan was carried out, and {:?} was not approved",
                other.unwrap_or_default()
            ),
        ),
        (None, _) => (Reason::ApprovalPending, "nothing was changed".to_owned()),
        (Some(named), Some(last)) if last.ended && *named == last.hash => (
            Reason::ApprovalPending,
            "the plan that spec.migrations.approvedPlan names was carried out before".to_owned(),
        ),
        (Some(named), _) => (
            Reason::PlanOutdated,
            format!(
                "spec.migrations.approvedPlan names {}, which was made for another spec or from another state of the database",
                shortened(named)
            ),
        ),
    };
    let (reason, why) = reason_and_why;
    let loses = if proposal.destructive {
        ", data is lost"
    } else {
        ""
    };
    let message = format!(
        "plan {hash} waits to be approved ({} statements and files{loses}); {why}; read ConfigMap {name}, then set spec.migrations.approvedPlan to its hash",
        proposal.count()
    );
    let refusal = Refusal {
        condition: ConditionType::SchemaApplied,
        reason,
        message,
    };
    Permit::Missing(proposal, refusal)
}

/// Whether every change of a plan was approved, asked again under the lock.
pub fn covers(desired: &Desired, observed: &Observed, plan: &Plan) -> bool {
    if desired.approval == Approval::Auto || !plan.repaired.is_empty() {
        return true;
    }
    let Some(proposal) = Proposal::new(desired, observed, None, plan, &[]) else {
        return true;
    };
    running(desired, observed).is_some_and(|a| proposal.first_beyond(&a.statements).is_none())
}

/// The plan that is being carried out. Another wish, or another name in `approvedPlan`, and it is not any more.
pub fn running<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a ApprovedPlan> {
    let approved = observed.approved.as_ref()?;
    let named = desired.approved_plan.as_ref() == Some(&approved.hash);
    (named && !approved.ended && approved.desired == digest_of(desired)).then_some(approved)
}

/// SHA-256 of what is wanted.
fn digest_of(desired: &Desired) -> String {
    // A checked model can always be written down.
    let wanted = serde_json::to_string(&(&desired.model, &desired.renamed)).unwrap_or_default();
    sha256(wanted)
}

/// Notes what was approved, unless the databases have been changed since: looked at under the lock.
pub async fn begin(
    plane: &Plane,
    desired: &Desired,
    rivals: Rivals,
    files: &Files,
    approved: &Proposal,
) -> Result<(), Stop> {
    let mut fenced = plane.fenced(desired.timeouts).await?;
    let found = look(fenced.conn(), plane, desired).await?;
    let plan = found.plan(plane, desired, rivals)?;
    let now = Proposal::of(desired, &found, &plan, files);
    if now.is_none_or(|now| now.hash != approved.hash) {
        return Ok(());
    }
    let name = desired.model.name();
    sqlx::query(
        "insert into platform.plans_begun (module, model, hash, desired, statements) values ($1, $2, $3, $4, $5) on conflict (module, model) do update set hash = excluded.hash, desired = excluded.desired, statements = excluded.statements, begun_at = now(), ended_at = null",
    )
    .bind(name.module.as_str())
    .bind(name.model.as_str())
    .bind(&approved.hash)
    .bind(digest_of(desired))
    .bind(approved.digests())
    .execute(fenced.conn())
    .await
    .map_err(Error::postgres("the approved plan"))?;
    fenced.commit().await?;
    tracing::info!(
        resource = desired.resource,
        plan = approved.hash,
        "approved plan begun"
    );
    Ok(())
}

/// Notes that nothing of the plan is left: its hash in `approvedPlan` says nothing of what comes next.
pub async fn end(plane: &Plane, desired: &Desired, found: &Look) -> Result<(), Stop> {
    if found.observed.approved.as_ref().is_none_or(|a| a.ended) {
        return Ok(());
    }
    let mut fenced = plane.fenced(desired.timeouts).await?;
    let name = desired.model.name();
    sqlx::query(
        "update platform.plans_begun set ended_at = now() where module = $1 and model = $2 and ended_at is null",
    )
    .bind(name.module.as_str())
    .bind(name.model.as_str())
    .execute(fenced.conn())
    .await
    .map_err(Error::postgres("the approved plan"))?;
    Ok(fenced.commit().await?)
}

/// Enough of a hash to tell it from another.
fn shortened(hash: &str) -> String {
    hash.chars().take(12).collect()
}
