//! What keeps tenants apart in PostgreSQL: row-level security, its two policies, and grants.

use model::{Ident, ModelName};

use super::{APP_POLICY, APP_ROLE, CDC_ROLE, SINK_ROLE, TENANT_POLICY};
use crate::postgres::{quote_text, schema, table};

/// Shows the rows of the tenant in `app.tenant_id`. On a reused connection the setting reads `''` and not null:
/// then nothing is shown and nothing fails. In a sub-select, so that it runs once a statement.
pub const TENANT_PREDICATE: &str =
    "tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid as tenant)";

/// [`TENANT_PREDICATE`] as PostgreSQL 17 and 18 print it back from their catalogue.
pub const TENANT_PREDICATE_PRINTED: &str = "(tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS tenant))";

/// Lets the proxy and Debezium into a module's schema.
pub fn grant_schema(module: &Ident) -> Vec<String> {
    let schema = schema(module);
    vec![
        format!("revoke all on schema {schema} from public, {APP_ROLE}, {CDC_ROLE}, {SINK_ROLE}"),
        format!("grant usage on schema {schema} to {APP_ROLE}, {CDC_ROLE}"),
    ]
}

/// Puts the fence up, whatever was there: run at creation, and again when a look at the catalogue finds it open. Only
/// where deleted rows are not kept may the proxy remove any.
pub fn isolate(name: &ModelName, soft_delete: bool) -> Vec<String> {
    let target = table(name);
    let (tenant, app) = (quote_text(TENANT_POLICY), quote_text(APP_POLICY));
    let mut statements = vec![
        format!("alter table {target} enable row level security"),
        format!("alter table {target} force row level security"),
        format!("drop policy if exists {tenant} on {target}"),
        format!(
            "create policy {tenant} on {target} as restrictive for all to public using ({TENANT_PREDICATE}) with check ({TENANT_PREDICATE})"
        ),
        format!("drop policy if exists {app} on {target}"),
        format!(
            "create policy {app} on {target} as permissive for all to {APP_ROLE} using (true) with check (true)"
        ),
        format!("revoke all on {target} from public, {APP_ROLE}, {CDC_ROLE}, {SINK_ROLE}"),
        format!("grant select, insert, update on {target} to {APP_ROLE}"),
        format!("grant select on {target} to {CDC_ROLE}"),
    ];
    if !soft_delete {
        statements.push(grant_delete(name));
    }
    statements
}

/// Lets the proxy remove rows, which it does where deleted ones are not kept.
pub fn grant_delete(name: &ModelName) -> String {
    format!("grant delete on {} to {APP_ROLE}", table(name))
}

/// Takes [`grant_delete`] back.
pub fn revoke_delete(name: &ModelName) -> String {
    format!("revoke delete on {} from {APP_ROLE}", table(name))
}
