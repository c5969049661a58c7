//! A tenant's rows in PostgreSQL: of every table with a column `tenant_id`, in the schemas of modules and in ours.

use std::time::{Duration, Instant};

use sql::postgres::erase::{Referrer, TenantTable, delete_together};
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger;
use crate::{
    error::Error,
    plane::Plane,
    postgres::{Timeouts, execute_for, number_for},
};

/// Rows deleted in one transaction: some tens of milliseconds, which nobody waits for.
const BATCH_ROWS: u32 = 5_000;
/// After this the status is written, and the next reconcile goes on.
const TURN: Duration = Duration::from_secs(10);

const DELETING: &str = "deleting a tenant's rows";

/// Of our own tables all but the ledger of what was erased.
const TABLES: &str = r"
select json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'referrers', (
  select coalesce(json_agg(json_build_object('schema', fn.nspname, 'table', fc.relname, 'columns', (
    select json_agg(json_build_array(ca.attname, pa.attname) order by k.i)
    from unnest(f.conkey, f.confkey) with ordinality k (child, parent, i)
    join pg_attribute ca on ca.attrelid = f.conrelid and ca.attnum = k.child
    join pg_attribute pa on pa.attrelid = f.confrelid and pa.attnum = k.parent)) order by f.oid), '[]')
  from pg_constraint f
  join pg_class fc on fc.oid = f.conrelid join pg_namespace fn on fn.oid = fc.relnamespace
  where f.confrelid = c.oid and f.contype = 'f' and f.confdeltype in ('a', 'r') and f.conparentid = 0))
  order by n.nspname, c.relname)::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and a.atttypid = 'uuid'::regtype
where c.relkind in ('r', 'p') and not c.relispartition
  and (n.nspname in (select module from platform.modules)
    or n.nspname = 'platform' and c.relname <> 'erased_tenants')";

#[derive(serde::Deserialize)]
struct Found {
    schema: String,
    name: String,
    referrers: Vec<FoundReferrer>,
}

#[derive(serde::Deserialize)]
struct FoundReferrer {
    schema: String,
    table: String,
    columns: Vec<(String, String)>,
}

impl From<Found> for TenantTable {
    fn from(found: Found) -> Self {
        let referrer = |r: FoundReferrer| Referrer {
            schema: r.schema,
            table: r.table,
            columns: r.columns,
        };
        Self {
            schema: found.schema,
            name: found.name,
            referrers: found.referrers.into_iter().map(referrer).collect(),
        }
    }
}

async fn tables(conn: &mut PgConnection) -> Result<Vec<TenantTable>, Error> {
    let text: String = sqlx::query_scalar(TABLES)
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("a look at tables with tenants"))?;
    let found: Vec<Found> = serde_json::from_str(&text).map_err(Error::Observed)?;
    Ok(found.into_iter().map(TenantTable::from).collect())
}

/// How many rows the tenant has, in all tables.
pub async fn count(plane: &Plane, id: Uuid) -> Result<i64, Error> {
    let mut conn = plane
        .looks
        .acquire()
        .await
        .map_err(Error::postgres("a connection"))?;
    let mut sum = 0;
    for table in tables(&mut conn).await? {
        let rows = number_for(&mut conn, table.count(), id).await;
        sum += rows.map_err(Error::postgres("counting a tenant's rows"))?;
    }
    Ok(sum)
}

/// Deletes rows for a while, children before parents, each batch with its note in one transaction. Whether none is
/// left.
pub async fn delete(plane: &Plane, id: Uuid) -> Result<bool, Error> {
    let started = Instant::now();
    let mut fenced = plane.fenced(Timeouts::default()).await?;
    let tables = tables(fenced.conn()).await?;
    loop {
        let mut round = 0;
        for table in &tables {
            loop {
                let rows = execute_for(fenced.conn(), table.delete_leaves(BATCH_ROWS), id)
                    .await
                    .map_err(Error::postgres(DELETING))?;
                if rows == 0 {
                    break;
                }
                ledger::note_deleted(fenced.conn(), id, rows).await?;
                fenced = fenced.commit_and_begin().await?;
                round += rows;
                if started.elapsed() >= TURN {
                    return Ok(false);
                }
            }
        }
        if round > 0 {
            continue;
        }
        // What is left refers to itself in a circle.
        let rows = number_for(fenced.conn(), delete_together(&tables), id)
            .await
            .map_err(Error::postgres(DELETING))?;
        if rows > 0 {
            ledger::note_deleted(fenced.conn(), id, rows).await?;
        }
        fenced.commit().await?;
        return Ok(true);
    }
}
