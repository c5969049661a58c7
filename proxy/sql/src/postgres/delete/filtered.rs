//! Soft deletion of every live row that a filter finds.

use model::TenantId;

use super::{
    super::{
        binds::{Binds, TENANT},
        filtered::{Filtered, ROWS},
        quote,
        select::Output,
        table,
    },
    Referrer,
};
use crate::Statement;

/// The statement that locks the rows in the order of their ids, deletes them, each with a `delete_id` of its own, and
/// answers for each `returning`, its id, and last how many rows the filter found, at most one more than may be written.
/// Nothing is deleted when these are too many; without a deleted row it answers one row of nulls with that number.
pub fn delete_filtered(rows: &Filtered<'_>, user: &str, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&rows.tenant);
    let returning = binds.outputs(returning);
    statement(binds, rows, user, &returning, ROWS)
}

/// The same without rows: how many were deleted, how many the filter found, and the ids of the deleted as one array.
pub fn delete_filtered_ids(rows: &Filtered<'_>, user: &str) -> Statement {
    let binds = Binds::new(&rows.tenant);
    let counts = "select (select count(*) from changed), (select count(*) from picked), \
                  (select array_agg(\"__id\") from changed)";
    statement(binds, rows, user, "1", counts)
}

fn statement(
    mut binds: Binds,
    rows: &Filtered<'_>,
    user: &str,
    returning: &str,
    answer: &str,
) -> Statement {
    let picked = rows.picked(&mut binds);
    let user = binds.typed("text", Some(user.to_owned()));
    binds.finish(format!(
        "with {}, changed as (update {} t set version = version + 1, deleted_at = now(), delete_id = gen_random_uuid(), \
         updated_at = greatest(now(), updated_at), updated_by = {user} from picked where {TENANT} \
         and t.id = picked.\"__id\" and {} returning {returning}, t.id as \"__id\") {answer}",
        picked.table,
        table(rows.model),
        picked.bounded,
    ))
}

/// The statement that tells, in one row with a column each, which referrers have live rows that refer to one of the
/// rows; none without referrers. `ids` is PostgreSQL's text of an array.
///
/// It follows the deletion in the same transaction: a child that is being written holds its parent shared, so the
/// deletion has waited for it and this younger snapshot sees it, or it waits and then finds no parent.
pub fn referrers_of(tenant: &TenantId, ids: &str, referrers: &[Referrer<'_>]) -> Option<Statement> {
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
                quote(&referrer.field.column()),
            )
        })
        .collect();
    Some(binds.finish(format!("select {}", each.join(", "))))
}
