//! Carries change events from Kafka to ClickHouse, and knows up to which moment it has done so.
//!
//! The road of one event: [`source`] polls it, [`route`] decodes it and finds its table in the [`catalog`],
//! [`batch`] puts it beside others, [`write`] inserts them, and the [`tracker`] and the [`watermark`] move, in this
//! order. What cannot be written goes to [`dead`] instead. [`pipeline`] is the loop that owns all of it.

pub mod admin;
pub mod backoff;
pub mod batch;
pub mod catalog;
pub mod chain;
pub mod config;
pub mod dead;
pub mod decode;
pub mod encode;
pub mod hooks;
pub mod instance;
pub mod metrics;
pub mod pipeline;
pub mod placeholder;
pub mod record;
pub mod route;
pub mod rowbinary;
pub mod source;
pub mod table;
pub mod tracker;
pub mod watermark;
pub mod write;

use std::{sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Pulse,
    backoff::Backoff,
    catalog::{CatalogFeed, Known},
    chain::chain,
    config::Config,
    dead::DeadLetters,
    instance::{Instance, Work},
    metrics::{Metrics, Retried},
    pipeline::{Parts, Pipeline},
    placeholder::Placeholder,
    source::Source,
    watermark::Watermark,
    write::{Delivery, Writer},
};

/// Catalogue, watermark and holds; the catalogue's listener takes one for good.
const CONNECTIONS_MAX: u32 = 4;

/// Why the sink ended by itself. Starting it anew is the answer to each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database URL cannot be used.
    #[error("SEPTEM_SINK_DATABASE_URL cannot be used")]
    DatabaseUrl(#[source] sqlx::Error),
    /// The producer of dead letters could not be made.
    #[error("making the producer of dead letters")]
    Producer(#[source] KafkaError),
    /// The consumer could not be made.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The pipeline ended.
    #[error(transparent)]
    Pipeline(#[from] pipeline::Error),
}

/// A pool that connects when it is first used.
pub fn connect(config: &Config) -> Result<PgPool, Error> {
    connect_to(&config.database_url)
}

/// A pool of this database that connects when it is first used.
pub fn connect_to(database_url: &SecretString) -> Result<PgPool, Error> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy(database_url.expose_secret())
        .map_err(Error::DatabaseUrl)
}

/// Runs until `stop`, then drains. Waits at start, for ever, for what is not there yet.
pub async fn run(
    config: &Config,
    pool: PgPool,
    metrics: Metrics,
    pulse: Pulse,
    stop: CancellationToken,
) -> Result<(), Error> {
    // What serves the pipeline ends after it.
    let services = CancellationToken::new();
    let _ends_services = services.clone().drop_guard();
    let database = config.clickhouse.database.clone();
    let instance = Instance::of_process(Work::Sink);
    let catalog = CatalogFeed::start(
        pool.clone(),
        database,
        instance,
        metrics.clone(),
        services.clone(),
    );
    let mut keeper = catalog.clone();
    let Some(known) = stop.run_until_cancelled(first_known(catalog.clone())).await else {
        return Ok(());
    };
    let Some(placeholder) = stop.run_until_cancelled(first_placeholder(&pool)).await else {
        return Ok(());
    };
    if stop
        .run_until_cancelled(ensure_dead_letter_topic(config, &metrics))
        .await
        .is_none()
    {
        return Ok(());
    }

    let dead =
        DeadLetters::new(&config.kafka, pool.clone(), metrics.clone()).map_err(Error::Producer)?;
    let writer = Writer::new(&config.clickhouse);
    let delivery = Delivery::new(
        writer.clone(),
        dead.clone(),
        metrics.clone(),
        config.clickhouse.refused_timeout,
    );
    let (watermark, handle) = Watermark::new(pool, catalog.clone(), metrics.clone());
    let source = Source::join(&config.kafka)?;
    let watermark = tokio::spawn(watermark.run(source.end_offsets(), services.clone()));

    let parts = Parts {
        source,
        catalog,
        writer,
        delivery,
        dead,
        watermark: handle,
        metrics,
        pulse: pulse.clone(),
    };
    let source = Pipeline::new(config, known, placeholder, parts)
        .run(stop)
        .await?;
    pulse.drain();
    services.cancel();
    // It holds the consumer as well, and writes the last positions.
    if watermark.await.is_err() {
        tracing::error!("the watermark was cut off");
    }
    source.leave().await;
    keeper.ended().await;
    Ok(())
}

async fn first_known(mut catalog: CatalogFeed) -> Arc<Known> {
    loop {
        if let Some(known) = catalog.known() {
            return known;
        }
        catalog.changed().await;
    }
}

/// What the operator tells Debezium to write for a value that an update did not touch.
async fn first_placeholder(pool: &PgPool) -> Placeholder {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        let text = sqlx::query_scalar::<_, String>("select platform.unavailable_placeholder()");
        match text.fetch_one(pool).await {
            Ok(text) => return Placeholder::new(&text),
            Err(error) => tracing::warn!(error = %chain(&error), "no placeholder yet"),
        }
        backoff.wait().await;
    }
}

async fn ensure_dead_letter_topic(config: &Config, metrics: &Metrics) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    while let Err(error) = dead::ensure_topic(&config.kafka).await {
        metrics.retry(Retried::DeadLetter);
        tracing::warn!(error = %chain(&error), "no dead-letter topic yet");
        backoff.wait().await;
    }
}
