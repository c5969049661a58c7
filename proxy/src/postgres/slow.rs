//! Statements that were too slow for the shared lane, remembered for a while.
//!
//! On a shared connection whoever comes next waits for the one before. A statement may hold it up for the lane's
//! `statement_timeout` once; while it is remembered it goes to the exclusive lane at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sql::Statement;
use tokio::time::Instant;

/// How long a statement is remembered: a table that has just been analysed gets another chance soon, and one statement in
/// a minute holds up others for 0.2 % of the time.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Statements that are remembered; beyond that the oldest go. As many as a connection keeps prepared.
const STATEMENTS_MAX: usize = 256;

/// The texts of slow statements, by hash: one that is taken for another is merely run in the slower lane.
#[derive(Default)]
pub(super) struct Slow {
    /// Whether there are any, since as a rule there are none.
    any: AtomicBool,
    until: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Slow {
    /// Remembers these from now on.
    pub fn remember(&self, statements: &[Statement], now: Instant) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        for statement in statements {
            if until.len() >= STATEMENTS_MAX {
                let oldest = until.iter().min_by_key(|(_, end)| **end);
                if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                    until.remove(&oldest);
                }
            }
            until.insert(self.hasher.hash_one(&statement.text), now + REMEMBERED);
        }
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether one of these is remembered now.
    pub fn has_any(&self, statements: &[Statement], now: Instant) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, end| *end > now);
        self.any.store(!until.is_empty(), Ordering::Relaxed);
        statements
            .iter()
            .any(|s| until.contains_key(&self.hasher.hash_one(&s.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(n: usize) -> Statement {
        Statement {
            text: format!("select {n}"),
            binds: Vec::new(),
        }
    }

    #[test]
    fn what_was_slow_is_forgotten_after_a_minute_and_the_oldest_when_there_are_many() {
        let (slow, begun) = (Slow::default(), Instant::now());
        let later = |seconds| begun + Duration::from_secs(seconds);
        assert!(!slow.has_any(&[statement(0)], begun));
        slow.remember(&[statement(0)], begun);
        assert!(slow.has_any(&[statement(1), statement(0)], begun));
        assert!(!slow.has_any(&[statement(1)], begun));
        for n in 1..STATEMENTS_MAX {
            slow.remember(&[statement(n)], later(30));
        }
        assert!(slow.has_any(&[statement(0)], later(30)));
        slow.remember(&[statement(STATEMENTS_MAX)], later(30));
        assert!(!slow.has_any(&[statement(0)], later(30)));
        assert!(slow.has_any(&[statement(1)], later(89)));
        assert!(!slow.has_any(&[statement(1)], later(90)));
        assert!(!slow.any.load(Ordering::Relaxed));
    }
}
