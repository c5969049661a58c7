//! Catalogue, permissions and ledger of a model, in the transaction of its statements.

use model::permission::Action;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use super::validate::Desired;
use crate::{catalog::raise_revision, error::Error};

/// Says what is there now. `statements` are those that were run for PostgreSQL; with none the ledger stays as it is.
/// Returns the catalogue's new revision.
pub async fn publish(
    conn: &mut PgConnection,
    desired: &Desired,
    statements: &[String],
    epoch: i64,
) -> Result<i64, Error> {
    let name = desired.model.name();
    let (module, model) = (name.module.as_str(), name.model.as_str());
    let document = serde_json::to_value(&desired.model).map_err(Error::Observed)?;
    let doing = "the catalogue";

    sqlx::query(
        "insert into platform.modules (module, namespace) values ($1, $2) on conflict do nothing",
    )
    .bind(module)
    .bind(&desired.namespace)
    .execute(&mut *conn)
    .await
    .map_err(Error::postgres(doing))?;
    sqlx::query(
        "insert into platform.models (module, model, resource, resource_uid, document, served, revision) values ($1, $2, $3, $4, $5, true, 0) on conflict (module, model) do update set resource = excluded.resource, resource_uid = excluded.resource_uid, document = excluded.document, served = true",
    )
    .bind(module)
    .bind(model)
    .bind(&desired.resource)
    .bind(&desired.uid)
    .bind(&document)
    .execute(&mut *conn)
    .await
    .map_err(Error::postgres(doing))?;
    let columns: Vec<_> = desired
        .model
        .fields()
        .iter()
        .map(|f| f.column().as_str().to_owned())
        .collect();
    sqlx::query(
        "insert into platform.model_columns (module, model, name) select $1, $2, unnest($3::text[]) on conflict do nothing",
    )
    .bind(module)
    .bind(model)
    .bind(&columns)
    .execute(&mut *conn)
    .await
    .map_err(Error::postgres(doing))?;
    let actions: Vec<_> = Action::ALL.iter().map(|a| a.as_str()).collect();
    sqlx::query(
        "insert into platform.permissions (module, model, action) select $1, $2, unnest($3::text[]) on conflict do nothing",
    )
    .bind(module)
    .bind(model)
    .bind(&actions)
    .execute(&mut *conn)
    .await
    .map_err(Error::postgres("the permissions"))?;

    let revision = raise_revision(conn).await?;
    sqlx::query("update platform.models set revision = $3 where module = $1 and model = $2")
        .bind(module)
        .bind(model)
        .bind(revision)
        .execute(&mut *conn)
        .await
        .map_err(Error::postgres(doing))?;
    if !statements.is_empty() {
        record(conn, module, model, statements, revision, epoch).await?;
    }
    Ok(revision)
}

/// What was run, in the ledger. Its version sorts by time, as the versions of SQL files do.
async fn record(
    conn: &mut PgConnection,
    module: &str,
    model: &str,
    statements: &[String],
    revision: i64,
    epoch: i64,
) -> Result<(), Error> {
    let digest = Sha256::digest(statements.join(";\n").as_bytes());
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let count = i32::try_from(statements.len()).unwrap_or(i32::MAX);
    sqlx::query(
        "insert into platform.schema_migrations (module, version, model, sha256, statements, epoch) values ($1, to_char(now() at time zone 'UTC', 'YYYYMMDD_HH24MISS') || '_model_' || $2::text || '_r' || $5::bigint, $2, $3, $4, $6)",
    )
    .bind(module)
    .bind(model)
    .bind(&sha256)
    .bind(count)
    .bind(revision)
    .bind(epoch)
    .execute(conn)
    .await
    .map(drop)
    .map_err(Error::postgres("the ledger"))
}
