//! From observed to desired: the steps, or what stands against them. Pure.
//!
//! What is there is taken from the databases' catalogues. The document that was applied last tells two more things:
//! whether a difference is a change of the spec or somebody's hand (then it is drift, and reported), and what the
//! catalogue prints in a form of its own, such as defaults.
//!
//! A change that rows or proxies have to follow goes expand → backfill → prove → publish → acknowledge → contract. The
//! whole way is planned at every look; the first step is what is carried out next.

mod analytics;
mod checks;
mod conflicts;
mod drift;
mod fields;
mod indexes;
mod references;
mod retire;
mod step;
mod target;
mod work;

use model::{Draft, Generation, ModuleModel};
use sql::postgres::ddl;

use super::{
    observe::{Observed, ObservedAnalytics, ObservedTable},
    validate::Desired,
};
use crate::report::Refusal;

pub use conflicts::Rivals;
pub use step::{ColumnChange, Lock, Phase, Proof, Statement, Step};

use fields::Scope;
use target::{Target, target};
use work::{Publication, Work};

/// What has to be done. Empty when everything is as desired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In order. Those behind one that has to wait are what follows as far as can be seen from here.
    pub steps: Vec<Step>,
    /// The model with the columns that its fields will be served from; none when nothing was compared.
    pub model: Option<Box<ModuleModel>>,
    /// How many rows the table has, as PostgreSQL estimates.
    pub rows: i64,
    /// What was open in the fence; the steps close it.
    pub repaired: Vec<&'static str>,
    /// What differs and is not ours to change.
    pub drift: Drift,
}

/// Differences between the databases and what was applied, each by the name of the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// There, and nobody asked for it.
    pub extra: Vec<String>,
    /// Applied once, and gone.
    pub missing: Vec<String>,
    /// Applied once, and something else now.
    pub modified: Vec<String>,
    /// Of ClickHouse: why analytics cannot be trusted.
    pub analytics: Vec<String>,
    /// Applied with capture, and not captured any more.
    pub uncaptured: bool,
}

impl Plan {
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps but for the first one that closes an open fence: that is never waited with.
    pub fn changes(&self) -> &[Step] {
        let repairs = usize::from(!self.repaired.is_empty());
        self.steps.get(repairs..).unwrap_or_default()
    }
}

impl Drift {
    /// Whether PostgreSQL is as it was applied.
    pub fn is_empty(&self) -> bool {
        self.extra.is_empty()
            && self.missing.is_empty()
            && self.modified.is_empty()
            && !self.uncaptured
    }
}

/// Compares. `previous` is the document applied last, if any; `analytics` is none when they are not asked for.
pub fn build(
    desired: &Desired,
    observed: &Observed,
    previous: Option<&Draft>,
    analytics: Option<&ObservedAnalytics>,
    generation: Generation,
    rivals: Rivals,
) -> Result<Plan, Refusal> {
    conflicts::check(desired, observed, rivals)?;
    let mut plan = Plan::default();
    let mut work = Work::default();
    let target = target(desired, observed, previous)?;
    let Target { model, fields } = &target;
    let mut filling = None;
    match (&observed.table, previous) {
        (Some(table), Some(previous)) => {
            plan.rows = table.rows;
            let before = ModuleModel::try_from(previous.clone()).ok();
            let scope = Scope {
                desired,
                model,
                observed,
                table,
                previous,
                before: before.as_ref(),
            };
            fields::compare(&mut plan, &mut work, &scope, fields)?;
            retire::compare(&mut work, &scope, fields)?;
            references::compare(&mut plan, &mut work, &scope, fields);
            indexes::compare(&mut plan, &mut work, &scope);
            checks::compare(&mut plan, &mut work, &scope);
            retire::abandoned(&mut work, &scope);
            drift::extra_columns(&mut plan, &scope);
            rest(&mut plan, &mut work, &scope);
            filling = document_while_filling(model, previous);
        }
        _ => create(&mut work, model),
    }
    analytics::compare(
        &mut plan, &mut work, &target, observed, previous, analytics, generation,
    )?;
    let is_new = !is_published(model, desired, observed);
    plan.steps = work.into_steps(Publication {
        filling,
        document: model.clone(),
        is_new,
        revision: observed.published.as_ref().map(|p| p.revision),
        waiting_for: observed.waiting_for.clone(),
    });
    plan.model = Some(Box::new(model.clone()));
    Ok(plan)
}

