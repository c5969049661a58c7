//! Conditions: their types and their reasons, both closed lists.
//!
//! `Ready`, `Reconciling` and `Stalled` follow kstatus, so that `kubectl wait`, Helm and Flux work unaided. `Ready` is
//! true when `Accepted` and every stage are; a stage that was not asked for is true with reason `Disabled`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// Everything asked for is there.
    Ready,
    /// Work on it goes on or is waiting to be tried again (abnormal when true).
    Reconciling,
    /// It needs somebody to change something (abnormal when true).
    Stalled,
    /// The spec is valid, supported, and not somebody else's.
    Accepted,
    /// PostgreSQL has the tables.
    SchemaApplied,
    /// The fence between tenants was seen standing.
    IsolationEnforced,
    /// The permissions are registered with IAM.
    PermissionsRegistered,
    /// ClickHouse has the tables.
    AnalyticsReady,
    /// Changes flow to Kafka.
    CaptureRunning,
    /// The proxies can see it.
    CatalogPublished,
    /// The database holds something else than what was applied (abnormal when true; leaves Ready alone).
    Drifted,
    /// PostgreSQL may look into every index under row-level security (leaves Ready alone: without, lists are slower).
    IndexesServe,
    /// The tenant's rows are in the registry.
    RegistryWritten,
    /// The tenant's role and row policy are in ClickHouse.
    PoliciesApplied,
    /// Each of the tenant's modules has a model that is served (leaves Ready alone: a tenant may come first).
    ModulesServed,
}

impl ConditionType {
    /// Its spelling in `status.conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Accepted => "Accepted",
            Self::SchemaApplied => "SchemaApplied",
            Self::IsolationEnforced => "IsolationEnforced",
            Self::PermissionsRegistered => "PermissionsRegistered",
            Self::AnalyticsReady => "AnalyticsReady",
            Self::CaptureRunning => "CaptureRunning",
            Self::CatalogPublished => "CatalogPublished",
            Self::Drifted => "Drifted",
            Self::IndexesServe => "IndexesServe",
            Self::RegistryWritten => "RegistryWritten",
            Self::PoliciesApplied => "PoliciesApplied",
            Self::ModulesServed => "ModulesServed",
        }
    }

    /// Whether it tells something that Ready does not wait for.
    pub fn leaves_ready_alone(self) -> bool {
        matches!(
            self,
            Self::Drifted | Self::IndexesServe | Self::ModulesServed
        )
    }
}

/// Why a condition is as it is. A state, never a transition; also the label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// As asked for.
    Applied,
    /// Not asked for.
    Disabled,
    /// Being worked on, or waiting for an earlier stage.
    Progressing,
    /// `spec.paused`.
    Paused,
    /// The spec contradicts itself.
    InvalidModel,
    /// The spec uses what this version does not do yet.
    NotYetSupported,
    /// Another resource has the name.
    NameConflict,
    /// The referenced model has never been applied.
    ReferenceNotFound,
    /// The referenced model exists and is not applied yet.
    ReferenceNotReady,
    /// The referenced model's namespace does not let this one refer to it.
    ReferenceNotPermitted,
    /// It would lose data.
    DestructiveChange,
    /// Somebody holds the lock.
    LockUnavailable,
    /// A statement took too long.
    StatementTimeout,
    /// A statement failed.
    MigrationFailed,
    /// The DataPlane is not connected yet.
    DataPlaneNotReady,
    /// PostgreSQL does not answer.
    DatabaseUnreachable,
    /// ClickHouse does not answer.
    ClickHouseUnreachable,
    /// ClickHouse refused a statement.
    ClickHouseFailed,
    /// A Secret, or its key `url`, is missing or malformed.
    CredentialsMissing,
    /// Kafka Connect does not answer.
    ConnectUnreachable,
    /// The connector was refused or has no task.
    ConnectorFailed,
    /// A task of the connector has failed.
    TasksFailed,
    /// The connector runs and does not read the slot.
    SlotInactive,
    /// The replication slot was invalidated or dropped: changes since then are not in it.
    SlotLost,
    /// A newer operator has taken over this database.
    Superseded,
    /// The fence was found open.
    FenceOpen,
    /// Database and spec differ.
    DriftDetected,
    /// Database and spec agree.
    NoDrift,
    /// Nothing stands in the way.
    NotStalled,
    /// Nothing is left to do.
    Reconciled,
    /// Being deleted.
    Deleting,
    /// Something else needs what is to be deleted.
    DeletionBlocked,
    /// `approval: Manual`, and nobody has approved the plan yet.
    ApprovalPending,
    /// The approved plan was made for another state of the database.
    PlanOutdated,
    /// A migration file that has been applied is another one now.
    ChecksumMismatch,
    /// A migration file is older than one that has been applied.
    OutOfOrder,
    /// A migration file cannot be read.
    InvalidMigration,
    /// The comparisons of a type are not leakproof in this database.
    NotLeakproof,
    /// No model of a module that is installed for a tenant is served.
    ModuleNotFound,
    /// A ConfigMap that holds migration files is missing.
    ConfigMapNotFound,
    /// Existing rows are being brought to a new column.
    Backfilling,
    /// A proxy or a sink has not acknowledged the catalogue revision that the next step relies on.
    WaitingForProxies,
    /// Whether database and spec agree could not be found out.
    CheckFailed,
    /// The data is being erased.
    Erasing,
    /// The data is erased.
    Erased,
}

