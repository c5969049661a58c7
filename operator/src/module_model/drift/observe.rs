//! Every object of a model and its definition, as the databases print it.

use std::collections::BTreeMap;

use model::ModelName;
use serde::Deserialize;
use sql::{
    clickhouse,
    postgres::ddl::{APP_POLICY, APP_ROLE, CDC_ROLE, PUBLICATION, SINK_ROLE, TENANT_POLICY},
};

use crate::{error::Error, plane::Plane};

/// Kind and name of an object, such as `index deals__by_stage`, and its definition.
pub type Objects = BTreeMap<String, String>;

/// `$1` module, `$2` model, `$3` policies and `$4` roles of the fence, which are looked at elsewhere, `$5` publication.
const QUERY: &str = r"
with t as (
  select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')),
objects (object, definition) as (
  select 'owner', relowner::regrole::text from t
  union all select 'replica identity', relreplident::text from t
  union all select 'options', array_to_string(reloptions, ', ') from t where reloptions is not null
  union all select 'publication', coalesce(prattrs::text, '') || coalesce(' where ' || pg_get_expr(prqual, prrelid), '')
    from t join pg_publication_rel on prrelid = t.oid join pg_publication u on u.oid = prpubid where u.pubname = $5
  union all select 'column ' || attname, format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
      || case when attcollation <> typcollation then ' collate ' || attcollation::regcollation::text else '' end
      || case when attidentity <> '' then ' identity' else '' end || case when attgenerated <> '' then ' generated' else '' end
    from t join pg_attribute on attrelid = t.oid join pg_type y on y.oid = atttypid where attnum > 0 and not attisdropped
  union all select 'default ' || attname, pg_get_expr(adbin, adrelid)
    from t join pg_attrdef on adrelid = t.oid join pg_attribute on attrelid = t.oid and attnum = adnum
  union all select 'constraint ' || conname, pg_get_constraintdef(p.oid)
    from t join pg_constraint p on conrelid = t.oid and contype in ('c', 'f', 'p', 'u', 'x')
  union all select 'index ' || i.relname, pg_get_indexdef(x.indexrelid) || case when x.indisvalid then '' else ' invalid' end
    from t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
    where not exists (select from pg_constraint where conindid = x.indexrelid and contype in ('p', 'u', 'x'))
  union all select 'trigger ' || tgname, pg_get_triggerdef(g.oid) || ' ' || tgenabled::text
    from t join pg_trigger g on tgrelid = t.oid and not tgisinternal
  union all select 'rule ' || rulename, pg_get_ruledef(w.oid) from t join pg_rewrite w on ev_class = t.oid
  union all select 'policy ' || polname, polcmd::text || ' ' || polpermissive || ' ' || polroles::regrole[]::text || ' '
      || coalesce(pg_get_expr(polqual, polrelid), '') || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
    from t join pg_policy on polrelid = t.oid where polname <> all ($3)
  union all select 'privileges of ' || a.grantee::regrole::text, string_agg(a.privilege_type, ', ' order by a.privilege_type)
    from t, aclexplode(t.relacl) a where a.grantee not in (0, t.relowner) and a.grantee::regrole::text <> all ($4)
      -- Who runs a module's SQL files is granted and judged with them.
      and a.grantee::regrole::text not like 'septem\_m\_%'
    group by a.grantee)
select coalesce(json_object_agg(object, coalesce(definition, '')), '{}')::text from objects";

/// Looks at both databases.
pub async fn observe(plane: &Plane, name: &ModelName, analytics: bool) -> Result<Objects, Error> {
    let text: String = sqlx::query_scalar(QUERY)
        .bind(name.module.as_str())
        .bind(name.model.as_str())
        .bind([TENANT_POLICY, APP_POLICY].as_slice())
        .bind([APP_ROLE, CDC_ROLE, SINK_ROLE].as_slice())
        .bind(PUBLICATION)
        .fetch_one(&plane.looks)
        .await
        .map_err(Error::postgres("a look for drift"))?;
    let mut objects: Objects = serde_json::from_str(&text).map_err(Error::Observed)?;
    if analytics {
        objects.extend(observe_analytics(plane, name).await?);
    }
    Ok(objects)
}

async fn observe_analytics(plane: &Plane, name: &ModelName) -> Result<Objects, Error> {
    #[derive(Deserialize)]
    struct Row {
        object: String,
        definition: String,
    }
    let whose = |table: &str| {
        format!(
            "database = {} and {table} = {}",
            clickhouse::literal(clickhouse::DATABASE),
            clickhouse::literal(&clickhouse::table_name(name, plane.generation))
        )
    };
    let doing = "a look for drift";
    // What the engine makes of the definition: kind, sort key and settings, without the columns.
    let tables = format!(
        "select 'ClickHouse table' as object, engine_full as definition from system.tables where {}",
        whose("name")
    );
    let columns = format!(
        "select concat('ClickHouse column ', name) as object, trimRight(concat(type, ' ', default_kind, ' ', default_expression)) as definition from system.columns where {}",
        whose("table")
    );
    let mut objects = Objects::new();
    for statement in [tables, columns] {
        let rows: Vec<Row> = plane
            .clickhouse
            .fetch(&statement)
            .await
            .map_err(Error::clickhouse(doing))?;
        objects.extend(rows.into_iter().map(|row| (row.object, row.definition)));
    }
    Ok(objects)
}

/// What was noted after this revision; none when another revision has been published since.
pub async fn noted(
    plane: &Plane,
    name: &ModelName,
    revision: i64,
) -> Result<Option<Objects>, Error> {
    let objects: Option<serde_json::Value> = sqlx::query_scalar(
        "select objects from platform.applied_objects where module = $1 and model = $2 and revision = $3",
    )
    .bind(name.module.as_str())
    .bind(name.model.as_str())
    .bind(revision)
    .fetch_optional(&plane.looks)
    .await
    .map_err(Error::postgres("what was applied"))?;
    objects
        .map(serde_json::from_value)
        .transpose()
        .map_err(Error::Observed)
}
