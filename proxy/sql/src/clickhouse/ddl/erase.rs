//! What erasing a tenant takes, its rows and its role; and a model, its table.

use model::TenantId;

use crate::clickhouse::{DATABASE, literal, quote_text, tenant_role};

fn table(name: &str) -> String {
    format!("{}.{}", quote_text(DATABASE), quote_text(name))
}

/// The statement that counts the tenant's rows in a table of that name, as text: superseded versions and tombstones
/// too, since no `FINAL` hides them.
pub fn count_tenant(name: &str, tenant: &TenantId) -> String {
    format!(
        "select toString(count()) as rows from {} where tenant_id = {}",
        table(name),
        literal(&tenant.to_string())
    )
}

/// The statement that has the tenant's rows rewritten away. It returns before that is done.
pub fn erase_tenant(name: &str, tenant: &TenantId) -> String {
    format!(
        "alter table {} delete where tenant_id = {}",
        table(name),
        literal(&tenant.to_string())
    )
}

/// Drops a table of that name, at once instead of some minutes later.
pub fn drop_table(name: &str) -> String {
    format!("drop table if exists {} sync", table(name))
}

/// Takes the tenant's row policy and role away; with the role goes the proxy's grant.
pub fn drop_tenant(tenant: &TenantId) -> Vec<String> {
    let role = quote_text(&tenant_role(tenant));
    let database = quote_text(DATABASE);
    vec![
        format!("drop role if exists {role}"),
        format!("drop row policy if exists {role} on {database}.*"),
    ]
}
