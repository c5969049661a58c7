//! The catalogue: what the data plane serves, published by the operator, read by proxy and sink.

mod in_use;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Action, Field, ModelName, ModuleModel, Permission, Tenant, TenantId};

pub use in_use::InUse;

/// The statement that reads the whole catalogue at one moment, as one JSON text.
pub const CATALOG_QUERY: &str = "select platform.catalog_snapshot()::text";
/// The channel that is notified, with the new revision as payload, when the catalogue has changed.
pub const CATALOG_CHANNEL: &str = "platform_catalog";

/// Number of a published state of the catalogue; it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

/// Number of a capture generation of a database: one slot, one prefix, one set of ClickHouse tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i32);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[derive(Deserialize)]
struct Document {
    revision: Revision,
    generation: Generation,
    database: String,
    models: Vec<Entry>,
    tenants: Vec<Tenant>,
    #[serde(default)]
    erased: HashSet<TenantId>,
}

#[derive(Deserialize)]
struct Entry {
    document: ModuleModel,
    /// False once the resource is gone and its data retained: not served, still captured.
    served: bool,
}

/// An immutable, versioned set of models and tenants; swapped whole, never edited.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Which state this is.
    pub revision: Revision,
    /// The generation of ClickHouse tables that is read.
    pub generation: Generation,
    /// Name of the database, part of the connector's name and prefix.
    pub database: String,
    served: BTreeMap<ModelName, Served>,
    captured: BTreeMap<ModelName, Arc<ModuleModel>>,
    told: BTreeMap<ModelName, Arc<ModuleModel>>,
    /// Served or not: a retained row still refers to what it refers to.
    all: Vec<Arc<ModuleModel>>,
    tenants: HashMap<TenantId, Arc<Tenant>>,
    erased: HashSet<Uuid>,
}

/// A served model in the two ways in which it is seen.
#[derive(Debug, Clone)]
struct Served {
    whole: Arc<ModuleModel>,
    /// Without its sensitive fields, where it has any.
    open: Option<Arc<ModuleModel>>,
}

impl Served {
    fn of(whole: Arc<ModuleModel>) -> Self {
        Self {
            open: whole.without_sensitive().map(Arc::new),
            whole,
        }
    }

    fn seen_with(&self, permissions: &HashSet<Permission>) -> &Arc<ModuleModel> {
        let sees_all =
            || permissions.contains(&Permission::on(self.whole.name(), Action::Sensitive));
        match &self.open {
            Some(open) if !sees_all() => open,
            _ => &self.whole,
        }
    }
}

