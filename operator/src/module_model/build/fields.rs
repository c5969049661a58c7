//! Columns of a table that exists, against the fields of the spec.

use std::collections::BTreeSet;

use crds::{ConditionType, Reason};
use model::{Draft, Field, FieldType, ModuleModel};
use sql::postgres::{column_type, ddl};

use super::{ObservedTable, Plan};
use crate::report::Refusal;

/// Columns that every table has besides its fields.
const SYSTEM_COLUMNS: [&str; 9] = [
    "tenant_id",
    "id",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "version",
    "deleted_at",
    "delete_id",
];

pub(super) fn compare(
    plan: &mut Plan,
    model: &ModuleModel,
    ledger: &BTreeSet<String>,
    table: &ObservedTable,
    previous: &Draft,
) -> Result<(), Refusal> {
    let left: Vec<_> = ledger
        .iter()
        .filter(|c| !serves(model, c))
        .map(String::as_str)
        .collect();
    if !left.is_empty() {
        return Err(Refusal {
            condition: ConditionType::SchemaApplied,
            reason: Reason::DestructiveChange,
            message: format!(
                "spec.fields: {} left the spec, and dropping a column loses its data; nothing was changed",
                left.join(", ")
            ),
        });
    }
    for (i, field) in model.fields().iter().enumerate() {
        let path = format!("spec.fields[{i}]");
        let before = previous.fields.iter().find(|f| f.name == field.name);
        match (table.column(field.column().as_str()), before) {
            (None, _) => add(plan, model, field, &path)?,
            (Some(_), None) => {
                let message = format!(
                    "{path}.name: column {} exists and is not ours",
                    field.column().as_str()
                );
                return Err(Refusal::of_spec(Reason::NameConflict, message));
            }
            (Some(_), Some(before)) => {
                widen(plan, model, before, field, &path)?;
                look_for_drift(plan, model, table, before);
            }
        }
    }
    let known = |name: &str| SYSTEM_COLUMNS.contains(&name) || serves(model, name);
    let extra = table.columns.iter().filter(|c| !known(&c.name));
    plan.drift
        .extra
        .extend(extra.map(|c| format!("column {}", c.name)));
    Ok(())
}

/// Whether a field of the model is served from that column.
fn serves(model: &ModuleModel, column: &str) -> bool {
    let mut fields = model.fields().iter();
    fields.any(|field| field.column() == *column)
}

/// A column that is not there.
fn add(plan: &mut Plan, model: &ModuleModel, field: &Field, path: &str) -> Result<(), Refusal> {
    if field.required {
        let message = format!("{path}.required: a field added to an existing table is nullable");
        return Err(Refusal::of_spec(Reason::NotYetSupported, message));
    }
    let constant = ddl::default_of(field).is_none_or(|d| d != "now()" && d != "gen_random_uuid()");
    if !constant {
        // Rows that are there would differ from one another, and no change event would tell ClickHouse.
        let message = format!(
            "{path}.default: a field added to an existing table has a constant default or none"
        );
        return Err(Refusal::of_spec(Reason::NotYetSupported, message));
    }
    let name = model.name();
    plan.postgres.extend(ddl::add_column(name, field));
    if ddl::check_of(field).is_some() {
        plan.validate.push(ddl::validate_constraint(
            name,
            &ddl::check_name(name, field),
        ));
    }
    if field.references.is_some() {
        plan.validate.push(ddl::validate_constraint(
            name,
            &ddl::reference_name(name, field),
        ));
    }
    Ok(())
}

