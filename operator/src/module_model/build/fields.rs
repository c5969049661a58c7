//! Columns of a table that exists, against the fields of the spec.

use model::{Draft, Field, FieldType, ModuleModel};
use sql::postgres::ddl::{self, Conversion, Fill};

use super::{
    Desired, Observed, ObservedTable, Plan, drift,
    step::{ColumnChange, Proof, Statement, Step},
    target::{FieldChange, Kind, destructive, is_wider},
    work::{Work, validate},
};
use crate::report::Refusal;

/// What the comparison of a field needs.
pub(super) struct Scope<'a> {
    pub desired: &'a Desired,
    /// With the columns that it will have.
    pub model: &'a ModuleModel,
    pub observed: &'a Observed,
    pub table: &'a ObservedTable,
    /// What was applied last.
    pub previous: &'a Draft,
    /// The same, as far as it can be read as a model of today.
    pub before: Option<&'a ModuleModel>,
}

pub(super) fn compare(
    plan: &mut Plan,
    work: &mut Work,
    scope: &Scope<'_>,
    fields: &[FieldChange],
) -> Result<(), Refusal> {
    for change in fields {
        let FieldChange { field, path, kind } = change;
        match kind {
            Kind::New => add(work, scope, field, path)?,
            Kind::Same(before) => {
                let changes = stay(work, scope, before, field, path)?;
                if !changes {
                    drift::column(plan, scope, before);
                }
            }
            Kind::Copy(before, conversion) => {
                copy(work, scope, before, field, conversion, path)?;
            }
        }
    }
    Ok(())
}

/// A field that was not there.
fn add(work: &mut Work, scope: &Scope<'_>, field: &Field, path: &str) -> Result<(), Refusal> {
    let name = scope.model.name();
    let default = ddl::default_of(field);
    // Rows that are there would differ from one another, and no change event would tell ClickHouse.
    let fills = default.is_some_and(|d| d == "now()" || d == "gen_random_uuid()");
    let found = scope.table.column(field.column().as_str()).is_some();
    let known = scope.observed.column(field.column().as_str());
    if !found {
        if fills {
            work.expand.push(of(ddl::add_empty_column(name, field)));
            work.expand.push(of(ddl::set_default(name, field)));
        } else {
            if field.required && field.default.is_none() {
                work.proofs.push(Proof {
                    count: ddl::count_rows(name),
                    refusal:
                        "have no value for it: give the field a default, or add it without required"
                            .into(),
                    path: format!("{path}.required"),
                });
            }
            work.expand.push(of(ddl::add_column(name, field)));
        }
        work.added.push(added(field, None, fills));
        if ddl::check_of(field).is_some() {
            let check = ddl::check_name(name, field);
            work.afterwards.push(validate(scope.model, &check, None));
        }
    } else if known.is_none() {
        return Err(drift::not_ours(field, path));
    } else {
        prove_check(work, scope, field);
    }
    if fills {
        let filled = known.is_some_and(|k| k.filled);
        if !filled {
            work.backfills.push(backfill(field, Fill::Default, None));
        }
        require(work, scope, field, None);
    }
    Ok(())
}

/// A field that stays in its column. Answers whether anything of it changes.
fn stay(
    work: &mut Work,
    scope: &Scope<'_>,
    before: &Field,
    field: &Field,
    path: &str,
) -> Result<bool, Refusal> {
    let (name, column) = (scope.model.name(), field.column());
    let mut changes = false;
    if before.field_type != field.field_type {
        changes = true;
        if matches!(field.field_type, FieldType::Decimal { .. }) {
            work.publish.push(of(ddl::alter_type(name, field)));
        } else if is_wider(&before.field_type, &field.field_type) {
            work.publish
                .extend(ddl::replace_check(name, field).into_iter().map(of));
            if ddl::check_of(field).is_some() {
                let check = ddl::check_name(name, field);
                work.afterwards.push(validate(scope.model, &check, None));
            }
        } else {
            narrow(work, scope, field, path)?;
        }
    } else {
        prove_check(work, scope, field);
    }
    if before.default != field.default {
        changes = true;
        work.publish.push(of(ddl::set_default(name, field)));
    }
    match (before.required, field.required) {
        (true, false) => {
            changes = true;
            work.publish.push(of(ddl::drop_not_null(name, &column)));
        }
        (false, true) => {
            changes = true;
            allowed(
                scope,
                &format!("{path}.required"),
                "rows without a value would be refused",
            )?;
            let nulls = Proof {
                count: ddl::count_nulls(name, &column),
                refusal: "have no value for it: give them one, or give the field a default".into(),
                path: format!("{path}.required"),
            };
            let known = scope.observed.column(column.as_str());
            let begun = known.is_some_and(|k| k.requiring);
            if field.default.is_none() {
                work.proofs.push(nulls.clone());
            } else {
                if !begun {
                    let column = column.as_str().to_owned();
                    work.added.push(ColumnChange::Refilled { column });
                }
                if !(begun && known.is_some_and(|k| k.filled)) {
                    work.backfills.push(backfill(field, Fill::Default, None));
                }
                work.settled.push(settled(field));
            }
            require(work, scope, field, Some(nulls));
        }
        _ => {
            // Somebody began to require it and thought better of it.
            let known = scope.observed.column(column.as_str());
            if known.is_some_and(|k| k.requiring) {
                changes = true;
                work.settled.push(settled(field));
            }
        }
    }
    Ok(changes)
}

