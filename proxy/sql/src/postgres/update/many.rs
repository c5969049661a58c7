//! Changing several live rows, each in its own way, in one statement whose text does not depend on how many.

use model::{ModuleModel, TenantId};

use super::{
    super::{
        binds::{Binds, TENANT},
        quote,
        select::Output,
        size, table,
    },
    merge::JsonChange,
};
use crate::Statement;

/// New values of a row by field of the model: kept as it is, null, or a canonical value.
pub type NewValues = [Option<Option<String>>];

/// What is to change in which rows: all of them or none.
#[derive(Debug, Clone)]
pub struct Changes<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who writes.
    pub user: &'a str,
    /// Which rows, all different.
    pub ids: &'a [&'a str],
    /// The version that each must have, by row; any when `None`.
    pub versions: &'a [Option<String>],
    /// New values by row. A row without any must be there all the same, and is not written.
    pub values: &'a [&'a NewValues],
    /// How values of JSON fields are meant.
    pub json: JsonChange,
}

/// The statement that locks live rows in the order of their ids and answers id and version of those that are there.
pub fn lock_rows(tenant: &TenantId, model: &ModuleModel, ids: &[&str]) -> Statement {
    let mut binds = Binds::new(tenant);
    let ids = binds.texts(ids.iter().map(|id| Some(*id)));
    let text = format!(
        "select id, version from {} where {TENANT} and id = any({ids}::uuid[]) and deleted_at is null \
         order by id for update",
        table(model.name())
    );
    binds.finish(text)
}

/// The statement that changes rows, adds 1 to the version of each and answers for each `returning`, its place in `ids`
/// from 1, and the guard of its size; nothing is written when one of the rows or of their new parents is not there, or
/// when one has another version.
pub fn update_many(model: &ModuleModel, changes: &Changes<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&changes.tenant);
    let ids = binds.texts(changes.ids.iter().map(|id| Some(*id)));
    let versions = binds.texts(changes.versions.iter().map(Option::as_deref));
    let user = binds.typed("text", Some(changes.user.to_owned()));
    let written = changes.values.iter().map(|row| truth(is_written(row)));
    let mut columns = vec![ids.clone(), binds.texts(written)];
    let mut aliases = vec!["\"__id\"".to_owned(), "\"__w\"".to_owned()];
    let mut sets = vec![
        "version = t.version + 1".to_owned(),
        "updated_at = greatest(now(), t.updated_at)".to_owned(),
        format!("updated_by = {user}"),
    ];
    let mut conditions = vec![
        TENANT.to_owned(),
        "t.id = r.\"__id\"::uuid".to_owned(),
        "t.deleted_at is null".to_owned(),
        "r.\"__w\"::boolean".to_owned(),
        format!(
            "not exists (select from unnest({ids}, {versions}) e(i, v) where not exists (select from {} where {TENANT} \
             and id = e.i::uuid and deleted_at is null and (e.v is null or version = e.v::bigint)))",
            table(model.name())
        ),
    ];
    for (at, field) in model.fields().iter().enumerate() {
        if changes.values.iter().all(|row| row[at].is_none()) {
            continue;
        }
        let given = changes.values.iter().map(|row| row[at].as_ref());
        let column = binds.texts(given.clone().map(|value| value.and_then(|v| v.as_deref())));
        if let Some(reference) = &field.references {
            conditions.push(format!(
                "not exists (select from unnest({column}) p(v) where p.v is not null and not exists \
                 (select from {} where {TENANT} and id = p.v::uuid and deleted_at is null))",
                table(&reference.target())
            ));
        }
        let new = changes.json.read(field, &format!("r.\"__c{at}\""), "t");
        let sent = binds.texts(given.map(|value| truth(value.is_some())));
        let name = quote(&field.column());
        sets.push(format!(
            "{name} = case when r.\"__s{at}\"::boolean then {new} else t.{name} end"
        ));
        columns.extend([column, sent]);
        aliases.extend([format!("\"__c{at}\""), format!("\"__s{at}\"")]);
    }
    let text = format!(
        "update {} t set {} from unnest({}) with ordinality r({}, \"__n\") where {} returning {}, r.\"__n\"{}",
        table(model.name()),
        sets.join(", "),
        columns.join(", "),
        aliases.join(", "),
        conditions.join(" and "),
        binds.outputs(returning),
        size::guard(model),
    );
    binds.finish(text)
}

/// The statement that answers live rows with their place in `ids` from 1, in that order.
pub fn get_many(
    tenant: &TenantId,
    model: &ModuleModel,
    ids: &[&str],
    returning: &[Output],
) -> Statement {
    let mut binds = Binds::new(tenant);
    let ids = binds.texts(ids.iter().map(|id| Some(*id)));
    let text = format!(
        "select {}, r.\"__n\" from {} t join unnest({ids}) with ordinality r(\"__id\", \"__n\") \
         on t.id = r.\"__id\"::uuid where {TENANT} and deleted_at is null order by r.\"__n\"",
        binds.outputs(returning),
        table(model.name()),
    );
    binds.finish(text)
}

/// Whether a row has anything to be written.
pub fn is_written(values: &NewValues) -> bool {
    values.iter().any(Option::is_some)
}

fn truth(value: bool) -> Option<&'static str> {
    Some(if value { "t" } else { "f" })
}
