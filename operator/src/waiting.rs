//! ModuleModels that wait for another model to be applied, or to be withdrawn.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use crds::ModuleModel;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::context::Guarded;

/// Who waits for whom, by `module.model`.
pub struct Waiting {
    waiting: Mutex<HashMap<String, HashSet<ObjectRef<Guarded<ModuleModel>>>>>,
    woken: mpsc::UnboundedSender<ObjectRef<Guarded<ModuleModel>>>,
}

impl Waiting {
    /// Nobody waits; who has waited is sent to `woken`.
    pub fn new(woken: mpsc::UnboundedSender<ObjectRef<Guarded<ModuleModel>>>) -> Self {
        Self {
            waiting: Mutex::default(),
            woken,
        }
    }

    /// Remembers that this resource waits for that model. A resource that is gone by then is simply not found.
    pub fn wait(&self, name: String, who: ObjectRef<Guarded<ModuleModel>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(name).or_default().insert(who);
    }

    /// Something changed for that model: everybody who waited for it is reconciled.
    pub fn wake(&self, name: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for who in waiting.remove(name).into_iter().flatten() {
            // Nobody listens any more while we shut down.
            let _ = self.woken.send(who);
        }
    }
}
