//! What the databases hold of a model, read from their own catalogues and never from an earlier spec.

use std::collections::BTreeSet;

use model::{Generation, ModelName, ModuleModel, permission::Action};
use serde::Deserialize;
use sql::{
    clickhouse,
    postgres::ddl::{
        APP_POLICY, APP_ROLE, CDC_ROLE, PUBLICATION, SINK_ROLE, TENANT_POLICY,
        TENANT_PREDICATE_PRINTED,
    },
};
use sqlx::PgConnection;

use crate::{clickhouse::ClickHouse, error::Error};

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
    /// Columns that are ours.
    pub ledger: BTreeSet<String>,
    /// How many of the model's permissions are registered.
    pub permissions: i64,
    /// Models among those asked for that have a table.
    pub references: BTreeSet<String>,
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
    /// Names of its valid indexes.
    pub indexes: BTreeSet<String>,
    /// Its policies.
    pub policies: Vec<ObservedPolicy>,
    /// Who may do what with it, its owner aside.
    pub grants: Vec<Grant>,
    /// Who may do what with single columns.
    pub column_grants: Vec<Grant>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedColumn {
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether null is refused.
    pub not_null: bool,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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

/// `$1` module, `$2` model, `$3` models that are referenced, `$4` our publication.
const QUERY: &str = r"
with t as (
  select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p'))
select json_build_object(
  'schema_owner', (select nspowner::regrole::text from pg_namespace where nspname = $1),
  'schema_grants', (
    select coalesce(json_agg(json_build_object(
      'grantee', case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
      'privilege', a.privilege_type)), '[]')
    from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = $1 and a.grantee <> n.nspowner),
  'table', (select json_build_object(
    'owner', relowner::regrole::text,
    'row_security', relrowsecurity,
    'row_security_forced', relforcerowsecurity,
    'replica_identity', relreplident,
    'captured', exists (
      select from pg_publication_tables where pubname = $4 and schemaname = $1 and tablename = $2),
    'columns', (
      select coalesce(json_agg(json_build_object(
        'name', attname, 'type', format_type(atttypid, atttypmod), 'not_null', attnotnull) order by attnum), '[]')
      from pg_attribute where attrelid = t.oid and attnum > 0 and not attisdropped),
    'constraints', (
      select coalesce(json_agg(json_build_object(
        'name', conname, 'definition', pg_get_constraintdef(oid), 'validated', convalidated) order by conname), '[]')
      from pg_constraint where conrelid = t.oid and contype in ('c', 'f', 'p', 'u', 'x')),
    'indexes', (
      select coalesce(json_agg(i.relname), '[]') from pg_index x join pg_class i on i.oid = x.indexrelid
      where x.indrelid = t.oid and x.indisvalid),
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
    ) from t),
  'claimed_by', (select namespace from platform.modules where module = $1),
  'published', (
    select json_build_object('resource', resource, 'resource_uid', resource_uid, 'document', document,
                             'served', served, 'revision', revision)
    from platform.models where module = $1 and model = $2),
  'ledger', (select coalesce(json_agg(name), '[]') from platform.model_columns where module = $1 and model = $2),
  'permissions', (select count(*) from platform.permissions where module = $1 and model = $2),
  'references', (
    select coalesce(json_agg(c.relname), '[]') from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = any ($3) and c.relkind in ('r', 'p'))
)::text";

/// Looks at PostgreSQL: one statement, so one moment.
pub async fn observe(conn: &mut PgConnection, model: &ModuleModel) -> Result<Observed, Error> {
    let references: Vec<String> = model
        .fields()
        .iter()
        .filter_map(|f| f.references.as_ref().map(|r| r.model.as_str().to_owned()))
        .collect();
    let name = model.name();
    let text: String = sqlx::query_scalar(QUERY)
        .bind(name.module.as_str())
        .bind(name.model.as_str())
        .bind(&references)
        .bind(PUBLICATION)
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("a look at its catalogue"))?;
    serde_json::from_str(&text).map_err(Error::Observed)
}

/// What ClickHouse holds of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedAnalytics {
    /// Columns of its table with their types, in order; empty when there is no table.
    pub columns: Vec<(String, String)>,
    /// Whether the table has rows.
    pub has_rows: bool,
}

/// Looks at ClickHouse.
pub async fn observe_analytics(
    clickhouse: &ClickHouse,
    name: &ModelName,
    generation: Generation,
) -> Result<ObservedAnalytics, Error> {
    #[derive(Deserialize)]
    struct ColumnRow {
        name: String,
        #[serde(rename = "type")]
        type_: String,
    }
    #[derive(Deserialize)]
    struct TableRow {
        has_rows: u8,
    }
    let whose = format!(
        "database = {} and table = {}",
        clickhouse::literal(clickhouse::DATABASE),
        clickhouse::literal(&clickhouse::table_name(name, generation))
    );
    let doing = "a look at its columns";
    let statement =
        format!("select name, type from system.columns where {whose} order by position");
    let columns: Vec<ColumnRow> = clickhouse
        .fetch(&statement)
        .await
        .map_err(Error::clickhouse(doing))?;
    let statement =
        format!("select ifNull(total_rows, 1) > 0 as has_rows from system.tables where {whose}");
    let tables: Vec<TableRow> = clickhouse
        .fetch(&statement)
        .await
        .map_err(Error::clickhouse(doing))?;
    Ok(ObservedAnalytics {
        columns: columns
            .into_iter()
            .map(|row| (row.name, row.type_))
            .collect(),
        has_rows: tables.iter().any(|t| t.has_rows != 0),
    })
}

impl ObservedTable {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ObservedColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The constraint of that name.
    pub fn constraint(&self, name: &str) -> Option<&ObservedConstraint> {
        self.constraints.iter().find(|c| c.name == name)
    }

    /// What is open in the fence between tenants; empty when it stands. Policies and grants of others are not ours
    /// to judge: under a restrictive policy for everybody none of them shows another tenant's row.
    pub fn open_fence(&self) -> Vec<&'static str> {
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
        require(
            granted(APP_ROLE) == BTreeSet::from(["SELECT", "INSERT", "UPDATE"]),
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

    /// Whether every permission of the model is registered.
    pub fn permissions_are_registered(&self) -> bool {
        usize::try_from(self.permissions) == Ok(Action::ALL.len())
    }
}
