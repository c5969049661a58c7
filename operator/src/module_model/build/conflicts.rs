//! Names that are somebody else's.

use crds::{ConditionType, Reason};
use sql::postgres::ddl::OWNER_ROLE;

use crate::{
    module_model::{observe::Observed, validate::Desired},
    report::Refusal,
};

/// Whether the resource that the catalogue names still exists in Kubernetes. Not known until the watch has listed
/// every resource; then it counts as existing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rivals {
    /// It exists, or that is not known.
    Exist,
    /// It is gone, and its removal has not been carried out.
    Gone,
}

pub(super) fn check(desired: &Desired, observed: &Observed, rivals: Rivals) -> Result<(), Refusal> {
    let name = desired.model.name();
    let (module, model) = (name.module.as_str(), name.model.as_str());
    let conflict = |message: String| Err(Refusal::of_spec(Reason::NameConflict, message));
    if let Some(namespace) = observed
        .claimed_by
        .as_ref()
        .filter(|n| **n != desired.namespace)
    {
        return conflict(format!(
            "spec.module: module {module} was first claimed by namespace {namespace}; apply its models there, or give yours a module of its own"
        ));
    }
    if let Some(resource) = &observed.deleted_with {
        return conflict(format!(
            "spec.model: {module}.{model} is being deleted with ModuleModel {resource}; the name is free when that is done"
        ));
    }
    if let Some(published) = &observed.published {
        let taken =
            published.served && published.resource_uid != desired.uid && rivals == Rivals::Exist;
        if taken {
            return conflict(format!(
                "spec.model: {module}.{model} belongs to ModuleModel {}; delete this resource, or delete that one if this one is to take its table over",
                published.resource
            ));
        }
    }
    if observed
        .schema_owner
        .as_ref()
        .is_some_and(|o| o != OWNER_ROLE)
    {
        return conflict(format!(
            "spec.module: schema {module} exists and is not ours"
        ));
    }
    match (&observed.table, &observed.published) {
        (Some(table), _) if table.owner != OWNER_ROLE => conflict(format!(
            "spec.model: table {module}.{model} exists and is not ours"
        )),
        (Some(_), None) => conflict(format!(
            "spec.model: table {module}.{model} exists and was not made from a model"
        )),
        (None, Some(_)) => Err(Refusal {
            condition: ConditionType::SchemaApplied,
            reason: Reason::DriftDetected,
            message: format!(
                "table {module}.{model} was applied and is gone: restore it, with its rows"
            ),
        }),
        _ => Ok(()),
    }
}
