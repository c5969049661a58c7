//! `ModuleModel`: one model of one module.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use model::ident::IDENT_PATTERN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    field::FieldSpec,
    status::{DriftStatus, MigrationsStatus, PlanStatus, RolloutStatus},
};

/// A name of an object of Kubernetes: letters, digits, dots and hyphens. It becomes a part of a request's path, and must
/// not be able to say more than a name.
pub const NAME_PATTERN: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

/// A length of time as text, such as `500ms`, `5s`, `10m`, `24h`.
pub const DURATION_PATTERN: &str = "^[0-9]{1,9}(ms|s|m|h)$";

/// One model of one module: its fields, keys and how it is served.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "data.septemcore.com",
    version = "v1alpha1",
    kind = "ModuleModel",
    plural = "modulemodels",
    shortname = "mm",
    category = "all",
    category = "septem",
    namespaced,
    status = "ModuleModelStatus",
    derive = "PartialEq",
    doc = "One model of one module: its table, its endpoints, its permissions, its analytics.",
    selectable = ".spec.module",
    selectable = ".spec.model",
    printcolumn(name = "Module", type_ = "string", json_path = ".spec.module"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
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
        name = "Revision",
        type_ = "integer",
        json_path = ".status.catalogRevision"
    ),
    printcolumn(
        name = "Migration",
        type_ = "string",
        json_path = ".status.migrations.lastVersion"
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.migrations.pending"
    ),
    printcolumn(
        name = "Drifted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Drifted')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Plan",
        type_ = "string",
        json_path = ".status.plan.hash",
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
    validation = Rule::new("self.module == oldSelf.module").message("is immutable: another value takes another resource").field_path(".module"),
    validation = Rule::new("self.model == oldSelf.model").message("is immutable: another value takes another resource").field_path(".model"),
    validation = Rule::new("has(self.dataPlaneRefs) == has(oldSelf.dataPlaneRefs) && (!has(self.dataPlaneRefs) || self.dataPlaneRefs == oldSelf.dataPlaneRefs)")
        .message("is immutable: another value takes another resource").field_path(".dataPlaneRefs"),
    validation = Rule::new("!(self.module in ['platform', 'public', 'information_schema', 'iam', 'cache', 'schema', 'auth', 'realtime']) && !self.module.startsWith('pg_') && !self.module.startsWith('septem')")
        .message("is reserved").field_path(".module"),
    validation = Rule::new("!(self.model in ['batch', 'analytics', 'restore'])").message("is reserved").field_path(".model"),
    validation = Rule::new("self.fields.all(f, !has(f.references) || !f.name.endsWith('_id') || !self.fields.exists(g, g.name + '_id' == f.name))")
        .message("a reference names a relation (its name less _id) that is also a field").field_path(".fields"),
    validation = Rule::new("!has(self.unique) || self.unique.all(u, u.fields.all(c, self.fields.exists(f, f.name == c)))")
        .message("a unique names a field that is not there").field_path(".unique"),
    validation = Rule::new("!has(self.indexes) || self.indexes.all(i, i.fields.all(c, c in ['id', 'created_at', 'updated_at', 'created_by', 'updated_by', 'version'] || self.fields.exists(f, f.name == c)))")
        .message("an index names a field that is not there").field_path(".indexes"),
    validation = Rule::new("!has(self.indexes) || !has(self.unique) || self.unique.all(u, !self.indexes.exists(i, i.name == u.name))")
        .message("an index and a unique have the same name").field_path(".unique"),
    validation = Rule::new("self.deletionPolicy != 'Delete' || (has(self.migrations) && has(self.migrations.policy) && self.migrations.policy.allowDestructive)")
        .message("Delete requires migrations.policy.allowDestructive").field_path(".deletionPolicy"),
    validation = Rule::new("!has(self.migrations) || self.migrations.approval != 'Auto' || !has(self.migrations.approvedPlan) || self.migrations.approvedPlan == ''")
        .message("approvedPlan is for approval Manual").field_path(".migrations"),
    validation = Rule::new("!has(self.drift) || !has(self.drift.interval) || duration(self.drift.interval) >= duration('1m')")
        .message("must be at least 1m").field_path(".drift.interval")
)]
pub struct ModuleModelSpec {
    /// The module, which is also the schema in PostgreSQL. Immutable.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub module: String,
    /// The model, which is also the table. Immutable.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub model: String,
    /// Whether `/v1/data/{module}/{model}` is served.
    #[serde(default)]
    pub auto_api: bool,
    /// The fields, in the order of a record.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub fields: Vec<FieldSpec>,
    /// Indexes besides those of keys and references. `tenant_id` always leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub indexes: Vec<IndexSpec>,
    /// Unique keys among live rows of a tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub unique: Vec<IndexSpec>,
    /// Conditions on a record, in a small grammar of our own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<CheckSpec>,
    /// How changes are carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<MigrationsSpec>,
    /// Whether DELETE keeps the row, marked.
    #[serde(default = "yes")]
    pub soft_delete: bool,
    /// Whether `version` and `ETag` are kept.
    #[serde(default = "yes")]
    pub optimistic_locking: bool,
    /// Analytics of this model; absent is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<AnalyticsSpec>,
    /// The read-through cache of this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
    /// Whether changes are sent to WebSocket subscribers.
    #[serde(default)]
    pub realtime: bool,
    /// Calls to the module before or after a write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hooks: Vec<HookSpec>,
    /// Limits of this model's endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// What deleting this resource does to the data.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How differences between database and spec are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSpec>,
    /// Namespaces whose models may reference this one, besides its own. What refers to it already keeps doing so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub referenced_by: Vec<String>,
    /// The databases that get the table. Immutable.
    #[serde(default = "default_data_planes")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63), regex(pattern = NAME_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_plane_refs: Vec<String>,
    /// Whether changes to this resource wait; what is served stays served.
    #[serde(default)]
    pub paused: bool,
}

