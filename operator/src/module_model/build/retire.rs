//! Columns that nobody is to use any more: fields that left the spec, columns that another has taken over from, and
//! what an abandoned change left.

use std::collections::BTreeSet;

use model::{ColumnName, Field};
use sql::postgres::ddl;

use super::{
    fields::Scope,
    step::{ColumnChange, Lock, Statement},
    target::{FieldChange, Kind, destructive},
    work::Work,
};
use crate::report::Refusal;

pub(super) fn compare(
    work: &mut Work,
    scope: &Scope<'_>,
    fields: &[FieldChange],
) -> Result<(), Refusal> {
    let name = scope.model.name();
    let wanted = |column: &str| fields.iter().any(|f| f.field.column() == *column);
    let moved = |before: &Field| {
        fields
            .iter()
            .any(|f| matches!(&f.kind, Kind::Copy(from, _) if from.name == before.name))
    };
    let left: Vec<_> = scope
        .previous
        .fields
        .iter()
        .filter(|b| !wanted(b.column().as_str()) && !moved(b))
        .collect();
    let forbidden: Vec<_> = left
        .iter()
        .map(|f| f.name.as_str())
        .filter(|f| !scope.desired.policy.allow_drop.contains(*f))
        .collect();
    if !forbidden.is_empty() {
        return Err(destructive(format!(
            "spec.fields: {0} left the spec, and dropping a column loses its data; write spec.migrations.policy.allowDrop: [{0}] if that is meant, or renamedFrom on the field that takes over; nothing was changed",
            forbidden.join(", ")
        )));
    }
    for field in &left {
        if field.required
            && scope
                .table
                .column(field.column().as_str())
                .is_some_and(|c| c.not_null)
        {
            // Who does not know the field any more writes rows without it.
            work.publish
                .push(Statement::of(ddl::drop_not_null(name, &field.column())));
        }
    }

    let live = scope.observed.ledger.iter().filter(|c| !c.dropped);
    for entry in live.clone().filter(|c| !wanted(&c.name)) {
        let Ok(column) = entry.name.parse::<ColumnName>() else {
            continue;
        };
        // As the ledger knows them, and as this very plan will add them.
        let known = live
            .clone()
            .filter(|c| c.source.as_deref() == Some(&entry.name));
        let known = known.filter_map(|c| c.name.parse::<ColumnName>().ok());
        let takes_over = |f: &&FieldChange| matches!(&f.kind, Kind::Copy(from, _) if from.column() == *entry.name);
        let coming = fields.iter().filter(takes_over).map(|f| f.field.column());
        let heirs: BTreeSet<_> = known.chain(coming).collect();
        let heir = heirs.iter().any(|c| wanted(c.as_str()));
        for heir in &heirs {
            work.contract.extend(end_sync(scope, heir));
            let field = fields.iter().find(|f| f.field.column() == *heir);
            if let Some(field) = field.filter(|f| f.field.default.is_some()) {
                work.contract
                    .push(Statement::of(ddl::set_default(name, &field.field)));
            }
        }
        // Of a change that was given up: what it took over from has its default again.
        if let Some(source) = &entry.source {
            work.contract.extend(end_sync(scope, &column));
            let kept = fields.iter().find(|f| f.field.column() == **source);
            if let Some(kept) = kept.filter(|f| f.field.default.is_some()) {
                work.contract
                    .push(Statement::of(ddl::set_default(name, &kept.field)));
            }
        }
        work.contract.push(
            Statement::of(ddl::drop_column(name, &column))
                .destroying(!heir && entry.source.is_none()),
        );
        work.dropped.push(ColumnChange::Dropped {
            column: entry.name.clone(),
        });
    }
    Ok(())
}

/// Constraints that were to be proven for a change that was given up. Nobody counts on them.
pub(super) fn abandoned(work: &mut Work, scope: &Scope<'_>) {
    let name = scope.model.name();
    let fields = scope.model.fields().iter();
    let required: BTreeSet<_> = fields.map(|f| ddl::required_name(name, f)).collect();
    let ours = |constraint: &str| {
        constraint.starts_with(&format!("{}__", ddl::NEW_PREFIX)) || required.contains(constraint)
    };
    for constraint in &scope.table.constraints {
        if ours(&constraint.name) && !work.in_flight.contains(&constraint.name) {
            let drop = ddl::drop_constraint(name, &constraint.name);
            work.publish.push(Statement::of(drop));
        }
    }
}

fn end_sync(scope: &Scope<'_>, column: &ColumnName) -> Vec<Statement> {
    let name = scope.model.name();
    let statements = ddl::drop_sync(name, column).into_iter();
    statements
        .map(|s| Statement::of(s).locking(Lock::AccessExclusive))
        .collect()
}