/// What may change of a field whose column is there: an enum gains values, a text may be longer.
fn widen(
    plan: &mut Plan,
    model: &ModuleModel,
    before: &Field,
    field: &Field,
    path: &str,
) -> Result<(), Refusal> {
    let refuse = |what: &str, why: &str| {
        Err(Refusal::of_spec(
            Reason::NotYetSupported,
            format!("{path}.{what}: {why}"),
        ))
    };
    let changed = match (&before.field_type, &field.field_type) {
        (one, other) if one == other => false,
        (FieldType::Text { max_length: before }, FieldType::Text { max_length: after }) => {
            if before.is_none()
                || after.is_some_and(|after| before.is_some_and(|before| after < before))
            {
                return refuse("maxLength", "making a text shorter is not supported");
            }
            true
        }
        (FieldType::Enum { values: before }, FieldType::Enum { values: after }) => {
            if let Some(gone) = before.iter().find(|v| !after.contains(v)) {
                return refuse(
                    "values",
                    &format!("removing the value {gone:?} is not supported"),
                );
            }
            true
        }
        (FieldType::Decimal { .. }, FieldType::Decimal { .. }) => {
            return refuse("precision", "changing a decimal is not supported");
        }
        (FieldType::Array { .. }, FieldType::Array { .. }) => {
            return refuse("items", "changing what an array holds is not supported");
        }
        (one, _) => {
            return refuse(
                "type",
                &format!("changing the type from {} is not supported", one.name()),
            );
        }
    };
    if before.required != field.required {
        return refuse(
            "required",
            "changing it on an existing field is not supported",
        );
    }
    if before.default != field.default {
        return refuse(
            "default",
            "changing it on an existing field is not supported",
        );
    }
    if before.references != field.references {
        return refuse(
            "references",
            "changing it on an existing field is not supported",
        );
    }
    if changed {
        let name = model.name();
        plan.postgres.extend(ddl::replace_check(name, field));
        if ddl::check_of(field).is_some() {
            plan.validate.push(ddl::validate_constraint(
                name,
                &ddl::check_name(name, field),
            ));
        }
    }
    Ok(())
}

/// Whether the column is still what was applied: `applied` is the field as it was then.
fn look_for_drift(plan: &mut Plan, model: &ModuleModel, table: &ObservedTable, applied: &Field) {
    let name = model.name();
    let applied_column = applied.column();
    let text = applied_column.as_str();
    let Some(column) = table.column(text) else {
        return;
    };
    if column.type_ != column_type(&applied.field_type) || column.not_null != applied.required {
        plan.drift.modified.push(format!("column {text}"));
    }
    if let Some(expected) = printed_check(applied) {
        let constraint = ddl::check_name(name, applied);
        match table.constraint(&constraint) {
            None => plan.drift.missing.push(format!("constraint {constraint}")),
            Some(found) if !is_printed(&found.definition, &expected) => {
                plan.drift.modified.push(format!("constraint {constraint}"));
            }
            Some(_) => {}
        }
    }
    if applied.references.is_some() {
        let constraint = ddl::reference_name(name, applied);
        if table.constraint(&constraint).is_none() {
            plan.drift.missing.push(format!("constraint {constraint}"));
        }
        let index = ddl::reference_index_name(name, applied);
        if !table.indexes.contains(&index) {
            plan.drift.missing.push(format!("index {index}"));
        }
    }
}

/// The check of a field as `pg_get_constraintdef` prints it, without double quotes: whether it quotes a name depends
/// on its list of keywords.
fn printed_check(field: &Field) -> Option<String> {
    let column = field.column();
    let column = column.as_str();
    let condition = match &field.field_type {
        FieldType::Text {
            max_length: Some(max),
        } => format!("char_length({column}) <= {max}"),
        FieldType::Enum { values } => {
            let plain = |v: &String| format!("'{}'::text", v.replace('\'', "''"));
            format!(
                "{column} = ANY (ARRAY[{}])",
                values.iter().map(plain).collect::<Vec<_>>().join(", ")
            )
        }
        FieldType::Array { items } => {
            let item = column_type(&items.as_field_type());
            format!("array_position({column}, NULL::{item}) IS NULL")
        }
        _ => return None,
    };
    Some(format!("CHECK (({condition}))").replace('"', ""))
}

fn is_printed(definition: &str, expected: &str) -> bool {
    let definition = definition.strip_suffix(" NOT VALID").unwrap_or(definition);
    definition.replace('"', "") == *expected
}
