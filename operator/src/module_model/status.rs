//! The conditions of a ModuleModel, computed from a look at both databases after the plan was carried out.

use std::collections::{BTreeMap, BTreeSet};

use crds::{
    ConditionType, ModuleModelStatus, Reason,
    condition::State,
    status::{DriftStatus, MigrationsStatus, PlanStatus, RolloutStatus, RolloutStep},
};
use sql::{clickhouse::table_name, postgres::ddl::index_shapes};

use super::{
    apply::{Done, Look},
    build::{Phase, Plan, Step},
    observe::LeakingColumn,
    validate::Desired,
};
use crate::{
    error::Error,
    merge::merge_drift,
    plane::{Capture, Plane},
    report::{Stage, Verdict, conditions},
    telemetry::chain,
};

/// The stages of a ModuleModel, in order.
pub const STAGES: [ConditionType; 8] = [
    ConditionType::SchemaApplied,
    ConditionType::IsolationEnforced,
    ConditionType::PermissionsRegistered,
    ConditionType::AnalyticsReady,
    ConditionType::CaptureRunning,
    ConditionType::CatalogPublished,
    ConditionType::Drifted,
    ConditionType::IndexesServe,
];

/// Names in `status.rollout.waitingFor`.
const WAITING_FOR_MAX: usize = 8;
/// Columns in the message of [`ConditionType::IndexesServe`].
const LEAKING_MAX: usize = 4;

fn rollout(step: &Step) -> RolloutStatus {
    let at = |step| RolloutStatus {
        step,
        waiting_for_revision: None,
        waiting_for: Vec::new(),
    };
    match step {
        Step::Backfill { .. } => at(RolloutStep::Backfill),
        Step::Acknowledge {
            revision,
            waiting_for,
        } => RolloutStatus {
            waiting_for_revision: *revision,
            waiting_for: waiting_for.iter().take(WAITING_FOR_MAX).cloned().collect(),
            ..at(RolloutStep::Acknowledge)
        },
        Step::ClickHouse { phase, .. }
        | Step::Transaction { phase, .. }
        | Step::Concurrently { phase, .. } => at(match phase {
            Phase::Contract => RolloutStep::Contract,
            Phase::Expand | Phase::Publish => RolloutStep::Expand,
        }),
        Step::Validate { .. } => at(RolloutStep::Expand),
    }
}

/// The stages after what could be done was done; `plan` is what a look finds still to be done, and `stopped` what it
/// waits for.
pub fn stages(
    plane: &Plane,
    desired: &Desired,
    look: &Look,
    plan: &Plan,
    stopped: &Done,
) -> Vec<Stage> {
    let model = &desired.model;
    let name = model.name();
    let table = format!("{}.{}", name.module.as_str(), name.model.as_str());
    let open = look.observed.table.as_ref().map_or_else(
        || vec!["there is no table"],
        |t| {
            let soft_delete = look.previous.as_ref().is_none_or(|p| p.soft_delete);
            t.open_fence(soft_delete)
        },
    );
    let isolation = if open.is_empty() && look.observed.schema_is_granted() {
        Stage::reached(
            ConditionType::IsolationEnforced,
            "row-level security, policies and grants were seen standing",
        )
    } else {
        let message = format!("the fence is open: {}", open.join(", "));
        Stage::missing(ConditionType::IsolationEnforced, Reason::FenceOpen, message)
    };
    let permissions = if look.observed.permissions_are_registered(model) {
        let actions: Vec<_> = model
            .actions()
            .map(|a| format!(".{}", a.as_str()))
            .collect();
        let message = match actions.split_last() {
            Some((last, others)) => {
                format!("{table}{} and {last} are registered", others.join(", "))
            }
            None => format!("{table} has none"),
        };
        Stage::reached(ConditionType::PermissionsRegistered, message)
    } else {
        Stage::missing(
            ConditionType::PermissionsRegistered,
            Reason::Progressing,
            "permissions are missing",
        )
    };
    let pending = plan.steps.iter().any(Step::publishes);
    let published = look.observed.published.as_ref().filter(|_| !pending);
    let published = match published {
        Some(p) => Stage::reached(
            ConditionType::CatalogPublished,
            format!("published in revision {}", p.revision),
        ),
        None => Stage::missing(
            ConditionType::CatalogPublished,
            Reason::Progressing,
            "not published yet",
        ),
    };
    let schema = schema(&table, plan, stopped);
    vec![
        schema,
        isolation,
        permissions,
        analytics(plane, desired, look, plan),
        capture(plane, desired, plan),
        published,
        drifted(plan),
        indexes_serve(
            look.observed.table.as_ref().map_or(&[], |t| &t.leaking),
            plan,
        ),
    ]
}

