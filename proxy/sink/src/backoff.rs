//! Waiting between tries.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    time::Duration,
};

/// Doubling waits with jitter, without an end: what is retried here only time can heal.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// The first wait is about `first`, none is longer than `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    /// The next wait: between half of the step and all of it, so that many do not come back as one.
    pub fn step(&mut self) -> Duration {
        let step = self.next.min(self.max);
        self.next = (step * 2).min(self.max);
        // A fresh RandomState is seeded from the system's randomness: enough for jitter.
        let random = RandomState::new().build_hasher().finish();
        let share = (random % 1_000) as u32;
        step / 2 + step / 2 * share / 1_000
    }

    /// Waits the next wait.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..20).map(|_| backoff.step()).collect();
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
        assert!(waits[19] >= Duration::from_millis(500) && waits[19] <= Duration::from_secs(1));
    }
}