/// The catalogue in the database is not one that this version reads.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue document cannot be read")]
pub struct CatalogError(#[source] serde_json::Error);

impl Catalog {
    /// Reads the text that [`CATALOG_QUERY`] answers.
    pub fn parse(json: &str) -> Result<Self, CatalogError> {
        let document: Document = serde_json::from_str(json).map_err(CatalogError)?;
        let mut served = BTreeMap::new();
        let mut captured = BTreeMap::new();
        let mut told = BTreeMap::new();
        let mut all = Vec::with_capacity(document.models.len());
        for entry in document.models {
            let model = Arc::new(entry.document);
            all.push(Arc::clone(&model));
            if entry.served && model.auto_api() {
                served.insert(model.name().clone(), Served::of(Arc::clone(&model)));
            }
            if entry.served && model.has_after_hooks() {
                told.insert(model.name().clone(), Arc::clone(&model));
            }
            if model.analytics() {
                captured.insert(model.name().clone(), model);
            }
        }
        let tenants = document
            .tenants
            .into_iter()
            .map(|t| (t.id, Arc::new(t)))
            .collect();
        Ok(Self {
            revision: document.revision,
            generation: document.generation,
            database: document.database,
            served,
            captured,
            told,
            all,
            tenants,
            erased: document.erased.iter().map(TenantId::as_uuid).collect(),
        })
    }

    /// The tenant of that id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// Whether the tenant of that id was erased, or is being: what still names it brings nothing back.
    pub fn is_erased(&self, id: Uuid) -> bool {
        self.erased.contains(&id)
    }

    /// Whether any tenant was erased.
    pub fn erased_some(&self) -> bool {
        !self.erased.is_empty()
    }

    /// Every tenant, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// A served model of a module that this tenant has, as a holder of these permissions sees it. Unknown module,
    /// module not installed and unknown model look the same.
    pub fn model(
        &self,
        tenant: &Tenant,
        permissions: &HashSet<Permission>,
        module: &str,
        model: &str,
    ) -> Option<&Arc<ModuleModel>> {
        let served = self.served(tenant, module, model)?;
        Some(served.seen_with(permissions))
    }

    /// Whether this tenant has that model.
    pub fn has(&self, tenant: &Tenant, module: &str, model: &str) -> bool {
        self.served(tenant, module, model).is_some()
    }

    fn served(&self, tenant: &Tenant, module: &str, model: &str) -> Option<&Served> {
        let name = ModelName {
            module: tenant.modules.get(module)?.clone(),
            model: model.parse().ok()?,
        };
        self.served.get(&name)
    }

    /// Every served model of the modules that this tenant has, by name, as a holder of these permissions sees it.
    pub fn models<'a>(
        &'a self,
        tenant: &'a Tenant,
        permissions: &'a HashSet<Permission>,
    ) -> impl Iterator<Item = &'a Arc<ModuleModel>> {
        let installed = |(name, _): &(&ModelName, _)| tenant.modules.contains(&name.module);
        let served = self.served.iter().filter(installed);
        served.map(|(_, served)| served.seen_with(permissions))
    }

    /// Every model with a field that references `target`, with that field: the to-many side of a relation.
    /// Not narrowed to a tenant or to what is served: a row that refers to another does so whatever is installed,
    /// and a retained one too.
    pub fn referrers<'a>(
        &'a self,
        target: &'a ModelName,
    ) -> impl Iterator<Item = (&'a Arc<ModuleModel>, &'a Field)> {
        self.all.iter().flat_map(move |model| {
            let refers = |f: &&Field| {
                f.references
                    .as_ref()
                    .is_some_and(|r| r.module == target.module && r.model == target.model)
            };
            model
                .fields()
                .iter()
                .filter(refers)
                .map(move |field| (model, field))
        })
    }

    /// A model whose changes go to ClickHouse, served or not.
    pub fn captured(&self, schema: &str, table: &str) -> Option<&Arc<ModuleModel>> {
        let name = ModelName {
            module: schema.parse().ok()?,
            model: table.parse().ok()?,
        };
        self.captured.get(&name)
    }

    /// A model whose hooks are told of changes; its resource exists, whether or not we serve its endpoints.
    pub fn told(&self, schema: &str, table: &str) -> Option<&Arc<ModuleModel>> {
        let name = ModelName {
            module: schema.parse().ok()?,
            model: table.parse().ok()?,
        };
        self.told.get(&name)
    }

    /// Every model whose changes go to ClickHouse.
    pub fn all_captured(&self) -> impl Iterator<Item = &Arc<ModuleModel>> {
        self.captured.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sees_served_models_of_its_modules_only() {
        let model = |module: &str, model: &str, served: bool| {
            serde_json::json!({"served": served, "document": {
                "module": module, "model": model, "autoApi": true, "analytics": true, "maxPageSize": 10,
                "fields": [{"name": "title", "type": "text"}],
            }})
        };
        let document = serde_json::json!({
            "revision": 7, "generation": 1, "database": "septem",
            "models": [model("crm", "deals", true), model("crm", "old", false), model("hr", "people", true)],
            "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "acme", "state": "Active", "modules": ["crm"]}],
        });
        let catalog = Catalog::parse(&document.to_string()).unwrap();
        let id = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap();
        let tenant = catalog.tenant(&id).unwrap();
        let none = HashSet::new();
        assert!(catalog.model(tenant, &none, "crm", "deals").is_some());
        for (module, model) in [
            ("crm", "old"),
            ("hr", "people"),
            ("crm", "x"),
            ("no", "deals"),
            ("crm", "DEALS"),
        ] {
            assert!(
                catalog.model(tenant, &none, module, model).is_none()
                    && !catalog.has(tenant, module, model),
                "{module}.{model}"
            );
        }
        assert_eq!(catalog.models(tenant, &none).count(), 1);
        assert!(catalog.captured("crm", "old").is_some());
    }

    #[test]
    fn sensitive_fields_are_there_for_those_who_may_see_them() {
        let document = serde_json::json!({
            "revision": 1, "generation": 1, "database": "septem",
            "models": [{"served": true, "document": {
                "module": "crm", "model": "people", "autoApi": true, "analytics": true, "maxPageSize": 10,
                "fields": [
                    {"name": "name", "type": "text"},
                    {"name": "salary", "type": "int32", "sensitive": true},
                ],
            }}],
            "tenants": [{"id": "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", "slug": "acme", "state": "Active", "modules": ["crm"]}],
        });
        let catalog = Catalog::parse(&document.to_string()).unwrap();
        let tenant = catalog.tenants().next().unwrap();
        let seen = |held: &[&str]| {
            let held = held.iter().map(|p| p.parse().unwrap()).collect();
            let model = catalog.model(tenant, &held, "crm", "people").unwrap();
            let listed = catalog.models(tenant, &held).next().unwrap();
            assert_eq!(model, listed);
            assert_eq!(model.fields().len(), 2, "the table is the same");
            assert_eq!(
                model.record_columns().last().unwrap().name.as_str(),
                "version"
            );
            model.column("salary").is_some()
        };
        assert!(seen(&["crm.people.sensitive"]));
        for held in [
            &[][..],
            &["crm.people.read", "crm.people.write", "crm.people.delete"],
            &["crm.deals.sensitive"],
        ] {
            assert!(!seen(held), "{held:?}");
        }
        let captured = catalog.captured("crm", "people").unwrap();
        assert!(captured.column("salary").is_some());
    }
}
