//! What the databases hold of a model, read from their own catalogues and never from an earlier spec.

use std::collections::{BTreeSet, HashMap};

use model::{Generation, ModelName, ModuleModel};
use serde::{Deserialize, Serialize};
use sql::{
    clickhouse,
    postgres::ddl::{
        APP_POLICY, APP_ROLE, CDC_ROLE, PUBLICATION, SINK_ROLE, TENANT_POLICY,
        TENANT_PREDICATE_PRINTED,
    },
};
use sqlx::{PgConnection, types::Json};

use crate::{clickhouse::ClickHouse, error::Error, telemetry::spans};

/// A model that is looked at.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub name: ModelName,
    /// The models that it refers to.
    pub references: BTreeSet<ModelName>,
    /// Whether its deleted rows leave the table.
    pub removes: bool,
    /// Whether it has a table in ClickHouse.
    pub analytics: bool,
}

impl Asked {
    /// What to look at for this model.
    pub fn of(model: &ModuleModel) -> Self {
        let references = model.fields().iter().filter_map(|f| f.references.as_ref());
        Self {
            name: model.name().clone(),
            references: references.map(model::Reference::target).collect(),
            removes: !model.soft_delete(),
            analytics: model.analytics(),
        }
    }
}

/// What PostgreSQL holds of one model. Everything is empty or none where there is nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Observed {
    /// Role that owns the schema.
    pub schema_owner: Option<String>,
    /// Who may do what with the schema.
    pub schema_grants: Vec<Grant>,
    /// The table.
    pub table: Option<ObservedTable>,
    /// The namespace that claimed the module first.
    pub claimed_by: Option<String>,
    /// The model as published.
    pub published: Option<ObservedModel>,
    /// Columns that are ours, dropped ones included.
    pub ledger: Vec<LedgerColumn>,
    /// The resource with which a model of this name is being deleted.
    pub deleted_with: Option<String>,
    /// The plan that was approved last, if any was.
    pub approved: Option<ApprovedPlan>,
    /// Proxies and sinks that still use a revision before the one that published the model last.
    pub waiting_for: Vec<String>,
    /// Columns whose older rows may not all be in ClickHouse yet.
    pub unsynced: BTreeSet<String>,
    /// Whether change capture reads a module's tables in one long transaction: an index would wait for its end.
    pub snapshot_running: bool,
    /// The actions of the model that are registered.
    pub permissions: BTreeSet<String>,
    /// Models among those asked for that have a table.
    pub references: Vec<ObservedTarget>,
    /// Where its deleted rows leave the table: models that keep theirs and would lose them with it.
    pub kept_with: Vec<String>,
}

/// A model that is referred to and has a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ObservedTarget {
    /// Its name.
    #[serde(flatten)]
    pub name: ModelName,
    /// The resource that it was published for last, as `namespace/name`; none before the first publication.
    pub resource: Option<String>,
    /// Whether its deleted rows are kept.
    pub soft_delete: bool,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ObservedTable {
    /// Role that owns it.
    pub owner: String,
    /// `ENABLE ROW LEVEL SECURITY`.
    pub row_security: bool,
    /// `FORCE ROW LEVEL SECURITY`.
    pub row_security_forced: bool,
    /// `d` default, `f` full, `n` nothing, `i` an index.
    pub replica_identity: String,
    /// Whether its changes are captured.
    pub captured: bool,
    /// Its columns.
    pub columns: Vec<ObservedColumn>,
    /// Its constraints, NOT NULL ones aside.
    pub constraints: Vec<ObservedConstraint>,
    /// Its indexes.
    pub indexes: Vec<ObservedIndex>,
    /// Columns of its indexes that no filter of the proxy can use there.
    pub leaking: Vec<LeakingColumn>,
    /// Names of its triggers.
    pub triggers: BTreeSet<String>,
    /// How many rows it has, as PostgreSQL estimates.
    pub rows: i64,
    /// Its policies.
    pub policies: Vec<ObservedPolicy>,
    /// Who may do what with it, its owner aside.
    pub grants: Vec<Grant>,
    /// Who may do what with single columns.
    pub column_grants: Vec<Grant>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedColumn {
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether null is refused.
    pub not_null: bool,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedIndex {
    /// Its name.
    pub name: String,
    /// Its columns, in order; an expression is an empty text.
    pub columns: Vec<String>,
    /// Whether it is unique.
    pub unique: bool,
    /// Which rows it is about, as `pg_get_expr` prints it.
    pub predicate: Option<String>,
    /// Whether it is complete.
    pub valid: bool,
}

/// A column of an index whose comparisons are not leakproof: under row-level security PostgreSQL does not look for it in
/// the index. No part of [`ObservedIndex`], since an index is what it was when a function of its type changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LeakingColumn {
    /// Name of the index.
    pub index: String,
    /// The column.
    pub column: String,
    /// What is compared, such as `numeric`.
    #[serde(rename = "type")]
    pub type_: String,
}

/// A row of `platform.model_columns`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerColumn {
    /// Its name.
    pub name: String,
    /// What it holds, a `model::FieldType`; none for columns made before this was kept.
    pub definition: Option<serde_json::Value>,
    /// The column that it takes over from.
    pub source: Option<String>,
    /// Whether older rows have been brought to it.
    pub filled: bool,
    /// Whether that is because it becomes required.
    pub requiring: bool,
    /// Whether it is gone.
    pub dropped: bool,
}

