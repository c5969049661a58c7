//! The operator: brings PostgreSQL, ClickHouse and Kafka Connect to what ModuleModels, Tenants and DataPlanes say.
//!
//! Each Reconciler goes one road: fetch → validate → build → apply → status, one file a step. Status is computed from
//! a look at the databases after the work, never from what was meant to be done. One replica is assumed: there is no
//! lease yet. Two operators of one database do no harm all the same, since every transaction is bound to the epoch
//! that the newest has taken; the older one stops.

pub mod admin;
pub mod backoff;
pub mod catalog;
pub mod clickhouse;
pub mod config;
pub mod connect;
pub mod context;
pub mod controllers;
pub mod data_plane;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod metrics;
pub mod module_model;
pub mod outcome;
pub mod plane;
pub mod postgres;
pub mod report;
pub mod telemetry;
pub mod tenant;
pub mod waiting;

use std::{future::Future, sync::Arc, time::Instant};

use kube::{
    Client,
    runtime::{
        events::{Recorder, Reporter},
        reflector,
    },
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use tokio_util::sync::CancellationToken;

pub use config::{Config, RawConfig};
use context::Context;

/// Why the operator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The admin address cannot be had.
    #[error("SEPTEM_OPERATOR_LISTEN: {0} cannot be listened on")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// No HTTP client.
    #[error("no HTTP client")]
    Http(#[source] reqwest::Error),
    /// Another operator has taken over the database.
    #[error("a newer operator has taken over this database; this one can change nothing any more")]
    Superseded,
}

/// Runs until `stopping` resolves, then finishes the reconciles that run.
pub async fn run(
    client: Client,
    config: Config,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|e| RunError::Listen(config.listen, e))?;
    // No proxy of the environment: what is called stands in the DataPlane's Secrets.
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(RunError::Http)?;
    let (models, models_writer) = reflector::store();
    let (tenants, tenants_writer) = reflector::store();
    let (data_planes, data_planes_writer) = reflector::store();
    let (waiting, woken) = waiting::Waiting::new();
    let reporter = Reporter {
        controller: "septem-operator".into(),
        instance: None,
    };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        config,
        plane: watch::Sender::new(None),
        backoff: backoff::Backoff::default(),
        metrics: metrics::Metrics::new(),
        models,
        tenants,
        data_planes,
        waiting,
        memory: Mutex::default(),
        http,
        started: Instant::now(),
        superseded: CancellationToken::new(),
    });
    let stop = CancellationToken::new();
    let admin = tokio::spawn(admin::serve(listener, Arc::clone(&context), stop.clone()));
    tokio::spawn({
        let (stop, superseded) = (stop.clone(), context.superseded.clone());
        async move {
            tokio::select! { () = stopping => {}, () = superseded.cancelled() => {} }
            stop.cancel();
        }
    });
    let writers = controllers::Writers {
        models: models_writer,
        tenants: tenants_writer,
        data_planes: data_planes_writer,
    };
    controllers::run(Arc::clone(&context), writers, woken, stop.clone()).await;
    stop.cancel();
    // It ends with the token; a panic in it was logged by its task.
    let _ = admin.await;
    if context.superseded.is_cancelled() {
        Err(RunError::Superseded)
    } else {
        Ok(())
    }
}
