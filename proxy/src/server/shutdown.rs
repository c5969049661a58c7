//! How the proxy ends: `/ready` fails first, then the listeners close, then what is under way is finished.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::{admin::Health, telemetry};

/// From the signal to closing the listeners, so that who asks `/ready` has seen it fail.
const WAIT: Duration = Duration::from_secs(1);
/// Longest time for requests under way: with [`WAIT`] and a second for the runtimes, ten seconds in all.
const GRACE: Duration = Duration::from_secs(8);

/// When and how to end.
pub struct Shutdown {
    /// Tells when.
    pub signal: Box<dyn ShutdownSignalWatch + Send + Sync>,
    /// From the signal to closing the listeners.
    pub wait: Duration,
    /// Longest time for requests under way. The server library sleeps for all of it.
    pub grace: Duration,
    /// Called when the listeners are closed and nothing is under way any more.
    pub on_drained: fn(),
    /// Called when the proxy finds that it must not serve; the reason has been logged.
    pub on_fault: fn(),
}

impl Shutdown {
    /// On SIGTERM, SIGQUIT or SIGINT, and out of the process as soon as nothing is under way.
    pub fn of_process() -> Self {
        Self {
            signal: Box::new(Signals),
            wait: WAIT,
            grace: GRACE,
            on_drained: || exit(0),
            on_fault: || exit(1),
        }
    }
}

fn exit(code: i32) {
    telemetry::flush_logs();
    std::process::exit(code)
}

struct Signals;

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let on = |kind| signal(kind).expect("signal handlers can be set in a runtime with I/O");
        let (mut term, mut quit, mut int) = (
            on(SignalKind::terminate()),
            on(SignalKind::quit()),
            on(SignalKind::interrupt()),
        );
        tokio::select! { _ = term.recv() => {} _ = quit.recv() => {} _ = int.recv() => {} }
        ShutdownSignal::GracefulTerminate
    }
}

/// A signal that makes `/ready` fail some time before it is passed on.
pub(super) struct Announced {
    pub(super) signal: Box<dyn ShutdownSignalWatch + Send + Sync>,
    pub(super) wait: Duration,
    pub(super) health: Arc<Health>,
}

#[async_trait]
impl ShutdownSignalWatch for Announced {
    async fn recv(&self) -> ShutdownSignal {
        let signal = self.signal.recv().await;
        tracing::info!("stopping: not ready any more, then draining");
        self.health.drain();
        tokio::time::sleep(self.wait).await;
        signal
    }
}
