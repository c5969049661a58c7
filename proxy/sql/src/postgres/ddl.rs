//! Tables of models as statements. Run by the operator as [`OWNER_ROLE`]; never by the proxy.

mod change;
mod checks;
mod convert;
mod expressions;
mod fill;
mod indexes;
mod isolation;
mod module_role;
mod names;
mod platform;
mod restore;
mod table;

pub use change::{
    NEW_PREFIX, OLD_PREFIX, add_check, add_empty_column, add_foreign_key, alter_type, count_nulls,
    count_orphans, count_rows, count_violations, drop_column, drop_constraint, drop_default,
    drop_not_null, flight_name, rename_constraint, require, required_name, retired_name,
    set_default, set_not_null,
};
pub use checks::{condition_name, condition_of};
pub use convert::Conversion;
use expressions::check_condition;
pub use expressions::{check_of, default_of, replica_identity_full};
pub use fill::{
    Fill, SYNC_PREFIX, count_unconvertible, drop_sync, fill_batch, same_column_type, sync,
    sync_name,
};
pub use indexes::{
    IndexShape, LIVE_PRINTED, count_duplicates, create_index, drop_index_concurrently,
    index_shapes, rename_index,
};
pub use isolation::{
    TENANT_PREDICATE, TENANT_PREDICATE_PRINTED, grant_delete, grant_schema, isolate, revoke_delete,
};
pub use module_role::{
    FileRights, MODULE_PREDICATE_PRINTED, close_module_role, create_module_role, drop_index,
    grant_module_role, grant_module_role_rows, humble_module_role, let_module_role_connect,
    module_role, module_session, open_module_role,
};
pub use names::{
    check_name, index_name, object_name, primary_key_name, reference_index_name, reference_name,
    unique_name,
};
pub use platform::{
    Held, PlatformGrant, grant_on_platform, own_platform, publication_options, reset_settings,
    revoke_default, revoke_on_platform,
};
pub use restore::{restore_constraint, restore_default, restore_index};
pub use table::{
    add_column, add_to_publication, create_model, create_schema, delete_batch,
    drop_from_publication, drop_model, drop_schema, lock_writes, replace_check, replica_identity,
    validate_constraint,
};

/// Owns schemas and tables; NOLOGIN, BYPASSRLS, reached by `set role` only.
pub const OWNER_ROLE: &str = "septem_owner";
/// The proxy.
pub const APP_ROLE: &str = "septem_app";
/// Debezium.
pub const CDC_ROLE: &str = "septem_cdc";
/// The sink; it reaches no table of a module.
pub const SINK_ROLE: &str = "septem_sink";
/// The one publication of a database, read by the one replication slot.
pub const PUBLICATION: &str = "platform_cdc";
/// Name of the RESTRICTIVE policy on every table.
pub const TENANT_POLICY: &str = "tenant_isolation";
/// Name of the PERMISSIVE policy on every table.
pub const APP_POLICY: &str = "septem_app";
/// Name of the PERMISSIVE policy for the role that runs a module's SQL files, on tables of modules that have some.
pub const MODULE_POLICY: &str = "septem_module";

#[cfg(test)]
mod tests;
