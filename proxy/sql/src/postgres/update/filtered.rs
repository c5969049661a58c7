//! Changing every live row that a filter finds, in one statement.

use model::{Field, ModuleModel};

use super::{
    super::{
        binds::{Binds, TENANT},
        filtered::{Filtered, ROWS},
        insert::lives,
        quote,
        select::Output,
        size, table,
    },
    merge::JsonChange,
};
use crate::Statement;

/// What is to change in which rows.
#[derive(Debug, Clone)]
pub struct FilteredChange<'a> {
    /// Which rows.
    pub rows: &'a Filtered<'a>,
    /// Who writes.
    pub user: &'a str,
    /// Fields with their new canonical values; not empty.
    pub values: &'a [(&'a Field, Option<String>)],
    /// How values of JSON fields are meant.
    pub json: JsonChange,
}

/// The statement that locks the rows in the order of their ids, changes them, and answers for each `returning`, its id,
/// the guard of its size, and last how many rows the filter found, at most one more than may be written. Nothing is
/// written when these are too many, or when a new parent is not there; without a written row it answers one row of
/// nulls with that number.
pub fn update_filtered(
    model: &ModuleModel,
    change: &FilteredChange<'_>,
    returning: &[Output],
) -> Statement {
    let mut binds = Binds::new(&change.rows.tenant);
    let returning = binds.outputs(returning);
    statement(binds, model, change, &returning, ROWS)
}

/// The same without rows: how many were changed, and how many the filter found.
pub fn update_filtered_count(model: &ModuleModel, change: &FilteredChange<'_>) -> Statement {
    let binds = Binds::new(&change.rows.tenant);
    let counts = "select (select count(*) from changed), (select count(*) from picked)";
    statement(binds, model, change, "1", counts)
}

fn statement(
    mut binds: Binds,
    model: &ModuleModel,
    change: &FilteredChange<'_>,
    returning: &str,
    answer: &str,
) -> Statement {
    let picked = change.rows.picked(&mut binds);
    let user = binds.typed("text", Some(change.user.to_owned()));
    let mut sets = vec![
        "version = version + 1".to_owned(),
        "updated_at = greatest(now(), updated_at)".to_owned(),
        format!("updated_by = {user}"),
    ];
    let mut conditions = vec![
        TENANT.to_owned(),
        "t.id = picked.\"__id\"".to_owned(),
        picked.bounded,
    ];
    for (field, value) in change.values {
        let is_null = value.is_none();
        let expression = change.json.bound(&mut binds, field, value.clone(), "t");
        if let Some(reference) = field.references.as_ref().filter(|_| !is_null) {
            conditions.push(lives(&reference.target(), &expression));
        }
        sets.push(format!("{} = {expression}", quote(&field.column())));
    }
    binds.finish(format!(
        "with {}, changed as (update {} t set {} from picked where {} returning {returning}, t.id as \"__id\"{}) {answer}",
        picked.table,
        table(model.name()),
        sets.join(", "),
        conditions.join(" and "),
        size::guard(model),
    ))
}