/// An index, or a unique key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexSpec {
    /// Its name within the model.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub name: String,
    /// Fields, in order.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub fields: Vec<String>,
}

/// A condition on a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckSpec {
    /// Its name within the model.
    #[schemars(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN))]
    pub name: String,
    /// The condition, in our grammar; never SQL.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
}

/// How changes are carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationsSpec {
    /// SQL files, from ConfigMaps of the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub files: Vec<MigrationFilesSpec>,
    /// What a change may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<MigrationPolicySpec>,
    /// Whether a plan waits for `approvedPlan`.
    #[serde(default)]
    pub approval: Approval,
    /// The hash of the plan that may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub approved_plan: Option<String>,
}

/// SQL files of one ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationFilesSpec {
    /// The ConfigMap; its keys are file names.
    pub config_map_ref: NameRef,
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// What a change may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPolicySpec {
    /// Whether data may be lost.
    #[serde(default)]
    pub allow_destructive: bool,
    /// Fields that may be dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allow_drop: Vec<String>,
    /// How long a statement waits for a lock; 5s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub lock_timeout: Option<String>,
    /// How long a statement runs; 60s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub statement_timeout: Option<String>,
}

/// Whether a plan waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// It runs at once.
    #[default]
    Auto,
    /// It waits for `approvedPlan`.
    Manual,
}

/// Analytics of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsSpec {
    /// Whether changes go to ClickHouse.
    pub enabled: bool,
    /// How long rows are kept there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub ttl: Option<String>,
    /// Fields that follow the tenant in the sort key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 48), regex(pattern = IDENT_PATTERN)))]
    pub order_by: Vec<String>,
}

/// The read-through cache of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheSpec {
    /// How long an answer is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub ttl: Option<String>,
}

/// When a hook is called: before a write, by the proxy, or after it, from the event topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum HookEvent {
    BeforeCreate,
    BeforeUpdate,
    BeforeDelete,
    AfterCreate,
    AfterUpdate,
    AfterDelete,
}

/// What happens when a hook cannot be reached or answers nothing usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// Before: the write is refused. After: the call is kept as a dead letter.
    #[default]
    Fail,
    /// Before: the write goes on. After: the call is given up.
    Ignore,
}

/// A call to the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookSpec {
    /// When it is called.
    pub event: HookEvent,
    /// Where: http or https, without credentials. The proxy calls hosts that its configuration allows.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// How long a call may take, 100ms to 5s; 2s unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub timeout: Option<String>,
    /// What happens when it fails.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
}

/// Limits of a model's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Most rows in one page; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_page_size: Option<i32>,
    /// Deepest `include`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub max_depth: Option<i32>,
}

/// What deleting a resource does to its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays, and applying the resource again finds it.
    #[default]
    Retain,
    /// It is dropped.
    Delete,
}

/// What is done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// A condition.
    #[default]
    Report,
    /// It is put right.
    Repair,
}

/// How differences between database and spec are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftSpec {
    /// How often, at least 1m; as the operator is configured (5m) unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = DURATION_PATTERN))]
    pub interval: Option<String>,
    /// What is done about one.
    #[serde(default)]
    pub policy: DriftPolicy,
}

/// What became of a ModuleModel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleModelStatus {
    /// The generation of the spec that the conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The catalogue's revision that published it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_revision: Option<i64>,
    /// Fields whose column in the databases has another name than the field, as `field: column`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// What waits for approval or is being carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// How far a change has come that takes several steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Versioned SQL files; none when the spec names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<MigrationsStatus>,
    /// What differs from what was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// See `ConditionType`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

fn yes() -> bool {
    true
}

fn default_data_planes() -> Vec<String> {
    vec!["default".into()]
}