/// A row of `platform.plans_begun`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ApprovedPlan {
    /// What `approvedPlan` named.
    pub hash: String,
    /// SHA-256 of what was wanted.
    pub desired: String,
    /// SHA-256 of each of its statements and files.
    pub statements: BTreeSet<String>,
    /// Whether nothing of it is left.
    pub ended: bool,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedConstraint {
    /// Its name.
    pub name: String,
    /// As `pg_get_constraintdef` prints it.
    pub definition: String,
    /// Whether rows that were there have been proven.
    pub validated: bool,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedPolicy {
    /// Its name.
    pub name: String,
    /// PERMISSIVE, or RESTRICTIVE.
    pub permissive: bool,
    /// `*` for all commands.
    pub command: String,
    /// Whom it binds; `public` for everybody.
    pub roles: Vec<String>,
    /// USING.
    pub using: Option<String>,
    /// WITH CHECK.
    pub check: Option<String>,
}

/// A privilege.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Grant {
    /// Who has it; `public` for everybody.
    pub grantee: String,
    /// Such as `SELECT`.
    pub privilege: String,
}

/// A row of `platform.models`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedModel {
    /// `namespace/name` of the resource that owns it.
    pub resource: String,
    /// That resource's uid.
    pub resource_uid: String,
    /// What was applied last.
    pub document: serde_json::Value,
    /// Whether that resource still exists, as far as the database knows.
    pub served: bool,
    /// The catalogue's revision that published it last.
    pub revision: i64,
}

/// Who is live is told as in [`crate::catalog::waiting_for`].
///
/// `$1` modules, `$2` their models, `$3` a JSON array for each, of the models that it refers to, `$4` our publication, `$5`
/// Debezium's role.
const QUERY: &str = r"
-- Which btree operator classes have a comparison that is not leakproof. Once for all models: it reads some hundred rows.
with leaking as materialized (
  select c.oid, c.opcintype from pg_opclass c join pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
  where exists (
    select from pg_amop o join pg_operator p on p.oid = o.amopopr join pg_proc f on f.oid = p.oprcode
    where o.amopfamily = c.opcfamily and o.amoplefttype = c.opcintype and o.amoprighttype = c.opcintype
      and o.amoppurpose = 's' and not f.proleakproof))
