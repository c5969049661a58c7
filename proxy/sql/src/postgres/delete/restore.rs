//! Taking back the soft deletion of one row.

use model::{Field, ModelName, ModuleModel, TenantId};

use super::{
    super::{
        binds::{Binds, TENANT},
        insert::target_of,
        quote,
        select::Output,
        table,
        update::versions_bind,
    },
    Cascade,
};
use crate::Statement;

/// Which row is to be restored.
#[derive(Debug, Clone)]
pub struct Restoration<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// Who restores.
    pub user: &'a str,
    /// Which row.
    pub id: &'a str,
    /// Versions that the row may have; any when `None`.
    pub versions: Option<&'a [i64]>,
}

/// The statement that locks a deleted row and answers its version, and what each of `references` refers to; no row when
/// there is none.
pub fn lock_deleted(
    tenant: &TenantId,
    model: &ModelName,
    id: &str,
    references: &[&Field],
) -> Statement {
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let mut values = vec!["version".to_owned()];
    values.extend(references.iter().map(|field| quote(&field.column())));
    let text = format!(
        "select {} from {} where {TENANT} and id = {id} and deleted_at is not null for update",
        values.join(", "),
        table(model)
    );
    binds.finish(text)
}

/// The statement that locks the live row that a field of the deleted row refers to; no row when it is not there. None
/// where the field refers to nothing by its kind.
pub fn lock_parent_of(
    tenant: &TenantId,
    model: &ModelName,
    id: &str,
    field: &Field,
) -> Option<Statement> {
    let target = target_of(field.references.as_ref()?);
    let mut binds = Binds::new(tenant);
    let id = binds.typed("uuid", Some(id.to_owned()));
    let text = format!(
        "select 1 from {} where {TENANT} and id = (select {} from {} where {TENANT} and id = {id}) \
         and deleted_at is null for share",
        table(&target),
        quote(&field.column()),
        table(model)
    );
    Some(binds.finish(text))
}

/// The statement that restores the row, adds 1 to its version and answers `returning`; no row when it is not there, is
/// not deleted, has another version, when something that it refers to is gone, or when something that went with it has
/// not come back.
pub fn restore(
    model: &ModuleModel,
    cascade: &Cascade<'_>,
    restoration: &Restoration<'_>,
    returning: &[Output],
) -> Statement {
    let mut binds = Binds::new(&restoration.tenant);
    let id = binds.typed("uuid", Some(restoration.id.to_owned()));
    let user = binds.typed("text", Some(restoration.user.to_owned()));
    let mut conditions = vec![
        TENANT.to_owned(),
        format!("id = {id}"),
        "deleted_at is not null".to_owned(),
    ];
    if let Some(versions) = restoration.versions {
        let versions = versions_bind(&mut binds, versions);
        conditions.push(format!("version = any({versions})"));
    }
    conditions.extend(model.fields().iter().filter_map(|field| {
        let target = target_of(field.references.as_ref()?);
        let name = format!("t.{}", quote(&field.column()));
        // A row that refers to itself needs nobody else.
        Some(format!(
            "({name} is null or {name} = t.id or exists (select from {} _p where _p.{TENANT} and _p.id = {name} \
             and _p.deleted_at is null))",
            table(&target)
        ))
    }));
    conditions.extend(cascade.none_left());
    let text = format!(
        "update {} t set version = version + 1, deleted_at = null, delete_id = null, \
         updated_at = greatest(now(), updated_at), updated_by = {user} where {} returning {}",
        table(model.name()),
        conditions.join(" and "),
        binds.outputs(returning),
    );
    binds.finish(text)
}