impl Reason {
    /// Its spelling in `status.conditions[].reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::Disabled => "Disabled",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::InvalidModel => "InvalidModel",
            Self::NotYetSupported => "NotYetSupported",
            Self::NameConflict => "NameConflict",
            Self::ReferenceNotFound => "ReferenceNotFound",
            Self::ReferenceNotReady => "ReferenceNotReady",
            Self::ReferenceNotPermitted => "ReferenceNotPermitted",
            Self::DestructiveChange => "DestructiveChange",
            Self::LockUnavailable => "LockUnavailable",
            Self::StatementTimeout => "StatementTimeout",
            Self::MigrationFailed => "MigrationFailed",
            Self::DataPlaneNotReady => "DataPlaneNotReady",
            Self::DatabaseUnreachable => "DatabaseUnreachable",
            Self::ClickHouseUnreachable => "ClickHouseUnreachable",
            Self::ClickHouseFailed => "ClickHouseFailed",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::ConnectUnreachable => "ConnectUnreachable",
            Self::ConnectorFailed => "ConnectorFailed",
            Self::TasksFailed => "TasksFailed",
            Self::SlotInactive => "SlotInactive",
            Self::SlotLost => "SlotLost",
            Self::Superseded => "Superseded",
            Self::FenceOpen => "FenceOpen",
            Self::DriftDetected => "DriftDetected",
            Self::NoDrift => "NoDrift",
            Self::NotStalled => "NotStalled",
            Self::Reconciled => "Reconciled",
            Self::Deleting => "Deleting",
            Self::DeletionBlocked => "DeletionBlocked",
            Self::ApprovalPending => "ApprovalPending",
            Self::PlanOutdated => "PlanOutdated",
            Self::ChecksumMismatch => "ChecksumMismatch",
            Self::OutOfOrder => "OutOfOrder",
            Self::InvalidMigration => "InvalidMigration",
            Self::NotLeakproof => "NotLeakproof",
            Self::ModuleNotFound => "ModuleNotFound",
            Self::ConfigMapNotFound => "ConfigMapNotFound",
            Self::Backfilling => "Backfilling",
            Self::WaitingForProxies => "WaitingForProxies",
            Self::CheckFailed => "CheckFailed",
            Self::Erasing => "Erasing",
            Self::Erased => "Erased",
        }
    }
}

/// True, False or Unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Not known yet, or not any more.
    Unknown,
}

impl State {
    /// Its spelling in `status.conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Most characters of a message; the API server's schema allows 32,768, people read the first lines.
const MESSAGE_CHARS_MAX: usize = 1_024;

/// A condition as found out now. `lastTransitionTime` is that of `before` while the state is the same.
pub fn condition(
    before: &[Condition],
    generation: i64,
    kind: ConditionType,
    state: State,
    reason: Reason,
    message: &str,
) -> Condition {
    let old = before
        .iter()
        .find(|c| c.type_ == kind.as_str() && c.status == state.as_str());
    let now = || Time(k8s_openapi::jiff::Timestamp::from_second(seconds_now()).unwrap_or_default());
    Condition {
        type_: kind.as_str().to_owned(),
        status: state.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
        observed_generation: Some(generation),
        last_transition_time: old.map_or_else(now, |c| c.last_transition_time.clone()),
    }
}

fn seconds_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
