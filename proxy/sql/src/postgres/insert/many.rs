//! Creating several rows in one statement whose text does not depend on how many.

use model::{Field, Index, ModelName, ModuleModel, TenantId};

use super::super::{
    binds::{Binds, TENANT, read_as},
    quote,
    select::Output,
    size, table,
};
use crate::Statement;

/// Rows to be written, all or none.
#[derive(Debug, Clone)]
pub struct NewRows<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who writes.
    pub user: &'a str,
    /// Their ids, all different.
    pub ids: &'a [String],
    /// As [`super::NewRow::values`], by row.
    pub values: &'a [Vec<Option<String>>],
    /// What happens to a row whose key is taken.
    pub taken: Taken<'a>,
}

/// What happens to a row whose key is taken.
#[derive(Debug, Clone, Copy)]
pub enum Taken<'a> {
    /// It is an error.
    Fail,
    /// It is left out.
    Ignore(Key<'a>),
    /// The row that is there takes these fields of it, and adds 1 to its version.
    Merge(Key<'a>, &'a [&'a Field]),
}

/// Which rows are the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// Those of the same id, deleted ones too.
    Id,
    /// Live ones with the same values in a declared unique; null is like nothing.
    Unique(&'a Index),
}

/// The statement that creates rows in their order and answers for each `returning`, its id, and the guard of its size;
/// nothing is written when a parent of any is not there, or when the key is `id` and one of the ids is a deleted row's.
///
/// A row may refer to another of the same statement. Parents are locked by [`lock_parents`] before. A row that is
/// deleted between the look and the write fails the statement with 22P02: it must neither be changed nor passed over.
pub fn insert_many(model: &ModuleModel, rows: &NewRows<'_>, returning: &[Output]) -> Statement {
    let mut binds = Binds::new(&rows.tenant);
    let ids = binds.texts(rows.ids.iter().map(|id| Some(id.as_str())));
    let mut names = vec!["tenant_id".to_owned(), "id".to_owned()];
    let mut values = vec!["$1::uuid".to_owned(), "r.id::uuid".to_owned()];
    let (mut columns, mut aliases) = (vec![ids.clone()], vec!["id".to_owned()]);
    let mut conditions = Vec::new();
    for (i, field) in model.fields().iter().enumerate() {
        let column = binds.texts(rows.values.iter().map(|row| row[i].as_deref()));
        if let Some(reference) = &field.references {
            let target = reference.target();
            conditions.push(parents_live(model, &target, &column, &ids));
        }
        names.push(quote(&field.column()));
        values.push(read_as(&format!("r.c{i}"), &field.field_type));
        columns.push(column);
        aliases.push(format!("c{i}"));
    }
    let user = binds.typed("text", Some(rows.user.to_owned()));
    names.extend(["created_by".to_owned(), "updated_by".to_owned()]);
    values.extend([user.clone(), user]);
    if let Taken::Ignore(Key::Id) | Taken::Merge(Key::Id, _) = rows.taken {
        conditions.push(format!(
            "not exists (select from {} where {TENANT} and id = any({ids}::uuid[]) and deleted_at is not null)",
            table(model.name())
        ));
    }
    let condition = match conditions.as_slice() {
        [] => String::new(),
        some => format!(" where {}", some.join(" and ")),
    };
    let text = format!(
        "insert into {} as t ({}) select {} from unnest({}) with ordinality r({}, n){condition} order by r.n{} \
         returning {}, id as \"__id\"{}",
        table(model.name()),
        names.join(", "),
        values.join(", "),
        columns.join(", "),
        aliases.join(", "),
        on_conflict(model, &rows.taken),
        binds.outputs(returning),
        size::guard(model),
    );
    binds.finish(text)
}

/// That every row's parent is there, as one condition for all rows.
fn parents_live(model: &ModuleModel, target: &ModelName, column: &str, ids: &str) -> String {
    let among = match target == model.name() {
        true => format!(" and not p.v = any({ids})"),
        false => String::new(),
    };
    format!(
        "not exists (select from unnest({column}) p(v) where p.v is not null{among} and not exists \
         (select from {} where {TENANT} and id = p.v::uuid and deleted_at is null))",
        table(target)
    )
}

fn on_conflict(model: &ModuleModel, taken: &Taken<'_>) -> String {
    let target = |key: &Key<'_>| match key {
        Key::Id => "(tenant_id, id)".to_owned(),
        Key::Unique(unique) => {
            let columns = unique.fields.iter().filter_map(|f| model.field(f.as_str()));
            let columns: Vec<_> = columns.map(|f| quote(&f.column())).collect();
            format!(
                "(tenant_id, {}) where deleted_at is null",
                columns.join(", ")
            )
        }
    };
    match taken {
        Taken::Fail => String::new(),
        Taken::Ignore(key) => format!(" on conflict {} do nothing", target(key)),
        Taken::Merge(key, fields) => {
            let set: String = fields
                .iter()
                .map(|f| format!(", {0} = excluded.{0}", quote(&f.column())))
                .collect();
            // An id is no number, so that the cast of a deleted row's fails.
            format!(
                " on conflict {} do update set version = t.version + case when t.deleted_at is null then 1 \
                 else t.id::text::bigint end, updated_at = greatest(now(), t.updated_at), \
                 updated_by = excluded.updated_by{set}",
                target(key)
            )
        }
    }
}

/// The statement that locks live rows of the target against deletion until the transaction ends, in the order of their
/// ids, and answers the ids of those that are there.
pub fn lock_parents(tenant: &TenantId, target: &ModelName, ids: &[String]) -> Statement {
    let mut binds = Binds::new(tenant);
    let ids = binds.texts(ids.iter().map(|id| Some(id.as_str())));
    let text = format!(
        "select id from {} where {TENANT} and id = any({ids}::uuid[]) and deleted_at is null order by id for share",
        table(target)
    );
    binds.finish(text)
}

/// The statement that answers which of the ids are deleted rows'.
pub fn deleted_among(tenant: &TenantId, model: &ModelName, ids: &[String]) -> Statement {
    let mut binds = Binds::new(tenant);
    let ids = binds.texts(ids.iter().map(|id| Some(id.as_str())));
    let text = format!(
        "select id from {} where {TENANT} and id = any({ids}::uuid[]) and deleted_at is not null",
        table(model)
    );
    binds.finish(text)
}

/// The statement that answers the first row, from 0, whose key another row in the table has already; none when there is
/// none. A null in a key is like nothing.
pub fn first_taken(model: &ModuleModel, rows: &NewRows<'_>, key: Key<'_>) -> Statement {
    let mut binds = Binds::new(&rows.tenant);
    let (columns, matches) = match key {
        Key::Id => {
            let ids = rows.ids.iter().map(|id| Some(id.as_str()));
            (vec![binds.texts(ids)], "id = r.c0::uuid".to_owned())
        }
        Key::Unique(unique) => {
            let ids = rows.ids.iter().map(|id| Some(id.as_str()));
            let mut columns = vec![binds.texts(ids)];
            let mut matches = vec!["deleted_at is null and id <> r.c0::uuid".to_owned()];
            for (at, field) in model.fields().iter().enumerate() {
                if !unique.fields.contains(&field.name) {
                    continue;
                }
                let value = read_as(&format!("r.c{}", columns.len()), &field.field_type);
                matches.push(format!("{} = {value}", quote(&field.column())));
                columns.push(binds.texts(rows.values.iter().map(|row| row[at].as_deref())));
            }
            (columns, matches.join(" and "))
        }
    };
    let aliases: Vec<_> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    let text = format!(
        "select r.n - 1 from unnest({}) with ordinality r({}, n) where exists \
         (select from {} where {TENANT} and {matches}) order by r.n limit 1",
        columns.join(", "),
        aliases.join(", "),
        table(model.name()),
    );
    binds.finish(text)
}
