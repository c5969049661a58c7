//! References to models that are not applied yet.

use std::collections::BTreeSet;

use crds::{ConditionType, ModuleModel, ModuleModelSpec, Reason};
use model::Ident;

use super::{apply::Look, reconcile::object_ref, validate::Desired};
use crate::{context::Context, report::Stage};

/// What is to be done about them.
pub(super) enum Missing {
    /// Everything that is referenced is there.
    None,
    /// Nothing, until the model has been applied.
    WaitFor(Stage),
    /// The models wait for one another: these fields get their foreign keys when all tables are there.
    Later(BTreeSet<Ident>, Stage),
}

/// Looks for them; the resource is woken when a model that it waits for has been applied. A reference that has been
/// applied is not looked at again: its target cannot be dropped while the key stands.
pub(super) fn missing_references(
    found: &Look,
    desired: &Desired,
    resource: &ModuleModel,
    context: &Context,
) -> Missing {
    let name = desired.model.name();
    let applied = |field: &model::Field| {
        let fields = found.previous.iter().flat_map(|p| &p.fields);
        fields
            .into_iter()
            .any(|b| b.name == field.name && b.references == field.references)
    };
    let mut later = BTreeSet::new();
    let mut told = None;
    for (i, field) in desired.model.fields().iter().enumerate() {
        let Some(reference) = &field.references else {
            continue;
        };
        let target = reference.model.as_str();
        let there = found.observed.references.contains(target);
        if reference.model == name.model || there || applied(field) {
            continue;
        }
        let full = format!("{}.{target}", reference.module.as_str());
        context.waiting.wait(full.clone(), object_ref(resource));
        let specs: Vec<_> = context
            .models
            .state()
            .iter()
            .filter_map(|o| o.0.as_ref().ok().map(|r| r.spec.clone()))
            .filter(|spec| spec.module == reference.module.as_str())
            .collect();
        let path = format!("spec.fields[{i}].references");
        let known = specs.iter().any(|s| s.model == target);
        let (reason, message) = match known {
            true => (
                Reason::ReferenceNotReady,
                format!(
                    "{path}: {full} is not applied yet; this goes on by itself when it is, and its status says what it waits for"
                ),
            ),
            false => (
                Reason::ReferenceNotFound,
                format!("{path}: there is no ModuleModel {full}; apply it, or correct the name"),
            ),
        };
        let stage = Stage::missing(ConditionType::SchemaApplied, reason, message);
        if !leads_back(&specs, target, name.model.as_str()) {
            return Missing::WaitFor(stage);
        }
        later.insert(field.name.clone());
        told.get_or_insert(stage);
    }
    match told {
        Some(stage) => Missing::Later(later, stage),
        None => Missing::None,
    }
}

/// Whether `from` refers to `to`, over however many models.
fn leads_back(specs: &[ModuleModelSpec], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(model) = next.pop() {
        let fields = specs
            .iter()
            .filter(|s| s.model == model)
            .flat_map(|s| &s.fields);
        for reference in fields.filter_map(|f| f.references.as_ref()) {
            if reference.model == to {
                return true;
            }
            if seen.insert(&reference.model) {
                next.push(&reference.model);
            }
        }
    }
    false
}
