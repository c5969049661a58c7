//! A Tenant that is gone, its data retained: no request is let in, and ClickHouse is shut too.

use std::collections::HashSet;

use model::TenantId;
use sql::clickhouse::ddl;

use super::observe::observe_policies;
use crate::{catalog::raise_revision, error::Error, plane::Plane, postgres::Timeouts};

/// Withdraws the tenant that the resource of this uid owns; nothing happens when another one owns it by now. The
/// registry first, so that nobody is let in; the role last, after which the engine refuses too.
pub async fn withdraw(plane: &Plane, uid: &str) -> Result<bool, Error> {
    let id: Option<uuid::Uuid> = sqlx::query_scalar(
        "select tenant_id from platform.tenants where resource_uid = $1 and served",
    )
    .bind(uid)
    .fetch_optional(&plane.looks)
    .await
    .map_err(Error::postgres("a look at the registry"))?;
    // Parsed like every other id: the registry holds none that is nil.
    let Some(id) = id.and_then(|id| id.to_string().parse::<TenantId>().ok()) else {
        return Ok(false);
    };
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let withdrawn = sqlx::query(
        "update platform.tenants set served = false where tenant_id = $1 and resource_uid = $2 and served",
    )
    .bind(id.as_uuid())
    .bind(uid)
    .execute(fenced.conn())
    .await
    .map_err(Error::postgres("the withdrawal of a tenant"))?
    .rows_affected();
    if withdrawn == 0 {
        return Ok(false);
    }
    raise_revision(fenced.conn()).await?;
    // Inside the transaction: when ClickHouse is away the tenant stays, and this is tried again.
    if observe_policies(&plane.clickhouse, &id).await?.open {
        for statement in ddl::close_tenant(&id) {
            plane
                .clickhouse
                .execute(&statement)
                .await
                .map_err(Error::clickhouse("a tenant's role"))?;
        }
    }
    fenced.commit().await?;
    Ok(true)
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
