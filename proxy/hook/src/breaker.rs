//! Fails fast while a host is down, and asks it again with one call at a time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many failures in a row open the breaker (DESIGN 11).
const FAILURES_MAX: u32 = 5;
/// So long it stays open before one call is let through. Shorter than for requests of clients (DESIGN 11: 30 s): a
/// probe costs one refused write at most, and each second of it refuses all of a model's writes.
const OPEN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

/// The breaker of one host.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

impl Breaker {
    /// Whether a call may be made now. While the breaker is open, one in [`OPEN`] may.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            Some(until) if now < until => false,
            Some(_) => {
                state.open_until = Some(now + OPEN);
                true
            }
            None => true,
        }
    }

    /// The host has answered, whatever it said.
    pub fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The host has not answered, or with a fault of its own.
    pub fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        if state.failures >= FAILURES_MAX {
            state.open_until = Some(now + OPEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_one_answer_closes_it() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            breaker.failed(start);
        }
        assert!(breaker.admits(start));
        breaker.failed(start);
        assert!(!breaker.admits(start));
        let later = start + OPEN;
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later), "one probe at a time");
        breaker.failed(later);
        assert!(!breaker.admits(later + OPEN / 2));
        assert!(breaker.admits(later + OPEN));
        breaker.answered();
        assert!(breaker.admits(later));
        breaker.failed(later);
        assert!(breaker.admits(later));
    }
}