select json_build_object(
  'schema_owner', (select nspowner::regrole::text from pg_namespace where nspname = q.module),
  'schema_grants', (
    select coalesce(json_agg(json_build_object(
      'grantee', case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
      'privilege', a.privilege_type)), '[]')
    from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = q.module and a.grantee <> n.nspowner),
  'table', (select json_build_object(
    'owner', relowner::regrole::text,
    'row_security', relrowsecurity,
    'row_security_forced', relforcerowsecurity,
    'replica_identity', relreplident,
    -- Of this table alone: pg_publication_tables would list all of them for each.
    'captured', exists (
      select from pg_publication u where pubname = $4 and (puballtables
        or exists (select from pg_publication_rel where prpubid = u.oid and prrelid = t.oid)
        or exists (select from pg_publication_namespace where pnpubid = u.oid and pnnspid = t.relnamespace))),
    'columns', (
      select coalesce(json_agg(json_build_object(
        'name', attname, 'type', format_type(atttypid, atttypmod), 'not_null', attnotnull) order by attnum), '[]')
      from pg_attribute where attrelid = t.oid and attnum > 0 and not attisdropped),
    'constraints', (
      select coalesce(json_agg(json_build_object(
        'name', conname, 'definition', pg_get_constraintdef(oid), 'validated', convalidated) order by conname), '[]')
      from pg_constraint where conrelid = t.oid and contype in ('c', 'f', 'p', 'u', 'x')),
    'indexes', (
      select coalesce(json_agg(json_build_object(
        'name', i.relname, 'unique', x.indisunique, 'valid', x.indisvalid and x.indisready,
        'predicate', pg_get_expr(x.indpred, x.indrelid),
        'columns', (
          select json_agg(coalesce(a.attname, '') order by k.n)
          from unnest(x.indkey) with ordinality k(num, n)
          left join pg_attribute a on a.attrelid = t.oid and a.attnum = k.num)) order by i.relname), '[]')
      from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = t.oid),
    'leaking', (
      select coalesce(json_agg(json_build_object(
        'index', i.relname, 'column', a.attname, 'type', format_type(l.opcintype, null)) order by i.relname, k.n), '[]')
      from pg_index x join pg_class i on i.oid = x.indexrelid
      cross join unnest(x.indkey, x.indclass) with ordinality k (num, class, n)
      join leaking l on l.oid = k.class
      join pg_attribute a on a.attrelid = t.oid and a.attnum = k.num
      where x.indrelid = t.oid),
    'triggers', (
      select coalesce(json_agg(tgname order by tgname), '[]') from pg_trigger where tgrelid = t.oid and not tgisinternal),
    'rows', greatest(reltuples, 0)::bigint,
    'policies', (
      select coalesce(json_agg(json_build_object(
        'name', polname, 'permissive', polpermissive, 'command', polcmd,
        'roles', (select json_agg(case when r = 0 then 'public' else r::regrole::text end) from unnest(polroles) r),
        'using', pg_get_expr(polqual, polrelid), 'check', pg_get_expr(polwithcheck, polrelid)) order by polname), '[]')
      from pg_policy where polrelid = t.oid),
    'grants', (
      select coalesce(json_agg(json_build_object(
        'grantee', case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
        'privilege', a.privilege_type)), '[]')
      from aclexplode(t.relacl) a where a.grantee <> t.relowner),
    'column_grants', (
      select coalesce(json_agg(json_build_object(
        'grantee', case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
        'privilege', a.privilege_type)), '[]')
      from pg_attribute f, aclexplode(f.attacl) a where f.attrelid = t.oid and not f.attisdropped)
    ) from pg_class t join pg_namespace tn on tn.oid = t.relnamespace
      where tn.nspname = q.module and t.relname = q.model and t.relkind in ('r', 'p')),
  'claimed_by', (select namespace from platform.modules where module = q.module),
  'published', (
    select json_build_object('resource', resource, 'resource_uid', resource_uid, 'document', document,
                             'served', served, 'revision', revision)
    from platform.models where module = q.module and model = q.model),
  'ledger', (
    select coalesce(json_agg(json_build_object(
      'name', name, 'definition', definition, 'source', source, 'filled', filled_at is not null,
      'requiring', requiring,
      'dropped', dropped_at is not null) order by name), '[]')
    from platform.model_columns where module = q.module and model = q.model),
  'deleted_with', (select resource from platform.deleted_models where module = q.module and model = q.model),
  'approved', (
    select json_build_object('hash', hash, 'desired', desired, 'statements', statements, 'ended', ended_at is not null)
    from platform.plans_begun where module = q.module and model = q.model),
  'waiting_for', (
    select coalesce(json_agg(i.instance order by i.instance), '[]')
    from platform.proxy_instances i
    join platform.models m on m.module = q.module and m.model = q.model and i.revision < m.revision
    where i.last_seen > now() - interval '30 seconds'),
  'unsynced', (
    select coalesce(json_agg(c.name order by c.name), '[]')
    from platform.model_columns c
    where c.module = q.module and c.model = q.model and c.filling and c.dropped_at is null and c.filled_rows > 0
      and not exists (
        select from platform.last_sync s join platform.data_plane d using (generation)
        where s.last_sync_at > c.filled_at)),
  'snapshot_running', exists (
    select from pg_locks l
    join pg_stat_activity a on a.pid = l.pid and a.usename = $5
    join pg_class c on c.oid = l.relation
    join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('platform', 'pg_catalog', 'pg_toast')
    where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())),
  'permissions', (
    select coalesce(json_agg(action order by action), '[]') from platform.permissions
    where module = q.module and model = q.model),
  'references', (
    select coalesce(json_agg(r || jsonb_build_object(
      'resource', p.resource, 'soft_delete', coalesce((p.document ->> 'softDelete')::bool, true))), '[]')
    from jsonb_array_elements(q.refs) r
    left join platform.models p on p.module = r ->> 'module' and p.model = r ->> 'model'
    where exists (
      select from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = r ->> 'module' and c.relname = r ->> 'model' and c.relkind in ('r', 'p'))),
  -- All models are read for it, so only where it matters.
  'kept_with', case when q.removes then (
    select coalesce(json_agg(distinct p.module || '.' || p.model), '[]')
    from platform.models p, jsonb_array_elements(p.document -> 'fields') f
    where f -> 'references' ->> 'module' = q.module and f -> 'references' ->> 'model' = q.model
      and f -> 'references' ->> 'onDelete' in ('Cascade', 'SetNull')
      and coalesce((p.document ->> 'softDelete')::bool, true) and (p.module, p.model) <> (q.module, q.model))
    else '[]' end
)::text
from unnest($1::text[], $2::text[], $3::jsonb[], $6::bool[]) with ordinality q (module, model, refs, removes, n) order by n";

