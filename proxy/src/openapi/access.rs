//! What one caller may do, as far as a description depends on it.

use std::sync::Arc;

use model::{Action, ModuleModel, Permission, TenantState};
use sha2::{Digest as _, Sha256};

use crate::{
    caller::Caller,
    schema::relations::{Relation, relations},
};

/// A model of which the caller may do something.
pub(super) struct Reach {
    /// The model.
    pub model: Arc<ModuleModel>,
    /// List, get, analytics.
    pub read: bool,
    /// Create and change; false in a tenant that is read-only.
    pub write: bool,
    /// Delete and restore; false in a tenant that is read-only.
    pub delete: bool,
    /// Whether deleted records may be read.
    pub read_deleted: bool,
    /// Relations to models that the caller may read.
    pub relations: Vec<Relation>,
}

#[cfg(test)]
impl Reach {
    /// Everything of a model, without relations.
    pub fn of_test(model: &ModuleModel) -> Self {
        Self {
            model: Arc::new(model.clone()),
            read: true,
            write: true,
            delete: true,
            read_deleted: true,
            relations: Vec::new(),
        }
    }
}

/// What one caller may do.
pub(super) struct Access {
    /// Models in the order of their names.
    pub models: Vec<Reach>,
    /// `GET cache/{key}`.
    pub cache_read: bool,
    /// `PUT` and `DELETE cache/{key}`, `POST cache/invalidate`.
    pub cache_write: bool,
}

/// Which of all documents of a revision: a digest of everything that [`Access`] depends on.
pub(super) type Shape = [u8; 32];

impl Access {
    /// All of it, from the caller's permissions and the tenant's state and modules.
    pub fn of(caller: &Caller) -> Self {
        let writable = is_writable(caller);
        let models = caller
            .models()
            .filter_map(|model| {
                let may = |action| {
                    caller
                        .permissions
                        .contains(&Permission::on(model.name(), action))
                };
                let (read, delete) = (may(Action::Read), may(Action::Delete));
                let reach = Reach {
                    read,
                    write: writable && may(Action::Write),
                    delete: writable && delete,
                    read_deleted: read && delete && model.soft_delete(),
                    relations: if read {
                        relations(caller, model)
                    } else {
                        Vec::new()
                    },
                    model: Arc::clone(model),
                };
                (reach.read || reach.write || reach.delete).then_some(reach)
            })
            .collect();
        Self {
            models,
            cache_read: caller.permissions.contains(&Permission::CacheRead),
            cache_write: writable && caller.permissions.contains(&Permission::CacheWrite),
        }
    }

    /// The digest alone, without what it stands for: it is asked for at every request.
    pub fn shape(caller: &Caller) -> Shape {
        let mut digest = Sha256::new();
        let cache = [Permission::CacheRead, Permission::CacheWrite];
        let held = cache.map(|p| caller.permissions.contains(&p));
        digest.update([
            u8::from(is_writable(caller)),
            u8::from(held[0]),
            u8::from(held[1]),
        ]);
        for model in caller.models() {
            let name = model.name();
            let held = Action::ALL
                .map(|action| caller.permissions.contains(&Permission::on(name, action)));
            // Names hold no `.` and no NUL, so two different lists never make the same text.
            digest.update(name.module.as_str());
            digest.update(".");
            digest.update(name.model.as_str());
            digest.update([0]);
            digest.update(held.map(u8::from));
        }
        digest.finalize().into()
    }
}

fn is_writable(caller: &Caller) -> bool {
    caller.tenant.state == TenantState::Active
}
