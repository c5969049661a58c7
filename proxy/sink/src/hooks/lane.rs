//! The calls about one model to one URL: bounded, and in order of each record. Pure: the dispatcher tells what time it is.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::delivery::{Delivery, Effort, Ended};
use crate::{table::Key, tracker::Ticket};

/// Calls of one hook under way, each of another record.
const IN_FLIGHT_MAX: usize = 8;
/// Calls of one hook that wait or are under way.
const CALLS_MAX: usize = 1_000;
/// Bytes of them.
const BYTES_MAX: usize = 8 << 20;
/// What a call costs beside its body.
const OVERHEAD_BYTES: usize = 512;

/// A call that waits, and the record of the topic that it is of. The offset moves when the last call of its record ends.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The call.
    pub delivery: Delivery,
    /// Shared by the calls of one record.
    pub ticket: Arc<Ticket>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.delivery.told.body.len() + OVERHEAD_BYTES
    }
}

/// A call to be started.
#[derive(Debug)]
pub(super) struct Started {
    /// The call.
    pub waiting: Waiting,
    /// How hard it is to be tried.
    pub effort: Effort,
}

/// The calls of one hook.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// By record, the first to be called next.
    queues: HashMap<Key, VecDeque<Waiting>>,
    /// Records with calls waiting and none under way, in the order in which they came.
    ready: VecDeque<Key>,
    in_flight: HashSet<Key>,
    calls: usize,
    bytes: usize,
    /// Since when no call was taken, while some were not.
    failing_since: Option<Instant>,
    full_since: Option<Instant>,
}

impl Lane {
    /// Takes a call on.
    pub fn add(&mut self, waiting: Waiting, now: Instant) {
        self.calls += 1;
        self.bytes += waiting.bytes();
        if self.is_full() {
            self.full_since.get_or_insert(now);
        }
        let key = waiting.delivery.told.key;
        let queue = self.queues.entry(key).or_default();
        if queue.is_empty() && !self.in_flight.contains(&key) {
            self.ready.push_back(key);
        }
        queue.push_back(waiting);
    }

    /// The next call that may be started now, to be followed by [`Self::ended`].
    pub fn start(&mut self, now: Instant, give_up: Duration) -> Option<Started> {
        let overflows = self.overflows(now, give_up);
        if self.in_flight.len() >= IN_FLIGHT_MAX && !overflows {
            return None;
        }
        let key = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let waiting = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.in_flight.insert(key);
        let failing = self.failing_since.is_some_and(|at| now - at >= give_up);
        let effort = match (overflows, failing) {
            (true, _) => Effort::None,
            (false, true) => Effort::Once,
            (false, false) => Effort::Usual,
        };
        Some(Started { waiting, effort })
    }

    /// A call has ended.
    pub fn ended(&mut self, waiting: &Waiting, ended: Ended, now: Instant) {
        let key = waiting.delivery.told.key;
        self.calls -= 1;
        self.bytes -= waiting.bytes();
        self.in_flight.remove(&key);
        if self.queues.contains_key(&key) {
            self.ready.push_back(key);
        }
        match ended {
            Ended::Taken => self.failing_since = None,
            Ended::Untaken => _ = self.failing_since.get_or_insert(now),
        }
        if self.calls <= CALLS_MAX / 2 && self.bytes <= BYTES_MAX / 2 {
            self.full_since = None;
        }
    }

    /// Whether reading has to wait for this hook: it has all that it may hold, and has had so for a short time only. A
    /// hook that fails, or stays full, holds up nobody: its further calls become dead letters.
    pub fn holds_up(&self, now: Instant, give_up: Duration) -> bool {
        self.full_since.is_some() && !self.overflows(now, give_up)
    }

