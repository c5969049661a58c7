//! Deletion, what it does to rows that refer to what goes, and the way back.

mod cascade;
mod filtered;
mod restore;

pub use cascade::{Cascade, Need};
pub use filtered::{delete_filtered, delete_filtered_ids, referrers_of};
pub use restore::{Restoration, lock_deleted, lock_parent_of, restore};

use model::{Field, ModelName, TenantId};

use super::{
    binds::{Binds, TENANT},
    quote,
    select::Output,
    table,
    update::versions_bind,
};
use crate::Statement;

/// A field of a model that refers to the row.
#[derive(Debug, Clone, Copy)]
pub struct Referrer<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// Its field.
    pub field: &'a Field,
    /// Whether deleted rows count: the row that they refer to leaves its table, and they do not.
    pub counts_deleted: bool,
}

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct Deletion<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who deletes.
    pub user: &'a str,
    /// The model.
    pub model: &'a ModelName,
    /// Which row.
    pub id: &'a str,
    /// One per deleted root; a restore finds by it what went with it.
    pub delete_id: &'a str,
    /// Versions that the row may have; any when `None`.
    pub versions: Option<&'a [i64]>,
    /// Everything that may refer to it.
    pub referrers: &'a [Referrer<'a>],
}

/// The statement that tells, in one row with a column each, which referrers have live rows; none without referrers.
///
/// It follows `update::lock_row` in the same transaction: a child that is being written holds the row shared, so
/// either the lock has waited for it and this younger snapshot sees it, or it waits and then finds no parent.
pub fn live_referrers(deletion: &Deletion<'_>) -> Option<Statement> {
    if deletion.referrers.is_empty() {
        return None;
    }
    let mut binds = Binds::new(&deletion.tenant);
    let id = binds.typed("uuid", Some(deletion.id.to_owned()));
    let each: Vec<_> = deletion
        .referrers
        .iter()
        .map(|r| refers(deletion, r, &id, None))
        .collect();
    Some(binds.finish(format!("select {}", each.join(", "))))
}

/// The statement that deletes and answers `returning`; no row when the row is not there, has another version, or is
/// referred to.
pub fn soft_delete(deletion: &Deletion<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&deletion.tenant);
    let id = binds.typed("uuid", Some(deletion.id.to_owned()));
    let user = binds.typed("text", Some(deletion.user.to_owned()));
    let delete_id = binds.typed("uuid", Some(deletion.delete_id.to_owned()));
    let conditions = deletion.conditions(&mut binds, &id, Some(&delete_id));
    let text = format!(
        "update {} set version = version + 1, deleted_at = now(), delete_id = {delete_id}, \
         updated_at = greatest(now(), updated_at), updated_by = {user} where {conditions} returning {}",
        table(deletion.model),
        binds.outputs(returning),
    );
    binds.finish(text)
}

/// The same, and the row leaves its table.
pub fn remove(deletion: &Deletion<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&deletion.tenant);
    let id = binds.typed("uuid", Some(deletion.id.to_owned()));
    let conditions = deletion.conditions(&mut binds, &id, None);
    let text = format!(
        "delete from {} where {conditions} returning {}",
        table(deletion.model),
        binds.outputs(returning),
    );
    binds.finish(text)
}

impl Deletion<'_> {
    /// The row is live, has a version that it may have, and nothing refers to it but what went with it already, under
    /// `delete_id`.
    fn conditions(&self, binds: &mut Binds, id: &str, delete_id: Option<&str>) -> String {
        let mut conditions = vec![
            TENANT.to_owned(),
            format!("id = {id}"),
            "deleted_at is null".to_owned(),
        ];
        if let Some(versions) = self.versions {
            conditions.push(format!("version = any({})", versions_bind(binds, versions)));
        }
        let referrers = self.referrers.iter();
        conditions.extend(referrers.map(|r| format!("not {}", refers(self, r, id, delete_id))));
        conditions.join(" and ")
    }
}

/// A row that refers to itself may go.
fn refers(
    deletion: &Deletion<'_>,
    referrer: &Referrer<'_>,
    id: &str,
    delete_id: Option<&str>,
) -> String {
    let counted = match (referrer.counts_deleted, delete_id) {
        (false, _) => " and deleted_at is null".to_owned(),
        (true, Some(delete_id)) => format!(" and delete_id is distinct from {delete_id}"),
        (true, None) => String::new(),
    };
    let other = if referrer.model == deletion.model {
        format!(" and id <> {id}")
    } else {
        String::new()
    };
    format!(
        "exists (select from {} where {TENANT} and {} = {id}{counted}{other})",
        table(referrer.model),
        quote(&referrer.field.column()),
    )
}
