//! Which partitions are ours, which of them deliver, and what of them is durable.

use std::collections::BTreeSet;

use super::{Error, Pipeline, stall::Stall};
use crate::{source::Rebalanced, watermark::Note};

impl Pipeline {
    pub(super) fn take_rebalances(&mut self) -> Result<(), Error> {
        while let Some(rebalanced) = self.parts.source.rebalanced_already() {
            match rebalanced {
                Rebalanced::Assigned {
                    partition,
                    start,
                    end,
                    out_of_range,
                } => {
                    tracing::info!(partition, start, end, out_of_range, "partition assigned");
                    self.paused.remove(&partition);
                    self.parts.source.forget_committed(partition);
                    if out_of_range {
                        self.standing.insert(partition);
                    } else {
                        self.tracker.assign(partition, start);
                    }
                    let start = if out_of_range { 0 } else { start };
                    self.note(Note::Assigned {
                        partition,
                        start,
                        end,
                    });
                }
                Rebalanced::Revoked { partition } => {
                    tracing::info!(partition, "partition revoked");
                    self.tracker.revoke(partition);
                    self.stalls.remove(&partition);
                    self.standing.remove(&partition);
                    self.paused.remove(&partition);
                }
                Rebalanced::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Pauses what must not deliver more, resumes what may again.
    pub(super) fn regulate(&mut self) -> Result<(), Error> {
        let waiting: usize = self
            .queues
            .values()
            .map(|queue| queue.rows.held_bytes())
            .sum();
        let stalled: usize = self.stalls.values().map(Stall::held_bytes).sum();
        let held = waiting + stalled + self.job_bytes;
        // Half full before it goes on, so that it does not pause and resume with every record.
        self.full = held
            >= if self.full {
                self.batch.buffer_bytes_max / 2
            } else {
                self.batch.buffer_bytes_max
            };
        let wanted: BTreeSet<i32> = self
            .tracker
            .assigned()
            .filter(|p| self.full || self.stalls.contains_key(p))
            .collect();
        if wanted != self.paused {
            let pause: Vec<_> = wanted.difference(&self.paused).copied().collect();
            let resume: Vec<_> = self.paused.difference(&wanted).copied().collect();
            if !pause.is_empty() {
                self.parts.source.pause(&pause)?;
            }
            if !resume.is_empty() {
                self.parts.source.resume(&resume)?;
            }
            self.paused = wanted;
        }
        let assigned = self.tracker.assigned().count() + self.standing.len();
        self.parts
            .metrics
            .pipeline(assigned, self.stalls.len(), self.standing.len(), held);
        Ok(())
    }

    /// Commits and tells the watermark what is durable.
    pub(super) fn publish(&mut self) {
        let positions = self.tracker.positions();
        self.parts.source.commit(&positions);
        self.parts.watermark.positions.send_if_modified(|old| {
            let moved = *old != positions;
            if moved {
                *old = positions;
            }
            moved
        });
    }
}
