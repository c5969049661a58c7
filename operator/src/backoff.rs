//! When to try again: per object, 1 s · 2ⁿ with jitter, at most 5 minutes, forgotten after a success.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Longest pause between two tries.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Failures in a row, by the uid of the object.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// Counts a failure and says how long to wait.
    pub fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_insert(0);
        let pause = pause(*count, uuid::Uuid::new_v4().as_bytes()[0]);
        *count += 1;
        pause
    }

    /// Forgets the failures of an object that was carried out, or is gone.
    pub fn succeeded(&self, uid: &str) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

/// The pause after `count` earlier failures; `noise` spreads it over 75 to 125 %.
fn pause(count: u32, noise: u8) -> Duration {
    let base = Duration::from_secs(1 << count.min(9)).min(PAUSE_MAX);
    (base * (192 + u32::from(noise) / 2) / 256).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_start_again_after_a_success() {
        assert_eq!(pause(0, 128), Duration::from_secs(1));
        assert_eq!(pause(3, 128), Duration::from_secs(8));
        assert_eq!(pause(40, 255), PAUSE_MAX);
        assert!(pause(0, 0) < pause(0, 255));
        let backoff = Backoff::default();
        for _ in 0..5 {
            backoff.failed("a");
        }
        assert!(backoff.failed("a") > Duration::from_secs(20));
        backoff.succeeded("a");
        assert!(backoff.failed("a") < Duration::from_secs(2));
    }
}
