//! A list as it will be read: columns, order, lane.

use model::{Column, ModuleModel};
use sql::postgres::select::SortKey;

use super::{lane, parse::ListQuery};
use crate::postgres::Lane;

/// A page to be read.
#[derive(Debug, PartialEq)]
pub(super) struct ListPlan {
    /// What is fetched: what is shown, then what only the cursor needs.
    pub columns: Vec<Column>,
    /// How many of them are shown.
    pub shown: usize,
    /// The order; its last key is `id`.
    pub order: Vec<SortKey>,
    /// Over which connections.
    pub lane: Lane,
}

/// Decides on columns, order and lane.
pub(super) fn plan_list(model: &ModuleModel, query: &ListQuery) -> ListPlan {
    let order = with_id(model, &query.order);
    let lane = lane::of(model, query, &order);
    let deleted = query.deleted != sql::postgres::select::Deleted::Exclude;
    let mut columns = shown(model, query.select.as_deref(), deleted);
    let shown = columns.len();
    for key in &order {
        if !columns.iter().any(|c| c.name == key.column.name) {
            columns.push(key.column.clone());
        }
    }
    ListPlan {
        columns,
        shown,
        order,
        lane,
    }
}

/// What a record shows: what was selected, else everything but `deleted_at`, which shows where deleted rows may.
pub(super) fn shown(model: &ModuleModel, select: Option<&[Column]>, deleted: bool) -> Vec<Column> {
    match select {
        Some(columns) => columns.to_vec(),
        None if deleted => model.columns().to_vec(),
        None => model.record_columns().to_vec(),
    }
}

/// The order with `id` behind it, in the direction of the key before, so that one index range has both.
fn with_id(model: &ModuleModel, order: &[SortKey]) -> Vec<SortKey> {
    let mut keys = order.to_vec();
    // Behind the id, which is unique, nothing decides any more.
    if let Some(at) = keys.iter().position(|k| k.column.name.as_str() == "id") {
        keys.truncate(at + 1);
        return keys;
    }
    let column = model.column("id").expect("every model has an id").clone();
    let descending = keys.last().is_some_and(|k| k.descending);
    keys.push(SortKey {
        column,
        descending,
        nulls_first: descending,
    });
    keys
}
