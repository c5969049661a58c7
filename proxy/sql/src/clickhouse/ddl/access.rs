//! Who may read what: one role and one row policy a tenant, a read-only user for the proxy, a writer for the sink.

use model::TenantId;

use super::upkeep::gateway_settings;
use crate::clickhouse::{DATABASE, literal, quote_text, tenant_role};

/// The privilege to read, which a tenant's role holds and nobody else.
pub const READ_ROLE: &str = "septem_read";
/// The proxy's user; it reads nothing without a tenant's role.
pub const GATEWAY_USER: &str = "septem_gateway";
/// The settings of [`GATEWAY_USER`].
pub const GATEWAY_PROFILE: &str = "septem_gateway";
/// The sink's user, outside of the row policies.
pub const SINK_USER: &str = "septem_sink";

/// What the tenants' roles hang on: the role that reads, and the profile of the proxy.
pub fn create_base() -> Vec<String> {
    let database = quote_text(DATABASE);
    vec![
        format!("create role if not exists {READ_ROLE}"),
        format!("grant select on {database}.* to {READ_ROLE}"),
        format!(
            "create settings profile if not exists {GATEWAY_PROFILE} settings {}",
            gateway_settings()
        ),
    ]
}

/// The proxy's user with this password. `default role none`: only `role=` of a request opens anything.
pub fn create_gateway(password: &str) -> Vec<String> {
    let password = literal(password);
    vec![
        format!(
            "create user if not exists {GATEWAY_USER} identified with sha256_password by {password} \
             default role none settings profile {}",
            literal(GATEWAY_PROFILE)
        ),
        format!("alter user {GATEWAY_USER} identified with sha256_password by {password}"),
    ]
}

/// The sink's user with this password: it writes change data, reads the shape of tables, and reads rows back where an
/// event leaves a value out. Its policy names it alone: beside a tenant's role it opens nothing.
pub fn create_sink(password: &str) -> Vec<String> {
    let (password, database) = (literal(password), quote_text(DATABASE));
    vec![
        format!(
            "create user if not exists {SINK_USER} identified with sha256_password by {password}"
        ),
        format!("alter user {SINK_USER} identified with sha256_password by {password}"),
        format!(
            "create row policy if not exists {SINK_USER} on {database}.* for select using 1 as permissive to {SINK_USER}"
        ),
        format!("grant select, insert, show columns on {database}.* to {SINK_USER}"),
    ]
}

/// The condition of a tenant's row policy.
pub fn tenant_policy_predicate(tenant: &TenantId) -> String {
    format!("tenant_id = '{tenant}'")
}

/// Lets the proxy read as this tenant: [`open_tenants`] for one.
pub fn open_tenant(tenant: &TenantId) -> Vec<String> {
    open_tenants(std::slice::from_ref(tenant)).concat()
}

/// Lets the proxy read as each of these tenants, in groups of statements: one group after the other, those of a group
/// in any order. The policies are there before anything is granted, so that no moment exists in which a role would read
/// more. What is granted is granted to all at once: the server writes the proxy's user whole for each grant.
pub fn open_tenants(tenants: &[TenantId]) -> Vec<Vec<String>> {
    if tenants.is_empty() {
        return Vec::new();
    }
    let role = |tenant: &TenantId| quote_text(&tenant_role(tenant));
    let database = quote_text(DATABASE);
    let roles: Vec<_> = tenants.iter().map(role).collect();
    let roles = roles.join(", ");
    let policy = |tenant: &TenantId| {
        let (role, predicate) = (role(tenant), tenant_policy_predicate(tenant));
        format!(
            "create row policy or replace {role} on {database}.* for select using {predicate} as permissive to {role}"
        )
    };
    vec![
        vec![format!("create role if not exists {roles}")],
        tenants.iter().map(policy).collect(),
        vec![format!("grant {READ_ROLE} to {roles}")],
        vec![format!("grant {roles} to {GATEWAY_USER}")],
    ]
}

/// Shuts this tenant: [`close_tenants`] for one.
pub fn close_tenant(tenant: &TenantId) -> Vec<String> {
    close_tenants(std::slice::from_ref(tenant))
}

/// Shuts these tenants: the proxy loses their roles; roles, policies and data stay.
pub fn close_tenants(tenants: &[TenantId]) -> Vec<String> {
    if tenants.is_empty() {
        return Vec::new();
    }
    let role = |tenant: &TenantId| quote_text(&tenant_role(tenant));
    let roles: Vec<_> = tenants.iter().map(role).collect();
    vec![format!("revoke {} from {GATEWAY_USER}", roles.join(", "))]
}
