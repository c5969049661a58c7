//! What the databases hold of a tenant.

use std::collections::{BTreeSet, HashMap};

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
    /// Those of them that have a model that is served.
    pub modules_served: BTreeSet<String>,
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

/// `$1` tenants, `$2` their slugs.
const QUERY: &str = r"
select json_build_object(
  'row', (
    select json_build_object('slug', slug, 'display_name', display_name, 'state', state, 'resource', resource,
                             'resource_uid', resource_uid, 'served', served, 'revision', revision)
    from platform.tenants where tenant_id = q.id),
  'slug_taken_by', (select resource from platform.tenants t where t.slug = q.slug and tenant_id <> q.id),
  'erased_by', (select resource from platform.erased_tenants where tenant_id = q.id),
  'modules', (select coalesce(json_agg(module), '[]') from platform.tenant_modules where tenant_id = q.id),
  'modules_served', (select coalesce(json_agg(distinct i.module), '[]') from platform.tenant_modules i
    join platform.models m on m.module = i.module and m.served where i.tenant_id = q.id),
  'has_admin_role', exists (select from platform.roles where tenant_id = q.id and name = 'admin' and built_in),
  'admins', (
    select coalesce(json_agg(u.user_id), '[]') from platform.user_roles u
    join platform.roles r on r.tenant_id = u.tenant_id and r.id = u.role_id
    where u.tenant_id = q.id and r.name = 'admin' and r.built_in)
)::text from unnest($1::uuid[], $2::text[]) with ordinality q (id, slug, n) order by n";

/// Looks at the registry for each of these tenants and slugs: one statement, so one moment.
pub async fn observe(
    conn: &mut PgConnection,
    tenants: &[(TenantId, String)],
) -> Result<Vec<Observed>, Error> {
    let (ids, slugs): (Vec<_>, Vec<_>) = tenants
        .iter()
        .map(|(id, slug)| (id.as_uuid(), slug.as_str()))
        .unzip();
    let texts: Vec<String> = sqlx::query_scalar(QUERY)
        .bind(&ids)
        .bind(&slugs)
        .fetch_all(conn)
        .await
        .map_err(Error::postgres("a look at the registry"))?;
    let each = texts.iter().map(|text| serde_json::from_str(text));
    each.collect::<Result<_, _>>().map_err(Error::Observed)
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

/// Looks at ClickHouse's access tables for each of these tenants. A server reads them whole, whatever is asked for.
pub async fn observe_policies(
    clickhouse: &ClickHouse,
    tenants: &[TenantId],
) -> Result<Vec<ObservedPolicies>, Error> {
    #[derive(Deserialize)]
    struct PolicyRow {
        role: String,
        select_filter: Option<String>,
    }
    #[derive(Deserialize)]
    struct GrantRow {
        role: String,
        user: String,
        granted: String,
    }
    let names: Vec<_> = tenants.iter().map(clickhouse::tenant_role).collect();
    let literals: Vec<_> = names.iter().map(|n| clickhouse::literal(n)).collect();
    let roles = literals.join(", ");
    let doing = "a look at its access rules";
    let policies: Vec<PolicyRow> = clickhouse
        .fetch(&format!(
            "select short_name as role, select_filter from system.row_policies where short_name in ({roles}) and database = {} and table = '' and is_restrictive = 0 and apply_to_all = 0 and apply_to_list = [short_name]",
            clickhouse::literal(clickhouse::DATABASE)
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let grants: Vec<GrantRow> = clickhouse
        .fetch(&format!(
            "select ifNull(role_name, '') as role, ifNull(user_name, '') as user, granted_role_name as granted from system.role_grants where role_name in ({roles}) or granted_role_name in ({roles})"
        ))
        .await
        .map_err(Error::clickhouse(doing))?;
    let mut found: HashMap<String, ObservedPolicies> = HashMap::new();
    for policy in policies {
        found.entry(policy.role).or_default().predicate = policy.select_filter;
    }
    for GrantRow {
        role,
        user,
        granted,
    } in grants
    {
        if granted == ddl::READ_ROLE {
            found.entry(role).or_default().reads = true;
        } else if user == ddl::GATEWAY_USER {
            found.entry(granted).or_default().open = true;
        }
    }
    let each = names.iter().map(|name| found.remove(name));
    Ok(each.map(Option::unwrap_or_default).collect())
}

impl ObservedPolicies {
    /// Whether the proxy reads as this tenant, and sees this tenant only.
    pub fn is_open_for(&self, tenant: &TenantId) -> bool {
        let plain = |text: &str| text.replace(['(', ')', '`', ' '], "");
        let wanted = plain(&ddl::tenant_policy_predicate(tenant));
        self.open && self.reads && self.predicate.as_deref().map(plain) == Some(wanted)
    }
}
