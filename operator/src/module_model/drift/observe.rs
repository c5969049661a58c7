//! Every object of a model and its definition, as the databases print it.

use std::collections::{BTreeMap, HashMap};

use model::ModelName;
use serde::Deserialize;
use sql::{
    clickhouse,
    postgres::ddl::{APP_POLICY, APP_ROLE, CDC_ROLE, PUBLICATION, SINK_ROLE, TENANT_POLICY},
};

use crate::{
    error::Error,
    module_model::observe::{among, names},
    plane::Plane,
    telemetry::spans,
};

/// Kind and name of an object, such as `index deals__by_stage`, and its definition.
pub type Objects = BTreeMap<String, String>;

/// `$1` modules, `$2` their models, `$3` the revision of each, `$4` policies and `$5` roles of the fence, which are looked at
/// elsewhere, `$6` publication.
const QUERY: &str = r"
with q as (select * from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality q (module, model, revision, q)),
t as (
  select q, c.* from q join pg_namespace n on n.nspname = q.module
  join pg_class c on c.relnamespace = n.oid and c.relname = q.model and c.relkind in ('r', 'p')),
objects (q, object, definition) as (
  select q, 'owner', relowner::regrole::text from t
  union all select q, 'replica identity', relreplident::text from t
  union all select q, 'options', array_to_string(reloptions, ', ') from t where reloptions is not null
  union all select q, 'publication', coalesce(prattrs::text, '') || coalesce(' where ' || pg_get_expr(prqual, prrelid), '')
    from t join pg_publication_rel on prrelid = t.oid join pg_publication u on u.oid = prpubid where u.pubname = $6
  union all select q, 'column ' || attname, format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
      || case when attcollation <> typcollation then ' collate ' || attcollation::regcollation::text else '' end
      || case when attidentity <> '' then ' identity' else '' end || case when attgenerated <> '' then ' generated' else '' end
    from t join pg_attribute on attrelid = t.oid join pg_type y on y.oid = atttypid where attnum > 0 and not attisdropped
  union all select q, 'default ' || attname, pg_get_expr(adbin, adrelid)
    from t join pg_attrdef on adrelid = t.oid join pg_attribute on attrelid = t.oid and attnum = adnum
  union all select q, 'constraint ' || conname, pg_get_constraintdef(p.oid)
    from t join pg_constraint p on conrelid = t.oid and contype in ('c', 'f', 'p', 'u', 'x')
  union all select q, 'index ' || i.relname, pg_get_indexdef(x.indexrelid) || case when x.indisvalid then '' else ' invalid' end
    from t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
    where not exists (select from pg_constraint where conindid = x.indexrelid and contype in ('p', 'u', 'x'))
  union all select q, 'trigger ' || tgname, pg_get_triggerdef(g.oid) || ' ' || tgenabled::text
    from t join pg_trigger g on tgrelid = t.oid and not tgisinternal
  union all select q, 'rule ' || rulename, pg_get_ruledef(w.oid) from t join pg_rewrite w on ev_class = t.oid
  union all select q, 'policy ' || polname, polcmd::text || ' ' || polpermissive || ' ' || polroles::regrole[]::text || ' '
      || coalesce(pg_get_expr(polqual, polrelid), '') || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
    from t join pg_policy on polrelid = t.oid where polname <> all ($4)
  union all select q, 'privileges of ' || a.grantee::regrole::text, string_agg(a.privilege_type, ', ' order by a.privilege_type)
    from t, aclexplode(t.relacl) a where a.grantee not in (0, t.relowner) and a.grantee::regrole::text <> all ($5)
      -- Who runs a module's SQL files is granted and judged with them.
      and a.grantee::regrole::text not like 'septem\_m\_%'
    group by q, a.grantee)
select (select coalesce(json_object_agg(object, coalesce(definition, '')), '{}') from objects o where o.q = q.q)::text,
  (select a.objects::text from platform.applied_objects a
   where a.module = q.module and a.model = q.model and a.revision = q.revision)
from q order by q.q";

/// A model that is looked at: what was noted after this revision, and what is there now.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub name: ModelName,
    /// The revision that published it last.
    pub revision: i64,
    /// Whether it has a table in ClickHouse.
    pub analytics: bool,
}

/// What was found of a model.
#[derive(Debug, Default)]
pub struct Found {
    /// What is there.
    pub objects: Objects,
    /// What was noted; none when another revision has been published since.
    pub noted: Option<Objects>,
}

/// Looks at both databases, together with those who look now.
pub async fn observe(plane: &Plane, asked: Asked) -> Result<Found, Error> {
    let found = plane
        .models
        .drifts
        .ask(asked, |models| observe_all(plane, models));
    Ok(found.await?.unwrap_or_default())
}

async fn observe_all(plane: &Plane, models: Vec<Asked>) -> Result<Vec<Option<Found>>, Error> {
    let (modules, names) = names(models.iter().map(|asked| &asked.name));
    let revisions: Vec<_> = models.iter().map(|asked| asked.revision).collect();
    let asking = sqlx::query_as(QUERY)
        .bind(&modules)
        .bind(&names)
        .bind(&revisions)
        .bind([TENANT_POLICY, APP_POLICY].as_slice())
        .bind([APP_ROLE, CDC_ROLE, SINK_ROLE].as_slice())
        .bind(PUBLICATION)
        .fetch_all(&plane.looks);
    let rows: Vec<(String, Option<String>)> = spans::within(spans::postgres("select"), asking)
        .await
        .map_err(Error::postgres("a look for drift"))?;
    let mut analytics = observe_analytics(plane, &models).await?;
    let mut all = Vec::new();
    for (asked, (objects, noted)) in models.iter().zip(rows) {
        let read = |text: &str| serde_json::from_str(text).map_err(Error::Observed);
        let mut objects: Objects = read(&objects)?;
        let table = clickhouse::table_name(&asked.name, plane.generation);
        objects.extend(analytics.remove(&table).unwrap_or_default());
        let noted = noted.as_deref().map(read).transpose()?;
        all.push(Some(Found { objects, noted }));
    }
    Ok(all)
}

/// By table. A model without analytics has none: what is left of an earlier time is kept.
async fn observe_analytics(
    plane: &Plane,
    models: &[Asked],
) -> Result<HashMap<String, Objects>, Error> {
    #[derive(Deserialize)]
    struct Row {
        of: String,
        object: String,
        definition: String,
    }
    let analysed = models.iter().filter(|asked| asked.analytics);
    let tables: Vec<_> = analysed
        .map(|asked| clickhouse::table_name(&asked.name, plane.generation))
        .collect();
    let mut found: HashMap<String, Objects> = HashMap::new();
    if tables.is_empty() {
        return Ok(found);
    }
    // What the engine makes of the definition: kind, sort key and settings, without the columns.
    let definitions = format!(
        "select name as of, 'ClickHouse table' as object, engine_full as definition from system.tables where {}",
        among("name", &tables)
    );
    let columns = format!(
        "select table as of, concat('ClickHouse column ', name) as object, trimRight(concat(type, ' ', default_kind, ' ', default_expression)) as definition from system.columns where {}",
        among("table", &tables)
    );
    for statement in [definitions, columns] {
        let rows: Vec<Row> = plane
            .clickhouse
            .fetch(&statement)
            .await
            .map_err(Error::clickhouse("a look for drift"))?;
        for row in rows {
            let objects = found.entry(row.of).or_default();
            objects.insert(row.object, row.definition);
        }
    }
    Ok(found)
}
