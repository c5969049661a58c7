//! Changing one live row, or several.

mod filtered;
mod many;
mod merge;

pub use filtered::{FilteredChange, update_filtered, update_filtered_count};
pub use many::{Changes, NewValues, get_many, is_written, lock_rows, update_many};
pub use merge::JsonChange;

use model::{Field, ModelName, ModuleModel, TenantId};

use super::{
    binds::{Binds, TENANT},
    insert::lives,
    quote,
    select::Output,
    size, table, unqualified,
};
use crate::Statement;

/// What is to change in which row.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who writes.
    pub user: &'a str,
    /// Which row.
    pub id: &'a str,
    /// Fields with their new canonical values; not empty.
    pub values: &'a [(&'a Field, Option<String>)],
    /// Versions that the row may have; any when `None`.
    pub versions: Option<&'a [i64]>,
    /// How values of JSON fields are meant.
    pub json: JsonChange,
}

/// The statement that locks a live row and answers its version; no row when there is none.
///
/// It stands before the write, so that "not there", "another version" and "a parent is missing" are told apart.
pub fn lock_row(tenant: &TenantId, model: &ModelName, id: &str) -> Statement {
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let text = format!(
        "select version from {} where {TENANT} and id = {id} and deleted_at is null for update",
        table(model)
    );
    binds.finish(text)
}

/// The statement that changes a row, adds 1 to its version and answers `returning`, then the guard of its size; no row when it is not there,
/// has another version, or a new parent is not there.
pub fn update(model: &ModuleModel, change: &Change<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&change.tenant);
    let id = binds.typed("uuid", Some(change.id.to_owned()));
    let user = binds.typed("text", Some(change.user.to_owned()));
    let mut sets = vec![
        "version = version + 1".to_owned(),
        // A transaction may have begun before the one whose row it now changes.
        "updated_at = greatest(now(), updated_at)".to_owned(),
        format!("updated_by = {user}"),
    ];
    let mut conditions = vec![
        TENANT.to_owned(),
        format!("id = {id}"),
        "deleted_at is null".to_owned(),
    ];
    if let Some(versions) = change.versions {
        conditions.push(format!(
            "version = any({})",
            versions_bind(&mut binds, versions)
        ));
    }
    for (field, value) in change.values {
        let is_null = value.is_none();
        let row = unqualified(model.name());
        let expression = change.json.bound(&mut binds, field, value.clone(), &row);
        if let Some(reference) = field.references.as_ref().filter(|_| !is_null) {
            conditions.push(lives(&reference.target(), &expression));
        }
        sets.push(format!("{} = {expression}", quote(&field.column())));
    }
    let text = format!(
        "update {} set {} where {} returning {}{}",
        table(model.name()),
        sets.join(", "),
        conditions.join(" and "),
        binds.outputs(returning),
        size::guard(model),
    );
    binds.finish(text)
}

/// Versions as one bind, so that the text does not depend on how many there are.
pub(super) fn versions_bind(binds: &mut Binds, versions: &[i64]) -> String {
    let versions: Vec<_> = versions.iter().map(i64::to_string).collect();
    binds.typed("bigint[]", Some(format!("{{{}}}", versions.join(","))))
}
