//! The catalogue: what the data plane serves, published by the operator, read by proxy and sink.

mod in_use;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Field, ModelName, ModuleModel, Tenant, TenantId};

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
    served: BTreeMap<ModelName, Arc<ModuleModel>>,
    captured: BTreeMap<ModelName, Arc<ModuleModel>>,
    told: BTreeMap<ModelName, Arc<ModuleModel>>,
    /// Served or not: a retained row still refers to what it refers to.
    all: Vec<Arc<ModuleModel>>,
    tenants: HashMap<TenantId, Arc<Tenant>>,
    erased: HashSet<Uuid>,
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
                served.insert(model.name().clone(), Arc::clone(&model));
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

    /// A served model of a module that this tenant has. Unknown module, module not installed and unknown model
    /// look the same.
    pub fn model(&self, tenant: &Tenant, module: &str, model: &str) -> Option<&Arc<ModuleModel>> {
        let name = ModelName {
            module: tenant.modules.get(module)?.clone(),
            model: model.parse().ok()?,
        };
        self.served.get(&name)
    }

    /// Every served model of the modules that this tenant has, by name.
    pub fn models<'a>(&'a self, tenant: &'a Tenant) -> impl Iterator<Item = &'a Arc<ModuleModel>> {
        self.served
            .values()
            .filter(|m| tenant.modules.contains(&m.name().module))
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
        assert!(catalog.model(tenant, "crm", "deals").is_some());
        for (module, model) in [
            ("crm", "old"),
            ("hr", "people"),
            ("crm", "x"),
            ("no", "deals"),
            ("crm", "DEALS"),
        ] {
            assert!(
                catalog.model(tenant, module, model).is_none(),
                "{module}.{model}"
            );
        }
        assert_eq!(catalog.models(tenant).count(), 1);
        assert!(catalog.captured("crm", "old").is_some());
    }
}
