//! The tables of a model, here and in ClickHouse.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use model::{Ident, ModelName};
use serde::Deserialize;
use sql::{clickhouse, postgres::ddl};
use sqlx::{AssertSqlSafe, PgConnection};

use super::ledger::{self, Deletion};
use crate::{
    catalog::raise_revision,
    error::Error,
    failpoint::failpoint,
    plane::Plane,
    postgres::{Timeouts, execute_all},
};

/// Rows deleted in one transaction: some tens of milliseconds.
const BATCH_ROWS: i64 = 5_000;
/// After this the status is written, and the next reconcile goes on.
const TURN: Duration = Duration::from_secs(10);

const DOING: &str = "dropping a model's table";

/// Other tables whose keys lead to this one.
const REFERRERS: &str = "
select distinct n.nspname || '.' || c.relname from pg_constraint f
join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = f.confrelid join pg_namespace tn on tn.oid = t.relnamespace
where f.contype = 'f' and f.conrelid <> f.confrelid and tn.nspname = $1 and t.relname = $2 order by 1";

/// Keys of the table that lead to itself.
const OWN_KEYS: &str = "
select f.conname from pg_constraint f join pg_class t on t.oid = f.conrelid join pg_namespace n on n.oid = t.relnamespace
where f.contype = 'f' and f.conrelid = f.confrelid and n.nspname = $1 and t.relname = $2";

/// Functions of triggers that keep two columns equal, left by a change that was under way.
const FUNCTIONS: &str = "
select p.proname from pg_trigger g join pg_proc p on p.oid = g.tgfoid
join pg_class t on t.oid = g.tgrelid join pg_namespace n on n.oid = t.relnamespace
where n.nspname = $1 and t.relname = $2 and not g.tgisinternal and p.pronamespace = n.oid and p.proowner = t.relowner";

/// What our own tables say of the model. Its SQL files stay in the ledger, as what they made stays in the schema.
const FORGET: [&str; 7] = [
    "delete from platform.model_columns where module = $1 and model = $2",
    "delete from platform.applied_objects where module = $1 and model = $2",
    "delete from platform.plans_begun where module = $1 and model = $2",
    "delete from platform.watermark_holds where module = $1 and model = $2",
    "delete from platform.hook_dead_letters where module = $1 and model = $2",
    "delete from platform.role_permissions where split_part(permission, '.', 1) = $1 and split_part(permission, '.', 2) = $2",
    "delete from platform.models where module = $1 and model = $2",
];

/// A schema in which nothing is left.
const IS_EMPTY: &str = "
select not exists (
  select from pg_depend d join pg_namespace n on n.oid = d.refobjid and d.refclassid = 'pg_namespace'::regclass
  where n.nspname = $1 and d.deptype = 'n')";

/// The tables that refer to it.
pub async fn referrers(plane: &Plane, deletion: &Deletion) -> Result<Vec<String>, Error> {
    let conn = plane.looks.acquire().await;
    let mut conn = conn.map_err(Error::postgres("a connection"))?;
    names(&mut conn, REFERRERS, deletion).await
}

/// Deletes rows for a while, each batch in a transaction of its own. When the last was gone; none while some are left.
pub async fn delete_rows(
    plane: &Plane,
    deletion: &Deletion,
) -> Result<Option<DateTime<Utc>>, Error> {
    let name = name_of(deletion)?;
    let started = Instant::now();
    loop {
        let mut fenced = plane.fenced(Timeouts::default()).await?;
        if deletion.deleting_since.is_none() {
            // Rows that refer to rows of the same table would have to go in an order.
            let own = names(fenced.conn(), OWN_KEYS, deletion).await?;
            let drops: Vec<_> = own
                .iter()
                .map(|key| ddl::drop_constraint(&name, key))
                .collect();
            execute_all(fenced.conn(), &drops, DOING).await?;
            ledger::note_deleting(fenced.conn(), deletion).await?;
        }
        // Its text is made by crate `sql`, of names only.
        let deleted = sqlx::query(AssertSqlSafe(ddl::delete_batch(&name)))
            .bind(BATCH_ROWS)
            .execute(fenced.conn())
            .await
            .map_err(Error::postgres(DOING))?
            .rows_affected();
        failpoint!("deletion-batch");
        let mut fenced = fenced.commit_and_begin().await?;
        if deleted == 0 {
            let at = ledger::note_emptied(fenced.conn(), deletion).await?;
            fenced.commit().await?;
            return Ok(Some(at));
        }
        fenced.commit().await?;
        if started.elapsed() > TURN {
            return Ok(None);
        }
    }
}