    fn overflows(&self, now: Instant, give_up: Duration) -> bool {
        let full = self
            .full_since
            .is_some_and(|since| self.failing_since.is_some() || now - since >= give_up);
        full && (self.calls > CALLS_MAX / 2 || self.bytes > BYTES_MAX / 2)
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it may be forgotten.
    pub fn is_idle(&self) -> bool {
        self.calls == 0 && self.failing_since.is_none()
    }

    fn is_full(&self) -> bool {
        self.calls >= CALLS_MAX || self.bytes >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::{Catalog, FailurePolicy, Hook, HookEvent, ModuleModel};
    use uuid::Uuid;

    use super::*;
    use crate::{decode::Version, hooks::event::Told, tracker::Tracker};

    const GIVE_UP: Duration = Duration::from_secs(60);

    struct World {
        tracker: Tracker,
        next: i64,
    }

    impl World {
        fn new() -> Self {
            let mut tracker = Tracker::default();
            tracker.assign(0, 0);
            Self { tracker, next: 0 }
        }

        fn call(&mut self, record: u128) -> Waiting {
            let model: ModuleModel = serde_json::from_value(serde_json::json!({
                "module": "crm", "model": "deals", "autoApi": true, "analytics": false, "maxPageSize": 10,
                "fields": [{"name": "title", "type": "text"}],
            }))
            .unwrap();
            self.next += 1;
            let nothing = serde_json::json!({
                "revision": 1, "generation": 1, "database": "septem", "models": [], "tenants": [],
            });
            let told = Told {
                catalog: Arc::new(Catalog::parse(&nothing.to_string()).unwrap()),
                model: Arc::new(model),
                event: HookEvent::AfterCreate,
                key: Key {
                    tenant: Uuid::from_u128(1),
                    id: Uuid::from_u128(record),
                },
                version: Version(self.next.try_into().unwrap()),
                event_id: Uuid::from_u128(self.next.try_into().unwrap()),
                body: Bytes::from_static(b"{}"),
            };
            let hook = Hook {
                event: HookEvent::AfterCreate,
                url: "http://a/".into(),
                timeout_ms: 2_000,
                failure_policy: FailurePolicy::Fail,
            };
            let ticket = self.tracker.take(0, self.next).unwrap();
            Waiting {
                delivery: Delivery {
                    hook,
                    told: Arc::new(told),
                },
                ticket: Arc::new(ticket),
            }
        }
    }

    fn version(started: &Started) -> u128 {
        started.waiting.delivery.told.version.0
    }

    #[test]
    fn calls_of_one_record_are_made_one_after_the_other() {
        let (mut world, mut lane, now) = (World::new(), Lane::default(), Instant::now());
        for record in [1, 1, 2, 1] {
            lane.add(world.call(record), now);
        }
        let first = lane.start(now, GIVE_UP).unwrap();
        let other = lane.start(now, GIVE_UP).unwrap();
        assert_eq!((version(&first), version(&other)), (1, 3));
        assert!(lane.start(now, GIVE_UP).is_none());
        lane.ended(&first.waiting, Ended::Untaken, now);
        let second = lane.start(now, GIVE_UP).unwrap();
        assert_eq!(version(&second), 2);
        assert!(lane.start(now, GIVE_UP).is_none());
        lane.ended(&second.waiting, Ended::Taken, now);
        let third = lane.start(now, GIVE_UP).unwrap();
        assert_eq!(version(&third), 4);
        lane.ended(&other.waiting, Ended::Taken, now);
        lane.ended(&third.waiting, Ended::Taken, now);
        assert!(lane.is_idle());
    }

    #[test]
    fn a_failing_hook_is_tried_once_and_a_full_one_holds_nobody_up() {
        let (mut world, mut lane, now) = (World::new(), Lane::default(), Instant::now());
        lane.add(world.call(0), now);
        let first = lane.start(now, GIVE_UP).unwrap();
        assert_eq!(first.effort, Effort::Usual);
        lane.ended(&first.waiting, Ended::Untaken, now);
        lane.add(world.call(0), now);
        let later = lane.start(now + GIVE_UP, GIVE_UP).unwrap();
        assert_eq!(later.effort, Effort::Once);
        lane.ended(&later.waiting, Ended::Taken, now);

        // Healthy, and slow: the others wait a while.
        for record in 0..1_000 {
            lane.add(world.call(record), now);
        }
        assert!(lane.holds_up(now, GIVE_UP));
        let started: Vec<_> = std::iter::from_fn(|| lane.start(now, GIVE_UP)).collect();
        assert_eq!(started.len(), IN_FLIGHT_MAX);
        // Then no longer: what is too much goes, down to half.
        let late = now + GIVE_UP;
        assert!(!lane.holds_up(late, GIVE_UP));
        let mut gone = 0;
        while let Some(started) = lane.start(late, GIVE_UP) {
            if started.effort != Effort::None {
                break;
            }
            gone += 1;
            lane.ended(&started.waiting, Ended::Untaken, late);
        }
        assert_eq!(gone, 500);
        assert!(!lane.holds_up(late, GIVE_UP));
    }
}
