//! The catalogue's revision: raised last in every transaction that changes what the data plane serves.

use model::catalog::CATALOG_CHANNEL;
use sqlx::PgConnection;

use crate::error::Error;

/// Raises the revision, and tells every listener when the transaction commits. Its row is the last that any
/// transaction of ours locks, so two of them never wait for each other.
pub async fn raise_revision(conn: &mut PgConnection) -> Result<i64, Error> {
    let revision: i64 = sqlx::query_scalar(
        "update platform.catalog_revision set revision = revision + 1, published_at = now() returning revision",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(Error::postgres("the catalogue's revision"))?;
    sqlx::query("select pg_notify($1, $2)")
        .bind(CATALOG_CHANNEL)
        .bind(revision.to_string())
        .execute(conn)
        .await
        .map_err(Error::postgres("the catalogue's notification"))?;
    Ok(revision)
}
