//! What differs from what was applied, where nothing of it is to change.

use crds::Reason;
use model::{Field, FieldType};
use sql::postgres::{column_type, ddl};

use super::{Plan, fields::Scope};
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

/// Columns that nobody asked for.
pub(super) fn extra_columns(plan: &mut Plan, scope: &Scope<'_>) {
    let known = |name: &str| {
        SYSTEM_COLUMNS.contains(&name)
            || scope.observed.column(name).is_some()
            || scope.model.fields().iter().any(|f| f.column() == *name)
    };
    let extra = scope.table.columns.iter().filter(|c| !known(&c.name));
    plan.drift
        .extra
        .extend(extra.map(|c| format!("column {}", c.name)));
}

/// A column of that name exists, and we did not make it.
pub(super) fn not_ours(field: &Field, path: &str) -> Refusal {
    let message = format!(
        "{path}.name: column {} exists and is not ours",
        field.column().as_str()
    );
    Refusal::of_spec(Reason::NameConflict, message)
}

/// Whether a column is still what was applied: `applied` is the field as it was then.
pub(super) fn column(plan: &mut Plan, scope: &Scope<'_>, applied: &Field) {
    let name = scope.model.name();
    let applied_column = applied.column();
    let text = applied_column.as_str();
    let Some(column) = scope.table.column(text) else {
        plan.drift.missing.push(format!("column {text}"));
        return;
    };
    if column.type_ != column_type(&applied.field_type) || column.not_null != applied.required {
        plan.drift.modified.push(format!("column {text}"));
    }
    if let Some(expected) = printed_check(applied) {
        let constraint = ddl::check_name(name, applied);
        match scope.constraint(&constraint) {
            None => plan.drift.missing.push(format!("constraint {constraint}")),
            Some(found) if !is_printed(&found.definition, &expected) => {
                plan.drift.modified.push(format!("constraint {constraint}"));
            }
            Some(_) => {}
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
        FieldType::Vector { dimension } => format!(
            "(cardinality({column}) = {dimension}) AND (array_dims({column}) = '[1:{dimension}]'::text) \
             AND (array_position({column}, NULL::real) IS NULL) \
             AND ('-Infinity'::real < ALL ({column})) AND ('Infinity'::real > ALL ({column}))"
        ),
        _ => return None,
    };
    Some(format!("CHECK (({condition}))").replace('"', ""))
}

fn is_printed(definition: &str, expected: &str) -> bool {
    let definition = definition.strip_suffix(" NOT VALID").unwrap_or(definition);
    definition.replace('"', "") == *expected
}
