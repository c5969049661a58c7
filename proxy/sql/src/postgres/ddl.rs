//! Tables of models as statements. Run by the operator as [`OWNER_ROLE`]; never by the proxy.

mod expressions;
mod isolation;
mod names;
mod table;

pub use expressions::{check_of, default_of, replica_identity_full};
pub use isolation::{TENANT_PREDICATE, TENANT_PREDICATE_PRINTED, grant_schema, isolate};
pub use names::{
    check_name, index_name, object_name, primary_key_name, reference_index_name, reference_name,
    unique_name,
};
pub use table::{
    add_column, add_reference, add_to_publication, create_model, create_schema,
    drop_from_publication, lock_writes, replace_check, replica_identity, validate_constraint,
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

#[cfg(test)]
mod tests;