fn create(work: &mut Work, model: &ModuleModel) {
    let statements = ddl::create_model(model).into_iter();
    work.publish
        .extend(statements.map(|s| Statement::of(s).locking(Lock::None)));
    if model.streamed() {
        // In the transaction that makes the table: no row can come before its capture.
        let capture = ddl::add_to_publication(model.name());
        work.publish
            .push(Statement::of(capture).locking(Lock::ShareUpdateExclusive));
    }
}

/// What is not about single columns, keys or indexes: replica identity, capture, and the fence.
fn rest(plan: &mut Plan, work: &mut Work, scope: &Scope<'_>) {
    let (model, table, previous) = (scope.model, scope.table, scope.previous);
    let name = model.name();
    let full = ddl::replica_identity_full(model);
    match (full, table.replica_identity.as_str()) {
        // Before there can be rows that need it, and until there are none.
        (true, "f") | (false, "d") => {}
        (true, _) => work
            .expand
            .push(Statement::of(ddl::replica_identity(model))),
        (false, _) => work
            .publish
            .push(Statement::of(ddl::replica_identity(model))),
    }
    let publish = |sql: String| Statement::of(sql).locking(Lock::ShareRowExclusive);
    match (model.streamed(), previous.streamed(), table.captured) {
        (true, true, false) => plan.drift.uncaptured = true,
        // Only hooks come here: switching analytics on an existing table is refused. Nothing older is told, so there
        // is nothing to snapshot; the lock keeps out a transaction whose later rows would be told and earlier not.
        (true, false, false) => {
            work.publish.push(publish(ddl::lock_writes(name)));
            work.publish.push(publish(ddl::add_to_publication(name)));
        }
        (false, true, true) => work.publish.push(publish(ddl::drop_from_publication(name))),
        (false, false, true) => plan
            .drift
            .extra
            .push("publication of a table that nobody follows".into()),
        _ => {}
    }
    plan.repaired = table.open_fence(previous.soft_delete);
    if !plan.repaired.is_empty() {
        // Whoever may remove rows now, or soon, may do so until it is taken from him below.
        let keeps_all = model.soft_delete() && previous.soft_delete;
        let fence = ddl::isolate(name, keeps_all).into_iter();
        work.repair.extend(fence.map(Statement::of));
    }
    // Proxies that remove rows are let in before they do, and may still do so until all know that rows are kept.
    match (model.soft_delete(), table.may_delete()) {
        (false, false) => work
            .expand
            .push(Statement::of(ddl::grant_delete(name)).locking(Lock::None)),
        (true, true) => work
            .contract
            .push(Statement::of(ddl::revoke_delete(name)).locking(Lock::None)),
        _ => {}
    }
    if !scope.observed.schema_is_granted() {
        plan.repaired.push("privileges on the schema");
        let grants = ddl::grant_schema(&name.module).into_iter();
        work.repair
            .extend(grants.map(|s| Statement::of(s).locking(Lock::None)));
    }
}

/// What is served now, with the columns that are to be served captured already: events that name a column come after
/// the catalogue does. None when the catalogue says so already.
fn document_while_filling(model: &ModuleModel, previous: &Draft) -> Option<ModuleModel> {
    let served = |column| previous.fields.iter().any(|f| f.column() == column);
    let filling: Vec<_> = model
        .fields()
        .iter()
        .filter(|f| !served(f.column()))
        .cloned()
        .collect();
    if filling == previous.filling {
        return None;
    }
    let draft = Draft {
        filling,
        ..previous.clone()
    };
    ModuleModel::try_from(draft).ok()
}

fn is_published(model: &ModuleModel, desired: &Desired, observed: &Observed) -> bool {
    let document = serde_json::to_value(model).ok();
    let published = observed.published.as_ref().is_some_and(|p| {
        p.served
            && p.resource == desired.resource
            && p.resource_uid == desired.uid
            && Some(&p.document) == document.as_ref()
    });
    let owned = model
        .fields()
        .iter()
        .all(|f| observed.column(f.column().as_str()).is_some());
    published
        && owned
        && observed.claimed_by.is_some()
        && observed.permissions_are_registered(model)
}
