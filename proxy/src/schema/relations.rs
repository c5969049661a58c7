//! Relations of a model to models that the caller may read, by the names that `include` takes.

use model::{Ident, ModuleModel};
use serde::Serialize;

use super::may_read;
use crate::{caller::Caller, data::relation::Names};

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
    let names = Names {
        catalog: &caller.catalog,
        tenant: &caller.tenant,
        permissions: &caller.permissions,
    };
    let mut found = Vec::new();
    for relation in names.relations(model) {
        let target = relation.model.name();
        let name = |hint: Option<&str>| {
            let meant = names
                .relation("include", model, relation.name(), hint)
                .ok()?;
            let is_same = meant.model.name() == target
                && (meant.field, meant.is_one) == (relation.field, relation.is_one);
            is_same.then(|| match hint {
                Some(hint) => format!("{}!{hint}", relation.name()),
                None => relation.name().to_owned(),
            })
        };
        let field = || name(Some(relation.field.name.as_str()));
        let module = || name(Some(target.module.as_str()));
        // What `include` cannot tell from another is not told of.
        let Some(name) = name(None).or_else(field).or_else(module) else {
            continue;
        };
        if may_read(caller, target) {
            found.push(Relation {
                name,
                kind: if relation.is_one {
                    Kind::ToOne
                } else {
                    Kind::ToMany
                },
                module: target.module.clone(),
                model: target.model.clone(),
                field: relation.field.name.clone(),
            });
        }
    }
    found
}
