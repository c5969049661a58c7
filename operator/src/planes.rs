//! Every DataPlane that this operator serves, by name, and who hears of it when one of them changes.

mod claim;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crds::{DataPlane, ModuleModel, Reason, Tenant};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

pub use claim::Claim;

use crate::{
    context::{Context, Guarded},
    data_plane::Memory,
    plane::Plane,
};

/// What no two DataPlanes may share, as the Secrets name it. The database is not among it: that knows its owner by
/// itself (`platform.data_plane`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// Host and port of ClickHouse: its database, users and roles have fixed names.
    pub clickhouse: String,
    /// Bootstrap servers and topic of change events: its readers take every event for one of their database.
    pub events: (String, String),
}

/// One DataPlane, whether connected or not.
#[derive(Default)]
pub struct Entry {
    /// What its reconciler remembers from one look to the next; held while it looks.
    pub memory: tokio::sync::Mutex<Memory>,
    state: RwLock<State>,
}

/// Why nothing can be done on a DataPlane at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// For the condition.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

#[derive(Default, Clone)]
struct State {
    plane: Option<Arc<Plane>>,
    away: Option<NotReady>,
    holdings: Option<Holdings>,
    looked: bool,
}

impl Entry {
    /// The plane, once it is connected.
    pub fn plane(&self) -> Option<Arc<Plane>> {
        self.read().plane
    }

    /// Whether one look was finished, however it ended.
    pub fn was_looked_at(&self) -> bool {
        self.read().looked
    }

    /// What its Secrets name, once they were read.
    pub fn holdings(&self) -> Option<Holdings> {
        self.read().holdings
    }

    /// Hands the plane to whoever works with it.
    pub fn connect(&self, plane: Arc<Plane>) {
        self.write(|state| state.plane = Some(plane));
    }

    /// Notes whether the database answers. Whoever has work on one that does not is told so at once, instead of
    /// waiting for its timeout in the place of somebody else's work. Returns whether it has come back.
    pub fn away(&self, away: Option<NotReady>) -> bool {
        let mut back = false;
        self.write(|state| {
            back = state.away.is_some() && away.is_none();
            state.away = away;
        });
        back
    }

    /// Notes what its Secrets name.
    pub fn hold(&self, holdings: Holdings) {
        self.write(|state| state.holdings = Some(holdings));
    }

    /// Notes that a look was finished.
    pub fn looked(&self) {
        self.write(|state| state.looked = true);
    }

    fn read(&self) -> State {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn write(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The other ends of [`Planes`]' channels: objects that are to be reconciled. They hold at most one entry for each
/// object and change.
pub struct Woken {
    /// ModuleModels.
    pub models: UnboundedReceiver<ObjectRef<Guarded<ModuleModel>>>,
    /// Tenants.
    pub tenants: UnboundedReceiver<ObjectRef<Guarded<Tenant>>>,
}

/// The registry.
pub struct Planes {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    models: UnboundedSender<ObjectRef<Guarded<ModuleModel>>>,
    tenants: UnboundedSender<ObjectRef<Guarded<Tenant>>>,
}

impl Planes {
    /// Empty; the other ends are read by the controllers.
    pub fn new() -> (Self, Woken) {
        let (models, woken_models) = mpsc::unbounded_channel();
        let (tenants, woken_tenants) = mpsc::unbounded_channel();
        let planes = Self {
            entries: Mutex::default(),
            models,
            tenants,
        };
        let woken = Woken {
            models: woken_models,
            tenants: woken_tenants,
        };
        (planes, woken)
    }

    /// Where ModuleModels are sent that are to be reconciled.
    pub fn wake_models(&self) -> UnboundedSender<ObjectRef<Guarded<ModuleModel>>> {
        self.models.clone()
    }

    /// The entry of that name, made when it is not there.
    pub fn entry(&self, name: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry(name.to_owned()).or_default())
    }

    /// The entry of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Entry>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).cloned()
    }

    /// Every entry and its name, in the order of names.
    pub fn all(&self) -> Vec<(String, Arc<Entry>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = entries
            .iter()
            .map(|(name, entry)| (name.clone(), Arc::clone(entry)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Forgets a DataPlane whose resource is gone. Reconciles that hold its plane finish with it.
    pub fn forget(&self, name: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(name);
    }
}

impl Context {
    /// The plane of that name: none when its resource is gone, or while it is not connected.
    pub fn connected(&self, name: &str) -> Option<Arc<Plane>> {
        self.data_planes
            .get(&ObjectRef::<Guarded<DataPlane>>::new(name))?;
        self.planes.find(name)?.plane()
    }

    /// The plane of that name, or why nothing can be done on it.
    pub fn plane(&self, name: &str) -> Result<Arc<Plane>, NotReady> {
        let plane = self.connected(name).ok_or_else(|| NotReady {
            reason: Reason::DataPlaneNotReady,
            message: self.why_not_connected(name),
        })?;
        match self.planes.find(name).and_then(|entry| entry.read().away) {
            Some(away) => Err(away),
            None => Ok(plane),
        }
    }

    fn why_not_connected(&self, name: &str) -> String {
        let exists = self
            .data_planes
            .get(&ObjectRef::<Guarded<DataPlane>>::new(name));
        if !self.config.serves(name) {
            format!(
                "DataPlane {name} is not served by this operator: see SEPTEM_OPERATOR_DATA_PLANES"
            )
        } else if exists.is_some() {
            format!("DataPlane {name} is not connected yet: its status says why")
        } else {
            format!(
                "there is no DataPlane {name} among those that this operator watches; create it, or name one that is there"
            )
        }
    }

    /// Every plane that answers, with its name.
    pub fn all_connected(&self) -> Vec<(String, Arc<Plane>)> {
        let names = self.planes.all().into_iter().map(|(name, _)| name);
        names
            .filter_map(|name| self.plane(&name).ok().map(|plane| (name, plane)))
            .collect()
    }

    /// Reconciles every ModuleModel that names this DataPlane.
    pub fn wake_models_of(&self, plane: &str) {
        for object in self.models.state() {
            let names = |m: &ModuleModel| m.spec.data_plane_refs.iter().any(|name| name == plane);
            if object.0.as_ref().is_ok_and(names) {
                // Nobody listens any more while we shut down.
                let _ = self.planes.models.send(ObjectRef::from_obj(&*object));
            }
        }
    }

    /// Reconciles every Tenant that has this module and has not been told that it is served.
    pub fn wake_tenants_with(&self, module: &str) {
        let kind = crds::ConditionType::ModulesServed.as_str();
        let misses = |t: &Tenant| {
            let conditions = t.status.iter().flat_map(|s| &s.conditions);
            let told = conditions.filter(|c| c.type_ == kind && c.status == "True");
            told.count() == 0 && t.spec.modules.iter().any(|name| name == module)
        };
        for object in self.tenants.state() {
            if object.0.as_ref().is_ok_and(misses) {
                let _ = self.planes.tenants.send(ObjectRef::from_obj(&*object));
            }
        }
    }

    /// Reconciles every Tenant that names this DataPlane.
    pub fn wake_tenants_of(&self, plane: &str) {
        for object in self.tenants.state() {
            let names = |t: &Tenant| t.spec.data_plane_ref == plane;
            if object.0.as_ref().is_ok_and(names) {
                let _ = self.planes.tenants.send(ObjectRef::from_obj(&*object));
            }
        }
    }
}