fn schema(table: &str, plan: &Plan, stopped: &Done) -> Stage {
    let kind = ConditionType::SchemaApplied;
    match stopped {
        Done::Waiting {
            revision,
            waiting_for,
        } => Stage::missing(
            kind,
            Reason::WaitingForProxies,
            format!(
                "revision {revision} is not acknowledged by {} yet; one that is not seen for 30 s does not count",
                waiting_for.join(", ")
            ),
        ),
        Done::Backfilling(progress) => {
            let mut message = format!("field {}: {} rows so far", progress.field, progress.rows);
            if let Some(paused) = progress.paused {
                message = format!("{message}; it waits because {}", paused.as_str());
            }
            Stage::missing(kind, Reason::Backfilling, message)
        }
        Done::Snapshot => {
            let message = "an index waits until change capture has read its initial snapshot";
            Stage::missing(kind, Reason::Progressing, message)
        }
        Done::Nothing | Done::Step(_) if plan.steps.iter().all(in_clickhouse) => {
            Stage::reached(kind, format!("table {table} is as the spec says"))
        }
        Done::Nothing | Done::Step(_) => Stage::missing(
            kind,
            Reason::Progressing,
            format!("table {table} is being changed"),
        ),
    }
}

fn in_clickhouse(step: &Step) -> bool {
    matches!(step, Step::ClickHouse { .. })
}

fn analytics(plane: &Plane, desired: &Desired, look: &Look, plan: &Plan) -> Stage {
    let kind = ConditionType::AnalyticsReady;
    if !desired.model.analytics() {
        Stage::disabled(kind)
    } else if !plan.drift.analytics.is_empty() {
        Stage::missing(kind, Reason::DriftDetected, plan.drift.analytics.join("; "))
    } else if !look.observed.unsynced.is_empty() {
        let columns: Vec<_> = look.observed.unsynced.iter().map(String::as_str).collect();
        let message = format!(
            "older rows are still on their way to ClickHouse: column {}",
            columns.join(", ")
        );
        Stage::missing(kind, Reason::Backfilling, message)
    } else if !plan.steps.iter().any(in_clickhouse) {
        let table = table_name(desired.model.name(), plane.generation);
        Stage::reached(
            kind,
            format!("ClickHouse table {table} is as the spec says"),
        )
    } else {
        Stage::missing(
            kind,
            Reason::Progressing,
            "the ClickHouse table is being changed",
        )
    }
}

fn capture(plane: &Plane, desired: &Desired, plan: &Plan) -> Stage {
    let kind = ConditionType::CaptureRunning;
    if !desired.model.streamed() {
        return Stage::disabled(kind);
    }
    if plan.drift.uncaptured {
        let message = "the table was taken out of the publication: changes since then are lost to analytics and hooks";
        return Stage::missing(kind, Reason::DriftDetected, message);
    }
    match &*plane.capture.borrow() {
        Capture::Running => Stage::reached(kind, "changes flow to Kafka"),
        Capture::Stopped { reason, message } => Stage::missing(kind, *reason, message.clone()),
    }
}

fn drifted(plan: &Plan) -> Stage {
    let kind = ConditionType::Drifted;
    let drift = &plan.drift;
    if drift.is_empty() && drift.analytics.is_empty() {
        let message = "the databases hold what was applied".into();
        return Stage {
            condition: kind,
            state: State::False,
            reason: Reason::NoDrift,
            message,
        };
    }
    let uncaptured = if drift.uncaptured {
        vec!["publication".to_owned()]
    } else {
        Vec::new()
    };
    let kinds = [
        ("extra", &drift.extra),
        ("missing", &drift.missing),
        ("modified", &drift.modified),
        ("analytics", &drift.analytics),
        ("missing from the", &uncaptured),
    ];
    let parts: Vec<_> = kinds
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{kind}: {}", names.join(", ")))
        .collect();
    Stage {
        condition: kind,
        state: State::True,
        reason: Reason::DriftDetected,
        message: parts.join("; "),
    }
}

/// Whether the proxy's filters can use what was indexed for them, as far as the database's functions go: `leaking` are
/// columns of which they cannot. It is about declared indexes and unique keys; what we index ourselves, the columns of
/// references among it, is of types whose comparisons PostgreSQL itself marks.
pub(super) fn indexes_serve(leaking: &[LeakingColumn], plan: &Plan) -> Stage {
    let kind = ConditionType::IndexesServe;
    let shapes = plan.model.as_deref().map(index_shapes).unwrap_or_default();
    let mut types = BTreeSet::new();
    let mut places = Vec::new();
    for shape in &shapes {
        for found in leaking.iter().filter(|l| l.index == shape.name) {
            types.insert(found.type_.as_str());
            let (path, index, column) = (&shape.path, &shape.name, &found.column);
            places.push(format!("{path}: index {index}, column {column}"));
        }
    }
    if places.is_empty() {
        return Stage::reached(kind, "row-level security keeps filters from no index");
    }
    if places.len() > LEAKING_MAX {
        let more = places.split_off(LEAKING_MAX).len();
        places.push(format!("and {more} more"));
    }
    let types: Vec<_> = types.into_iter().collect();
    let message = format!(
        "{}: filters do not use it, since comparisons of {} are not leakproof in this database; have a superuser mark them leakproof, or take the field out of the index unless it is there for an order",
        places.join("; "),
        types.join(" and ")
    );
    Stage::missing(kind, Reason::NotLeakproof, message)
}

