//! The operator's moments: configuration, telemetry, connect, run, drain.

use clap::Parser as _;
use operator::{Config, RawConfig, telemetry};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Only binaries of tests have any; see `failpoint`.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    let config = Config::try_from(RawConfig::parse())?;
    // The first provider installed wins; an error means that one is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let telemetry = telemetry::init(&config.log)?;
    let client = kube::Client::try_default().await?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stopping = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping");
    };
    let ended = operator::run(client, config, stopping).await;
    telemetry.end().await;
    ended?;
    tracing::info!("stopped");
    Ok(())
}
