//! Parts of the statuses: what is planned, what goes on, what differs. Only facts that stay the same while nothing
//! happens, so that a status is written when something did.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::module_model::NameRef;

/// Changes that wait for approval, or that are being carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// SHA-256 over what the database held, what is wanted and the statements, in hexadecimal: what `approvedPlan`
    /// names.
    pub hash: String,
    /// Whether a statement of it loses data.
    #[serde(default)]
    pub destructive: bool,
    /// How many statements and files it has.
    #[serde(default)]
    pub statements: i32,
    /// Its statements, cut off at 1 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sql: String,
    /// The ConfigMap that holds all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<NameRef>,
}

/// A step of a change that takes more than one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutStep {
    /// What only adds: columns, constraints that are not proven yet, indexes.
    Expand,
    /// Existing rows are brought to a new column.
    Backfill,
    /// Proxies and sinks load the revision that stopped using what goes.
    Acknowledge,
    /// What nobody uses any more goes.
    Contract,
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The step it is at.
    pub step: RolloutStep,
    /// The catalogue revision that every live proxy and sink has to acknowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for_revision: Option<i64>,
    /// Who has not, at most 8 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
}

/// Versioned SQL files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationsStatus {
    /// The newest version that was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<String>,
    /// How many are not applied yet.
    #[serde(default)]
    pub pending: i32,
    /// The version that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_version: Option<String>,
}

/// Most names of each kind in a [`DriftStatus`].
pub const DRIFT_NAMES_MAX: usize = 32;

/// What differs from what was applied: at most 32 names of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// There, and nobody asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
    /// Applied once, and gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Applied once, and something else now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modified: Vec<String>,
}

/// A step of erasing a tenant, in their order (each is looked at again after a restart).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ErasureStep {
    /// `spec.gracePeriod` runs.
    Waiting,
    /// Proxies and sinks learn that the tenant is gone.
    Acknowledge,
    /// Rows go from PostgreSQL.
    Postgres,
    /// The last delete reaches ClickHouse.
    Drain,
    /// Rows go from ClickHouse, of every generation.
    ClickHouse,
    /// Keys go from Valkey.
    Valkey,
    /// Role, policy and grant go.
    Access,
    /// What is left is counted.
    Proof,
}

/// How far the erasure of a tenant has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureStatus {
    /// The step it is at.
    pub step: ErasureStep,
    /// Rows deleted from PostgreSQL so far.
    #[serde(default)]
    pub rows_deleted: i64,
    /// The catalogue revision that every live proxy and sink has to acknowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for_revision: Option<i64>,
    /// Until when the event topic may still hold events of the tenant, RFC 3339: its retention after the last delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_erased_by: Option<String>,
}
