//! What was applied, put back in the words in which PostgreSQL described it. Definitions come from its own catalogue
//! (`pg_get_expr`, `pg_get_constraintdef`, `pg_get_indexdef`), noted when the model had just been applied.

use model::ModelName;

use crate::postgres::{quote_text, schema, table};

/// The default of a column.
pub fn restore_default(name: &ModelName, column: &str, definition: &str) -> String {
    format!(
        "alter table {} alter column {} set default {definition}",
        table(name),
        quote_text(column)
    )
}

/// A constraint, in place of another one of its name if there is one.
pub fn restore_constraint(
    name: &ModelName,
    constraint: &str,
    definition: &str,
    replace: bool,
) -> Vec<String> {
    let (table, constraint) = (table(name), quote_text(constraint));
    let drop = format!("alter table {table} drop constraint if exists {constraint}");
    let add = format!("alter table {table} add constraint {constraint} {definition}");
    replace.then_some(drop).into_iter().chain([add]).collect()
}

/// An index, in place of another one of its name if there is one. It holds up writers while it is built.
pub fn restore_index(
    name: &ModelName,
    index: &str,
    definition: &str,
    replace: bool,
) -> Vec<String> {
    let drop = format!(
        "drop index if exists {}.{}",
        schema(&name.module),
        quote_text(index)
    );
    let create = definition.to_owned();
    replace
        .then_some(drop)
        .into_iter()
        .chain([create])
        .collect()
}
