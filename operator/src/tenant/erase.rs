//! Erasing a tenant: `deletionPolicy: Delete` on a Tenant that is deleted.
//!
//! The order makes that nothing comes back (DESIGN 9): nobody serves the tenant any more → everybody who could still
//! write has acknowledged that → rows in PostgreSQL → the watermark has passed the last delete, so no event of the
//! tenant is left that a sink has not passed over → rows in ClickHouse → keys in Valkey → role and policy → a count of
//! what is left. Each step does what it finds to be done and can be repeated; what must be remembered is in
//! `platform.erased_tenants`.

mod analytics;
mod keys;
mod ledger;
mod rows;

use std::collections::HashSet;

use chrono::{SecondsFormat, TimeDelta};
use crds::status::{ErasureStatus, ErasureStep};
use model::TenantId;
use tracing::instrument;

pub use ledger::{Erasure, begin, of_resource};

use crate::{
    catalog::waiting_for,
    error::Error,
    plane::Plane,
    telemetry::{TARGET, chain},
};

/// What the event topic keeps (`docs/install.md`): seven days after the last delete no event of the tenant is left.
const TOPIC_RETENTION: TimeDelta = TimeDelta::days(7);
/// Names that a message tells of.
const NAMES_MAX: usize = 8;

/// How far an erasure has come.
#[derive(Debug)]
pub struct Progress {
    /// For the resource.
    pub status: ErasureStatus,
    /// For people: what is waited for, or that nothing is left.
    pub message: String,
    /// What stopped it, to be tried again.
    pub error: Option<Error>,
    /// Whether nothing is left.
    pub done: bool,
}

/// What stands in the way of the next step.
enum Stop {
    Waits(String),
    Fails(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fails(error)
    }
}

/// Carries an erasure on, as far as it goes without waiting.
#[instrument(target = TARGET, name = "erase", skip_all)]
pub async fn carry_on(plane: &Plane, erasure: &Erasure) -> Progress {
    let mut status = ErasureStatus {
        step: ErasureStep::Acknowledge,
        rows_deleted: erasure.rows_deleted,
        waiting_for_revision: None,
        topic_erased_by: None,
    };
    let walked = walk(plane, erasure, &mut status).await;
    let (message, error, done) = match walked {
        Ok(message) => (message, None, true),
        Err(Stop::Waits(message)) => (message, None, false),
        Err(Stop::Fails(error)) => {
            let message = format!(
                "{}; it will be tried again. {}",
                chain(&error),
                way_out(plane)
            );
            (message, Some(error), false)
        }
    };
    Progress {
        status,
        message,
        error,
        done,
    }
}

/// What to do about an erasure that waits for something that will not come.
fn way_out(plane: &Plane) -> String {
    format!(
        "If database {} is gone for good, remove the finalizer by hand: what is left there then stays",
        plane.database
    )
}

async fn walk(
    plane: &Plane,
    erasure: &Erasure,
    status: &mut ErasureStatus,
) -> Result<String, Stop> {
    let uuid = erasure.tenant_id;
    // The registry holds no id that is nil.
    let Ok(id) = uuid.to_string().parse::<TenantId>() else {
        return Ok("no tenant has this id".into());
    };

    acknowledged(plane, erasure, status).await?;
    status.waiting_for_revision = None;

    status.step = ErasureStep::Postgres;
    let finished = rows::delete(plane, uuid).await;
    let now = ledger::of_tenant(plane, uuid).await?;
    status.rows_deleted = now.as_ref().map_or(status.rows_deleted, |e| e.rows_deleted);
    if !finished? {
        return Err(Stop::Waits(format!(
            "deleting rows in PostgreSQL, {} so far",
            status.rows_deleted
        )));
    }
    let gone_at = ledger::note_gone(plane, uuid).await?;
    let erased_by = gone_at + TOPIC_RETENTION;
    status.topic_erased_by = Some(erased_by.to_rfc3339_opts(SecondsFormat::Secs, true));

    status.step = ErasureStep::Drain;
    drained(plane, gone_at).await?;

    status.step = ErasureStep::ClickHouse;
    if let Some(waits) = analytics::delete(plane, &id).await? {
        return Err(Stop::Waits(waits));
    }

    status.step = ErasureStep::Valkey;
    keys::delete(&plane.valkey, &id).await?;

    status.step = ErasureStep::Access;
    analytics::drop_access(plane, &id).await?;

    status.step = ErasureStep::Proof;
    let left = (
        rows::count(plane, uuid).await?,
        analytics::count(plane, &id).await?,
        keys::count(&plane.valkey, &id).await?,
    );
    let found = format!(
        "{} rows in PostgreSQL, {} in ClickHouse, {} keys in Valkey",
        left.0, left.1, left.2
    );
    if left != (0, 0, 0) {
        // Something wrote meanwhile that had not acknowledged: from the beginning.
        return Err(Stop::Waits(format!("counted again and found {found}")));
    }
    Ok(format!(
        "tenant {id} erased: {} rows deleted; counted afterwards: {found}; the event topic holds its events until {}",
        status.rows_deleted,
        erased_by.to_rfc3339_opts(SecondsFormat::Secs, true)
    ))
}

