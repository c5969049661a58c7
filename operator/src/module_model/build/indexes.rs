//! Indexes and unique keys of a table that exists, and the indexes of its references. Built and dropped while
//! everybody goes on; one that changes is built under another name, and takes the old one's place with the publication.

use sql::postgres::ddl::{self, IndexShape};

use super::{
    Plan,
    fields::Scope,
    step::{Lock, Phase, Proof, Statement, Step},
    work::Work,
};
use crate::module_model::observe::ObservedIndex;

pub(super) fn compare(plan: &mut Plan, work: &mut Work, scope: &Scope<'_>) {
    let name = scope.model.name();
    // Whatever the document says of columns that are being filled, its indexes are over those that it serves.
    let before = scope.before.map(ddl::index_shapes).unwrap_or_default();
    let wanted = ddl::index_shapes(scope.model);
    let mut kept = Vec::new();
    for shape in &wanted {
        let applied = before.iter().find(|b| b.name == shape.name);
        let unchanged =
            applied.is_some_and(|b| b.columns == shape.columns && b.unique == shape.unique);
        let found = scope.table.index(&shape.name);
        match found {
            Some(found) if is(found, shape) => {}
            Some(found) if unchanged && found.valid => {
                plan.drift.modified.push(format!("index {}", shape.name));
            }
            None if unchanged => plan.drift.missing.push(format!("index {}", shape.name)),
            Some(found) if found.valid => {
                let flight = ddl::flight_name(&shape.name, &definition(shape));
                build(work, scope, shape, &flight);
                let old = retired(scope, &shape.name);
                for (from, to) in [(&shape.name, &old), (&flight, &shape.name)] {
                    let rename = ddl::rename_index(&name.module, from, to);
                    work.publish
                        .push(Statement::of(rename).locking(Lock::ShareUpdateExclusive));
                }
                work.retired_indexes
                    .push(drop_index(scope, &old, Phase::Contract));
                kept.push(flight);
            }
            _ => build(work, scope, shape, &shape.name),
        }
    }
    // Taken out of the spec: kept under another name until nobody counts on it.
    for gone in before
        .iter()
        .filter(|b| !wanted.iter().any(|w| w.name == b.name))
    {
        if scope.table.index(&gone.name).is_some() && !drops_with_column(scope, gone) {
            let old = retired(scope, &gone.name);
            let rename = ddl::rename_index(&name.module, &gone.name, &old);
            work.publish
                .push(Statement::of(rename).locking(Lock::ShareUpdateExclusive));
            work.retired_indexes
                .push(drop_index(scope, &old, Phase::Contract));
        }
    }
    for left in &scope.table.indexes {
        if left.name.starts_with(&format!("{}__", ddl::OLD_PREFIX)) {
            work.retired_indexes
                .push(drop_index(scope, &left.name, Phase::Contract));
        } else if left.name.starts_with(&format!("{}__", ddl::NEW_PREFIX))
            && !kept.contains(&left.name)
        {
            work.indexes
                .push(drop_index(scope, &left.name, Phase::Expand));
        }
    }
    let key = ddl::primary_key_name(name);
    if scope.table.index(&key).is_none() {
        plan.drift.missing.push(format!("index {key}"));
    }
}

/// The first free name. It is the same at every look before the publication and after it, so that who approves the plan
/// approves what will be dropped.
fn retired(scope: &Scope<'_>, name: &str) -> String {
    let names = (1..).map(|n: u32| ddl::retired_name(name, n));
    let mut free = names.skip_while(|name| scope.table.index(name).is_some());
    free.next().unwrap_or_default()
}

/// Over a column that is dropped itself, which takes the index with it.
fn drops_with_column(scope: &Scope<'_>, shape: &IndexShape) -> bool {
    let system = |c: &str| scope.model.column(c).is_some_and(|c| c.system) || c == "tenant_id";
    let stays = |c: &str| system(c) || scope.model.fields().iter().any(|f| f.column() == *c);
    shape.columns.iter().any(|c| !stays(c))
}

fn build(work: &mut Work, scope: &Scope<'_>, shape: &IndexShape, name: &str) {
    let model = scope.model.name();
    let found = scope.table.index(name);
    if found.is_some_and(|f| is(f, shape)) {
        return;
    }
    let sql = ddl::create_index(model, shape, name, true);
    let drop = ddl::drop_index_concurrently(&model.module, name);
    work.indexes.push(Step::Concurrently {
        phase: Phase::Expand,
        proof: shape.unique.then(|| Proof {
            count: ddl::count_duplicates(model, shape),
            refusal:
                "have the same values as another row of their tenant: change or delete them first"
                    .into(),
            path: shape.path.clone(),
        }),
        first: found.map(|_| Statement::of(drop).locking(Lock::ShareUpdateExclusive)),
        statement: Statement::of(sql).locking(Lock::ShareUpdateExclusive),
    });
}

fn drop_index(scope: &Scope<'_>, name: &str, phase: Phase) -> Step {
    let sql = ddl::drop_index_concurrently(&scope.model.name().module, name);
    Step::Concurrently {
        phase,
        proof: None,
        first: None,
        statement: Statement::of(sql).locking(Lock::ShareUpdateExclusive),
    }
}

fn definition(shape: &IndexShape) -> String {
    format!("{} {}", shape.unique, shape.columns.join(","))
}

fn is(found: &ObservedIndex, shape: &IndexShape) -> bool {
    let predicate = shape.unique.then_some(ddl::LIVE_PRINTED);
    found.valid
        && found.columns == shape.columns
        && found.unique == shape.unique
        && found.predicate.as_deref() == predicate
}
