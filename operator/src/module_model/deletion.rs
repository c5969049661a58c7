//! A ModuleModel that is deleted with `deletionPolicy: Delete`: its table goes with its rows, here and in ClickHouse, and its
//! name is free again.
//!
//! Nobody serves it any more → everybody has acknowledged that → its rows are deleted, where ClickHouse is told of them, and
//! the watermark has passed the last delete: whoever reads the event topic from its beginning, for a later model of this
//! name, ends with deleted rows → table and catalogue go in one transaction → everybody has acknowledged that too, so that
//! nobody writes to ClickHouse's tables → these go. Each step does what it finds to be done and can be repeated; what must
//! be remembered is in `platform.deleted_models`.

mod ledger;
mod table;

use std::collections::HashSet;

use chrono::SecondsFormat;
use crds::{ConditionType, ModuleModel, Reason, module_model::DeletionPolicy};
use kube::{Api, ResourceExt as _, runtime::events::EventType};
use tracing::instrument;

use super::status::{Facts, status};
use crate::{
    catalog::waiting_for,
    context::Context,
    definition::{cannot_tell, is_terminating},
    error::Error,
    events,
    failpoint::failpoint,
    metrics::Kind,
    plane::Plane,
    report::{self, Stage, Verdict},
    telemetry::TARGET,
};
use ledger::Deletion;

/// Names that a message tells of.
const NAMES_MAX: usize = 8;

/// How far a deletion has come.
pub enum Progress {
    /// Nothing is left, or nothing was there. What was done, if anything.
    Done(Option<String>),
    /// Something else has to happen first.
    Waits(Reason, String),
}

/// Drops what the resource published, on each of its DataPlanes. True when nothing is left, and when the data stays.
pub(super) async fn delete_away(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    context: &Context,
) -> Result<bool, Error> {
    let uid = resource.uid().unwrap_or_default();
    let mut left = None;
    let retains = resource.spec.deletion_policy == DeletionPolicy::Retain;
    for name in &resource.spec.data_plane_refs {
        let plane = match context.plane(name) {
            Ok(plane) => plane,
            // What has begun there and dropped nothing yet is given up when the database is back.
            Err(_) if retains => continue,
            Err(_) if context.is_starting(name) => return Ok(false),
            Err(away) => {
                let message = format!(
                    "{}. If it is gone for good, remove the finalizer by hand: what is left there then stays",
                    away.message
                );
                left.get_or_insert((away.reason, message));
                continue;
            }
        };
        if retains {
            ledger::give_up(&plane, &uid).await?;
            continue;
        }
        let begun = match ledger::of_resource(&plane, &uid).await? {
            Some(begun) => Some(begun),
            None => match is_terminating::<ModuleModel>(context).await {
                Ok(true) => {
                    tracing::warn!(
                        name = resource.name_any(),
                        "the CRD of ModuleModels is being deleted: data retained"
                    );
                    continue;
                }
                Ok(false) => ledger::begin(&plane, &uid).await?,
                Err(error) => {
                    let message = cannot_tell::<ModuleModel>(&error);
                    tell(api, resource, context, Reason::Deleting, message).await?;
                    return Err(error);
                }
            },
        };
        let Some(deletion) = begun else {
            continue;
        };
        match carry_on(&plane, &deletion).await? {
            Progress::Done(None) => {}
            Progress::Done(Some(done)) => {
                tracing::info!(
                    name = resource.name_any(),
                    data_plane = name,
                    result = done,
                    "model deleted"
                );
                let reason = Reason::Erased.as_str();
                events::publish(&context.client, resource, EventType::Normal, reason, &done).await;
                ledger::finish(&plane, &deletion).await?;
            }
            Progress::Waits(reason, message) => {
                left.get_or_insert((reason, message));
            }
        }
    }
    let Some((reason, message)) = left else {
        return Ok(true);
    };
    tell(api, resource, context, reason, message).await?;
    Ok(false)
}

