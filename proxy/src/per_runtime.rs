//! What each runtime of the process has one of.
//!
//! Every thread of the public listener has a runtime to itself (see `server`), and a request stays on it. What the
//! request waits for is best driven there too: whoever is woken on another thread costs two switches of thread each
//! way.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::runtime::{Handle, Id};

/// One `T` for each runtime that has asked for it: as many as the process has runtimes, which is the number of its threads
/// and a few.
pub struct PerRuntime<T> {
    made: ArcSwap<Vec<(Id, Arc<T>)>>,
    making: Mutex<()>,
}

impl<T> Default for PerRuntime<T> {
    fn default() -> Self {
        Self {
            made: ArcSwap::default(),
            making: Mutex::default(),
        }
    }
}

impl<T> PerRuntime<T> {
    /// That of this runtime, made when it is asked for first. Call inside a runtime.
    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let here = Handle::current().id();
        self.find(here).unwrap_or_else(|| {
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            self.find(here).unwrap_or_else(|| {
                let made = Arc::new(make());
                let mut all = Vec::clone(&self.made.load());
                all.push((here, Arc::clone(&made)));
                self.made.store(Arc::new(all));
                made
            })
        })
    }

    /// All that there are.
    pub fn all(&self) -> impl Iterator<Item = Arc<T>> {
        let made = self.made.load_full();
        (0..made.len()).map(move |i| Arc::clone(&made[i].1))
    }

    fn find(&self, here: Id) -> Option<Arc<T>> {
        let made = self.made.load();
        made.iter()
            .find(|(id, _)| *id == here)
            .map(|(_, there)| Arc::clone(there))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_has_one_and_only_one() {
        let per_runtime = PerRuntime::default();
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        };
        let (one, two) = (runtime(), runtime());
        let ask =
            |in_: &tokio::runtime::Runtime, n: u8| in_.block_on(async { *per_runtime.get(|| n) });
        assert_eq!((ask(&one, 1), ask(&two, 2)), (1, 2));
        assert_eq!((ask(&one, 3), ask(&two, 4)), (1, 2));
        assert_eq!(per_runtime.all().map(|n| *n).collect::<Vec<_>>(), [1, 2]);
    }
}
