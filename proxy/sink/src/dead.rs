//! Records that cannot be written: to the dead-letter topic, holding the watermark back.
//!
//! The hold comes first and the record second: were it the other way round, a crash between them would let
//! `lastSyncAt` pass over a row that is not there. Done twice, the hold is the same and the record stands twice.

use std::time::Duration;

use chrono::{DateTime, Utc};
use model::{Generation, ModelName};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    chain::chain,
    config::KafkaConfig,
    metrics::{Metrics, Retried},
    record::Record,
    route::{Dead, Scope},
};

/// Holds back each model of the arrays. A record that tells its commit holds just below it; of any other one is only
/// known that the watermark has not passed it, so it holds where the watermark is.
const HOLD: &str = "
insert into platform.watermark_holds (generation, module, model, tenant_id, held_at, topic_position)
select $1, m.module, m.model, $4,
  coalesce($5 - interval '1 microsecond',
    (select last_sync_at from platform.last_sync where generation = $1), 'epoch'),
  $6
from unnest($2::text[], $3::text[]) m (module, model)
on conflict do nothing";

/// A record could not be buried.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("holding the watermark back")]
    Hold(#[source] sqlx::Error),
    #[error("writing to the dead-letter topic")]
    Produce(#[source] KafkaError),
}

/// Buries records. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters {
    producer: FutureProducer,
    topic: String,
    source_topic: String,
    pool: PgPool,
    metrics: Metrics,
}

impl DeadLetters {
    /// A producer that waits for every replica.
    pub fn new(config: &KafkaConfig, pool: PgPool, metrics: Metrics) -> Result<Self, KafkaError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &config.bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "16777216")
            .set("queue.buffering.max.kbytes", "16384")
            .create()?;
        let (topic, source_topic) = (config.dlq_topic.clone(), config.topic.clone());
        Ok(Self {
            producer,
            topic,
            source_topic,
            pool,
            metrics,
        })
    }

    /// Returns once the hold and the record are durable; tries for ever.
    ///
    /// `everything` names every captured model, which a record holds back that does not even tell its table.
    pub async fn bury(
        &self,
        record: &Record,
        dead: &Dead,
        generation: Generation,
        everything: &[ModelName],
    ) {
        let Record {
            partition, offset, ..
        } = record;
        let (class, topic) = (dead.class.as_str(), &self.source_topic);
        tracing::error!(topic, partition, offset, class, scope = ?dead.scope, "record goes to the dead-letter topic");
        self.metrics.dead(dead.class);
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        while let Err(error) = self.try_bury(record, dead, generation, everything).await {
            self.metrics.retry(Retried::DeadLetter);
            tracing::warn!(error = %chain(&error), partition, offset, "not buried yet");
            backoff.wait().await;
        }
    }

    async fn try_bury(
        &self,
        record: &Record,
        dead: &Dead,
        generation: Generation,
        everything: &[ModelName],
    ) -> Result<(), Error> {
        let position = format!(
            "{}:{}:{}",
            self.source_topic, record.partition, record.offset
        );
        let (names, tenant): (&[ModelName], Option<Uuid>) = match &dead.scope {
            Scope::Tenant(name, tenant) => (std::slice::from_ref(name), Some(*tenant)),
            Scope::Model(name) => (std::slice::from_ref(name), None),
            Scope::Everything => (everything, None),
        };
        self.hold(generation, names, tenant, dead.committed_at, &position)
            .await
            .map_err(Error::Hold)?;
        self.produce(record, dead).await.map_err(Error::Produce)
    }

    async fn hold(
        &self,
        generation: Generation,
        names: &[ModelName],
        tenant: Option<Uuid>,
        committed_at: Option<DateTime<Utc>>,
        position: &str,
    ) -> Result<(), sqlx::Error> {
        let part = |of: fn(&ModelName) -> &str| {
            names.iter().map(of).map(str::to_owned).collect::<Vec<_>>()
        };
        sqlx::query(HOLD)
            .bind(generation.0)
            .bind(part(|name| name.module.as_str()))
            .bind(part(|name| name.model.as_str()))
            .bind(tenant)
            .bind(committed_at)
            .bind(position)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    async fn produce(&self, record: &Record, dead: &Dead) -> Result<(), KafkaError> {
        let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new()
            .insert(header("topic", self.source_topic.as_str()))
            .insert(header("partition", &partition))
            .insert(header("offset", &offset))
            .insert(header("error-class", dead.class.as_str()));
        let mut message = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        if let Some(payload) = &record.payload {
            message = message.payload(payload);
        }
        let sent = self
            .producer
            .send(message, Timeout::After(Duration::from_secs(10)))
            .await;
        sent.map(drop).map_err(|(error, _)| error)
    }
}

/// Makes the dead-letter topic if it is not there, with the broker's own replication and retention for ever: a
/// record leaves it by being replayed, not by age.
pub async fn ensure_topic(config: &KafkaConfig) -> Result<(), KafkaError> {
    let client: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &config.bootstrap)
        .create()?;
    let topic = NewTopic::new(&config.dlq_topic, 1, TopicReplication::Fixed(-1))
        .set("retention.ms", "-1")
        .set("max.message.bytes", "16777216");
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    for result in client.create_topics([&topic], &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
}
