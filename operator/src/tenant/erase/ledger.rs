//! The row of `platform.erased_tenants`: how far an erasure has come.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{catalog::raise_revision, error::Error, plane::Plane, postgres::Timeouts};

/// An erasure that has begun.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Erasure {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Name of the Tenant that asked for it.
    pub resource: String,
    /// The first catalogue without the tenant.
    pub revision: i64,
    /// Rows deleted from PostgreSQL so far.
    pub rows_deleted: i64,
    /// After the last delete; none while rows are left.
    pub rows_gone_at: Option<DateTime<Utc>>,
    /// When nothing was found any more.
    pub erased_at: Option<DateTime<Utc>>,
}

/// The erasure that the resource of this uid has begun.
pub async fn of_resource(plane: &Plane, uid: &str) -> Result<Option<Erasure>, Error> {
    sqlx::query_as("select * from platform.erased_tenants where resource_uid = $1")
        .bind(uid)
        .fetch_optional(&plane.looks)
        .await
        .map_err(Error::postgres("a look at the erasure"))
}

/// The erasure of this tenant.
pub async fn of_tenant(plane: &Plane, id: Uuid) -> Result<Option<Erasure>, Error> {
    sqlx::query_as("select * from platform.erased_tenants where tenant_id = $1")
        .bind(id)
        .fetch_optional(&plane.looks)
        .await
        .map_err(Error::postgres("a look at the erasure"))
}

/// Erasures that have begun and not ended, with the uids of their resources.
pub async fn unfinished(plane: &Plane) -> Result<Vec<(String, Erasure)>, Error> {
    #[derive(FromRow)]
    struct Row {
        resource_uid: String,
        #[sqlx(flatten)]
        erasure: Erasure,
    }
    let rows: Vec<Row> =
        sqlx::query_as("select * from platform.erased_tenants where erased_at is null")
            .fetch_all(&plane.looks)
            .await
            .map_err(Error::postgres("a look at erasures"))?;
    Ok(rows
        .into_iter()
        .map(|row| (row.resource_uid, row.erasure))
        .collect())
}

/// Begins: from the next revision on nobody serves the tenant, and its id stays known as erased. None when the
/// resource of this uid owns no tenant: then there is nothing of its to erase.
pub async fn begin(plane: &Plane, uid: &str) -> Result<Option<Erasure>, Error> {
    let doing = || Error::postgres("the beginning of an erasure");
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let begun: Option<Uuid> = sqlx::query_scalar(
        "insert into platform.erased_tenants (tenant_id, resource, resource_uid)
         select tenant_id, resource, resource_uid from platform.tenants where resource_uid = $1
         on conflict do nothing returning tenant_id",
    )
    .bind(uid)
    .fetch_optional(fenced.conn())
    .await
    .map_err(doing())?;
    let Some(id) = begun else {
        return Ok(None);
    };
    sqlx::query("update platform.tenants set served = false where tenant_id = $1")
        .bind(id)
        .execute(fenced.conn())
        .await
        .map_err(doing())?;
    let revision = raise_revision(fenced.conn()).await?;
    let erasure = sqlx::query_as(
        "update platform.erased_tenants set revision = $2 where tenant_id = $1 returning *",
    )
    .bind(id)
    .bind(revision)
    .fetch_one(fenced.conn())
    .await
    .map_err(doing())?;
    fenced.commit().await?;
    Ok(Some(erasure))
}

/// Notes rows that are deleted in the same transaction.
pub async fn note_deleted(conn: &mut PgConnection, id: Uuid, rows: i64) -> Result<(), Error> {
    sqlx::query(
        "update platform.erased_tenants set rows_deleted = rows_deleted + $2, rows_gone_at = null where tenant_id = $1",
    )
    .bind(id)
    .bind(rows)
    .execute(conn)
    .await
    .map(drop)
    .map_err(Error::postgres("the progress of an erasure"))
}

/// Notes that no row is left: now, which is after the last delete was committed.
pub async fn note_gone(plane: &Plane, id: Uuid) -> Result<DateTime<Utc>, Error> {
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let at = sqlx::query_scalar(
        "update platform.erased_tenants set rows_gone_at = coalesce(rows_gone_at, clock_timestamp())
         where tenant_id = $1 returning rows_gone_at",
    )
    .bind(id)
    .fetch_one(fenced.conn())
    .await
    .map_err(Error::postgres("the progress of an erasure"))?;
    fenced.commit().await?;
    Ok(at)
}

/// Notes that nothing was found any more.
pub async fn note_erased(plane: &Plane, id: Uuid) -> Result<(), Error> {
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    sqlx::query("update platform.erased_tenants set erased_at = coalesce(erased_at, now()) where tenant_id = $1")
        .bind(id)
        .execute(fenced.conn())
        .await
        .map_err(Error::postgres("the end of an erasure"))?;
    fenced.commit().await
}
