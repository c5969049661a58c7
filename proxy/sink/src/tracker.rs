//! Which offsets are durable: a partition's position is the lowest offset that ClickHouse has not acknowledged.

use std::collections::{BTreeMap, BTreeSet};

/// By partition, the next offset to be read if this process died now: everything below is durable.
pub type Positions = BTreeMap<i32, i64>;

/// Stands for one record between being read and being durable. It is worth nothing once its partition was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    partition: i32,
    assignment: u64,
    offset: i64,
}

impl Ticket {
    /// The partition of its record.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset of its record.
    pub fn offset(&self) -> i64 {
        self.offset
    }
}

#[derive(Debug)]
struct Partition {
    assignment: u64,
    /// One past the highest offset read, or where reading starts.
    next: i64,
    /// Read and not yet durable.
    pending: BTreeSet<i64>,
}

/// The assigned partitions and what is pending in them.
#[derive(Debug, Default)]
pub struct Tracker {
    partitions: BTreeMap<i32, Partition>,
    assignments: u64,
}

impl Tracker {
    /// A partition is ours from now on, read from `start`: everything below is durable.
    pub fn assign(&mut self, partition: i32, start: i64) {
        self.assignments += 1;
        let state = Partition {
            assignment: self.assignments,
            next: start,
            pending: BTreeSet::new(),
        };
        self.partitions.insert(partition, state);
    }

    /// A partition is no longer ours: tickets handed out for it count for nothing.
    pub fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// A record was read. `None` for a partition that is not ours.
    pub fn take(&mut self, partition: i32, offset: i64) -> Option<Ticket> {
        let state = self.partitions.get_mut(&partition)?;
        // Below `next` it is pending already or durable already; taking it again must not move a position back.
        if offset >= state.next {
            state.pending.insert(offset);
            state.next = offset + 1;
        }
        Some(Ticket {
            partition,
            assignment: state.assignment,
            offset,
        })
    }

    /// The offset that follows what was read; records arrive in order and without gaps.
    pub fn next(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition).map(|state| state.next)
    }

    /// Whether the ticket's partition is still the assignment that it was handed out for.
    pub fn is_current(&self, ticket: &Ticket) -> bool {
        self.partitions
            .get(&ticket.partition)
            .is_some_and(|p| p.assignment == ticket.assignment)
    }

    /// The record is durable, or nothing needs to be. Stale tickets change nothing.
    pub fn done(&mut self, ticket: &Ticket) {
        if let Some(state) = self.partitions.get_mut(&ticket.partition)
            && state.assignment == ticket.assignment
        {
            state.pending.remove(&ticket.offset);
        }
    }

    /// The next offset to be read if this process died now.
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition).map(Partition::position)
    }

    /// The position of every assigned partition.
    pub fn positions(&self) -> Positions {
        self.partitions
            .iter()
            .map(|(id, state)| (*id, state.position()))
            .collect()
    }

    /// The assigned partitions.
    pub fn assigned(&self) -> impl Iterator<Item = i32> + '_ {
        self.partitions.keys().copied()
    }
}

impl Partition {
    fn position(&self) -> i64 {
        self.pending.first().copied().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_waits_for_the_lowest_offset() {
        let mut tracker = Tracker::default();
        tracker.assign(0, 10);
        assert_eq!(tracker.position(0), Some(10));
        let tickets: Vec<_> = (10..14)
            .map(|offset| tracker.take(0, offset).unwrap())
            .collect();
        tracker.done(&tickets[2]);
        tracker.done(&tickets[1]);
        assert_eq!(tracker.position(0), Some(10));
        tracker.done(&tickets[0]);
        assert_eq!(tracker.position(0), Some(13));
        tracker.done(&tickets[3]);
        assert_eq!(tracker.position(0), Some(14));
    }

    #[test]
    fn tickets_of_a_lost_assignment_count_for_nothing() {
        let mut tracker = Tracker::default();
        tracker.assign(0, 0);
        let old = tracker.take(0, 0).unwrap();
        tracker.revoke(0);
        tracker.done(&old);
        assert_eq!(tracker.position(0), None);
        tracker.assign(0, 0);
        let new = tracker.take(0, 0).unwrap();
        tracker.done(&old);
        assert_eq!(tracker.position(0), Some(0));
        assert!(!tracker.is_current(&old));
        tracker.done(&new);
        assert_eq!(tracker.position(0), Some(1));
        assert!(tracker.take(1, 0).is_none());
    }

    proptest! {
        /// Whatever the order of acknowledgements, no offset at or above the first missing one is reported.
        #[test]
        fn no_offset_is_reported_early(order in Just((0..40_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut tracker = Tracker::default();
            tracker.assign(3, 0);
            let tickets: Vec<_> = (0..40).map(|offset| tracker.take(3, offset).unwrap()).collect();
            let mut done = BTreeSet::new();
            for offset in order {
                tracker.done(&tickets[usize::try_from(offset).unwrap()]);
                done.insert(offset);
                let position = tracker.position(3).unwrap();
                let expected = (0..40).find(|o| !done.contains(o)).unwrap_or(40);
                prop_assert_eq!(position, expected);
            }
        }
    }
}
