//! `DataPlane`: one database and what hangs on it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    module_model::{NAME_PATTERN, NameRef},
    status::DriftStatus,
};

/// A name of a Kafka topic.
pub const TOPIC_PATTERN: &str = "^[a-zA-Z0-9._-]+$";

/// Where a database, its ClickHouse, Kafka, Connect and Valkey are: references to Secrets with the key `url`.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "data.septemcore.com",
    version = "v1alpha1",
    kind = "DataPlane",
    plural = "dataplanes",
    shortname = "dp",
    category = "septem",
    status = "DataPlaneStatus",
    derive = "PartialEq",
    doc = "One PostgreSQL database with its ClickHouse, Kafka, Connect and Valkey.",
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
    printcolumn(
        name = "Generation",
        type_ = "integer",
        json_path = ".status.generation"
    ),
    printcolumn(name = "Connector", type_ = "string", json_path = ".status.connector"),
    printcolumn(name = "Synced", type_ = "date", json_path = ".status.lastSyncAt"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Slot",
        type_ = "string",
        json_path = ".status.slot",
        priority = 1
    ),
    printcolumn(
        name = "Retained",
        type_ = "integer",
        json_path = ".status.retainedBytes",
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
    validation = Rule::new("(has(self.cdc) && has(self.cdc.topic) ? self.cdc.topic : '') == (has(oldSelf.cdc) && has(oldSelf.cdc.topic) ? oldSelf.cdc.topic : '')")
        .message("is immutable: another value takes another resource").field_path(".cdc.topic")
)]
pub struct DataPlaneSpec {
    /// The namespace of the Secrets.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub secret_namespace: String,
    /// PostgreSQL, one login a role.
    pub postgres: PostgresSpec,
    /// ClickHouse, one login a user.
    pub clickhouse: ClickHouseSpec,
    /// Kafka; `url` is its bootstrap servers.
    pub kafka: SecretSpec,
    /// Kafka Connect's REST interface.
    pub connect: SecretSpec,
    /// Valkey.
    pub valkey: SecretSpec,
    /// Change data capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cdc: Option<CdcSpec>,
}

/// Logins of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresSpec {
    /// The operator's: may create roles and `set role septem_owner`.
    pub owner_secret_ref: NameRef,
    /// The proxy's.
    pub app_secret_ref: NameRef,
    /// Debezium's.
    pub cdc_secret_ref: NameRef,
    /// The sink's.
    pub sink_secret_ref: NameRef,
}

/// Logins of ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClickHouseSpec {
    /// The operator's: may create users, roles and policies.
    pub admin_secret_ref: NameRef,
    /// The proxy's.
    pub gateway_secret_ref: NameRef,
    /// The sink's.
    pub sink_secret_ref: NameRef,
}

/// A Secret with the key `url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretSpec {
    /// The Secret.
    pub secret_ref: NameRef,
}

/// Change data capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CdcSpec {
    /// The topic of change events; that of the operator's configuration unless given. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249), regex(pattern = TOPIC_PATTERN))]
    pub topic: Option<String>,
    /// Whether the connector is paused. PostgreSQL keeps its WAL meanwhile, up to its limit.
    #[serde(default)]
    pub paused: bool,
    /// Any new text here starts a new generation with a full snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub resync_request: Option<String>,
}

/// What became of a DataPlane. The figures are as of the last write, at most a minute old.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPlaneStatus {
    /// The generation of the spec that the conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The capture generation that is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i32>,
    /// The replication slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Bytes of WAL that the slot holds back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<i64>,
    /// Hours until the slot's limit at the WAL rate measured now; absent without a limit or a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_hours: Option<i64>,
    /// State of the connector's task, such as `RUNNING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Everything acknowledged before this moment is in ClickHouse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_at: Option<Time>,
    /// What differs from what must be and was not put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// See `ConditionType`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