/// Carries a deletion on, as far as it goes without waiting.
#[instrument(target = TARGET, name = "delete", skip_all)]
async fn carry_on(plane: &Plane, deletion: &Deletion) -> Result<Progress, Error> {
    if let Some(waits) = unacknowledged(plane, deletion.revision).await? {
        return Ok(waits);
    }
    let dropped = match deletion.dropped_revision {
        Some(revision) => revision,
        None => match table_away(plane, deletion).await? {
            Ok(revision) => revision,
            Err(waits) => return Ok(waits),
        },
    };
    failpoint!("deletion-dropped");
    if let Some(waits) = unacknowledged(plane, dropped).await? {
        return Ok(waits);
    }
    let tables = match deletion.analytics {
        true => table::drop_analytics(plane, deletion).await?,
        false => Vec::new(),
    };
    failpoint!("deletion-analytics-dropped");
    let analytics = match tables.is_empty() {
        true => String::new(),
        false => format!(", in ClickHouse {}", tables.join(", ")),
    };
    Ok(Progress::Done(Some(format!(
        "{}.{} is deleted with its rows: its table{analytics}, its permissions and its place in the catalogue",
        deletion.module, deletion.model
    ))))
}

/// Empties and drops the table: the first revision without it, or what is waited for.
async fn table_away(plane: &Plane, deletion: &Deletion) -> Result<Result<i64, Progress>, Error> {
    let referrers = table::referrers(plane, deletion).await?;
    if !referrers.is_empty() {
        let message = format!(
            "{} refer to it: delete these ModuleModels, or take the references out of them",
            referrers.join(", ")
        );
        return Ok(Err(Progress::Waits(Reason::DeletionBlocked, message)));
    }
    if deletion.analytics {
        let emptied_at = match deletion.emptied_at {
            Some(at) => at,
            None => match table::delete_rows(plane, deletion).await? {
                Some(at) => at,
                None => {
                    let message = "its rows are being deleted".to_owned();
                    return Ok(Err(Progress::Waits(Reason::Deleting, message)));
                }
            },
        };
        let synced = ledger::last_sync(plane).await?;
        if synced.is_none_or(|at| at <= emptied_at) {
            let message = format!(
                "its rows are deleted; waiting for the sink to pass {}, when the last of them went",
                emptied_at.to_rfc3339_opts(SecondsFormat::Secs, true)
            );
            return Ok(Err(Progress::Waits(Reason::Deleting, message)));
        }
    }
    Ok(Ok(table::drop_table(plane, deletion).await?))
}

/// What is waited for while somebody who is live uses an older catalogue.
async fn unacknowledged(plane: &Plane, revision: i64) -> Result<Option<Progress>, Error> {
    let conn = plane.looks.acquire().await;
    let waits = waiting_for(
        &mut *conn.map_err(Error::postgres("a connection"))?,
        revision,
    )
    .await?;
    if waits.is_empty() {
        return Ok(None);
    }
    let named = waits[..waits.len().min(NAMES_MAX)].join(", ");
    let message = format!("revision {revision} is not acknowledged by {named} yet");
    Ok(Some(Progress::Waits(Reason::WaitingForProxies, message)))
}

/// Writes the status if it says something new.
async fn tell(
    api: &Api<ModuleModel>,
    resource: &ModuleModel,
    context: &Context,
    reason: Reason,
    message: String,
) -> Result<(), Error> {
    let before = resource.status.clone().unwrap_or_default();
    let generation = resource.metadata.generation.unwrap_or(0);
    let stage = Stage::missing(ConditionType::SchemaApplied, reason, message);
    let after = status(
        &before,
        generation,
        Facts::default(),
        &Verdict::Retrying(stage),
    );
    if after == before {
        return Ok(());
    }
    report::write_status(api, &resource.name_any(), &after).await?;
    context.metrics.status_written(Kind::ModuleModel);
    events::publish_transition(
        &context.client,
        resource,
        &before.conditions,
        &after.conditions,
    )
    .await;
    Ok(())
}

/// Carries on deletions whose resource has gone without waiting for them, once there is no way back; before that the data is
/// retained. Returns how many have ended.
pub async fn carry_on_absent(
    plane: &Plane,
    existing: impl FnOnce() -> Option<HashSet<String>>,
) -> Result<usize, Error> {
    let unfinished = ledger::unfinished(plane).await?;
    let Some(existing) = existing() else {
        return Ok(0);
    };
    let mut ended = 0;
    for deletion in unfinished {
        if existing.contains(&deletion.resource_uid) {
            continue;
        }
        if !deletion.is_irrevocable() {
            ledger::give_up(plane, &deletion.resource_uid).await?;
        } else if let Progress::Done(done) = carry_on(plane, &deletion).await? {
            ledger::finish(plane, &deletion).await?;
            tracing::info!(result = done, "model deleted");
            ended += 1;
        }
    }
    Ok(ended)
}
