//! Foreign keys of a table that exists: NOT VALID first, then proven; orphans are counted before.

use model::{Field, Ident, Reference};
use sql::postgres::ddl;

use super::{
    Plan,
    fields::Scope,
    step::{Lock, Proof, Statement},
    target::FieldChange,
    work::{Work, validate},
};

pub(super) fn compare(plan: &mut Plan, work: &mut Work, scope: &Scope<'_>, fields: &[FieldChange]) {
    let name = scope.model.name();
    for FieldChange { field, path, .. } in fields {
        let before = scope
            .previous
            .fields
            .iter()
            .find(|b| b.column() == field.column());
        let applied = before.and_then(|b| b.references.as_ref());
        let key = ddl::reference_name(name, field);
        match (applied, &field.references) {
            (None, None) => {}
            // `onDelete` is the proxy's: the key is the same.
            (Some(one), Some(other)) if target(one) == target(other) => {
                match scope.constraint(&key) {
                    None => plan.drift.missing.push(format!("constraint {key}")),
                    Some(found) if !found.validated => {
                        work.afterwards.push(validate(
                            scope.model,
                            &key,
                            orphans(scope, field, path),
                        ));
                    }
                    Some(_) => {}
                }
            }
            (Some(_), None) => {
                work.publish
                    .push(Statement::of(ddl::drop_constraint(name, &key)));
            }
            (None, Some(_)) => add(work, scope, field, path, &key),
            (Some(_), Some(to)) => {
                let flight = ddl::flight_name(&key, to.model.as_str());
                add(work, scope, field, path, &flight);
                work.publish
                    .push(Statement::of(ddl::drop_constraint(name, &key)));
                work.publish
                    .push(Statement::of(ddl::rename_constraint(name, &flight, &key)));
            }
        }
    }
}

fn target(reference: &Reference) -> (&Ident, &Ident) {
    (&reference.module, &reference.model)
}

/// The key under that name, before the publication.
fn add(work: &mut Work, scope: &Scope<'_>, field: &Field, path: &str, key: &str) {
    let name = scope.model.name();
    let proof = orphans(scope, field, path);
    work.prove(scope, key, proof.clone(), |work| {
        // A column that is not there yet has no orphans.
        if scope.table.column(field.column().as_str()).is_some() {
            work.proofs.extend(proof);
        }
        let statement = ddl::add_foreign_key(name, key, field);
        let statement = statement.map(|s| Statement::of(s).locking(Lock::ShareRowExclusive));
        work.expand.extend(statement);
    });
}

fn orphans(scope: &Scope<'_>, field: &Field, path: &str) -> Option<Proof> {
    Some(Proof {
        count: ddl::count_orphans(scope.model.name(), field)?,
        refusal: "refer to a row that is not there: change them first".into(),
        path: format!("{path}.references"),
    })
}
