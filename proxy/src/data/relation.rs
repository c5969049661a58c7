//! Relations of a model by name: to-one as the field less `_id`, to-many as the other model.

use std::collections::HashSet;

use model::{Catalog, Field, ModelName, ModuleModel, Permission, Tenant};
use sql::postgres::select::Link;

use crate::{
    problem::{FieldCode, FieldError},
    query::{refuse, shown},
};

/// What names mean in a request: the models that this tenant has, as the holder of these permissions sees them.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub catalog: &'a Catalog,
    pub tenant: &'a Tenant,
    pub permissions: &'a HashSet<Permission>,
}

/// A foreign key, seen from one of its ends.
#[derive(Clone, Copy)]
pub(crate) struct Relation<'a> {
    /// The model at the other end.
    pub model: &'a ModuleModel,
    /// The field that refers.
    pub field: &'a Field,
    /// Whether this end refers.
    pub is_one: bool,
}

impl<'a> Relation<'a> {
    /// How rows at the other end belong to those at this end.
    pub fn link(&self) -> Link {
        match self.is_one {
            true => Link::ToOne(self.field.column()),
            false => Link::ToMany(self.field.column()),
        }
    }

    /// Its name without a hint.
    pub fn name(&self) -> &'a str {
        match self.is_one {
            true => {
                let field = self.field.name.as_str();
                field.strip_suffix("_id").unwrap_or(field)
            }
            false => self.model.name().model.as_str(),
        }
    }
}

impl<'a> Relation<'a> {
    /// What tells it from others of its name: the field, and the module of the model that refers.
    fn hints(&self) -> Vec<&'a str> {
        let module = (!self.is_one).then(|| self.model.name().module.as_str());
        [self.field.name.as_str()]
            .into_iter()
            .chain(module)
            .collect()
    }

    /// The hint that fits no other of these; the field where none does.
    pub fn hint_among(&self, others: &[&Self]) -> &'a str {
        let fitting = |hint: &&str| {
            let fits = others.iter().filter(|r| r.hints().contains(hint));
            fits.count() == 1
        };
        let mut hints = self.hints().into_iter();
        hints.find(fitting).unwrap_or(self.field.name.as_str())
    }
}

impl<'a> Names<'a> {
    fn model(self, name: &ModelName) -> Option<&'a ModuleModel> {
        let (module, model) = (name.module.as_str(), name.model.as_str());
        let found = self
            .catalog
            .model(self.tenant, self.permissions, module, model);
        found.map(|m| &**m)
    }

    /// Every relation of a model to models that the tenant has. One that it has not is as if it were not there, and
    /// so is one by a field that the caller does not see.
    pub(crate) fn relations(self, model: &'a ModuleModel) -> Vec<Relation<'a>> {
        let mut found = Vec::new();
        for field in model.fields().iter().filter(|f| model.shows([&f.name])) {
            let Some(reference) = &field.references else {
                continue;
            };
            if let Some(target) = self.model(&reference.target()) {
                found.push(Relation {
                    model: target,
                    field,
                    is_one: true,
                });
            }
        }
        for (other, field) in self.catalog.referrers(model.name()) {
            let served = self.model(other.name());
            if let Some(other) = served.filter(|other| other.shows([&field.name])) {
                found.push(Relation {
                    model: other,
                    field,
                    is_one: false,
                });
            }
        }
        found
    }

    /// The relation of that name, and through that field, or to a model of that module, where a hint says so. Where a field and a model give one
    /// name to both ends (`node_id` of `nodes` to itself, called `node`), the name alone is the to-one and the name
    /// with a hint the to-many, as a model's description has them.
    pub(crate) fn relation(
        self,
        parameter: &str,
        model: &'a ModuleModel,
        name: &str,
        hint: Option<&str>,
    ) -> Result<Relation<'a>, FieldError> {
        let all = self.relations(model);
        let named = all.iter().filter(|r| r.name() == name);
        let fitting: Vec<_> = named
            .filter(|r| hint.is_none_or(|hint| r.hints().contains(&hint)))
            .collect();
        let mut preferred = fitting.iter().filter(|r| r.is_one == hint.is_none());
        if let (Some(one), None) = (preferred.next(), preferred.next()) {
            return Ok(**one);
        }
        match fitting.as_slice() {
            [one] => Ok(**one),
            [] => {
                let hint = hint.map(|h| format!("!{}", shown(h))).unwrap_or_default();
                let message = format!(
                    "{}{hint} is not a relation of {}",
                    shown(name),
                    model.name().model.as_str()
                );
                Err(refuse(parameter, FieldCode::UnknownField, message))
            }
            several => {
                let choices: Vec<_> = several
                    .iter()
                    .map(|r| format!("{}!{}", r.name(), r.hint_among(several)))
                    .collect();
                let message = format!("{} is one of {}", shown(name), choices.join(", "));
                Err(refuse(parameter, FieldCode::InvalidValue, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_for_both_ends_is_told_apart_by_the_hint() {
        let document = serde_json::json!({
            "revision": 1, "generation": 1, "database": "x",
            "models": [{"served": true, "document": {
                "module": "m", "model": "node", "autoApi": true, "analytics": false, "maxPageSize": 10,
                "fields": [
                    {"name": "node_id", "type": "uuid", "references": {"module": "m", "model": "node"}},
                    {"name": "root_id", "type": "uuid", "references": {"module": "m", "model": "node"}},
                ],
            }}],
            "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "a", "state": "Active", "modules": ["m"]}],
        });
        let catalog = Catalog::parse(&document.to_string()).unwrap();
        let tenant = catalog.tenants().next().unwrap();
        let names = Names {
            catalog: &catalog,
            tenant,
            permissions: &HashSet::new(),
        };
        let model = catalog.model(tenant, &HashSet::new(), "m", "node").unwrap();
        for (name, hint, expected) in [
            ("node", None, Some((true, "node_id"))),
            ("node", Some("node_id"), Some((false, "node_id"))),
            ("node", Some("root_id"), Some((false, "root_id"))),
            ("root", None, Some((true, "root_id"))),
            ("root", Some("root_id"), Some((true, "root_id"))),
            ("root", Some("node_id"), None),
            ("nodes", None, None),
        ] {
            let found = names.relation("include", model, name, hint);
            let found = found.ok().map(|r| (r.is_one, r.field.name.as_str()));
            assert_eq!(found, expected, "{name} {hint:?}");
        }
    }
}
