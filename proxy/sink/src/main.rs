//! septem-sink: configuration, telemetry, connect, run, drain.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use sink::{
    admin::{Admin, Pulse},
    config::{Config, RawConfig},
    metrics::Metrics,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<ExitCode> {
    let config = Config::try_from(RawConfig::parse())?;
    let filter = EnvFilter::try_from_env("SEPTEM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .init();
    // Two providers are compiled in somewhere below us; which one is used must not depend on that.
    let _ = rustls::crypto::ring::default_provider().install_default();

    // Decoding runs on one task; the other thread writes, commits and answers probes.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(config));
    // A farewell that was cut off may still hang in a thread of its own.
    runtime.shutdown_background();
    result
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let (metrics, pulse, stop) = (
        Metrics::default(),
        Pulse::default(),
        CancellationToken::new(),
    );
    let admin_stop = CancellationToken::new();
    let admin = Admin::new(metrics.clone(), pulse.clone());
    let address = admin
        .listen(config.listen, admin_stop.clone())
        .await
        .context("SEPTEM_SINK_LISTEN")?;
    tracing::info!(%address, "admin listener");

    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("draining");
            stop.cancel();
        }
    });

    let pool = sink::connect(&config)?;
    let result = sink::run(&config, pool, metrics, pulse, stop).await;
    admin_stop.cancel();
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %sink::chain::chain(&error), "ended");
            ExitCode::FAILURE
        }
    })
}
