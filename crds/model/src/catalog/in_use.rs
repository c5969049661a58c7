//! Which catalogues a process still works with.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Catalog, Revision};

/// The catalogues that a process has served from, as long as anything holds them.
///
/// Whoever plans by a catalogue holds it until what was planned is over: a request until its answer is sent, a batch of
/// changes until it is written. The oldest that is held is the revision that the process has to be waited for: what an
/// older one mentions, it does not use any more.
#[derive(Debug, Default)]
pub struct InUse(Mutex<Vec<Weak<Catalog>>>);

impl InUse {
    /// Watches a catalogue. Call before anybody else can hold it.
    pub fn watch(&self, catalog: &Arc<Catalog>) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|catalog| catalog.strong_count() > 0);
        watched.push(Arc::downgrade(catalog));
    }

    /// The oldest revision that somebody holds; none when nobody holds any.
    pub fn oldest(&self) -> Option<Revision> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|catalog| catalog.strong_count() > 0);
        let held = watched.iter().filter_map(Weak::upgrade);
        held.map(|catalog| catalog.revision).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(revision: i64) -> Arc<Catalog> {
        let document = serde_json::json!({
            "revision": revision, "generation": 1, "database": "septem", "models": [], "tenants": [],
        });
        Arc::new(Catalog::parse(&document.to_string()).unwrap())
    }

    #[test]
    fn the_oldest_that_is_held_counts() {
        let in_use = InUse::default();
        assert_eq!(in_use.oldest(), None);
        let (first, second, third) = (catalog(1), catalog(2), catalog(3));
        for catalog in [&first, &second, &third] {
            in_use.watch(catalog);
        }
        let request = Arc::clone(&second);
        assert_eq!(in_use.oldest(), Some(Revision(1)));
        drop((first, second));
        assert_eq!(in_use.oldest(), Some(Revision(2)));
        drop(request);
        assert_eq!(in_use.oldest(), Some(Revision(3)));
        drop(third);
        assert_eq!(in_use.oldest(), None);
    }
}
