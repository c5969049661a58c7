//! Soft deletion of every live row that a filter finds.

use model::{Column, ModelName, TenantId};

use super::{
    super::{
        binds::{Binds, TENANT},
        quote, select, table,
    },
    Referrer,
};
use crate::{Statement, filter::Filter};

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct FilteredDeletion<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who deletes.
    pub user: &'a str,
    /// The model.
    pub model: &'a ModelName,
    /// Which rows.
    pub filter: &'a Filter,
    /// Most rows; where there are more, none is deleted.
    pub most: u64,
}

/// The statement that locks the rows in the order of their ids, deletes them, each with a `delete_id` of its own, and
/// answers for each `returning`, its id, and last how many rows the filter found, at most one more than `most`. Without
/// a row to delete it answers one row of nulls with that number.
pub fn delete_filtered(deletion: &FilteredDeletion<'_>, returning: &[Column]) -> Statement {
    statement(
        deletion,
        select::list(returning),
        "select changed.*, p.n from (select count(*) as n from picked) p left join changed on true \
         order by changed.\"__id\"",
    )
}

/// The same without rows: how many were deleted, their ids as one array, and how many the filter found.
pub fn delete_filtered_ids(deletion: &FilteredDeletion<'_>) -> Statement {
    statement(
        deletion,
        "1".to_owned(),
        "select (select count(*) from changed), (select array_agg(\"__id\") from changed), \
         (select count(*) from picked)",
    )
}

fn statement(deletion: &FilteredDeletion<'_>, returning: String, answer: &str) -> Statement {
    let mut binds = Binds::new(&deletion.tenant);
    let filter = binds.filter(deletion.filter);
    let beyond = binds.typed("bigint", Some((deletion.most + 1).to_string()));
    let user = binds.typed("text", Some(deletion.user.to_owned()));
    let table = table(deletion.model);
    let text = format!(
        "with picked as materialized (select id as \"__id\" from {table} where {TENANT} and deleted_at is null \
         and {filter} order by id limit {beyond} for update), \
         changed as (update {table} t set version = version + 1, deleted_at = now(), delete_id = gen_random_uuid(), \
         updated_at = greatest(now(), updated_at), updated_by = {user} from picked where {TENANT} \
         and t.id = picked.\"__id\" and (select count(*) from picked) < {beyond} \
         returning {returning}, t.id as \"__id\") {answer}",
    );
    binds.finish(text)
}

/// The statement that tells, in one row with a column each, which referrers have live rows that refer to one of the
/// rows; none without referrers. `ids` is PostgreSQL's text of an array.
///
/// It follows the deletion in the same transaction: a child that is being written holds its parent shared, so the
/// deletion has waited for it and this younger snapshot sees it, or it waits and then finds no parent.
pub fn referrers_of(
    tenant: &TenantId,
    ids: &str,
    referrers: &[Referrer<'_>],
) -> Option<Statement> {
    if referrers.is_empty() {
        return None;
    }
    let mut binds = Binds::new(tenant);
    let ids = binds.typed("uuid[]", Some(ids.to_owned()));
    let each: Vec<_> = referrers
        .iter()
        .map(|referrer| {
            format!(
                "exists (select from {} where {TENANT} and {} = any({ids}) and deleted_at is null)",
                table(referrer.model),
                quote(referrer.field),
            )
        })
        .collect();
    Some(binds.finish(format!("select {}", each.join(", "))))
}
