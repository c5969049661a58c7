//! The two listeners and what runs beside them.

mod app;
mod body;
pub mod framing;
mod front;
pub mod shutdown;
mod start;
mod target;
mod thread;

use std::{io, net::SocketAddr, sync::Arc};

use pingora::{
    proxy::http_proxy,
    server::{RunArgs, Server, configuration::ServerConf},
    services::{background::background_service, listening::Service},
};

pub use shutdown::Shutdown;

use crate::{
    admin::{Admin, Health},
    auth::{KeyError, Verifier},
    chain::Chain,
    config::Config,
    openapi::docs::Docs,
    telemetry::metrics::Metrics,
};

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The assets of `/v1/docs` cannot be read.
    #[error("the folder that SEPTEM_DOCS_ASSETS names is not an unpacked swagger-ui-dist")]
    Docs(#[source] io::Error),
    /// A key file is not usable.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Serves until told to stop. Blocks; makes its own runtimes.
pub fn run(config: Config, shutdown: Shutdown) -> Result<(), StartError> {
    // The server library panics in a thread of its own when it cannot bind.
    for address in [config.listen, config.admin_listen] {
        std::net::TcpListener::bind(address)
            .map_err(|source| StartError::Listen { address, source })?;
    }
    let metrics = Arc::new(Metrics::default());
    let chain = Arc::new(Chain::new(
        Verifier::load(config.auth.clone())?,
        Arc::clone(&metrics),
    ));
    let docs = match &config.docs_assets {
        Some(folder) => Docs::read(folder).map_err(StartError::Docs)?,
        None => Docs::default(),
    };
    let health = Arc::new(Health::new(Arc::clone(&chain)));

    let conf = ServerConf {
        // A connection stays with its thread, and with it the wake-ups of what it waits for.
        work_stealing: false,
        grace_period_seconds: Some(shutdown.grace.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        max_retries: 1,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let edge = app::Edge::new(Arc::clone(&chain), &config, docs);
    let front = front::Front::new(
        http_proxy(&server.configuration, edge),
        Arc::clone(&metrics),
        config.problem_base.clone(),
    );
    for _ in 0..config.threads {
        server.add_service(thread::Thread::new(front.clone(), config.listen));
    }
    let mut admin = Service::new("admin".to_owned(), Admin::new(Arc::clone(&health), metrics));
    admin.threads = Some(1);
    admin.add_tcp(&config.admin_listen.to_string());
    let start = start::Start::new(
        config,
        chain,
        Arc::clone(&health),
        shutdown.on_drained,
        shutdown.on_fault,
    );
    server.add_service(admin);
    server.add_service(background_service("start", start));

    let shutdown_signal = Box::new(shutdown::Announced {
        signal: shutdown.signal,
        wait: shutdown.wait,
        health,
    });
    server.run(RunArgs { shutdown_signal });
    Ok(())
}
