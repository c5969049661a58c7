//! Conditions of the model's author: counted, added NOT VALID, proven, published. One that changes is proven under
//! another name first.

use sql::postgres::ddl;

use super::{
    Plan,
    fields::Scope,
    step::{Proof, Statement},
    work::{Work, validate},
};

pub(super) fn compare(plan: &mut Plan, work: &mut Work, scope: &Scope<'_>) {
    let name = scope.model.name();
    for (i, check) in scope.model.checks().iter().enumerate() {
        let Some(condition) = ddl::condition_of(scope.model, check) else {
            continue;
        };
        let constraint = ddl::condition_name(name, check);
        let applied = scope.before.and_then(|m| {
            let check = m.checks().iter().find(|b| b.name == check.name)?;
            ddl::condition_of(m, check)
        });
        let found = scope.constraint(&constraint);
        if applied.as_ref() == Some(&condition) {
            match found {
                None => plan.drift.missing.push(format!("constraint {constraint}")),
                Some(found) if !found.validated => {
                    work.afterwards
                        .push(validate(scope.model, &constraint, None));
                }
                Some(_) => {}
            }
            continue;
        }
        let proof = Proof {
            count: ddl::count_violations(name, &condition),
            refusal: "do not fulfil it: change them first".into(),
            path: format!("spec.checks[{i}]"),
        };
        let flight = ddl::flight_name(&constraint, &condition);
        work.prove(scope, &flight, Some(proof.clone()), |work| {
            work.filled_proofs.push(proof);
            let add = ddl::add_check(name, &flight, &condition);
            work.filled.push(Statement::of(add));
        });
        if found.is_some() {
            let drop = ddl::drop_constraint(name, &constraint);
            work.publish.push(Statement::of(drop));
        }
        let rename = ddl::rename_constraint(name, &flight, &constraint);
        work.publish.push(Statement::of(rename));
    }
    for gone in &scope.previous.checks {
        if !scope.model.checks().iter().any(|c| c.name == gone.name) {
            let drop = ddl::drop_constraint(name, &ddl::condition_name(name, gone));
            work.publish.push(Statement::of(drop));
        }
    }
}
