//! A Tenant that is gone, its data retained: no request is let in, and ClickHouse is shut too.

use std::collections::HashSet;

use model::TenantId;
use sql::clickhouse::ddl;
use tracing::instrument;

use super::observe::observe_policies;
use crate::{
    catalog::raise_revision, error::Error, plane::Plane, postgres::Timeouts, telemetry::TARGET,
};

/// Withdraws the tenant that the resource of this uid owns; nothing happens when another one owns it by now. The
/// registry first, so that nobody is let in; the role last, after which the engine refuses too. Returns whether there
/// was one.
#[instrument(target = TARGET, name = "withdraw", skip_all)]
pub async fn withdraw(plane: &Plane, uid: &str) -> Result<bool, Error> {
    let all = |uids| withdraw_all(plane, uids);
    let withdrawn = plane.tenants.withdrawals.ask(uid.to_owned(), all).await?;
    Ok(withdrawn.unwrap_or(false))
}

/// All or none of them: which of these resources had one.
async fn withdraw_all(plane: &Plane, uids: Vec<String>) -> Result<Vec<Option<bool>>, Error> {
    let served: bool = sqlx::query_scalar(
        "select exists (select from platform.tenants where resource_uid = any ($1) and served)",
    )
    .bind(&uids)
    .fetch_one(&plane.looks)
    .await
    .map_err(Error::postgres("a look at the registry"))?;
    if !served {
        return Ok(vec![Some(false); uids.len()]);
    }
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let withdrawn: Vec<(String, uuid::Uuid)> = sqlx::query_as(
        "update platform.tenants set served = false where resource_uid = any ($1) and served returning resource_uid, tenant_id",
    )
    .bind(&uids)
    .fetch_all(fenced.conn())
    .await
    .map_err(Error::postgres("the withdrawal of a tenant"))?;
    if withdrawn.is_empty() {
        return Ok(vec![Some(false); uids.len()]);
    }
    raise_revision(fenced.conn()).await?;
    // Parsed like every other id: the registry holds none that is nil.
    let id = |(_, id): &(String, uuid::Uuid)| id.to_string().parse::<TenantId>().ok();
    let ids: Vec<_> = withdrawn.iter().filter_map(id).collect();
    // Inside the transaction: when ClickHouse is away the tenants stay, and this is tried again.
    let policies = observe_policies(&plane.clickhouse, &ids).await?;
    let open = ids
        .iter()
        .zip(policies)
        .filter(|(_, policies)| policies.open);
    let open: Vec<_> = open.map(|(id, _)| *id).collect();
    for statement in ddl::close_tenants(&open) {
        plane
            .clickhouse
            .execute(&statement)
            .await
            .map_err(Error::clickhouse("a tenant's role"))?;
    }
    fenced.commit().await?;
    let had = |uid: &String| Some(withdrawn.iter().any(|(owner, _)| owner == uid));
    Ok(uids.iter().map(had).collect())
}

/// Withdraws every tenant whose resource does not exist. `existing` is asked after the registry was read: what is
/// published was in the watch before. Returns how many, none while the watch has not listed everything.
pub async fn withdraw_absent(
    plane: &Plane,
    existing: impl FnOnce() -> Option<HashSet<String>>,
) -> Result<usize, Error> {
    let served: Vec<String> =
        sqlx::query_scalar("select resource_uid from platform.tenants where served")
            .fetch_all(&plane.looks)
            .await
            .map_err(Error::postgres("a look at the registry"))?;
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
