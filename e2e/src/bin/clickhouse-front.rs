//! The ClickHouse access front of the local stack; see `e2e::front`.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use e2e::front::{config::Config, server::Front};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("SEPTEM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .init();
    let config = Config::parse();
    let listen = config.listen;
    let state = config.state.clone();
    let front =
        Front::new(config).with_context(|| format!("SEPTEM_FRONT_STATE: {}", state.display()))?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("SEPTEM_FRONT_LISTEN: {listen}"))?;
    tracing::info!(%listen, "ready");
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = Arc::new(front).serve(listener) => ended.context("accepting connections"),
        _ = term.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
