//! The operator: brings PostgreSQL, ClickHouse and Kafka Connect to what ModuleModels, Tenants and DataPlanes say.
//!
//! Each Reconciler goes one road: fetch → validate → build → apply → status, one file a step. Status is computed from
//! a look at the databases after the work, never from what was meant to be done. Of several operators of one class the
//! holder of a Lease works and the others are warm. Two operators of one database do no harm all the same, since every
//! transaction is bound to the epoch that the newest has taken; the older one stops.

pub mod admin;
pub mod backoff;
pub mod catalog;
pub mod clickhouse;
pub mod config;
pub mod connect;
pub mod context;
pub mod controllers;
pub mod data_plane;
mod definition;
mod digest;
pub mod error;
pub mod events;
mod failpoint;
pub mod finalizer;
pub mod gate;
pub mod lease;
pub mod merge;
pub mod metrics;
pub mod module_model;
pub mod outcome;
pub mod plane;
pub mod planes;
pub mod postgres;
pub mod report;
pub mod telemetry;
pub mod tenant;
pub mod together;
pub mod waiting;
pub mod watched;

use std::{future::Future, sync::Arc};

use kube::{Client, runtime::reflector};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, RawConfig};
use context::Context;
use lease::Leadership;

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
    /// The Lease is not ours any more.
    #[error("ended at once, in the middle of what was being done")]
    Lease(#[source] lease::Lost),
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
    let (planes, woken) = planes::Planes::new();
    let waiting = waiting::Waiting::new(planes.wake_models());
    let leadership = Arc::new(match config.lease {
        Some(_) => Leadership::standby(),
        None => Leadership::alone(),
    });
    let objects = metrics::Objects {
        models: models.clone(),
        tenants: tenants.clone(),
        data_planes: data_planes.clone(),
    };
    let metrics = Arc::new(metrics::Metrics::new(Arc::clone(&leadership), objects));
    let keeper = client.clone();
    let client = gate::gated(client, Arc::clone(&leadership), Arc::clone(&metrics));
    let context = Arc::new(Context {
        client,
        config,
        planes,
        backoff: backoff::Backoff::default(),
        metrics,
        models,
        tenants,
        data_planes,
        waiting,
        http,
        leadership,
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
    let drained = CancellationToken::new();
    let work = async {
        controllers::run(Arc::clone(&context), writers, woken, stop.clone()).await;
        stop.cancel();
        // The Lease is kept until the last reconcile is finished.
        drained.cancel();
        Ok(())
    };
    let lease = async {
        match &context.config.lease {
            Some(lease) => {
                context
                    .leadership
                    .keep(keeper, lease, drained.clone())
                    .await
            }
            None => Ok(()),
        }
    };
    // A Lease that is lost ends everything where it stands: connections close, and what was not committed is undone.
    let lost = tokio::try_join!(work, lease).err();
    stop.cancel();
    // It ends with the token; a panic in it was logged by its task.
    let _ = admin.await;
    match lost {
        _ if context.superseded.is_cancelled() => Err(RunError::Superseded),
        Some(lost) => Err(RunError::Lease(lost)),
        None => Ok(()),
    }
}
