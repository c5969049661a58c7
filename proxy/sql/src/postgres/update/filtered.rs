//! Changing every live row that a filter finds, in one statement.

use model::{Column, Field, ModuleModel, TenantId};

use super::{
    super::{
        binds::{Binds, TENANT},
        insert::{lives, target_of},
        quote, select, size, table,
    },
    merge::{JsonChange, new_value},
};
use crate::{Statement, filter::Filter};

/// What is to change in which rows.
#[derive(Debug, Clone)]
pub struct FilteredChange<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who writes.
    pub user: &'a str,
    /// Which rows.
    pub filter: &'a Filter,
    /// Fields with their new canonical values; not empty.
    pub values: &'a [(&'a Field, Option<String>)],
    /// How values of JSON fields are meant.
    pub json: JsonChange,
    /// Most rows; where there are more, none is changed.
    pub most: u64,
}

/// The statement that locks the rows in the order of their ids, changes them, and answers for each `returning`, its id,
/// the guard of its size, and last how many rows the filter found, at most one more than `most`. Without a row to
/// change it answers one row of nulls with that number.
pub fn update_filtered(
    model: &ModuleModel,
    change: &FilteredChange<'_>,
    returning: &[Column],
) -> Statement {
    statement(
        model,
        change,
        select::list(returning),
        "select changed.*, p.n from (select count(*) as n from picked) p left join changed on true \
         order by changed.\"__id\"",
    )
}

/// The same without rows: how many were changed, and how many the filter found.
pub fn update_filtered_count(model: &ModuleModel, change: &FilteredChange<'_>) -> Statement {
    statement(
        model,
        change,
        "1".to_owned(),
        "select (select count(*) from changed), (select count(*) from picked)",
    )
}

fn statement(
    model: &ModuleModel,
    change: &FilteredChange<'_>,
    returning: String,
    answer: &str,
) -> Statement {
    let mut binds = Binds::new(&change.tenant);
    let filter = binds.filter(change.filter);
    let beyond = binds.typed("bigint", Some((change.most + 1).to_string()));
    let user = binds.typed("text", Some(change.user.to_owned()));
    let mut sets = vec![
        "version = version + 1".to_owned(),
        "updated_at = greatest(now(), updated_at)".to_owned(),
        format!("updated_by = {user}"),
    ];
    let mut parents = String::new();
    for (field, value) in change.values {
        let is_null = value.is_none();
        let text = binds.typed("text", value.clone());
        let expression = new_value(change.json, field, &text, "t");
        if let Some(reference) = field.references.as_ref().filter(|_| !is_null) {
            parents.push_str(" and ");
            parents.push_str(&lives(&target_of(reference), &expression));
        }
        sets.push(format!("{} = {expression}", quote(&field.name)));
    }
    let table = table(model.name());
    let text = format!(
        "with picked as materialized (select id as \"__id\" from {table} where {TENANT} and deleted_at is null \
         and {filter} order by id limit {beyond} for update), \
         changed as (update {table} t set {} from picked where {TENANT} and t.id = picked.\"__id\" \
         and (select count(*) from picked) < {beyond}{parents} returning {returning}, t.id as \"__id\"{}) {answer}",
        sets.join(", "),
        size::guard(model),
    );
    binds.finish(text)
}
