//! How many queries of one tenant run at once, so that none starves the others.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use model::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;

/// Queries of a tenant that run at once; comparable products allow 3 to 5.
const RUNNING_MAX: usize = 4;
/// Queries of a tenant that wait.
const WAITING_MAX: usize = 20;
/// Queries that run at once in this process: each may hold an answer of 32 MiB twice.
const RUNNING_ALL_MAX: usize = 32;
/// Longest wait; a client has its own patience, and the query may take 30 s more.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Idle entries are dropped when there are more than these.
const ENTRIES_MAX: usize = 1_024;

/// Places for queries, by tenant, in this process.
pub(super) struct Gates {
    tenants: Mutex<HashMap<TenantId, Arc<Gate>>>,
    all: Arc<Semaphore>,
}

struct Gate {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A query that may run; its places are free again when this is dropped.
pub(super) struct Place {
    _tenant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    _gate: Arc<Gate>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            tenants: Mutex::default(),
            all: Arc::new(Semaphore::new(RUNNING_ALL_MAX)),
        }
    }
}

impl Gates {
    /// Waits for a place. Refused when too many of the tenant wait, or after 10 s.
    pub async fn enter(&self, tenant: &TenantId) -> Result<Place, Error> {
        let gate = self.gate(tenant);
        let waiting = Waiting::start(&gate).ok_or(Error::QueueFull)?;
        // First among its own: a tenant with many queries holds no place that another could have.
        let places = async {
            let own = Arc::clone(&gate.running).acquire_owned().await;
            (own, Arc::clone(&self.all).acquire_owned().await)
        };
        let places = tokio::time::timeout(WAIT_MAX, places).await;
        drop(waiting);
        match places {
            Ok((Ok(own), Ok(all))) => Ok(Place {
                _tenant: own,
                _all: all,
                _gate: gate,
            }),
            _ => Err(Error::QueueFull),
        }
    }

    fn gate(&self, tenant: &TenantId) -> Arc<Gate> {
        let mut gates = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() > ENTRIES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let new = || {
            Arc::new(Gate {
                running: Arc::new(Semaphore::new(RUNNING_MAX)),
                waiting: AtomicUsize::new(0),
            })
        };
        Arc::clone(gates.entry(*tenant).or_insert_with(new))
    }
}

/// One that waits; counted until dropped, also when its client goes away.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn start(gate: &'a Gate) -> Option<Self> {
        let before = gate.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(gate);
        (before < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_waits_for_itself_only() {
        let gates = Arc::new(Gates::default());
        let a = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01".parse().unwrap();
        let b = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e02".parse().unwrap();
        let mut places = Vec::new();
        for _ in 0..RUNNING_MAX {
            places.push(
                gates
                    .enter(&a)
                    .await
                    .unwrap_or_else(|_| panic!("a free place")),
            );
        }
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let gates = Arc::clone(&gates);
                tokio::spawn(async move { gates.enter(&a).await.is_ok() })
            })
            .collect();
        while gates.gate(&a).waiting.load(Ordering::Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert!(matches!(gates.enter(&a).await, Err(Error::QueueFull)));
        assert!(gates.enter(&b).await.is_ok());
        drop(places);
        for task in waiting {
            assert!(task.await.unwrap());
        }
        assert_eq!(gates.gate(&a).waiting.load(Ordering::Relaxed), 0);
    }
}
