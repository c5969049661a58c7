//! Catalogue, permissions and ledger of a model, in the transaction of its statements.

use model::{Field, ModuleModel};
use sqlx::PgConnection;
use tracing::{Span, field::Empty, instrument};

use super::{
    build::{ColumnChange, Phase},
    validate::Desired,
};
use crate::{catalog::raise_revision, digest::sha256, error::Error, telemetry::TARGET};

/// Says what is there now: `document`, and `columns` for the ledger. Returns the catalogue's new revision.
#[instrument(target = TARGET, name = "publish", skip_all, fields(septem.revision = Empty))]
pub async fn publish(
    conn: &mut PgConnection,
    desired: &Desired,
    document: &ModuleModel,
    columns: &[ColumnChange],
) -> Result<i64, Error> {
    let name = desired.model.name();
    let (module, model) = (name.module.as_str(), name.model.as_str());
    let fields = document.fields();
    let document = serde_json::to_value(document).map_err(Error::Observed)?;
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
    record_columns(conn, &desired.model, columns).await?;
    record_fields(conn, &desired.model, fields).await?;
    let actions: Vec<_> = desired.model.actions().map(|a| a.as_str()).collect();
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
    Span::current().record("septem.revision", revision);
    Ok(revision)
}

/// The columns of a table that was made with all of them; those that are known stay as they are.
async fn record_fields(
    conn: &mut PgConnection,
    model: &ModuleModel,
    fields: &[Field],
) -> Result<(), Error> {
    let columns: Vec<_> = fields
        .iter()
        .map(|f| f.column().as_str().to_owned())
        .collect();
    let names: Vec<_> = fields.iter().map(|f| f.name.as_str()).collect();
    let definitions = fields.iter().map(|f| serde_json::to_value(&f.field_type));
    let definitions: Vec<_> = definitions
        .collect::<Result<_, _>>()
        .map_err(Error::Observed)?;
    sqlx::query(
        "insert into platform.model_columns (module, model, name, field, definition, filling) select $1, $2, f.*, false from unnest($3::text[], $4::text[], $5::jsonb[]) f on conflict do nothing",
    )
    .bind(model.name().module.as_str())
    .bind(model.name().model.as_str())
    .bind(&columns)
    .bind(&names)
    .bind(&definitions)
    .execute(conn)
    .await
    .map(drop)
    .map_err(Error::postgres("the ledger of columns"))
}

/// What became of single columns, in their ledger. A row that is there already stays as it is.
pub async fn record_columns(
    conn: &mut PgConnection,
    model: &ModuleModel,
    changes: &[ColumnChange],
) -> Result<(), Error> {
    let (module, model) = (model.name().module.as_str(), model.name().model.as_str());
    let of_column = |text: &'static str, column: &str| {
        sqlx::query(text)
            .bind(module.to_owned())
            .bind(model.to_owned())
            .bind(column.to_owned())
    };
    for change in changes {
        let query = match change {
            ColumnChange::Added {
                column,
                field,
                definition,
                source,
                filling,
            } => of_column(
                "insert into platform.model_columns (module, model, name, field, definition, source, filling) values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
                column,
            )
            .bind(field.clone())
            .bind(serde_json::to_value(definition).map_err(Error::Observed)?)
            .bind(source.clone())
            .bind(*filling),
            ColumnChange::Refilled { column } => of_column(
                "update platform.model_columns set filling = true, requiring = true, fill_tenant = null, fill_id = null, filled_rows = 0, filled_at = null where module = $1 and model = $2 and name = $3",
                column,
            ),
            ColumnChange::Settled { column } => of_column(
                "update platform.model_columns set requiring = false where module = $1 and model = $2 and name = $3",
                column,
            ),
            ColumnChange::Dropped { column } => of_column(
                "update platform.model_columns set dropped_at = now() where module = $1 and model = $2 and name = $3",
                column,
            ),
        };
        query
            .execute(&mut *conn)
            .await
            .map_err(Error::postgres("the ledger of columns"))?;
    }
    Ok(())
}

/// What was run in one transaction.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Where in a change.
    pub phase: Phase,
    /// In order.
    pub statements: &'a [String],
    /// The catalogue's revision after it.
    pub revision: i64,
    /// Of the operator that ran it.
    pub epoch: i64,
    /// The plan that was approved, if one had to be.
    pub plan_hash: Option<&'a str>,
}

/// What was run, in the ledger. Its version sorts by time, as the versions of SQL files do.
pub async fn record(
    conn: &mut PgConnection,
    model: &ModuleModel,
    entry: Entry<'_>,
) -> Result<(), Error> {
    let Entry {
        phase,
        statements,
        revision,
        epoch,
        plan_hash,
    } = entry;
    let (module, model) = (model.name().module.as_str(), model.name().model.as_str());
    let count = i32::try_from(statements.len()).unwrap_or(i32::MAX);
    sqlx::query(
        "insert into platform.schema_migrations (module, version, model, sha256, statements, epoch, plan_hash) values ($1, to_char(clock_timestamp() at time zone 'UTC', 'YYYYMMDD_HH24MISS_US') || '_model_' || $2::text || '_r' || $5::bigint || '_' || $7::text, $2, $3, $4, $6, $8)",
    )
    .bind(module)
    .bind(model)
    .bind(sha256(statements.join(";\n")))
    .bind(count)
    .bind(revision)
    .bind(epoch)
    .bind(phase.as_str())
    .bind(plan_hash)
    .execute(conn)
    .await
    .map(drop)
    .map_err(Error::postgres("the ledger"))
}
