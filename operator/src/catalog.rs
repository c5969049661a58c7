//! The catalogue's revision: raised last in every transaction that changes what the data plane serves, and waited for
//! before what an older one mentions is taken away.

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

/// Who still uses a revision that is older: `$1`.
///
/// An instance is live while it was seen within 30 s: it says so every 5 s, so five signs of life may be lost, and a
/// proxy that cannot reach PostgreSQL for longer has no connection left on which a statement of an older plan could
/// arrive. One that comes back after that registers before it reads anything, and a statement of its older plan that
/// meets another table is planned again.
const WAITING_FOR: &str = "
select instance from platform.proxy_instances
where revision < $1 and last_seen > now() - interval '30 seconds' order by last_seen desc, instance";

/// The live proxies, sinks and hook dispatchers that have not acknowledged this revision: something is still under way
/// there by an older one. Empty once nobody is to be waited for; newer revisions count as well.
pub async fn waiting_for(conn: &mut PgConnection, revision: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(WAITING_FOR)
        .bind(revision)
        .fetch_all(conn)
        .await
        .map_err(Error::postgres("who uses an older catalogue"))
}