/// The stage at which an error of a database stops everything.
pub fn stage_of(error: &Error) -> Stage {
    let kind = if error.is_clickhouse() {
        ConditionType::AnalyticsReady
    } else {
        ConditionType::SchemaApplied
    };
    Stage::missing(kind, error.reason(), chain(error))
}

/// What a reconcile found out besides the conditions; none where it came not that far.
#[derive(Debug, Default)]
pub struct Facts {
    /// The catalogue's revision.
    pub revision: Option<i64>,
    /// Fields whose column is called otherwise, as `field: column`.
    pub columns: BTreeMap<String, String>,
    /// What waits to be approved, or is left of what is being carried out.
    pub plan: Option<PlanStatus>,
    /// How far a change has come; none when nothing is under way.
    pub rollout: Option<RolloutStatus>,
    /// SQL files, where the spec names some.
    pub migrations: Option<MigrationsStatus>,
    /// What differs from what was applied, for each DataPlane that was looked at.
    pub drift: Vec<(String, DriftStatus)>,
}

impl Facts {
    /// Those of several DataPlanes as one: each counts its own revisions, so the first one's is shown; of files, those
    /// that are furthest behind.
    pub fn merge(&mut self, other: Self) {
        let Self {
            revision,
            columns,
            plan,
            rollout,
            migrations,
            drift,
        } = other;
        if self.revision.is_none() {
            self.columns = columns;
        }
        self.drift.extend(drift);
        self.revision = self.revision.or(revision);
        // Of plans, the one that somebody has to approve.
        let waits = |p: &Option<PlanStatus>| p.as_ref().is_some_and(|p| p.config_map_ref.is_some());
        if self.plan.is_none() || (waits(&plan) && !waits(&self.plan)) {
            self.plan = plan;
        }
        self.rollout = self.rollout.take().or(rollout);
        let left = |m: &Option<MigrationsStatus>| {
            m.as_ref().map(|m| (m.failed_version.is_some(), m.pending))
        };
        if left(&migrations) > left(&self.migrations) {
            self.migrations = migrations;
        }
    }

    /// What a look says.
    pub fn looked(&mut self, look: &Look, plan: &Plan) {
        let fields = look.previous.iter().flat_map(|p| &p.fields);
        let own = |f: &&model::Field| f.column.is_some();
        let columns = fields.filter(own).map(|f| {
            let column = f.column();
            (f.name.as_str().to_owned(), column.as_str().to_owned())
        });
        self.columns = columns.collect();
        self.revision = look.observed.published.as_ref().map(|p| p.revision);
        self.rollout = plan.steps.first().map(rollout);
    }

    /// Remembers the plan that nothing is done of yet.
    pub fn waits_for_approval(&mut self, plan: PlanStatus) {
        self.plan = Some(plan);
        self.rollout = None;
    }

    /// Remembers the file that failed.
    pub fn failed(&mut self, error: &Error) {
        if let (Error::File(file), Some(migrations)) = (error, &mut self.migrations) {
            migrations.failed_version = Some(file.version.clone());
        }
    }
}

/// The whole status.
pub fn status(
    before: &ModuleModelStatus,
    generation: i64,
    facts: Facts,
    verdict: &Verdict,
) -> ModuleModelStatus {
    let looked = matches!(verdict, Verdict::Looked(_));
    ModuleModelStatus {
        observed_generation: Some(generation),
        catalog_revision: facts.revision.or(before.catalog_revision),
        columns: match looked {
            true => facts.columns,
            false => before.columns.clone(),
        },
        plan: match verdict {
            Verdict::Looked(_) | Verdict::Refused(_) => facts.plan,
            Verdict::Retrying(_) | Verdict::Paused => facts.plan.or_else(|| before.plan.clone()),
        },
        rollout: facts.rollout,
        drift: match merge_drift(facts.drift) {
            Some(found) => Some(found).filter(|drift| *drift != DriftStatus::default()),
            // Not looked for: what was found before is what is known.
            None => before.drift.clone(),
        },
        migrations: match looked {
            true => facts.migrations,
            false => facts.migrations.or_else(|| before.migrations.clone()),
        },
        conditions: conditions(&before.conditions, generation, &STAGES, verdict),
    }
}
