//! A tenant's rows in ClickHouse: of every generation's tables of every module of this database.

use model::TenantId;
use serde::Deserialize;
use sql::clickhouse::{DATABASE, ddl, literal};

use crate::{clickhouse::ClickHouse, error::Error, plane::Plane};

#[derive(Deserialize)]
struct TableRow {
    name: String,
}

#[derive(Deserialize)]
struct CountRow {
    rows: String,
}

#[derive(Deserialize)]
struct MutationRow {
    failed: String,
}

/// Every table of a module of this database, whatever its generation; sinks of other databases may share the server.
async fn tables(plane: &Plane) -> Result<Vec<String>, Error> {
    let modules: Vec<String> = sqlx::query_scalar("select module from platform.modules")
        .fetch_all(&plane.looks)
        .await
        .map_err(Error::postgres("a look at the modules"))?;
    let found: Vec<TableRow> = plane
        .clickhouse
        .fetch(&format!(
            "select name from system.tables where database = {} and engine like '%MergeTree' order by name",
            literal(DATABASE)
        ))
        .await
        .map_err(Error::clickhouse("a look at its tables"))?;
    // No module has a double underscore in its name, so this is the module and not the beginning of another.
    let ours = |name: &str| {
        let module = name.split_once("__").map(|(module, _)| module);
        module.is_some_and(|module| modules.iter().any(|m| m == module))
    };
    Ok(found
        .into_iter()
        .map(|row| row.name)
        .filter(|name| ours(name))
        .collect())
}

async fn count_in(clickhouse: &ClickHouse, table: &str, id: &TenantId) -> Result<u64, Error> {
    let rows: Vec<CountRow> = clickhouse
        .fetch(&ddl::count_tenant(table, id))
        .await
        .map_err(Error::clickhouse("counting a tenant's rows"))?;
    // As text, since a number of 64 bits may be quoted or not by the server's settings.
    Ok(rows
        .first()
        .and_then(|row| row.rows.parse().ok())
        .unwrap_or(0))
}

/// How many rows the tenant has, superseded versions and tombstones included.
pub async fn count(plane: &Plane, id: &TenantId) -> Result<u64, Error> {
    let mut sum = 0;
    for table in tables(plane).await? {
        sum += count_in(&plane.clickhouse, &table, id).await?;
    }
    Ok(sum)
}

/// Has the tenant's rows rewritten away, a table at a time, without waiting. None when no row is left, else what is
/// waited for.
///
/// A mutation and not a lightweight delete: that would only hide the rows until some merge.
pub async fn delete(plane: &Plane, id: &TenantId) -> Result<Option<String>, Error> {
    let mut waits = None;
    for table in tables(plane).await? {
        let rows = count_in(&plane.clickhouse, &table, id).await?;
        if rows == 0 {
            continue;
        }
        let running: Vec<MutationRow> = plane
            .clickhouse
            .fetch(&format!(
                "select latest_fail_reason as failed from system.mutations where database = {} and table = {} and not is_done and position(command, {}) > 0",
                literal(DATABASE),
                literal(&table),
                literal(&id.to_string())
            ))
            .await
            .map_err(Error::clickhouse("a look at its mutations"))?;
        match running.first() {
            None => plane
                .clickhouse
                .execute(&ddl::erase_tenant(&table, id))
                .await
                .map_err(Error::clickhouse("deleting a tenant's rows"))?,
            Some(mutation) if !mutation.failed.is_empty() => {
                let failed: String = mutation.failed.chars().take(200).collect();
                waits = Some(format!("ClickHouse cannot rewrite {table}: {failed}"));
                continue;
            }
            Some(_) => {}
        }
        waits.get_or_insert(format!("ClickHouse rewrites {table}, {rows} rows"));
    }
    Ok(waits)
}

/// Takes role, policy and grant away.
pub async fn drop_access(plane: &Plane, id: &TenantId) -> Result<(), Error> {
    for statement in ddl::drop_tenant(id) {
        plane
            .clickhouse
            .execute(&statement)
            .await
            .map_err(Error::clickhouse("a tenant's role"))?;
    }
    Ok(())
}
