//! Changes of tables that exist. Nothing here scans or rewrites a table under a lock that stops its readers: what has
//! to be proven of older rows is NOT VALID first, and what has to be written to them is written in batches.

use model::{ColumnName, Field, Ident, ModelName};

use super::{check_name, check_of, default_of, object_name, table::reference_as};
use crate::postgres::{column_type, quote, quote_text, schema, table};

/// The name of an object that is being proven or built, before it takes the place of the one of that name.
/// `definition` is what it is made of: another definition has another name, so that one can be told from the other.
pub fn flight_name(name: &str, definition: &str) -> String {
    object_name(&[NEW_PREFIX, name, &super::names::short_hash(definition)])
}

/// The name of an index whose place another has taken, until nobody uses it any more; `n` tells it from an earlier one.
pub fn retired_name(name: &str, n: u32) -> String {
    object_name(&[OLD_PREFIX, name, &n.to_string()])
}

/// First part of a [`flight_name`]. No model begins with an underscore.
pub const NEW_PREFIX: &str = "_new";
/// First part of a [`retired_name`].
pub const OLD_PREFIX: &str = "_old";

/// The check that stands in for NOT NULL until older rows are proven.
pub fn required_name(name: &ModelName, field: &Field) -> String {
    object_name(&[name.model.as_str(), field.column().as_str(), "required"])
}

/// A column that is filled afterwards: nullable and without a default, with its check not yet proven.
pub fn add_empty_column(name: &ModelName, field: &Field) -> String {
    let column = quote(&field.column());
    let mut action = format!("add column {column} {}", column_type(&field.field_type));
    if let Some(check) = check_of(field) {
        let constraint = quote_text(&check_name(name, field));
        action.push_str(&format!(
            ", add constraint {constraint} check ({check}) not valid"
        ));
    }
    alter(name, &action)
}

/// Refuses null in new rows; older ones are not looked at.
pub fn require(name: &ModelName, field: &Field) -> String {
    let action = format!(
        "add constraint {} check ({} is not null) not valid",
        quote_text(&required_name(name, field)),
        quote(&field.column())
    );
    alter(name, &action)
}

/// NOT NULL. With [`require`]'s check proven PostgreSQL scans nothing.
pub fn set_not_null(name: &ModelName, column: &ColumnName) -> String {
    alter(
        name,
        &format!("alter column {} set not null", quote(column)),
    )
}

/// Lets a column hold null.
pub fn drop_not_null(name: &ModelName, column: &ColumnName) -> String {
    alter(
        name,
        &format!("alter column {} drop not null", quote(column)),
    )
}

/// The default of new rows, or that there is none.
pub fn set_default(name: &ModelName, field: &Field) -> String {
    match default_of(field) {
        Some(default) => {
            let column = quote(&field.column());
            alter(
                name,
                &format!("alter column {column} set default {default}"),
            )
        }
        None => drop_default(name, &field.column()),
    }
}

/// No default.
pub fn drop_default(name: &ModelName, column: &ColumnName) -> String {
    alter(
        name,
        &format!("alter column {} drop default", quote(column)),
    )
}

/// Another type of the same column. Only where PostgreSQL keeps the rows as they are (more digits of a numeric).
pub fn alter_type(name: &ModelName, field: &Field) -> String {
    let column = quote(&field.column());
    let to = column_type(&field.field_type);
    alter(name, &format!("alter column {column} type {to}"))
}

/// A column goes, with its checks, keys and indexes.
pub fn drop_column(name: &ModelName, column: &ColumnName) -> String {
    alter(name, &format!("drop column if exists {}", quote(column)))
}

/// A check under a name of its own, not proven yet.
pub fn add_check(name: &ModelName, constraint: &str, condition: &str) -> String {
    let constraint = quote_text(constraint);
    alter(
        name,
        &format!("add constraint {constraint} check ({condition}) not valid"),
    )
}

/// A foreign key under a name of its own, not proven yet; none for a field that references nothing.
pub fn add_foreign_key(name: &ModelName, constraint: &str, field: &Field) -> Option<String> {
    let key = reference_as(constraint, field)?;
    Some(alter(name, &format!("add {key} not valid")))
}

/// A constraint goes.
pub fn drop_constraint(name: &ModelName, constraint: &str) -> String {
    alter(
        name,
        &format!("drop constraint if exists {}", quote_text(constraint)),
    )
}

/// A constraint takes another name.
pub fn rename_constraint(name: &ModelName, from: &str, to: &str) -> String {
    alter(
        name,
        &format!(
            "rename constraint {} to {}",
            quote_text(from),
            quote_text(to)
        ),
    )
}

fn alter(name: &ModelName, action: &str) -> String {
    format!("alter table {} {action}", table(name))
}

/// How many rows there are.
pub fn count_rows(name: &ModelName) -> String {
    format!("select count(*) from {}", table(name))
}

/// How many rows do not fulfil a condition.
pub fn count_violations(name: &ModelName, condition: &str) -> String {
    format!(
        "select count(*) from {} where not coalesce({condition}, true)",
        table(name)
    )
}

/// How many rows hold null there.
pub fn count_nulls(name: &ModelName, column: &ColumnName) -> String {
    format!(
        "select count(*) from {} where {} is null",
        table(name),
        quote(column)
    )
}

/// How many rows refer to a row that is not there; none for a field that references nothing.
pub fn count_orphans(name: &ModelName, field: &Field) -> Option<String> {
    let to = field.references.as_ref()?;
    let target = ModelName {
        module: to.module.clone(),
        model: to.model.clone(),
    };
    let column = quote(&field.column());
    Some(format!(
        "select count(*) from {} c where c.{column} is not null and not exists (select from {} p where p.tenant_id = c.tenant_id and p.id = c.{column})",
        table(name),
        table(&target)
    ))
}

/// A function of a module, qualified.
pub(super) fn qualified(module: &Ident, name: &str) -> String {
    format!("{}.{}", schema(module), quote_text(name))
}