/// Whether everybody who is live has stopped using catalogues with the tenant.
async fn acknowledged(
    plane: &Plane,
    erasure: &Erasure,
    status: &mut ErasureStatus,
) -> Result<(), Stop> {
    status.waiting_for_revision = Some(erasure.revision);
    let mut conn = plane
        .looks
        .acquire()
        .await
        .map_err(Error::postgres("a connection"))?;
    let waits = waiting_for(&mut conn, erasure.revision).await?;
    if waits.is_empty() {
        return Ok(());
    }
    let named = waits[..waits.len().min(NAMES_MAX)].join(", ");
    Err(Stop::Waits(format!(
        "waiting for {} to acknowledge revision {}: {named}",
        waits.len(),
        erasure.revision
    )))
}

/// Whether ClickHouse has everything that was committed before the rows were gone. Where no model is captured for
/// analytics nothing of the tenant is on its way.
async fn drained(plane: &Plane, gone_at: chrono::DateTime<chrono::Utc>) -> Result<(), Stop> {
    let (is_captured, last_sync): (bool, Option<chrono::DateTime<chrono::Utc>>) = sqlx::query_as(
        "select exists (select from platform.models where (document ->> 'analytics')::bool),
                (select last_sync_at from platform.last_sync where generation = $1)",
    )
    .bind(plane.generation.0)
    .fetch_one(&plane.looks)
    .await
    .map_err(Error::postgres("a look at the watermark"))?;
    if !is_captured || last_sync.is_some_and(|at| at > gone_at) {
        return Ok(());
    }
    let at = last_sync.map_or("never".to_owned(), |at| {
        at.to_rfc3339_opts(SecondsFormat::Secs, true)
    });
    Err(Stop::Waits(format!(
        "waiting for the sink to pass the last delete of {}; lastSyncAt is {at}",
        gone_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    )))
}

/// Notes the end: the id stays known as erased.
pub async fn finish(plane: &Plane, erasure: &Erasure) -> Result<(), Error> {
    ledger::note_erased(plane, erasure.tenant_id).await
}

/// Carries on erasures whose resource somebody has freed from our finalizer. Returns how many have ended.
pub async fn carry_on_absent(
    plane: &Plane,
    existing: impl FnOnce() -> Option<HashSet<String>>,
) -> Result<usize, Error> {
    let unfinished = ledger::unfinished(plane).await?;
    let Some(existing) = existing() else {
        return Ok(0);
    };
    let mut ended = 0;
    for (uid, erasure) in unfinished {
        if existing.contains(&uid) {
            continue;
        }
        let progress = carry_on(plane, &erasure).await;
        match progress.error {
            Some(error) => return Err(error),
            None if progress.done => {
                finish(plane, &erasure).await?;
                tracing::info!(tenant = %erasure.tenant_id, result = progress.message, "tenant erased");
                ended += 1;
            }
            None => {}
        }
    }
    Ok(ended)
}
