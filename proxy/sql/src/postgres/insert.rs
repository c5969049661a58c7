//! Creating one row, and the lock on what it refers to.

mod many;

pub use many::{Key, NewRows, Taken, deleted_among, first_taken, insert_many, lock_parents};

use model::{ModelName, ModuleModel, Reference, TenantId};

use super::{
    binds::{Binds, TENANT},
    quote,
    select::Output,
    size, table,
};
use crate::Statement;

/// A row to be written.
#[derive(Debug, Clone)]
pub struct NewRow<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who writes.
    pub user: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Canonical values of every field of the model, in the model's order; an array as `array_literal`.
    ///
    /// All of them in every insert, so that one text serves a model.
    pub values: &'a [Option<String>],
}

/// The statement that creates a row and answers `returning`, then the guard of its size where it needs one; no row when a parent is not there.
///
/// Parents are locked by [`lock_parent`] in an earlier statement of the same transaction. That they live is asked
/// again here, in a younger snapshot, since nothing else in a pipeline could stop this statement.
pub fn insert(model: &ModuleModel, row: &NewRow<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&row.tenant);
    let mut names = vec!["tenant_id".to_owned(), "id".to_owned()];
    let mut values = vec![
        "$1::uuid".to_owned(),
        binds.typed("uuid", Some(row.id.to_owned())),
    ];
    let mut parents = Vec::new();
    for (field, value) in model.fields().iter().zip(row.values) {
        let expression = binds.value(&field.field_type, value.clone());
        if let Some(reference) = &field.references {
            parents.push(parent_lives(model, reference, &expression, &values[1]));
        }
        names.push(quote(&field.column()));
        values.push(expression);
    }
    let user = binds.typed("text", Some(row.user.to_owned()));
    names.extend(["created_by".to_owned(), "updated_by".to_owned()]);
    values.extend([user.clone(), user]);
    let condition = match parents.as_slice() {
        [] => String::new(),
        some => format!(" where {}", some.join(" and ")),
    };
    let text = format!(
        "insert into {} ({}) select {}{condition} returning {}{}",
        table(model.name()),
        names.join(", "),
        values.join(", "),
        binds.outputs(returning),
        size::guard(model),
    );
    binds.finish(text)
}

/// A row may refer to itself as it is created: then there is no parent to be found yet.
fn parent_lives(model: &ModuleModel, reference: &Reference, value: &str, id: &str) -> String {
    let target = reference.target();
    let itself = if target == *model.name() {
        format!("{value} = {id} or ")
    } else {
        String::new()
    };
    format!("({value} is null or {itself}{})", lives(&target, value))
}

/// `exists` of a live row of the target.
pub(super) fn lives(target: &ModelName, id: &str) -> String {
    format!(
        "exists (select from {} where {TENANT} and id = {id} and deleted_at is null)",
        table(target)
    )
}

/// The statement that locks a live row of the target against deletion until the transaction ends; no row when
/// there is none.
pub fn lock_parent(tenant: &TenantId, reference: &Reference, id: &str) -> Statement {
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let target = table(&reference.target());
    let text = format!(
        "select 1 from {target} where {TENANT} and id = {id} and deleted_at is null for share"
    );
    binds.finish(text)
}
