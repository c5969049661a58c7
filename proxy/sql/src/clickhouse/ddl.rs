//! Tables, roles, policies and users of ClickHouse as statements. Run by the operator; each is safe to run again.

mod access;
mod erase;
mod table;
mod upkeep;

pub use access::{
    GATEWAY_PROFILE, GATEWAY_USER, READ_ROLE, SINK_USER, close_tenant, close_tenants, create_base,
    create_gateway, create_sink, open_tenant, open_tenants, tenant_policy_predicate,
};
pub use erase::{count_tenant, drop_table, drop_tenant, erase_tenant};
pub use table::{
    add_column, add_empty_column, create_database, create_table, drop_column, insert_columns,
    modify_column,
};
pub use upkeep::{
    GATEWAY_OVERFLOW, GATEWAY_SETTINGS, ProfileSetting, drop_policy, reset_gateway, revoke_access,
    revoke_role, set_gateway_profile,
};

#[cfg(test)]
mod tests;
