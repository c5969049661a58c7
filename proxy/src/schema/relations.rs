//! Relations of a model to models that the caller may read, by the names that `include` takes.

use model::{Ident, ModelName, ModuleModel};
use serde::Serialize;

use super::may_read;
use crate::caller::Caller;

/// How many records a relation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// One, or null: the field is of this model.
    ToOne,
    /// Any number: the field is of the other model.
    ToMany,
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Relation {
    /// As `include` names it: with the key behind `!` where several lead there.
    pub name: String,
    /// To one or to many.
    pub kind: Kind,
    /// Module of the other model.
    pub module: Ident,
    /// The other model.
    pub model: Ident,
    /// The referencing field: of this model in a to-one, of the other in a to-many relation.
    pub field: Ident,
}

/// Relations to models that this tenant has and this caller may read; others are not told of.
pub(crate) fn relations(caller: &Caller, model: &ModuleModel) -> Vec<Relation> {
    let visible = |name: &ModelName| {
        let known = caller
            .catalog
            .model(&caller.tenant, name.module.as_str(), name.model.as_str());
        known.is_some() && may_read(caller, name)
    };
    let mut found = Vec::new();
    for field in model.fields() {
        let Some(reference) = &field.references else {
            continue;
        };
        let target = ModelName {
            module: reference.module.clone(),
            model: reference.model.clone(),
        };
        if visible(&target) {
            let name = field.name.as_str();
            found.push(Relation {
                name: name.strip_suffix("_id").unwrap_or(name).to_owned(),
                kind: Kind::ToOne,
                module: target.module,
                model: target.model,
                field: field.name.clone(),
            });
        }
    }
    let installed = |name: &ModelName| {
        let (module, model) = (name.module.as_str(), name.model.as_str());
        caller
            .catalog
            .model(&caller.tenant, module, model)
            .is_some()
    };
    let referrers: Vec<_> = caller
        .catalog
        .referrers(model.name())
        .filter(|(m, _)| installed(m.name()))
        .collect();
    for (other, field) in &referrers {
        let name = other.name();
        if !visible(name) {
            continue;
        }
        // The key is a part of the name exactly when several keys lead here, readable or not: that is when `include`
        // asks for it.
        let fitting = referrers
            .iter()
            .filter(|(m, _)| m.name().model == name.model);
        let several = fitting.count() > 1 || found.iter().any(|r| r.name == name.model.as_str());
        found.push(Relation {
            name: if several {
                format!("{}!{}", name.model.as_str(), field.name.as_str())
            } else {
                name.model.as_str().to_owned()
            },
            kind: Kind::ToMany,
            module: name.module.clone(),
            model: name.model.clone(),
            field: field.name.clone(),
        });
    }
    found
}
