//! A ModuleModel that is gone, its data retained: not served any more, its permissions not offered any more. Capture
//! goes on, so that applying it again finds analytics without a gap.

use std::collections::HashSet;

use sqlx::PgConnection;
use tracing::instrument;

use crate::{
    catalog::raise_revision, error::Error, plane::Plane, postgres::Timeouts, telemetry::TARGET,
};

/// Withdraws what the resource of this uid published. Roles keep the permissions that they hold, for its return.
/// Nothing happens when it published nothing, or when another resource owns it by now.
#[instrument(target = TARGET, name = "withdraw", skip_all)]
pub async fn withdraw(plane: &Plane, uid: &str) -> Result<bool, Error> {
    let published: bool = sqlx::query_scalar(
        "select exists (select from platform.models where resource_uid = $1 and served)",
    )
    .bind(uid)
    .fetch_one(&plane.looks)
    .await
    .map_err(Error::postgres("a look at the catalogue"))?;
    if !published {
        return Ok(false);
    }
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let withdrawn = withdraw_uid(fenced.conn(), uid).await?;
    if withdrawn {
        raise_revision(fenced.conn()).await?;
    }
    fenced.commit().await?;
    Ok(withdrawn)
}

async fn withdraw_uid(conn: &mut PgConnection, uid: &str) -> Result<bool, Error> {
    let withdrawn = sqlx::query(
        "with gone as (update platform.models set served = false where resource_uid = $1 and served returning module, model), offered as (delete from platform.permissions p using gone where p.module = gone.module and p.model = gone.model) select module from gone",
    )
    .bind(uid)
    .fetch_optional(conn)
    .await
    .map_err(Error::postgres("the withdrawal of a model"))?;
    Ok(withdrawn.is_some())
}

/// Withdraws everything whose resource does not exist: removed while no operator ran, or without our finalizer.
/// `existing` is asked after the catalogue was read: what is published was in the watch before. Returns how many,
/// none while the watch has not listed everything.
pub async fn withdraw_absent(
    plane: &Plane,
    existing: impl FnOnce() -> Option<HashSet<String>>,
) -> Result<usize, Error> {
    let served: Vec<String> =
        sqlx::query_scalar("select resource_uid from platform.models where served")
            .fetch_all(&plane.looks)
            .await
            .map_err(Error::postgres("a look at the catalogue"))?;
    let Some(existing) = existing() else {
        return Ok(0);
    };
    let mut count = 0;
    for uid in served {
        if !existing.contains(&uid) {
            count += usize::from(withdraw(plane, &uid).await?);
        }
    }
    Ok(count)
}
