//! Connections to Valkey, one for each runtime, with a budget for each call and one breaker, so that its absence costs
//! little.
//!
//! fred pipelines the commands of all requests on one connection by itself.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, LuaInterface as _},
    types::{
        Builder, FromValue, MultipleKeys, Value,
        config::{Config, ReconnectPolicy, UnresponsiveConfig},
    },
};
use futures::{FutureExt as _, future::BoxFuture};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{per_runtime::PerRuntime, telemetry::metrics::Metrics};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;
/// How long an open breaker lets nothing through before one call may try.
const OPEN: Duration = Duration::from_millis(500);
/// How long a server that owes answers may be silent before the connection is made anew.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Commands that may wait for a connection; beyond that they fail at once.
const BUFFERED_COMMANDS_MAX: usize = 4096;

/// The URL is not one of Valkey.
#[derive(Debug, thiserror::Error)]
#[error("the Valkey URL cannot be read")]
pub struct ValkeyUrlError(#[source] fred::error::Error);

/// Valkey did not answer in time, or was not asked because it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Valkey is away")]
pub struct Away;

/// A script, sent whole once per server and by its digest afterwards.
pub struct Script {
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script of that text.
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            digest: OnceLock::new(),
        }
    }
}

/// The connections.
pub struct Valkey {
    builder: Builder,
    clients: PerRuntime<Client>,
    metrics: Arc<Metrics>,
    started: Instant,
    failures: AtomicU32,
    /// Milliseconds since `started` until which the breaker is open.
    open_until: AtomicU64,
}

impl Valkey {
    /// Starts connecting in the background, for ever, as each runtime does that asks later. Call inside a runtime.
    pub fn connect(url: &SecretString, metrics: Arc<Metrics>) -> Result<Self, ValkeyUrlError> {
        let mut config = Config::from_url(url.expose_secret()).map_err(ValkeyUrlError)?;
        config.fail_fast = false;
        let mut builder = Builder::from_config(config);
        builder
            .with_connection_config(|c| {
                c.connection_timeout = Duration::from_secs(2);
                c.internal_command_timeout = Duration::from_secs(2);
                c.max_command_attempts = 1;
                c.max_command_buffer_len = BUFFERED_COMMANDS_MAX;
                c.reconnect_on_auth_error = true;
                // A connection that went silent is given up: packets may be lost without a sign.
                c.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(SILENCE_MAX),
                    interval: Duration::from_secs(2),
                };
                c.tcp.nodelay = Some(true);
            })
            .with_performance_config(|p| p.default_command_timeout = Duration::from_secs(5))
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2));
        // What is wrong with the configuration is said now; from then on nothing of it changes.
        builder.build().map_err(ValkeyUrlError)?;
        let (failures, open_until) = (AtomicU32::new(0), AtomicU64::new(0));
        let valkey = Self {
            builder,
            clients: PerRuntime::default(),
            metrics,
            started: Instant::now(),
            failures,
            open_until,
        };
        drop(valkey.client());
        Ok(valkey)
    }

    /// The client of this runtime, for the modules that hold commands of their own. Calls go through [`Self::within`].
    pub fn client(&self) -> Arc<Client> {
        self.clients.get(|| {
            let client = self.builder.build();
            let client = client.expect("the same configuration was built from at the start");
            drop(client.connect());
            client
        })
    }

    /// Whether calls are let through at the moment.
    pub fn is_there(&self) -> bool {
        let mut clients = self.clients.all();
        self.failures.load(Ordering::Relaxed) == 0 && clients.all(|client| client.is_connected())
    }

    /// Waits for a call at most that long. After [`FAILURES_MAX`] failures in a row no call is waited for, until
    /// one that is let through after [`OPEN`] succeeds.
    ///
    /// Boxed, since a call of fred takes 7 KB and more: every future around it would have room for it, and be moved with it,
    /// also where nothing is called.
    pub async fn within<T>(
        &self,
        budget: Duration,
        call: BoxFuture<'_, Result<T, fred::error::Error>>,
    ) -> Result<T, Away> {
        if !self.may_pass() {
            self.metrics.valkey_failures.inc();
            return Err(Away);
        }
        match tokio::time::timeout(budget, call).await {
            Ok(Ok(value)) => {
                self.failures.store(0, Ordering::Relaxed);
                Ok(value)
            }
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                };
                self.failed(&reason);
                Err(Away)
            }
        }
    }

    /// Runs a script: by digest, and whole when the server does not know it.
    pub async fn run<T: FromValue>(
        &self,
        budget: Duration,
        script: &Script,
        keys: impl Into<MultipleKeys>,
        args: Vec<Value>,
    ) -> Result<T, Away> {
        let (keys, client) = (keys.into(), self.client());
        let call = async {
            if let Some(digest) = script.digest.get() {
                match client
                    .evalsha(digest.as_str(), keys.clone(), args.clone())
                    .await
                {
                    Err(error) if error.details().starts_with("NOSCRIPT") => {}
                    answer => return answer,
                }
            }
            let digest: String = client.script_load(script.text).await?;
            let digest = script.digest.get_or_init(|| digest);
            client.evalsha(digest.as_str(), keys, args).await
        };
        self.within(budget, call.boxed()).await
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Closed: everyone. Open: nobody. Between: the one that moves `open_until` on.
    fn may_pass(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES_MAX {
            return true;
        }
        let (until, now) = (self.open_until.load(Ordering::Relaxed), self.now_ms());
        let next = now + OPEN.as_millis() as u64;
        now >= until
            && self
                .open_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn failed(&self, reason: &str) {
        self.metrics.valkey_failures.inc();
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= FAILURES_MAX {
            self.open_until
                .store(self.now_ms() + OPEN.as_millis() as u64, Ordering::Relaxed);
        }
        if failures == FAILURES_MAX {
            tracing::warn!(
                reason,
                "Valkey does not answer; requests are served without it"
            );
        }
    }
}
