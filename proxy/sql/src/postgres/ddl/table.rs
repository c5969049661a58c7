//! Tables, columns, keys and indexes.

use model::{Field, Ident, ModelName, ModuleModel};

use super::{
    OWNER_ROLE, PUBLICATION, check_name, check_of, condition_name, condition_of, create_index,
    default_of, expressions::USER_BYTES_MAX, grant_schema, index_shapes, isolate, object_name,
    primary_key_name, reference_name, replica_identity_full,
};
use crate::postgres::{column_type, quote, quote_text, schema, table};

/// The schema of a module, and who may enter it. Safe to run again.
pub fn create_schema(module: &Ident) -> Vec<String> {
    let create = format!(
        "create schema if not exists {} authorization {OWNER_ROLE}",
        schema(module)
    );
    std::iter::once(create)
        .chain(grant_schema(module))
        .collect()
}

/// Everything of a new model, in order: schema, table, keys, indexes, fence, grants, replica identity. Tables that
/// it references must exist. Capture is [`add_to_publication`], in the same transaction.
pub fn create_model(model: &ModuleModel) -> Vec<String> {
    let name = model.name();
    let mut statements = create_schema(&name.module);
    statements.push(create_table(model));
    let shapes = index_shapes(model);
    statements.extend(shapes.iter().map(|s| create_index(name, s, &s.name, false)));
    statements.extend(isolate(model.name(), model.soft_delete()));
    statements.push(replica_identity(model));
    statements
}

/// What a model leaves behind is dropped: its table, and functions that its triggers ran. Fails while something else
/// depends on them.
pub fn drop_model(name: &ModelName, functions: &[String]) -> Vec<String> {
    let drop_table = format!("drop table if exists {}", table(name));
    let functions = functions.iter().map(|f| {
        format!(
            "drop function if exists {}.{}()",
            schema(&name.module),
            quote_text(f)
        )
    });
    std::iter::once(drop_table).chain(functions).collect()
}

/// Deletes some rows of every tenant, `$1` at most.
pub fn delete_batch(name: &ModelName) -> String {
    let table = table(name);
    format!("delete from {table} where ctid = any (array(select ctid from {table} limit $1))")
}

/// Drops the schema of a module. Fails while something is in it.
pub fn drop_schema(module: &Ident) -> String {
    format!("drop schema if exists {}", schema(module))
}

/// A field of a table that exists: nullable, or with a constant default, or of a table without rows. Nothing here scans
/// the table under its lock: the check is NOT VALID until [`validate_constraint`] has run.
pub fn add_column(name: &ModelName, field: &Field) -> String {
    let mut action = format!("add column {}", column(field));
    if let Some(check) = check_of(field) {
        let constraint = quote_text(&check_name(name, field));
        action.push_str(&format!(
            ", add constraint {constraint} check ({check}) not valid"
        ));
    }
    format!("alter table {} {action}", table(name))
}

/// Puts a field's check in place of an older, narrower one: rows that are there pass it already.
pub fn replace_check(name: &ModelName, field: &Field) -> Vec<String> {
    let constraint = quote_text(&check_name(name, field));
    let mut action = format!("drop constraint if exists {constraint}");
    if let Some(check) = check_of(field) {
        action.push_str(&format!(
            ", add constraint {constraint} check ({check}) not valid"
        ));
    }
    vec![format!("alter table {} {action}", table(name))]
}

/// Proves a NOT VALID constraint; reads and writes go on meanwhile.
pub fn validate_constraint(name: &ModelName, constraint: &str) -> String {
    format!(
        "alter table {} validate constraint {}",
        table(name),
        quote_text(constraint)
    )
}

/// What an update logs of the old row.
pub fn replica_identity(model: &ModuleModel) -> String {
    let identity = if replica_identity_full(model) {
        "full"
    } else {
        "default"
    };
    format!(
        "alter table {} replica identity {identity}",
        table(model.name())
    )
}

/// Starts the capture of a table.
pub fn add_to_publication(name: &ModelName) -> String {
    format!("alter publication {PUBLICATION} add table {}", table(name))
}

/// Ends capture of a table. What was captured stays in the topic.
pub fn drop_from_publication(name: &ModelName) -> String {
    format!("alter publication {PUBLICATION} drop table {}", table(name))
}

/// Waits for the transactions that write to a table, and holds off new ones until this one ends.
pub fn lock_writes(name: &ModelName) -> String {
    format!("lock table {} in share row exclusive mode", table(name))
}

fn create_table(model: &ModuleModel) -> String {
    let name = model.name();
    let user = |column: &str| {
        let constraint = quote_text(&object_name(&[name.model.as_str(), column, "check"]));
        format!(
            "{column} text not null constraint {constraint} check (octet_length({column}) <= {USER_BYTES_MAX})"
        )
    };
    let mut lines: Vec<String> = vec!["tenant_id uuid not null".into(), "id uuid not null".into()];
    for field in model.fields() {
        let mut line = column(field);
        if let Some(check) = check_of(field) {
            line.push_str(&format!(
                " constraint {} check ({check})",
                quote_text(&check_name(name, field))
            ));
        }
        lines.push(line);
    }
    lines.extend([
        "created_at timestamp with time zone not null default now()".into(),
        "updated_at timestamp with time zone not null default now()".into(),
        user("created_by"),
        user("updated_by"),
        "version bigint not null default 1".into(),
        "deleted_at timestamp with time zone".into(),
        "delete_id uuid".into(),
        format!(
            "constraint {} primary key (tenant_id, id)",
            quote_text(&primary_key_name(name))
        ),
    ]);
    lines.extend(
        model
            .fields()
            .iter()
            .filter_map(|field| reference(name, field)),
    );
    lines.extend(model.checks().iter().filter_map(|check| {
        let condition = condition_of(model, check)?;
        let constraint = quote_text(&condition_name(name, check));
        Some(format!("constraint {constraint} check ({condition})"))
    }));
    format!(
        "create table {} (\n  {}\n)",
        table(name),
        lines.join(",\n  ")
    )
}

fn column(field: &Field) -> String {
    let mut line = format!(
        "{} {}",
        quote(&field.column()),
        column_type(&field.field_type)
    );
    if field.required {
        line.push_str(" not null");
    }
    if let Some(default) = default_of(field) {
        line.push_str(&format!(" default {default}"));
    }
    line
}

fn reference(name: &ModelName, field: &Field) -> Option<String> {
    reference_as(&reference_name(name, field), field)
}

/// The foreign key of a field under that name.
pub(super) fn reference_as(constraint: &str, field: &Field) -> Option<String> {
    let to = field.references.as_ref()?;
    let target = ModelName {
        module: to.module.clone(),
        model: to.model.clone(),
    };
    Some(format!(
        "constraint {} foreign key (tenant_id, {}) references {} (tenant_id, id) on update no action on delete no action",
        quote_text(constraint),
        quote(&field.column()),
        table(&target)
    ))
}
