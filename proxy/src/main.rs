//! `septem-proxy`: configuration, telemetry, run, drain.

use std::process::ExitCode;

use clap::Parser as _;
use proxy::{
    config::{Config, RawConfig},
    server::{self, Shutdown},
    telemetry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let ended = run();
    telemetry::flush_logs();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // Two libraries bring a provider (ring, aws-lc); rustls asks that one be chosen. Set once, so it cannot be taken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::try_from(RawConfig::parse())?;
    telemetry::init_logs()?;
    std::panic::set_hook(Box::new(|panic| {
        // Where, not what: the message may hold a value of a tenant.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.listen,
        admin = %config.admin_listen,
        threads = config.threads,
        "starting"
    );
    server::run(config, Shutdown::of_process())?;
    Ok(())
}
