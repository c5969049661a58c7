//! The role that runs a module's SQL files, and what it may do.

use model::{Ident, ModelName};

use super::MODULE_POLICY;
use crate::postgres::{literal, quote_text, schema, table};

/// What a SQL file may do in its module's schema, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRights {
    /// Rows and objects of its own.
    Objects,
    /// Rows only.
    Rows,
}

/// `septem_m_<module>`; at most 57 bytes, since a module has at most 48.
pub fn module_role(module: &Ident) -> String {
    format!("septem_m_{}", module.as_str())
}

/// Makes the role; nothing happens when it is there. Roles belong to the cluster, so two databases may meet here.
pub fn create_module_role(module: &Ident) -> String {
    format!(
        "do $$ begin create role {} nologin noinherit; exception when duplicate_object or unique_violation then null; end $$",
        quote_text(&module_role(module))
    )
}

/// Puts the role's attributes right and opens its door until `valid_until`, a timestamp as PostgreSQL prints it.
/// `verifier` is a SCRAM verifier, so neither a log nor a view of the server ever holds a password.
pub fn open_module_role(module: &Ident, verifier: &str, valid_until: &str) -> Vec<String> {
    let role = quote_text(&module_role(module));
    vec![
        format!("alter role {role} reset all"),
        format!(
            "alter role {role} login noinherit nocreaterole connection limit 1 password {} valid until {}",
            literal(verifier),
            literal(valid_until)
        ),
    ]
}

/// Takes from the role what only a superuser, or somebody who has it, can have given it and can take.
pub fn humble_module_role(module: &Ident) -> String {
    format!(
        "alter role {} nosuperuser nobypassrls noreplication nocreatedb",
        quote_text(&module_role(module))
    )
}

/// Closes its door: a session that is open stays.
pub fn close_module_role(module: &Ident) -> String {
    format!(
        "alter role {} nologin password null",
        quote_text(&module_role(module))
    )
}

/// Lets the role into the database, where not everybody may connect.
pub fn let_module_role_connect(module: &Ident, database: &str) -> String {
    format!(
        "grant connect on database {} to {}",
        quote_text(database),
        quote_text(&module_role(module))
    )
}

/// What the role may do in its schema, whatever it could do before, and what it may call. As the owner.
pub fn grant_module_role(module: &Ident, rights: FileRights) -> Vec<String> {
    let (schema, role) = (schema(module), quote_text(&module_role(module)));
    let create = match rights {
        FileRights::Objects => format!("grant create on schema {schema} to {role}"),
        FileRights::Rows => format!("revoke create on schema {schema} from {role}"),
    };
    vec![
        format!("grant usage on schema {schema}, septem_files to {role}"),
        create,
        format!(
            "grant execute on function septem_files.tenant(), septem_files.begin(), septem_files.run(text), septem_files.finish() to {role}"
        ),
    ]
}

/// Lets the role reach the rows of one model: those of the tenant that its session runs for, and no others. The
/// policy is beside `tenant_isolation`, which binds everybody, so both must hold.
pub fn grant_module_role_rows(name: &ModelName) -> Vec<String> {
    let (target, policy) = (table(name), quote_text(MODULE_POLICY));
    let role = quote_text(&module_role(&name.module));
    let rows = "tenant_id = (select septem_files.tenant())";
    vec![
        format!("drop policy if exists {policy} on {target}"),
        format!(
            "create policy {policy} on {target} as permissive for all to {role} using ({rows}) with check ({rows})"
        ),
        format!("grant select, insert, update, delete on {target} to {role}"),
    ]
}

/// As PostgreSQL prints the condition of that policy.
pub const MODULE_PREDICATE_PRINTED: &str =
    "(tenant_id = ( SELECT septem_files.tenant() AS tenant))";

/// Removes what an interrupted build of an index has left.
pub fn drop_index(module: &Ident, index: &str) -> String {
    format!(
        "drop index if exists {}.{}",
        schema(module),
        quote_text(index)
    )
}

/// What prepares the session: names without a schema are the module's, and a statement ends when its client is gone.
/// As the role itself.
pub fn module_session(module: &Ident) -> Vec<String> {
    vec![
        format!("set search_path = {}", schema(module)),
        "set client_connection_check_interval = '1s'".into(),
        "set idle_in_transaction_session_timeout = '60s'".into(),
    ]
}
