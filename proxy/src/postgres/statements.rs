//! Which statements a connection has prepared.

use std::{collections::HashMap, sync::Arc};

/// A bounded map from text to the name under which a connection has it, least recently used first to go.
///
/// Names are never used twice on a connection, so that nothing under way can meet another statement.
pub(super) struct Statements {
    by_text: HashMap<Arc<str>, Entry>,
    capacity: usize,
    clock: u64,
    names: u64,
}

struct Entry {
    name: Arc<str>,
    used: u64,
}

/// What is to be sent before a statement can be bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Nothing: a Parse under this name has succeeded, or is under way ahead of us.
    Known(Arc<str>),
    /// A Parse under this name, after a Close of the other where there is one.
    New {
        name: Arc<str>,
        evicted: Option<Arc<str>>,
    },
}

impl Statements {
    /// At least 64, which is more than any chunk has: no statement of a chunk evicts another of it.
    pub fn new(capacity: usize) -> Self {
        Self {
            by_text: HashMap::new(),
            capacity: capacity.max(64),
            clock: 0,
            names: 0,
        }
    }

    pub fn look_up(&mut self, text: &str) -> Lookup {
        self.clock += 1;
        if let Some(entry) = self.by_text.get_mut(text) {
            entry.used = self.clock;
            return Lookup::Known(Arc::clone(&entry.name));
        }
        let evicted = (self.by_text.len() >= self.capacity)
            .then(|| self.evict())
            .flatten();
        self.names += 1;
        let name: Arc<str> = format!("s{}", self.names).into();
        self.by_text.insert(
            text.into(),
            Entry {
                name: Arc::clone(&name),
                used: self.clock,
            },
        );
        Lookup::New { name, evicted }
    }

    /// Forgets a statement whose Parse under that name has failed.
    pub fn forget_failed(&mut self, text: &str, name: &str) {
        if self.by_text.get(text).is_some_and(|e| &*e.name == name) {
            self.by_text.remove(text);
        }
    }

    /// Forgets a statement whose tables have changed. Returns its name for a Close.
    pub fn forget(&mut self, text: &str) -> Option<Arc<str>> {
        self.by_text.remove(text).map(|e| e.name)
    }

    fn evict(&mut self) -> Option<Arc<str>> {
        let oldest = self
            .by_text
            .iter()
            .min_by_key(|(_, e)| e.used)
            .map(|(text, _)| Arc::clone(text))?;
        self.forget(&oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut statements = Statements::new(64);
        for i in 0..64 {
            assert!(matches!(
                statements.look_up(&format!("q{i}")),
                Lookup::New { evicted: None, .. }
            ));
        }
        assert_eq!(statements.look_up("q0"), Lookup::Known("s1".into()));
        assert_eq!(
            statements.look_up("q64"),
            Lookup::New {
                name: "s65".into(),
                evicted: Some("s2".into())
            }
        );
        assert_eq!(statements.forget("q0").as_deref(), Some("s1"));
        assert_eq!(
            statements.look_up("q0"),
            Lookup::New {
                name: "s66".into(),
                evicted: None
            }
        );
    }
}