/// Looks at PostgreSQL for each of these models: one statement, so one moment.
pub async fn observe(conn: &mut PgConnection, models: &[Asked]) -> Result<Vec<Observed>, Error> {
    let (modules, names) = names(models.iter().map(|asked| &asked.name));
    let references: Vec<_> = models.iter().map(|asked| Json(&asked.references)).collect();
    let asking = sqlx::query_scalar(QUERY)
        .bind(&modules)
        .bind(&names)
        .bind(&references)
        .bind(PUBLICATION)
        .bind(CDC_ROLE)
        .bind(models.iter().map(|asked| asked.removes).collect::<Vec<_>>())
        .fetch_all(conn);
    let texts: Vec<String> = spans::within(spans::postgres("select"), asking)
        .await
        .map_err(Error::postgres("a look at its catalogue"))?;
    let each = texts.iter().map(|text| serde_json::from_str(text));
    each.collect::<Result<_, _>>().map_err(Error::Observed)
}

/// Modules and models, as two parameters of a statement.
pub fn names<'a>(models: impl Iterator<Item = &'a ModelName>) -> (Vec<&'a str>, Vec<&'a str>) {
    models
        .map(|name| (name.module.as_str(), name.model.as_str()))
        .unzip()
}

/// What ClickHouse holds of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedAnalytics {
    /// Columns of its table with their types, in order; empty when there is no table.
    pub columns: Vec<(String, String)>,
    /// Whether the table has rows.
    pub has_rows: bool,
}

/// Looks at ClickHouse for each of these models.
pub async fn observe_analytics(
    clickhouse: &ClickHouse,
    models: &[&ModelName],
    generation: Generation,
) -> Result<Vec<ObservedAnalytics>, Error> {
    #[derive(Deserialize)]
    struct ColumnRow {
        table: String,
        name: String,
        #[serde(rename = "type")]
        type_: String,
    }
    #[derive(Deserialize)]
    struct TableRow {
        table: String,
        has_rows: u8,
    }
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let tables: Vec<_> = models
        .iter()
        .map(|name| clickhouse::table_name(name, generation))
        .collect();
    let doing = "a look at its columns";
    let statement = format!(
        "select table, name, type from system.columns where {} order by position",
        among("table", &tables)
    );
    let columns: Vec<ColumnRow> = clickhouse
        .fetch(&statement)
        .await
        .map_err(Error::clickhouse(doing))?;
    let statement = format!(
        "select name as table, ifNull(total_rows, 1) > 0 as has_rows from system.tables where {}",
        among("name", &tables)
    );
    let rows: Vec<TableRow> = clickhouse
        .fetch(&statement)
        .await
        .map_err(Error::clickhouse(doing))?;
    let mut found: HashMap<String, ObservedAnalytics> = HashMap::new();
    for row in columns {
        let table = found.entry(row.table).or_default();
        table.columns.push((row.name, row.type_));
    }
    for row in rows {
        found.entry(row.table).or_default().has_rows = row.has_rows != 0;
    }
    let each = tables.iter().map(|t| found.remove(t).unwrap_or_default());
    Ok(each.collect())
}

