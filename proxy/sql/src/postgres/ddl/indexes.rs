//! Indexes of tables that exist: what is wanted, and statements that build, swap and drop without stopping writers.

use model::{Ident, Index, ModelName, ModuleModel};

use super::{index_name, reference_index_name, unique_name};
use crate::postgres::{quote_text, schema, table};

/// An index as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexShape {
    /// Its name in the schema.
    pub name: String,
    /// Columns, in order, `tenant_id` first.
    pub columns: Vec<String>,
    /// Whether two live rows of a tenant may not have the same values.
    pub unique: bool,
    /// Where its author wrote it, such as `spec.unique[0]`.
    pub path: String,
}

/// What the predicate of a unique index looks like when PostgreSQL prints it.
pub const LIVE_PRINTED: &str = "(deleted_at IS NULL)";

/// Every index of a model besides the primary key: of its references, declared ones, unique keys.
pub fn index_shapes(model: &ModuleModel) -> Vec<IndexShape> {
    let name = model.name();
    let shape = |name: String, columns: Vec<String>, unique: bool, path: String| IndexShape {
        name,
        columns: std::iter::once("tenant_id".to_owned())
            .chain(columns)
            .collect(),
        unique,
        path,
    };
    let references = model.fields().iter().enumerate();
    let references = references.filter(|(_, f)| f.references.is_some());
    let references = references.map(|(i, f)| {
        let column = f.column().as_str().to_owned();
        let path = format!("spec.fields[{i}].references");
        shape(reference_index_name(name, f), vec![column], false, path)
    });
    let indexes = model.indexes().iter().enumerate().map(|(i, index)| {
        let mut columns = columns_of(model, index);
        // The cursor ends in `id`; with it in the index a page is one range of it.
        if !columns.iter().any(|c| c == "id") {
            columns.push("id".into());
        }
        let path = format!("spec.indexes[{i}]");
        shape(index_name(name, index), columns, false, path)
    });
    let unique = model.unique().iter().enumerate().map(|(i, unique)| {
        let path = format!("spec.unique[{i}]");
        shape(
            unique_name(name, unique),
            columns_of(model, unique),
            true,
            path,
        )
    });
    references.chain(indexes).chain(unique).collect()
}

/// The columns of an index. A checked model has every one of them.
fn columns_of(model: &ModuleModel, index: &Index) -> Vec<String> {
    let column = |name: &Ident| model.column(name.as_str());
    let columns = index.fields.iter().filter_map(column);
    columns.map(|c| c.column.as_str().to_owned()).collect()
}

/// The statement that makes it, under the name given; outside of a transaction when `concurrently`.
pub fn create_index(
    model: &ModelName,
    shape: &IndexShape,
    name: &str,
    concurrently: bool,
) -> String {
    let columns: Vec<_> = shape.columns.iter().map(|c| quote_text(c)).collect();
    format!(
        "create {}index {}{} on {} ({}){}",
        if shape.unique { "unique " } else { "" },
        if concurrently { "concurrently " } else { "" },
        quote_text(name),
        table(model),
        columns.join(", "),
        if shape.unique {
            " where deleted_at is null"
        } else {
            ""
        },
    )
}

/// Drops an index without stopping anybody; outside of a transaction.
pub fn drop_index_concurrently(module: &Ident, name: &str) -> String {
    format!(
        "drop index concurrently if exists {}.{}",
        schema(module),
        quote_text(name)
    )
}

/// Gives an index another name.
pub fn rename_index(module: &Ident, from: &str, to: &str) -> String {
    format!(
        "alter index {}.{} rename to {}",
        schema(module),
        quote_text(from),
        quote_text(to)
    )
}

/// How many rows share their values with another, where a unique key over these columns would forbid it.
pub fn count_duplicates(model: &ModelName, shape: &IndexShape) -> String {
    let columns: Vec<_> = shape.columns.iter().map(|c| quote_text(c)).collect();
    let present: Vec<_> = columns.iter().map(|c| format!("{c} is not null")).collect();
    format!(
        "select coalesce(sum(n), 0)::bigint from (select count(*) as n from {} where deleted_at is null and {} group by {} having count(*) > 1) as same",
        table(model),
        present.join(" and "),
        columns.join(", ")
    )
}
