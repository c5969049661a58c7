//! References to models that are not applied yet, or may not be referred to.

use std::collections::BTreeSet;

use crds::{ConditionType, ModuleModel, ModuleModelSpec, Reason};
use kube::ResourceExt as _;
use model::{Ident, ModelName, OnDelete};

use super::{
    apply::Look,
    observe::{Observed, ObservedTarget},
    reconcile::object_ref,
    validate::{Desired, invalid},
};
use crate::{
    context::Context,
    report::{Refusal, Stage},
};

/// What is to be done about them.
pub(super) enum Missing {
    /// Everything that is referenced is there.
    None,
    /// Nothing, until the model has been applied, or its resource permits it.
    WaitFor(Stage),
    /// The models wait for one another: these fields get their foreign keys when all tables are there.
    Later(BTreeSet<Ident>, Stage),
}

/// Looks for them; the resource is woken when a model that it waits for has been applied, or says something else. A
/// reference that has been applied is not looked at again: its target cannot be dropped while the key stands.
pub(super) fn missing_references(
    found: &Look,
    desired: &Desired,
    resource: &ModuleModel,
    context: &Context,
) -> Missing {
    let name = desired.model.name();
    let applied = |field: &model::Field| {
        let fields = found.previous.iter().flat_map(|p| &p.fields);
        let target = |f: &model::Field| f.references.as_ref().map(model::Reference::target);
        fields
            .into_iter()
            .any(|b| b.name == field.name && target(b) == target(field))
    };
    let mut later = BTreeSet::new();
    let mut told = None;
    for (i, field) in desired.model.fields().iter().enumerate() {
        let Some(reference) = &field.references else {
            continue;
        };
        let target = reference.target();
        if target == *name || applied(field) {
            continue;
        }
        let full = target.to_string();
        let path = format!("spec.fields[{i}].references");
        let missing = |reason, message| {
            Stage::missing(
                ConditionType::SchemaApplied,
                reason,
                format!("{path}: {message}"),
            )
        };
        let mut there = found.observed.references.iter();
        if let Some(there) = there.find(|t| t.name == target) {
            if let Err(why) = permitted(there, desired, context) {
                context.waiting.wait(full, object_ref(resource));
                return Missing::WaitFor(missing(Reason::ReferenceNotPermitted, why));
            }
            continue;
        }
        context.waiting.wait(full.clone(), object_ref(resource));
        let all = context.models.state();
        let specs = all.iter().filter_map(|o| Some(&o.0.as_ref().ok()?.spec));
        let specs: Vec<&ModuleModelSpec> = specs.collect();
        let stage = match specs.iter().any(|s| is_of(s, &target)) {
            true => missing(
                Reason::ReferenceNotReady,
                format!(
                    "{full} is not applied yet; this goes on by itself when it is, and its status says what it waits for"
                ),
            ),
            false => missing(
                Reason::ReferenceNotFound,
                format!("there is no ModuleModel {full}; apply it, or correct the name"),
            ),
        };
        if !leads_back(&specs, &target, name) {
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

/// Refuses what [`deletes_clash`] finds, and looks again when the other model changes.
pub(super) fn check_deletes(
    found: &Look,
    desired: &Desired,
    resource: &ModuleModel,
    context: &Context,
) -> Result<(), Refusal> {
    let Some((other, refusal)) = deletes_clash(&found.observed, desired) else {
        return Ok(());
    };
    context.waiting.wait(other, object_ref(resource));
    Err(refusal)
}

/// A record that is kept cannot go with, or lose its reference to, one that leaves its table, since it could not be
/// restored as it was. Told to either side, whichever comes second: the other model, and what stands against this one.
pub(super) fn deletes_clash(observed: &Observed, desired: &Desired) -> Option<(String, Refusal)> {
    if let Some(kept) = observed.kept_with.first() {
        let all = observed.kept_with.join(", ");
        let message = format!(
            "{all} keep deleted records and refer to this model with onDelete Cascade or SetNull: make it Restrict there, or softDelete false"
        );
        return Some((kept.clone(), invalid("spec.softDelete", &message)));
    }
    if !desired.model.soft_delete() {
        return None;
    }
    desired.model.fields().iter().enumerate().find_map(|(i, field)| {
        let reference = field.references.as_ref()?;
        let target = reference.target();
        let mut there = observed.references.iter();
        let removes = there.any(|t| t.name == target && !t.soft_delete);
        if !removes || reference.on_delete == OnDelete::Restrict {
            return None;
        }
        let message = format!(
            "{target} keeps no deleted records, and this model does: make it Restrict, or softDelete false here"
        );
        let path = format!("spec.fields[{i}].references.onDelete");
        Some((target.to_string(), invalid(&path, &message)))
    })
}

/// Whether the resource that has this table lets this one's namespace refer to it, or what is to be done. It is the
/// one that the table was published for: whoever else claims the model has no say.
fn permitted(there: &ObservedTarget, desired: &Desired, context: &Context) -> Result<(), String> {
    let owner = there.resource.as_deref().unwrap_or_default();
    let namespace = owner.split_once('/').map_or("", |(namespace, _)| namespace);
    let ours = &desired.namespace;
    let says_so = |r: &ModuleModel| {
        r.namespace().as_deref() == Some(namespace)
            && owner.ends_with(&format!("/{}", r.name_any()))
            && is_of(&r.spec, &there.name)
            && r.spec.referenced_by.contains(ours)
    };
    let is_permitted = || {
        let all = context.models.state();
        all.iter().any(|o| o.0.as_ref().is_ok_and(says_so))
    };
    if namespace == ours || is_permitted() {
        return Ok(());
    }
    Err(format!(
        "{} belongs to ModuleModel {owner}, which does not let namespace {ours} refer to it; its owner adds {ours} to spec.referencedBy there",
        there.name
    ))
}

fn is_of(spec: &ModuleModelSpec, name: &ModelName) -> bool {
    spec.module == name.module.as_str() && spec.model == name.model.as_str()
}

/// Whether `from` refers to `to`, over however many models.
fn leads_back(specs: &[&ModuleModelSpec], from: &ModelName, to: &ModelName) -> bool {
    let from = (from.module.as_str(), from.model.as_str());
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some((module, model)) = next.pop() {
        let fields = specs
            .iter()
            .filter(|s| s.module == module && s.model == model)
            .flat_map(|s| &s.fields);
        for reference in fields.filter_map(|f| f.references.as_ref()) {
            let target = (&*reference.module, &*reference.model);
            if target == (to.module.as_str(), to.model.as_str()) {
                return true;
            }
            if seen.insert(target) {
                next.push(target);
            }
        }
    }
    false
}
