//! What the databases hold of a tenant.

use std::collections::BTreeSet;

use model::TenantId;
use serde::Deserialize;
use sql::clickhouse::{self, ddl};
use sqlx::PgConnection;

use super::validate::Desired;
use crate::{clickhouse::ClickHouse, error::Error};

/// What the registry holds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Observed {
    /// The row with the tenant's id.
    pub row: Option<ObservedTenant>,
    /// Another tenant's resource that has the slug.
    pub slug_taken_by: Option<String>,
    /// The Tenant that had this id erased, if it was.
    pub erased_by: Option<String>,
    /// Modules installed for it.
    pub modules: BTreeSet<String>,
    /// Whether it has the built-in role `admin`.
    pub has_admin_role: bool,
    /// Users that hold that role.
    pub admins: BTreeSet<String>,
}

/// A row of `platform.tenants`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedTenant {
    /// Its slug.
    pub slug: String,
    /// Its name for people.
    pub display_name: String,
    /// What it may do.
    pub state: String,
    /// Name of the resource that owns it.
    pub resource: String,
    /// That resource's uid.
    pub resource_uid: String,
    /// Whether that resource still exists, as far as the database knows.
    pub served: bool,
    /// The catalogue's revision that published it last.
    pub revision: i64,
}

/// `$1` tenant, `$2` slug.
const QUERY: &str = r"
select json_build_object(
  'row', (
    select json_build_object('slug', slug, 'display_name', display_name, 'state', state, 'resource', resource,
                             'resource_uid', resource_uid, 'served', served, 'revision', revision)
    from platform.tenants where tenant_id = $1),
  'slug_taken_by', (select resource from platform.tenants where slug = $2 and tenant_id <> $1),
  'erased_by', (select resource from platform.erased_tenants where tenant_id = $1),
  'modules', (select coalesce(json_agg(module), '[]') from platform.tenant_modules where tenant_id = $1),
  'has_admin_role', exists (select from platform.roles where tenant_id = $1 and name = 'admin' and built_in),
  'admins', (
    select coalesce(json_agg(u.user_id), '[]') from platform.user_roles u
    join platform.roles r on r.tenant_id = u.tenant_id and r.id = u.role_id
    where u.tenant_id = $1 and r.name = 'admin' and r.built_in)
)::text";

/// Looks at the registry: one statement, so one moment.
pub async fn observe(conn: &mut PgConnection, desired: &Desired) -> Result<Observed, Error> {
    let text: String = sqlx::query_scalar(QUERY)
        .bind(desired.id.as_uuid())
        .bind(&desired.slug)
        .fetch_one(conn)
        .await
        .map_err(Error::postgres("a look at the registry"))?;
    serde_json::from_str(&text).map_err(Error::Observed)
}

impl Observed {
    /// Whether the registry says what the resource says.
    pub fn matches(&self, desired: &Desired) -> bool {
        let row = self.row.as_ref().is_some_and(|row| {
            row.slug == desired.slug
                && row.display_name == desired.display_name
                && row.state == desired.state
                && row.resource == desired.resource
                && row.resource_uid == desired.uid
                && row.served
        });
        row && self.has_admin_role
            && self.modules == desired.modules
            && self.admins == desired.admins
    }
}

/// What ClickHouse holds of a tenant's role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedPolicies {
    /// The condition of its row policy on every table, if it has that policy, for that role alone.
    pub predicate: Option<String>,
    /// Whether the role may read.
    pub reads: bool,
    /// Whether the proxy may take the role.
    pub open: bool,
}

/// Looks at ClickHouse's access tables.
pub async fn observe_policies(
    clickhouse: &ClickHouse,
    tenant: &TenantId,
) -> Result<ObservedPolicies, Error> {
    #[derive(Deserialize)]
    struct PolicyRow {
        select_filter: Option<String>,
    }
    #[derive(Deserialize)]
    struct GrantRow {
        role: String,
        user: String,
        granted: String,
    }
    let name = clickhouse::tenant_role(tenant);
    let role = clickhouse::literal(&name);
    let doing = "a look at its access rules";
    let policies: Vec<PolicyRow> = clickhouse
        .fetch(&format!(
            "select select_filter from system.row_policies where short_name = {role} and database = {} and table = '' and is_restrictive = 0 and apply_to_all = 0 and apply_to_list = [{role}]",
            clickhouse::literal(clickhouse::DATABASE)
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let grants: Vec<GrantRow> = clickhouse
        .fetch(&format!(
            "select ifNull(role_name, '') as role, ifNull(user_name, '') as user, granted_role_name as granted from system.role_grants where role_name = {role} or granted_role_name = {role}"
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    Ok(ObservedPolicies {
        predicate: policies.into_iter().find_map(|p| p.select_filter),
        reads: grants
            .iter()
            .any(|g| g.role == name && g.granted == ddl::READ_ROLE),
        open: grants
            .iter()
            .any(|g| g.user == ddl::GATEWAY_USER && g.granted == name),
    })
}

impl ObservedPolicies {
    /// Whether the proxy reads as this tenant, and sees this tenant only.
    pub fn is_open_for(&self, tenant: &TenantId) -> bool {
        let plain = |text: &str| text.replace(['(', ')', '`', ' '], "");
        let wanted = plain(&ddl::tenant_policy_predicate(tenant));
        self.open && self.reads && self.predicate.as_deref().map(plain) == Some(wanted)
    }
}
