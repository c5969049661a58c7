//! Which heartbeats are proven to be in Kafka with everything before them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::route::Heartbeat;

/// Heartbeats kept while the slot does not move: an hour of them. Losing one only makes the watermark coarser.
const KEPT_MAX: usize = 3_600;

/// Heartbeats by position, waiting for the slot.
#[derive(Debug, Default)]
pub struct Heartbeats(BTreeMap<u64, DateTime<Utc>>);

impl Heartbeats {
    /// A heartbeat was read from Kafka; twice is once.
    pub fn add(&mut self, heartbeat: Heartbeat) {
        self.0.insert(heartbeat.lsn, heartbeat.at);
        if self.0.len() > KEPT_MAX {
            self.0.pop_first();
        }
    }

    /// Whether there is a heartbeat with a next one.
    pub fn needs_proof(&self) -> bool {
        self.0.len() > 1
    }

    /// The newest heartbeat whose successor's position the slot has passed.
    pub fn proven(&self, confirmed_flush: u64) -> Option<DateTime<Utc>> {
        let mut passed = self.0.range(..=confirmed_flush).rev();
        // The newest position that was passed is the successor of the one that it proves.
        passed.next()?;
        passed.next().map(|(_, at)| *at)
    }

    /// Everything up to this moment is noted: of no further use, the successors are.
    pub fn forget_until(&mut self, at: DateTime<Utc>) {
        self.0.retain(|_, other| *other > at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn heartbeats() -> Heartbeats {
        let mut heartbeats = Heartbeats::default();
        for (lsn, seconds) in [(100, 1), (200, 2), (300, 3)] {
            heartbeats.add(Heartbeat {
                lsn,
                at: at(seconds),
            });
        }
        heartbeats
    }

    #[test]
    fn a_heartbeat_is_proven_by_its_successor() {
        let heartbeats = heartbeats();
        for (flushed, proven) in [
            (99, None),
            (100, None),
            (199, None),
            (200, Some(1)),
            (299, Some(1)),
            (300, Some(2)),
            (900, Some(2)),
        ] {
            assert_eq!(heartbeats.proven(flushed), proven.map(at), "{flushed}");
        }
    }

    /// A transaction changes a row at 110, heartbeat k changes its row at 120, the transaction commits at 130 and is
    /// acknowledged, heartbeat k commits at 140 with a later commit time. A slot at 125 has passed k's change and
    /// not the transaction: k must not count yet.
    #[test]
    fn a_commit_between_a_heartbeats_change_and_its_commit_is_waited_for() {
        let mut heartbeats = Heartbeats::default();
        heartbeats.add(Heartbeat {
            lsn: 120,
            at: at(2),
        });
        heartbeats.add(Heartbeat {
            lsn: 220,
            at: at(3),
        });
        assert_eq!(heartbeats.proven(125), None);
        assert_eq!(heartbeats.proven(220), Some(at(2)));
    }

    #[test]
    fn what_is_noted_is_not_noted_again() {
        let mut heartbeats = heartbeats();
        heartbeats.forget_until(at(2));
        assert!(!heartbeats.needs_proof());
        assert_eq!(heartbeats.proven(900), None);
        heartbeats.add(Heartbeat {
            lsn: 400,
            at: at(4),
        });
        assert_eq!(heartbeats.proven(400), Some(at(3)));
    }

    #[test]
    fn memory_is_bounded_while_the_slot_stands_still() {
        let mut heartbeats = Heartbeats::default();
        for lsn in 0..10_000_u32 {
            heartbeats.add(Heartbeat {
                lsn: lsn.into(),
                at: at(lsn.into()),
            });
        }
        assert_eq!(heartbeats.0.len(), KEPT_MAX);
        assert_eq!(heartbeats.proven(u64::MAX), Some(at(9_998)));
    }
}