/// Drops table and catalogue entry in one transaction; the first revision without it. PostgreSQL refuses while something
/// that is not ours depends on the table.
pub async fn drop_table(plane: &Plane, deletion: &Deletion) -> Result<i64, Error> {
    let name = name_of(deletion)?;
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let functions = names(fenced.conn(), FUNCTIONS, deletion).await?;
    let statements = ddl::drop_model(&name, &functions);
    execute_all(fenced.conn(), &statements, DOING).await?;
    for forget in FORGET {
        sqlx::query(forget)
            .bind(&deletion.module)
            .bind(&deletion.model)
            .execute(fenced.conn())
            .await
            .map_err(Error::postgres(DOING))?;
    }
    release_module(fenced.conn(), &name.module).await?;
    let revision = raise_revision(fenced.conn()).await?;
    sqlx::query(
        "update platform.deleted_models set dropped_revision = $3 where module = $1 and model = $2",
    )
    .bind(&deletion.module)
    .bind(&deletion.model)
    .bind(revision)
    .execute(fenced.conn())
    .await
    .map_err(Error::postgres(DOING))?;
    failpoint!("deletion-drop");
    fenced.commit().await?;
    Ok(revision)
}

/// The module is nobody's once nothing of it is left: another namespace would find what its files have made.
async fn release_module(conn: &mut PgConnection, module: &Ident) -> Result<(), Error> {
    let empty: bool = sqlx::query_scalar(IS_EMPTY)
        .bind(module.as_str())
        .fetch_one(&mut *conn)
        .await
        .map_err(Error::postgres(DOING))?;
    if !empty {
        return Ok(());
    }
    execute_all(conn, &[ddl::drop_schema(module)], DOING).await?;
    sqlx::query("delete from platform.modules where module = $1")
        .bind(module.as_str())
        .execute(conn)
        .await
        .map(drop)
        .map_err(Error::postgres(DOING))
}

/// Drops the tables of every capture generation; their names.
pub async fn drop_analytics(plane: &Plane, deletion: &Deletion) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct TableRow {
        name: String,
    }
    let doing = "dropping a model's table";
    // No name has two underscores in a row, so this is the model and not the beginning of another.
    let begins = format!("{}__{}__g", deletion.module, deletion.model);
    let found: Vec<TableRow> = plane
        .clickhouse
        .fetch(&format!(
            "select name from system.tables where database = {} and startsWith(name, {}) order by name",
            clickhouse::literal(clickhouse::DATABASE),
            clickhouse::literal(&begins)
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let mut dropped = Vec::new();
    for TableRow { name } in found {
        let drop = clickhouse::ddl::drop_table(&name);
        plane
            .clickhouse
            .execute(&drop)
            .await
            .map_err(Error::clickhouse(doing))?;
        dropped.push(name);
    }
    Ok(dropped)
}

/// The catalogue holds checked names only.
fn name_of(deletion: &Deletion) -> Result<ModelName, Error> {
    let ident = |text: &str| {
        text.parse()
            .map_err(|error: model::IdentError| sqlx::Error::Decode(error.into()))
            .map_err(Error::postgres("a model's name"))
    };
    Ok(ModelName {
        module: ident(&deletion.module)?,
        model: ident(&deletion.model)?,
    })
}

async fn names(
    conn: &mut PgConnection,
    query: &'static str,
    deletion: &Deletion,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(query)
        .bind(&deletion.module)
        .bind(&deletion.model)
        .fetch_all(conn)
        .await
        .map_err(Error::postgres(DOING))
}
