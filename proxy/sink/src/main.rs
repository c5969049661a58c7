//! septem-sink: configuration, telemetry, connect, run, drain. `septem-sink hooks` is a process of its own.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _};
use secrecy::ExposeSecret as _;
use sink::{
    admin::{Admin, Pulse},
    config::{Config, RawConfig},
    hooks,
    metrics::Metrics,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What this process is for.
enum Work {
    Sink(Config),
    Hooks(hooks::config::Config),
    Command(hooks::config::RawConfig, hooks::config::Command),
}

fn main() -> anyhow::Result<ExitCode> {
    let work = work()?;
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
    let result = runtime.block_on(async {
        match work {
            Work::Sink(config) => run(config).await,
            Work::Hooks(config) => run_hooks(config).await,
            Work::Command(raw, command) => run_command(raw, command).await,
        }
    });
    // A farewell that was cut off may still hang in a thread of its own.
    runtime.shutdown_background();
    result
}

/// The sink is what runs without a word, so its own arguments are asked for only then.
fn work() -> anyhow::Result<Work> {
    let hooks = hooks::config::RawConfig::command();
    let command = RawConfig::command()
        .subcommand(hooks)
        .subcommand_negates_reqs(true);
    let matches = command.get_matches();
    let Some(("hooks", matches)) = matches.subcommand() else {
        let raw = RawConfig::from_arg_matches(&matches)?;
        return Ok(Work::Sink(raw.try_into()?));
    };
    let mut raw = hooks::config::RawConfig::from_arg_matches(matches)?;
    Ok(match raw.command.take() {
        Some(command) => Work::Command(raw, command),
        None => Work::Hooks(raw.try_into()?),
    })
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let (metrics, pulse, stop) = begin(config.listen, "SEPTEM_SINK_LISTEN").await?;
    let pool = sink::connect(&config)?;
    Ok(ended(sink::run(&config, pool, metrics, pulse, stop).await))
}

async fn run_hooks(config: hooks::config::Config) -> anyhow::Result<ExitCode> {
    let (metrics, pulse, stop) = begin(config.listen, "SEPTEM_HOOKS_LISTEN").await?;
    if config.keys.is_none() {
        tracing::warn!("SEPTEM_HOOK_KEY is not set: no hook can be called");
    }
    let pool = sink::connect_to(&config.database_url)?;
    Ok(ended(hooks::run(config, pool, metrics, pulse, stop).await))
}

async fn run_command(
    raw: hooks::config::RawConfig,
    command: hooks::config::Command,
) -> anyhow::Result<ExitCode> {
    // A module's key asks for no database; the pool connects only when it is used.
    let url = match raw.database_url.expose_secret() {
        "" => "postgres://".to_owned().into(),
        _ => raw.database_url.clone(),
    };
    let pool = sink::connect_to(&url)?;
    hooks::command::run(command, &raw, pool, &mut std::io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

/// The admin listener, and what a signal cancels.
async fn begin(
    listen: SocketAddr,
    variable: &'static str,
) -> anyhow::Result<(Metrics, Pulse, CancellationToken)> {
    let (metrics, pulse, stop) = (
        Metrics::default(),
        Pulse::default(),
        CancellationToken::new(),
    );
    let admin = Admin::new(metrics.clone(), pulse.clone());
    // It answers until the process ends.
    let address = admin
        .listen(listen, CancellationToken::new())
        .await
        .context(variable)?;
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
    Ok((metrics, pulse, stop))
}

fn ended<E: std::error::Error + 'static>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %sink::chain::chain(&error), "ended");
            ExitCode::FAILURE
        }
    }
}
