//! Who asks: what the chain has established before a handler runs.

use std::{collections::HashSet, fmt, sync::Arc};

use model::{Catalog, ModuleModel, Permission, Tenant};

use crate::problem::{Problem, ProblemKind};

/// Everything a handler may know of the caller. Made by the chain only, from a verified token.
#[derive(Clone)]
pub struct Caller {
    /// The tenant, as the catalogue knows it.
    pub tenant: Arc<Tenant>,
    /// Claim `sub`.
    pub user: Arc<str>,
    /// What the caller may do.
    pub permissions: Arc<HashSet<Permission>>,
    /// The state of the catalogue that this request is served from.
    pub catalog: Arc<Catalog>,
    /// W3C trace id.
    pub trace: TraceId,
}

impl Caller {
    /// A model as this caller sees it, by that catalogue.
    pub fn model<'a>(
        &self,
        catalog: &'a Catalog,
        module: &str,
        model: &str,
    ) -> Option<&'a Arc<ModuleModel>> {
        catalog.model(&self.tenant, &self.permissions, module, model)
    }

    /// Every model that the tenant has, by name, as this caller sees it.
    pub fn models(&self) -> impl Iterator<Item = &Arc<ModuleModel>> {
        self.catalog.models(&self.tenant, &self.permissions)
    }

    /// 403 unless the caller holds the permission. The answer does not tell whether any row exists.
    pub fn require(&self, permission: &Permission) -> Result<(), Problem> {
        if self.permissions.contains(permission) {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::Forbidden,
            format!("The permission {permission} is needed."),
        ))
    }
}

/// A W3C trace id: 32 lower-case hexadecimal digits, not all zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceId(pub Arc<str>);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
