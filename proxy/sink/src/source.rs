//! The event topic, read as a member of a consumer group. Nothing of the driver leaves this module.
//!
//! Offsets are committed by hand, and only what the [`crate::tracker`] says is durable. Where a partition starts is
//! decided when it is assigned: at the committed offset, or at the beginning if none was ever committed. A committed
//! offset that Kafka no longer has is a gap; the partition is then left standing and reported, never skipped over.

mod assignment;

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::sync::mpsc;

use assignment::{Assignments, Shared};

use crate::{chain::chain, config::KafkaConfig, record::Record, tracker::Positions};

/// Longest wait for the broker's answer about offsets.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for each farewell to the broker: the last commit, and leaving the group.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What a rebalance brought, in order.
#[derive(Debug)]
pub enum Rebalanced {
    /// This partition is ours.
    Assigned {
        /// The partition.
        partition: i32,
        /// Where reading starts: everything below was durable.
        start: i64,
        /// One past the last record in Kafka.
        end: i64,
        /// Kafka does not have `start`: the partition stands still.
        out_of_range: bool,
    },
    /// This partition is another sink's.
    Revoked {
        /// The partition.
        partition: i32,
    },
    /// Where to start could not be found out.
    Failed(Error),
}

/// Kafka failed in a way that only starting anew heals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration was refused.
    #[error("making the consumer")]
    Create(#[source] KafkaError),
    /// The subscription was refused.
    #[error("subscribing to the event topic")]
    Subscribe(#[source] KafkaError),
    /// Offsets of newly assigned partitions could not be asked for, or not be used.
    #[error("taking over partitions")]
    Assign(#[source] KafkaError),
    /// A partition's records went away under the consumer, or the client broke.
    #[error("reading the event topic")]
    Read(#[source] KafkaError),
    /// Partitions could not be paused or resumed.
    #[error("pausing or resuming partitions")]
    Pause(#[source] KafkaError),
    /// The end offsets could not be asked for.
    #[error("asking for end offsets")]
    EndOffsets(#[source] KafkaError),
}

/// A member of the consumer group.
pub struct Source {
    consumer: Arc<StreamConsumer<Assignments>>,
    topic: String,
    shared: Arc<Shared>,
    rebalances: mpsc::UnboundedReceiver<Rebalanced>,
    committed: Positions,
}

impl Source {
    /// Joins the group. Partitions arrive later, as [`Rebalanced::Assigned`].
    pub fn join(config: &KafkaConfig) -> Result<Self, Error> {
        let KafkaConfig {
            bootstrap,
            topic,
            dlq_topic: _,
            group,
            instance,
            session_timeout,
        } = config;
        let (sender, rebalances) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let context = Assignments::new(topic.clone(), Arc::clone(&shared), sender);
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set(
                "session.timeout.ms",
                session_timeout.as_millis().to_string(),
            )
            .set(
                "heartbeat.interval.ms",
                (session_timeout.as_millis() / 4).to_string(),
            )
            // The topic appears with the connector's first record; the default would see it after five minutes.
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("allow.auto.create.topics", "false")
            // What the client prefetches is memory beside our own bound.
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.wait.max.ms", "100")
            .set("enable.partition.eof", "false");
        if let Some(instance) = instance {
            client.set("group.instance.id", instance);
        }
        let consumer: StreamConsumer<Assignments> =
            client.create_with_context(context).map_err(Error::Create)?;
        consumer.subscribe(&[topic]).map_err(Error::Subscribe)?;
        let topic = topic.clone();
        Ok(Self {
            consumer: Arc::new(consumer),
            topic,
            shared,
            rebalances,
            committed: Positions::new(),
        })
    }

    /// The next record. Safe to drop while waiting. Rebalances are served while it waits.
    pub async fn next(&self) -> Result<Record, Error> {
        loop {
            match self.consumer.recv().await {
                Ok(message) => return Ok(detach(&message)),
                Err(error) => passing(error)?,
            }
        }
    }

    /// A record that is here already.
    pub fn next_ready(&self) -> Result<Option<Record>, Error> {
        loop {
            match self.consumer.recv().now_or_never() {
                None => return Ok(None),
                Some(Ok(message)) => return Ok(Some(detach(&message))),
                Some(Err(error)) => passing(error)?,
            }
        }
    }

    /// A rebalance that has happened already.
    pub fn rebalanced_already(&mut self) -> Option<Rebalanced> {
        self.rebalances.try_recv().ok()
    }

    /// Commits these positions if they moved. A commit that fails is one that did not happen: the positions are
    /// committed again with the next call.
    pub fn commit(&mut self, positions: &Positions) {
        if self.shared.take_commit_failed() {
            self.committed.clear();
        }
        self.shared.set_durable(positions.clone());
        let moved = positions
            .iter()
            .filter(|(partition, position)| self.committed.get(partition) != Some(*position));
        let moved: Positions = moved
            .map(|(partition, position)| (*partition, *position))
            .collect();
        if moved.is_empty() {
            return;
        }
        let offsets = assignment::offsets(&self.topic, &moved);
        match self.consumer.commit(&offsets, CommitMode::Async) {
            Ok(()) => self.committed.extend(moved),
            Err(error) => tracing::warn!(error = %chain(&error), "offsets not committed"),
        }
    }

    /// Commits these positions and waits for it, but not for a broker that is away.
    pub async fn commit_now(&self, positions: Positions) {
        // Leaving commits once more what is known there, and must not set back what is committed here.
        self.shared.set_durable(positions.clone());
        if positions.is_empty() {
            return;
        }
        let offsets = assignment::offsets(&self.topic, &positions);
        let consumer = Arc::clone(&self.consumer);
        let commit =
            tokio::task::spawn_blocking(move || consumer.commit(&offsets, CommitMode::Sync));
        match tokio::time::timeout(LEAVE_TIMEOUT, commit).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(error = %chain(&error), "offsets not committed"),
            Ok(Err(_)) | Err(_) => tracing::warn!("committing was cut off"),
        }
    }

    /// What was committed before a rebalance no longer tells what the group has.
    pub fn forget_committed(&mut self, partition: i32) {
        self.committed.remove(&partition);
    }

    /// Delivers nothing more of these partitions. Records that are on their way may still come.
    pub fn pause(&self, partitions: &[i32]) -> Result<(), Error> {
        self.consumer
            .pause(&self.list(partitions))
            .map_err(Error::Pause)
    }

    /// Delivers records of these partitions again.
    pub fn resume(&self, partitions: &[i32]) -> Result<(), Error> {
        self.consumer
            .resume(&self.list(partitions))
            .map_err(Error::Pause)
    }

    /// Asks for end offsets beside the reading.
    pub fn end_offsets(&self) -> EndOffsets {
        EndOffsets {
            consumer: Arc::clone(&self.consumer),
            topic: self.topic.clone(),
        }
    }

    /// Leaves the group, so that another sink need not wait for the session to end.
    pub async fn leave(self) {
        let Self { consumer, .. } = self;
        // Closing waits for the broker.
        let leave = tokio::task::spawn_blocking(move || drop(consumer));
        if !matches!(tokio::time::timeout(LEAVE_TIMEOUT, leave).await, Ok(Ok(()))) {
            tracing::warn!("leaving the group was cut off");
        }
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }
}

/// Asks for end offsets. Cheap to clone; to be dropped before [`Source::leave`].
#[derive(Clone)]
pub struct EndOffsets {
    consumer: Arc<StreamConsumer<Assignments>>,
    topic: String,
}

impl EndOffsets {
    /// One past the last record of every partition of the topic, as the broker knows it after this call began.
    pub async fn now(&self) -> Result<Positions, Error> {
        let Self { consumer, topic } = self.clone();
        let ask = move || -> Result<Positions, KafkaError> {
            let metadata = consumer.fetch_metadata(Some(&topic), ASK_TIMEOUT)?;
            let mut ends = TopicPartitionList::new();
            for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
                // In a question about times the end is a time; one request for all partitions of a broker.
                ends.add_partition_offset(&topic, partition.id(), Offset::End)?;
            }
            let answer = consumer.offsets_for_times(ends, ASK_TIMEOUT)?;
            let mut positions = Positions::new();
            for element in answer.elements() {
                element.error()?;
                match element.offset() {
                    Offset::Offset(offset) => positions.insert(element.partition(), offset),
                    _ => {
                        return Err(KafkaError::OffsetFetch(
                            RDKafkaErrorCode::OffsetNotAvailable,
                        ));
                    }
                };
            }
            Ok(positions)
        };
        match tokio::task::spawn_blocking(ask).await {
            Ok(answer) => answer.map_err(Error::EndOffsets),
            Err(_) => Err(Error::EndOffsets(KafkaError::Canceled)),
        }
    }
}

fn detach(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

/// Errors that the client gets over by itself are logged; the others end the sink, which starts anew.
fn passing(error: KafkaError) -> Result<(), Error> {
    match &error {
        KafkaError::MessageConsumptionFatal(_) => Err(Error::Read(error)),
        // Retention, or a topic made anew, took the records at our position away while we read.
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => Err(Error::Read(error)),
        _ => {
            tracing::warn!(error = %chain(&error), "the consumer reports");
            Ok(())
        }
    }
}