/// The condition under which a row of ClickHouse's catalogue is about one of these tables.
pub fn among(column: &str, tables: &[String]) -> String {
    let names: Vec<_> = tables.iter().map(|t| clickhouse::literal(t)).collect();
    format!(
        "database = {} and {column} in ({})",
        clickhouse::literal(clickhouse::DATABASE),
        names.join(", ")
    )
}

impl ObservedTable {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ObservedColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The index of that name, valid or not.
    pub fn index(&self, name: &str) -> Option<&ObservedIndex> {
        self.indexes.iter().find(|i| i.name == name)
    }

    /// The constraint of that name.
    pub fn constraint(&self, name: &str) -> Option<&ObservedConstraint> {
        self.constraints.iter().find(|c| c.name == name)
    }

    /// Whether the proxy may remove rows.
    pub fn may_delete(&self) -> bool {
        let ours = |g: &Grant| g.grantee == APP_ROLE && g.privilege == "DELETE";
        self.grants.iter().any(ours)
    }

    /// What is open in the fence between tenants; empty when it stands. Without `soft_delete` the proxy removes rows, and
    /// must be able to; that it still is where rows are kept again opens nothing to another tenant. Policies and grants of
    /// others are not ours to judge: under a restrictive policy for everybody none of them shows another tenant's row.
    pub fn open_fence(&self, soft_delete: bool) -> Vec<&'static str> {
        let is = |policy: &ObservedPolicy, permissive: bool, role: &str, expression: &str| {
            policy.permissive == permissive
                && policy.command == "*"
                && policy.roles == [role]
                && policy.using.as_deref() == Some(expression)
                && policy.check.as_deref() == Some(expression)
        };
        let policy = |name: &str| self.policies.iter().find(|p| p.name == name);
        let granted = |role: &str| -> BTreeSet<&str> {
            self.grants
                .iter()
                .filter(|g| g.grantee == role)
                .map(|g| g.privilege.as_str())
                .collect()
        };
        let ours =
            |g: &Grant| [APP_ROLE, CDC_ROLE, "public", SINK_ROLE].contains(&g.grantee.as_str());
        let mut open = Vec::new();
        let mut require = |holds: bool, what: &'static str| {
            if !holds {
                open.push(what);
            }
        };
        require(self.row_security, "row-level security is off");
        require(self.row_security_forced, "row-level security is not forced");
        require(
            policy(TENANT_POLICY).is_some_and(|p| is(p, false, "public", TENANT_PREDICATE_PRINTED)),
            "policy tenant_isolation",
        );
        require(
            policy(APP_POLICY).is_some_and(|p| is(p, true, APP_ROLE, "true")),
            "policy septem_app",
        );
        let mut of_app = granted(APP_ROLE);
        let may_delete = of_app.remove("DELETE");
        require(
            of_app == BTreeSet::from(["SELECT", "INSERT", "UPDATE"]) && (soft_delete || may_delete),
            "privileges of septem_app",
        );
        require(
            granted(CDC_ROLE) == BTreeSet::from(["SELECT"]),
            "privileges of septem_cdc",
        );
        require(granted(SINK_ROLE).is_empty(), "privileges of septem_sink");
        require(granted("public").is_empty(), "privileges of everybody");
        require(
            !self.column_grants.iter().any(ours),
            "privileges on columns",
        );
        open
    }
}

impl Observed {
    /// Whether proxy and Debezium may enter the schema and nobody else of ours.
    pub fn schema_is_granted(&self) -> bool {
        let mut grants = self.schema_grants.clone();
        grants.retain(|g| [APP_ROLE, CDC_ROLE, "public", SINK_ROLE].contains(&g.grantee.as_str()));
        grants.sort();
        let usage = |role: &str| Grant {
            grantee: role.into(),
            privilege: "USAGE".into(),
        };
        grants == [usage(APP_ROLE), usage(CDC_ROLE)]
    }

    /// What the ledger says of a column that is there.
    pub fn column(&self, name: &str) -> Option<&LedgerColumn> {
        self.ledger.iter().find(|c| c.name == name && !c.dropped)
    }

    /// Whether a column of that name is or was ours.
    pub fn column_ever(&self, name: &str) -> bool {
        self.ledger.iter().any(|c| c.name == name)
    }

    /// Whether every permission of the model is registered.
    pub fn permissions_are_registered(&self, model: &ModuleModel) -> bool {
        let mut actions = model.actions();
        actions.all(|action| self.permissions.contains(action.as_str()))
    }
}
