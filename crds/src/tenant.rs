//! `Tenant`: one customer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use model::ident::IDENT_PATTERN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    module_model::{DURATION_PATTERN, DeletionPolicy, NAME_PATTERN},
    status::ErasureStatus,
};

/// A UUID in its one spelling: lower case, hyphenated.
pub const UUID_PATTERN: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// A short name for people: a DNS label.
pub const SLUG_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// What a tenant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TenantState {
    /// Reads and writes.
    #[default]
    Active,
    /// Reads.
    ReadOnly,
    /// Nothing.
    Suspended,
}

/// One customer: who it is, what it has installed, who administers it.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "data.septemcore.com",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    shortname = "tn",
    category = "septem",
    status = "TenantStatus",
    derive = "PartialEq",
    doc = "One customer: its id, its modules, its administrators.",
    selectable = ".spec.tenantId",
    selectable = ".spec.state",
    printcolumn(name = "Slug", type_ = "string", json_path = ".spec.slug"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Modules", type_ = "string", json_path = ".spec.modules"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Tenant-ID",
        type_ = "string",
        json_path = ".spec.tenantId",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.tenantId == oldSelf.tenantId").message("is immutable: another value takes another resource").field_path(".tenantId"),
    validation = Rule::new("self.slug == oldSelf.slug").message("is immutable: another value takes another resource").field_path(".slug"),
    validation = Rule::new("has(self.dataPlaneRef) == has(oldSelf.dataPlaneRef) && (!has(self.dataPlaneRef) || self.dataPlaneRef == oldSelf.dataPlaneRef)")
        .message("is immutable: another value takes another resource").field_path(".dataPlaneRef"),
    validation = Rule::new("self.tenantId != '00000000-0000-0000-0000-000000000000'")
        .message("must not be nil").field_path(".tenantId")
)]
pub struct TenantSpec {
    /// The UUID that every row, key and query carries. Immutable.
    #[schemars(length(min = 36, max = 36), regex(pattern = UUID_PATTERN))]
    pub tenant_id: String,
    /// A short name for people, unique. Immutable.
    #[schemars(length(min = 1, max = 63), regex(pattern = SLUG_PATTERN))]
    pub slug: String,
    /// The name as people read it; the slug unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub display_name: Option<String>,
    /// What it may do at the moment.
    #[serde(default)]
    pub state: TenantState,
    /// Names of the modules installed for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub modules: Vec<String>,
    /// Users that hold the built-in role `admin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub admins: Vec<String>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<TenantLimits>,
    /// What deleting this resource does to the tenant's data.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How long `Delete` waits before it erases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub grace_period: Option<String>,
    /// The database that holds it. Immutable.
    #[serde(default = "default_data_plane")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub data_plane_ref: String,
}

/// What a tenant may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantLimits {
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_second: Option<i32>,
    /// Requests above that at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency: Option<i32>,
    /// Analytics queries at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub analytics_concurrency: Option<i32>,
    /// WebSocket connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub ws_connections: Option<i32>,
    /// WebSocket messages a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub ws_messages_per_second: Option<i32>,
}

/// What became of a Tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation of the spec that the conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The catalogue's revision that published it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_revision: Option<i64>,
    /// How far its erasure has come, once it is being deleted with `deletionPolicy: Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureStatus>,
    /// See `ConditionType`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

fn default_data_plane() -> String {
    "default".into()
}