/// A shorter text or fewer values: proven beside the wider check, whose place it takes with the publication.
fn narrow(work: &mut Work, scope: &Scope<'_>, field: &Field, path: &str) -> Result<(), Refusal> {
    let name = scope.model.name();
    let what = match field.field_type {
        FieldType::Enum { .. } => format!("{path}.values"),
        _ => format!("{path}.maxLength"),
    };
    allowed(scope, &what, "rows with other values would be refused")?;
    let Some(condition) = ddl::check_of(field) else {
        return Ok(());
    };
    let check = ddl::check_name(name, field);
    let flight = ddl::flight_name(&check, &condition);
    let proof = Proof {
        count: ddl::count_violations(name, &condition),
        refusal: "hold a value that it would not allow: change them first".into(),
        path: what,
    };
    work.prove(scope, &flight, Some(proof.clone()), |work| {
        work.proofs.push(proof);
        work.expand
            .push(of(ddl::add_check(name, &flight, &condition)));
    });
    work.publish.push(of(ddl::drop_constraint(name, &check)));
    work.publish
        .push(of(ddl::rename_constraint(name, &flight, &check)));
    Ok(())
}

/// A field that moves to another column: renamed, or of another type.
fn copy(
    work: &mut Work,
    scope: &Scope<'_>,
    before: &Field,
    field: &Field,
    conversion: &Conversion,
    path: &str,
) -> Result<(), Refusal> {
    let name = scope.model.name();
    if !is_wider(&before.field_type, &field.field_type) {
        let why = "values that do not convert would be lost";
        allowed(scope, &format!("{path}.type"), why)?;
    }
    let nulls = field.required && !before.required;
    if nulls {
        let why = "rows without a value would be refused";
        allowed(scope, &format!("{path}.required"), why)?;
    }
    let Some(sync) = ddl::sync(name, before, field) else {
        return Ok(());
    };
    let proof = Proof {
        count: ddl::count_unconvertible(name, before, conversion),
        refusal: format!(
            "hold a value of {} that does not convert: change them first",
            before.name.as_str()
        ),
        path: format!("{path}.type"),
    };
    let column = field.column();
    let found = scope.table.column(column.as_str()).is_some();
    let known = scope.observed.column(column.as_str());
    if found && known.is_none() {
        return Err(drift::not_ours(field, path));
    }
    if !found {
        work.proofs.push(proof.clone());
        if nulls && field.default.is_none() {
            work.proofs.push(Proof {
                count: ddl::count_nulls(name, &before.column()),
                refusal: "have no value for it: give them one, or give the field a default".into(),
                path: format!("{path}.required"),
            });
        }
        work.expand.push(of(ddl::add_empty_column(name, field)));
        if before.default.is_some() {
            work.expand
                .push(of(ddl::drop_default(name, &before.column())));
        }
        work.added
            .push(added(field, Some(before.column().as_str()), true));
    }
    if !scope
        .table
        .triggers
        .contains(&ddl::sync_name(name, &column))
    {
        work.expand.extend(sync.into_iter().map(of));
    }
    if !known.is_some_and(|k| k.filled) {
        let fill = Fill::Copy {
            from: before.clone(),
            conversion: conversion.clone(),
        };
        work.backfills.push(backfill(field, fill, Some(proof)));
    }
    if ddl::check_of(field).is_some() {
        let check = ddl::check_name(name, field);
        if !scope.constraint(&check).is_some_and(|c| c.validated) {
            work.validations.push(validate(scope.model, &check, None));
        }
    }
    require(work, scope, field, None);
    if before.required {
        // Whoever knows the new column only leaves the old one to the trigger, which may find null.
        work.publish
            .push(of(ddl::drop_not_null(name, &before.column())));
    }
    Ok(())
}

/// NOT NULL without a scan under a strong lock, where the field is required.
fn require(work: &mut Work, scope: &Scope<'_>, field: &Field, proof: Option<Proof>) {
    if !field.required {
        return;
    }
    let (name, column) = (scope.model.name(), field.column());
    let required = ddl::required_name(name, field);
    work.prove(scope, &required, proof, |work| {
        work.filled.push(of(ddl::require(name, field)));
    });
    work.publish.push(of(ddl::set_not_null(name, &column)));
    work.publish.push(of(ddl::drop_constraint(name, &required)));
}

/// The check of a column that is there and that a run before did not get to prove.
fn prove_check(work: &mut Work, scope: &Scope<'_>, field: &Field) {
    let check = ddl::check_name(scope.model.name(), field);
    if scope.constraint(&check).is_some_and(|c| !c.validated) {
        work.afterwards.push(validate(scope.model, &check, None));
    }
}

fn allowed(scope: &Scope<'_>, path: &str, why: &str) -> Result<(), Refusal> {
    if scope.desired.policy.allow_destructive {
        return Ok(());
    }
    Err(destructive(format!(
        "{path}: {why}; write spec.migrations.policy.allowDestructive: true if that is meant; nothing was changed"
    )))
}

fn backfill(field: &Field, fill: Fill, proof: Option<Proof>) -> Step {
    Step::Backfill {
        field: Box::new(field.clone()),
        fill: Box::new(fill),
        proof,
    }
}

fn settled(field: &Field) -> ColumnChange {
    ColumnChange::Settled {
        column: field.column().as_str().to_owned(),
    }
}

fn added(field: &Field, source: Option<&str>, filling: bool) -> ColumnChange {
    ColumnChange::Added {
        column: field.column().as_str().to_owned(),
        field: field.name.as_str().to_owned(),
        definition: field.field_type.clone(),
        source: source.map(str::to_owned),
        filling,
    }
}

fn of(sql: String) -> Statement {
    Statement::of(sql)
}

impl Scope<'_> {
    /// The constraint of that name.
    pub fn constraint(&self, name: &str) -> Option<&super::super::observe::ObservedConstraint> {
        self.table.constraint(name)
    }
}
