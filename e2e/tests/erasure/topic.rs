//! The event topic, read past its readers and written past Debezium.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
};

/// The stack's topic of change events.
const TOPIC: &str = "platform.data.events";
/// Everything asked of Kafka is answered by then.
const ANSWER_MAX: Duration = Duration::from_secs(20);

fn config() -> Result<ClientConfig> {
    let servers = std::env::var("KAFKA_BOOTSTRAP").context("KAFKA_BOOTSTRAP is not set")?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", "e2e-erasure")
        .set("enable.auto.commit", "false");
    Ok(config)
}

/// Every record that holds that text, from the beginning to the end that the topic has now.
pub async fn holding(text: &'static str) -> Result<Vec<OwnedMessage>> {
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config()?.create()?;
        let metadata = consumer.fetch_metadata(Some(TOPIC), ANSWER_MAX)?;
        let partitions = metadata
            .topics()
            .first()
            .context("there is no such topic")?;
        let mut found = Vec::new();
        for partition in partitions.partitions() {
            let id = partition.id();
            let (low, high) = consumer.fetch_watermarks(TOPIC, id, ANSWER_MAX)?;
            let mut from = TopicPartitionList::new();
            from.add_partition_offset(TOPIC, id, Offset::Offset(low))?;
            consumer.assign(&from)?;
            let mut next = low;
            while next < high {
                let record = consumer.poll(ANSWER_MAX).context("Kafka is silent")??;
                next = record.offset() + 1;
                let payload = record.payload().unwrap_or_default();
                if payload.windows(text.len()).any(|w| w == text.as_bytes()) {
                    found.push(record.detach());
                }
            }
        }
        Ok(found)
    })
    .await?
}

/// Writes records once more, where they were, as they were.
pub async fn replay(records: Vec<OwnedMessage>) -> Result<()> {
    let producer: FutureProducer = config()?.create()?;
    for record in records {
        let mut again = FutureRecord::to(TOPIC).partition(record.partition());
        (again.key, again.payload) = (record.key(), record.payload());
        let again = match record.headers() {
            Some(headers) => again.headers(headers.clone()),
            None => again,
        };
        let sent = producer.send::<[u8], [u8], _>(again, ANSWER_MAX).await;
        sent.map_err(|(error, _)| error)?;
    }
    Ok(())
}
