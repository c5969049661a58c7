//! Rebalances, served on the task that polls.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::sync::mpsc;

use super::{ASK_TIMEOUT, Error, Rebalanced};
use crate::{chain::chain, tracker::Positions};

/// What the pipeline tells the callbacks, and they tell it.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What may be committed when a partition is taken away.
    durable: Positions,
    /// A commit failed since the pipeline last asked.
    commit_failed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_durable(&self, durable: Positions) {
        self.state().durable = durable;
    }

    /// What may be committed of these partitions, which are about to be another's.
    fn take_durable(&self, partitions: &[i32]) -> Positions {
        let durable = &mut self.state().durable;
        partitions
            .iter()
            .filter_map(|p| Some((*p, durable.remove(p)?)))
            .collect()
    }

    pub(super) fn take_commit_failed(&self) -> bool {
        mem::take(&mut self.state().commit_failed)
    }
}

/// The consumer's callbacks.
pub(super) struct Assignments {
    topic: String,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Rebalanced>,
}

/// Where a partition is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    at: i64,
    end: i64,
    out_of_range: bool,
}

/// `committed` is what the group has, `low..end` what Kafka has.
///
/// Without a committed offset everything is to be read; a beginning that retention has cut off is then a gap as well.
fn start_of(committed: Option<i64>, low: i64, end: i64) -> Start {
    let at = committed.unwrap_or(0);
    Start {
        at,
        end,
        out_of_range: at < low || at > end,
    }
}

impl Assignments {
    pub(super) fn new(
        topic: String,
        shared: Arc<Shared>,
        events: mpsc::UnboundedSender<Rebalanced>,
    ) -> Self {
        Self {
            topic,
            shared,
            events,
        }
    }

    fn tell(&self, rebalanced: Rebalanced) {
        // The pipeline may have gone already; then nobody needs to know.
        let _ = self.events.send(rebalanced);
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        if partitions.is_empty() {
            return consumer.incremental_assign(list);
        }
        let committed = consumer.committed_offsets(list.clone(), ASK_TIMEOUT)?;
        let mut starts = TopicPartitionList::new();
        let mut standing = TopicPartitionList::new();
        let mut events = Vec::new();
        for partition in partitions {
            let element = committed.find_partition(&self.topic, partition);
            let offset = element.and_then(|e| match e.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            let (low, end) = consumer.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)?;
            let Start {
                at,
                end,
                out_of_range,
            } = start_of(offset, low, end);
            starts.add_partition_offset(
                &self.topic,
                partition,
                Offset::Offset(at.clamp(low, end)),
            )?;
            if out_of_range {
                standing.add_partition(&self.topic, partition);
                tracing::error!(
                    partition,
                    committed = offset,
                    low,
                    end,
                    "committed offset is not in Kafka any more"
                );
            }
            events.push(Rebalanced::Assigned {
                partition,
                start: at,
                end,
                out_of_range,
            });
        }
        consumer.incremental_assign(&starts)?;
        if standing.count() > 0 {
            consumer.pause(&standing)?;
        }
        events.into_iter().for_each(|event| self.tell(event));
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        // The last chance: once they are another's, a commit of ours would set that one back.
        let durable = self.shared.take_durable(&partitions);
        if !durable.is_empty()
            && !consumer.assignment_lost()
            && let Err(error) = consumer.commit(&offsets(&self.topic, &durable), CommitMode::Sync)
        {
            tracing::info!(error = %chain(&error), "last offsets not committed");
        }
        partitions
            .into_iter()
            .for_each(|partition| self.tell(Rebalanced::Revoked { partition }));
        consumer.incremental_unassign(list)
    }
}

/// Positions as the driver takes them.
pub(super) fn offsets(topic: &str, positions: &Positions) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, position) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*position))
            .expect("a position is a number of records, not negative");
    }
    list
}

impl ClientContext for Assignments {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::warn!(facility, message, "kafka client")
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "kafka client")
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(error = %chain(&error), reason, "kafka client");
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let result = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            _ => Err(KafkaError::Rebalance(code.into())),
        };
        if let Err(error) = result {
            self.tell(Rebalanced::Failed(Error::Assign(error)));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // Such as IllegalGeneration during a rebalance: nothing was stored, and nothing is lost by that.
            tracing::info!(error = %chain(&error), "offsets not committed");
            self.shared.state().commit_failed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_starts_where_the_group_was_or_at_the_beginning() {
        let start = |at, end, out_of_range| Start {
            at,
            end,
            out_of_range,
        };
        assert_eq!(start_of(Some(5), 0, 9), start(5, 9, false));
        assert_eq!(start_of(Some(9), 0, 9), start(9, 9, false));
        assert_eq!(start_of(None, 0, 9), start(0, 9, false));
        // Cut off by retention, made anew, cut off before we ever read.
        assert_eq!(start_of(Some(5), 7, 9), start(5, 9, true));
        assert_eq!(start_of(Some(5), 0, 3), start(5, 3, true));
        assert_eq!(start_of(None, 4, 9), start(0, 9, true));
    }
}
