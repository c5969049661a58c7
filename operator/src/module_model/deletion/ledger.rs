//! The row of `platform.deleted_models`: how far a deletion has come.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::{catalog::raise_revision, error::Error, plane::Plane, postgres::Timeouts};

/// A deletion that has begun.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Deletion {
    /// The module.
    pub module: String,
    /// The model.
    pub model: String,
    /// The resource that asked for it.
    pub resource_uid: String,
    /// Whether changes went to ClickHouse.
    pub analytics: bool,
    /// The first catalogue that does not serve it.
    pub revision: i64,
    /// When its first row may have gone.
    pub deleting_since: Option<DateTime<Utc>>,
    /// After its last row had gone.
    pub emptied_at: Option<DateTime<Utc>>,
    /// The first catalogue without it; its table went in the same transaction.
    pub dropped_revision: Option<i64>,
}

impl Deletion {
    /// Whether something is gone already.
    pub fn is_irrevocable(&self) -> bool {
        self.deleting_since.is_some() || self.dropped_revision.is_some()
    }
}

/// The deletion that the resource of this uid has begun.
pub async fn of_resource(plane: &Plane, uid: &str) -> Result<Option<Deletion>, Error> {
    sqlx::query_as("select * from platform.deleted_models where resource_uid = $1")
        .bind(uid)
        .fetch_optional(&plane.looks)
        .await
        .map_err(Error::postgres("a look at the deletion"))
}

/// Every deletion that has begun.
pub async fn unfinished(plane: &Plane) -> Result<Vec<Deletion>, Error> {
    sqlx::query_as("select * from platform.deleted_models")
        .fetch_all(&plane.looks)
        .await
        .map_err(Error::postgres("a look at deletions"))
}

/// Begins: from the next revision on nobody serves the model. None when the resource of this uid has published none.
pub async fn begin(plane: &Plane, uid: &str) -> Result<Option<Deletion>, Error> {
    let doing = || Error::postgres("the beginning of a deletion");
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let begun: Option<(String, String)> = sqlx::query_as(
        "with gone as (
           update platform.models set served = false where resource_uid = $1 returning module, model, resource, document),
         offered as (
           delete from platform.permissions p using gone where p.module = gone.module and p.model = gone.model)
         insert into platform.deleted_models (module, model, resource, resource_uid, analytics)
         select module, model, resource, $1, coalesce((document ->> 'analytics')::bool, false) from gone
         on conflict do nothing returning module, model",
    )
    .bind(uid)
    .fetch_optional(fenced.conn())
    .await
    .map_err(doing())?;
    let Some((module, model)) = begun else {
        return Ok(None);
    };
    let revision = raise_revision(fenced.conn()).await?;
    let begun = sqlx::query_as(
        "update platform.deleted_models set revision = $3 where module = $1 and model = $2 returning *",
    )
    .bind(module)
    .bind(model)
    .bind(revision)
    .fetch_one(fenced.conn())
    .await
    .map_err(doing())?;
    fenced.commit().await?;
    Ok(Some(begun))
}

/// The data is to stay after all, unless some of it is gone.
pub async fn give_up(plane: &Plane, uid: &str) -> Result<(), Error> {
    let begun = of_resource(plane, uid).await?;
    if begun.is_none_or(|deletion| deletion.is_irrevocable()) {
        return Ok(());
    }
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    sqlx::query("delete from platform.deleted_models where resource_uid = $1 and deleting_since is null and dropped_revision is null")
        .bind(uid)
        .execute(fenced.conn())
        .await
        .map_err(Error::postgres("the end of a deletion"))?;
    fenced.commit().await
}

/// Notes that rows go from now on.
pub async fn note_deleting(conn: &mut PgConnection, deletion: &Deletion) -> Result<(), Error> {
    sqlx::query("update platform.deleted_models set deleting_since = coalesce(deleting_since, now()) where module = $1 and model = $2")
        .bind(&deletion.module)
        .bind(&deletion.model)
        .execute(conn)
        .await
        .map(drop)
        .map_err(Error::postgres("the progress of a deletion"))
}

/// Notes that no row is left: now, which is after the last delete was committed.
pub async fn note_emptied(
    conn: &mut PgConnection,
    deletion: &Deletion,
) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar("update platform.deleted_models set emptied_at = clock_timestamp() where module = $1 and model = $2 returning emptied_at")
        .bind(&deletion.module)
        .bind(&deletion.model)
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("the progress of a deletion"))
}

/// Nothing is left: the name is free.
pub async fn finish(plane: &Plane, deletion: &Deletion) -> Result<(), Error> {
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    sqlx::query("delete from platform.deleted_models where module = $1 and model = $2")
        .bind(&deletion.module)
        .bind(&deletion.model)
        .execute(fenced.conn())
        .await
        .map_err(Error::postgres("the end of a deletion"))?;
    fenced.commit().await
}

/// Up to when ClickHouse has everything; none before the first heartbeat.
pub async fn last_sync(plane: &Plane) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar("select last_sync_at from platform.last_sync where generation = $1")
        .bind(plane.generation.0)
        .fetch_optional(&plane.looks)
        .await
        .map_err(Error::postgres("a look at the watermark"))
}
