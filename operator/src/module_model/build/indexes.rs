//! Indexes and unique keys of a table that exists: they are made with it, and not changed yet.

use crds::Reason;
use model::{Draft, Index, ModuleModel};
use sql::postgres::ddl;

use super::{ObservedTable, Plan};
use crate::report::Refusal;

pub(super) fn compare(
    plan: &mut Plan,
    model: &ModuleModel,
    table: &ObservedTable,
    previous: &Draft,
) -> Result<(), Refusal> {
    unchanged("spec.indexes", &previous.indexes, model.indexes())?;
    unchanged("spec.unique", &previous.unique, model.unique())?;
    let indexes = model
        .indexes()
        .iter()
        .map(|i| ddl::index_name(model.name(), i));
    let uniques = model
        .unique()
        .iter()
        .map(|u| ddl::unique_name(model.name(), u));
    let keys = std::iter::once(ddl::primary_key_name(model.name()));
    let missing = indexes
        .chain(uniques)
        .chain(keys)
        .filter(|name| !table.indexes.contains(name));
    plan.drift
        .missing
        .extend(missing.map(|name| format!("index {name}")));
    Ok(())
}

fn unchanged(path: &str, before: &[Index], after: &[Index]) -> Result<(), Refusal> {
    let refuse = |path: String, why: &str| {
        Err(Refusal::of_spec(
            Reason::NotYetSupported,
            format!("{path}: {why} on an existing table is not supported"),
        ))
    };
    for (i, index) in after.iter().enumerate() {
        match before.iter().find(|b| b.name == index.name) {
            None => return refuse(format!("{path}[{i}]"), "a new one"),
            Some(b) if b.fields != index.fields => {
                return refuse(format!("{path}[{i}].fields"), "changing it");
            }
            Some(_) => {}
        }
    }
    match before
        .iter()
        .find(|b| !after.iter().any(|a| a.name == b.name))
    {
        Some(gone) => refuse(path.to_owned(), &format!("removing {}", gone.name.as_str())),
        None => Ok(()),
    }
}
