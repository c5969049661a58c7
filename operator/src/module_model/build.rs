//! From observed to desired: the statements, or what stands against them. Pure.
//!
//! What is there is taken from the databases' catalogues. The document that was applied last tells two more things:
//! whether a difference is a change of the spec or somebody's hand (then it is drift, and reported), and what the
//! catalogue prints in a form of its own, such as defaults.

mod analytics;
mod conflicts;
mod fields;
mod indexes;

use model::{Draft, Generation};
use sql::postgres::ddl;

use super::{
    observe::{Observed, ObservedAnalytics, ObservedTable},
    validate::Desired,
};
use crate::report::Refusal;

pub use conflicts::Rivals;

/// What has to be done. Empty when everything is as desired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Statements for ClickHouse, which go first: rows may arrive as soon as PostgreSQL has the table.
    pub clickhouse: Vec<String>,
    /// Statements for PostgreSQL, in one transaction with the catalogue.
    pub postgres: Vec<String>,
    /// Statements for PostgreSQL afterwards, each in a transaction of its own.
    pub validate: Vec<String>,
    /// Whether the catalogue has to say something new.
    pub publish: bool,
    /// What was open in the fence; the statements close it.
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
        self.clickhouse.is_empty()
            && self.postgres.is_empty()
            && self.validate.is_empty()
            && !self.publish
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
    match (&observed.table, previous) {
        (Some(table), Some(previous)) => change(&mut plan, desired, observed, table, previous)?,
        _ => create(&mut plan, desired),
    }
    analytics::compare(&mut plan, desired, previous, analytics, generation)?;
    plan.publish |= !plan.postgres.is_empty() || !is_published(desired, observed);
    Ok(plan)
}

fn create(plan: &mut Plan, desired: &Desired) {
    let model = &desired.model;
    plan.postgres.extend(ddl::create_model(model));
    if model.streamed() {
        // In the transaction that makes the table: no row can come before its capture.
        plan.postgres.push(ddl::add_to_publication(model.name()));
    }
}

fn change(
    plan: &mut Plan,
    desired: &Desired,
    observed: &Observed,
    table: &ObservedTable,
    previous: &Draft,
) -> Result<(), Refusal> {
    let model = &desired.model;
    let name = model.name();
    fields::compare(plan, model, &observed.ledger, table, previous)?;
    indexes::compare(plan, model, table, previous)?;

    let identity = if ddl::replica_identity_full(model) {
        "f"
    } else {
        "d"
    };
    if table.replica_identity != identity {
        plan.postgres.push(ddl::replica_identity(model));
    }
    match (model.streamed(), previous.streamed(), table.captured) {
        (true, true, false) => plan.drift.uncaptured = true,
        // Only hooks come here: switching analytics on an existing table is refused. Nothing older is told, so there
        // is nothing to snapshot; the lock keeps out a transaction whose later rows would be told and earlier not.
        (true, false, false) => {
            plan.postgres.push(ddl::lock_writes(name));
            plan.postgres.push(ddl::add_to_publication(name));
        }
        (false, true, true) => plan.postgres.push(ddl::drop_from_publication(name)),
        (false, false, true) => plan
            .drift
            .extra
            .push("publication of a table that nobody follows".into()),
        _ => {}
    }
    let unproven = table.constraints.iter().filter(|c| !c.validated);
    plan.validate
        .extend(unproven.map(|c| ddl::validate_constraint(name, &c.name)));

    plan.repaired = table.open_fence();
    if !plan.repaired.is_empty() {
        plan.postgres.extend(ddl::isolate(name));
    }
    if !observed.schema_is_granted() {
        plan.repaired.push("privileges on the schema");
        plan.postgres.extend(ddl::grant_schema(&name.module));
    }
    Ok(())
}

fn is_published(desired: &Desired, observed: &Observed) -> bool {
    let document = serde_json::to_value(&desired.model).ok();
    let published = observed.published.as_ref().is_some_and(|p| {
        p.served
            && p.resource == desired.resource
            && p.resource_uid == desired.uid
            && Some(&p.document) == document.as_ref()
    });
    let owned = desired
        .model
        .fields()
        .iter()
        .all(|f| observed.ledger.contains(f.column().as_str()));
    published && owned && observed.claimed_by.is_some() && observed.permissions_are_registered()
}
