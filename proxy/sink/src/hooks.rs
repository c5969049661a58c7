//! `septem-sink hooks`: tells modules of committed writes, at least once, from the event topic.
//!
//! A process of its own, with its own consumer group: a slow hook must never hold up `lastSyncAt`, and neither may a
//! restart of one move partitions of the other. The road of one event: [`event`] decides whose hooks are told what,
//! [`lane`] keeps each hook's calls in order of each record, [`delivery`] calls, tries again and buries, and only then
//! does the offset move.

pub mod command;
pub mod config;
pub mod dead;
mod delivery;
mod dispatcher;
mod event;
mod lane;
mod record;

use std::sync::Arc;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Pulse,
    catalog::CatalogFeed,
    hooks::{
        config::Config,
        dead::DeadLetters,
        delivery::Courier,
        dispatcher::{Dispatcher, Parts},
    },
    instance::{Instance, Work},
    metrics::Metrics,
    source::{self, Source},
};

/// Why the dispatcher ended by itself. Starting it anew is the answer to each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The consumer could not be made, or broke.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The HTTP client could not be made.
    #[error("making the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A delivery panicked: a broken invariant of ours.
    #[error("a delivery was cut off")]
    Delivery(#[source] tokio::task::JoinError),
}

/// Runs until `stop`, then finishes the calls that are under way, within the configured time.
pub async fn run(
    config: Config,
    pool: PgPool,
    metrics: Metrics,
    pulse: Pulse,
    stop: CancellationToken,
) -> Result<(), Error> {
    let services = CancellationToken::new();
    let _ends_services = services.clone().drop_guard();
    let catalog = CatalogFeed::start(
        pool.clone(),
        // No table of ClickHouse is written here; the name is only part of statements that are never sent.
        sql::clickhouse::DATABASE.to_owned(),
        Instance::of_process(Work::Hooks),
        metrics.clone(),
        services.clone(),
    );
    let mut keeper = catalog.clone();
    let known = stop.run_until_cancelled(crate::first_known(catalog.clone()));
    let Some(known) = known.await else {
        return Ok(());
    };
    let placeholder = stop.run_until_cancelled(crate::first_placeholder(&pool));
    let Some(placeholder) = placeholder.await else {
        return Ok(());
    };
    let Config {
        listen: _,
        database_url: _,
        kafka,
        keys,
        hosts,
        give_up,
        keep,
        drain,
    } = config;
    let client = hook::Client::new(keys, hosts).map_err(Error::Client)?;
    let dead = DeadLetters::new(pool.clone());
    tokio::spawn(expire(
        dead.clone(),
        keep,
        metrics.clone(),
        services.clone(),
    ));
    let courier = Courier::new(Arc::new(client), dead, metrics.clone(), give_up);
    let parts = Parts {
        source: Source::join(&kafka)?,
        catalog,
        known,
        placeholder,
        pool,
        courier,
        metrics,
        pulse: pulse.clone(),
        give_up,
    };
    let source = Dispatcher::new(parts).run(stop, drain).await?;
    pulse.drain();
    services.cancel();
    source.leave().await;
    keeper.ended().await;
    Ok(())
}

/// Forgets dead letters that are older than the events in the topic would be, and counts those that are left.
async fn expire(
    dead: DeadLetters,
    keep: std::time::Duration,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let look = async {
        loop {
            match dead.expire(keep).await {
                Ok((expired, left)) => {
                    if expired > 0 {
                        tracing::warn!(expired, "dead letters of hooks were too old to be kept");
                    }
                    metrics.hook_dead_letters(left);
                }
                Err(error) => {
                    tracing::warn!(error = %crate::chain::chain(&error), "dead letters not looked at");
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
    };
    stop.run_until_cancelled(look).await;
}
