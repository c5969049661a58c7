//! What is made inside the runtime, and what runs beside the listeners.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use tokio::time::{interval, sleep, timeout};
use uuid::Uuid;

use crate::{
    admin::Health,
    analytics::{self, Analytics},
    cache::Cache,
    catalog::Catalogs,
    chain::{Chain, Parts},
    config::{ClickHouseConfig, Config},
    data::{CatalogSource, Data, Flights},
    hooks::Hooks,
    platform::Platform,
    postgres::{ConnectError, Database},
    rbac::Permissions,
    telemetry::chain_of,
    valkey::Valkey,
};

/// Between two looks at the key files.
const KEYS_INTERVAL: Duration = Duration::from_secs(5);
/// Between two attempts to connect to PostgreSQL at start.
const CONNECT_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks for the first catalogue.
const CATALOG_INTERVAL: Duration = Duration::from_millis(50);
/// Longest that `/ready` waits for the first self-test of analytics.
const FIRST_TEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two removals of kept answers that have expired, half of it left to chance: an answer that has expired is not
/// given any more, whether it is still there or not, so this is about space only.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Answers removed by one statement: some milliseconds of work.
const EXPIRY_ROWS: i32 = 1_000;
/// Statements of one removal: more than the exclusive lane can keep in the meantime.
const EXPIRY_ROUNDS: usize = 50;
/// Between two looks at whether requests are under way, while draining.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// The service that makes the parts and follows what changes.
pub struct Start {
    config: Config,
    chain: Arc<Chain>,
    health: Arc<Health>,
    on_drained: fn(),
    on_fault: fn(),
}

impl Start {
    /// A start that has not begun.
    pub fn new(
        config: Config,
        chain: Arc<Chain>,
        health: Arc<Health>,
        on_drained: fn(),
        on_fault: fn(),
    ) -> Self {
        Self {
            config,
            chain,
            health,
            on_drained,
            on_fault,
        }
    }

    async fn run(&self) -> anyhow::Result<()> {
        let metrics = Arc::clone(&self.chain.metrics);
        let platform = Platform::new(&self.config.database_url)?;
        let kept = platform.clone();
        let valkey = Arc::new(Valkey::connect(
            &self.config.valkey_url,
            Arc::clone(&metrics),
        )?);
        let catalogs = Arc::new(Catalogs::new(platform.clone(), instance(), metrics));
        let analytics = Arc::new(Analytics::connect(&self.analytics_config())?);
        self.health.watch(Arc::clone(&valkey));
        let data = Arc::new(OnceLock::new());
        let hooks = self.hooks()?;
        self.chain.open(Parts {
            catalogs: Arc::clone(&catalogs),
            permissions: Permissions::new(platform, Arc::clone(&valkey)),
            cache: Cache::new(valkey),
            data: Arc::clone(&data),
            analytics: Arc::clone(&analytics),
            documents: Arc::default(),
        });
        tokio::select! {
            () = catalogs.follow() => {}
            () = self.follow_keys() => {}
            () = expire_kept(kept) => {}
            unfit = self.connect_data(&data, &catalogs, &hooks) => match unfit? {},
            () = self.test_analytics(&analytics, &catalogs) => {}
        }
        Ok(())
    }

    /// Connects CRUD, again and again while PostgreSQL is away. A role that is not fenced ends the process, and so does a
    /// pooler.
    async fn connect_data(
        &self,
        data: &OnceLock<Data>,
        catalogs: &Arc<Catalogs>,
        hooks: &Arc<Hooks>,
    ) -> Result<Infallible, ConnectError> {
        loop {
            match Database::connect(self.config.database.clone()).await {
                Ok(database) => {
                    let cursor_keys = Arc::clone(&self.config.cursor_keys);
                    let catalogs: Arc<dyn CatalogSource> = Arc::<Catalogs>::clone(catalogs);
                    // Set here only, and once: what follows never ends.
                    let _ = data.set(Data {
                        database,
                        cursor_keys,
                        catalogs,
                        flights: Flights::default(),
                        hooks: Arc::clone(hooks),
                    });
                    return std::future::pending().await;
                }
                Err(error @ (ConnectError::Fence(_) | ConnectError::Pooled)) => return Err(error),
                Err(error) => {
                    tracing::warn!(error = chain_of(&error), "PostgreSQL cannot be reached yet");
                    sleep(CONNECT_INTERVAL).await;
                }
            }
        }
    }

    fn hooks(&self) -> anyhow::Result<Arc<Hooks>> {
        let keys = self.config.hook_keys.clone();
        let client = hook::Client::new(keys, self.config.hook_hosts.clone())?;
        let metrics = self.chain.metrics.hooks.clone();
        Ok(Arc::new(Hooks::new(Arc::new(client), metrics)))
    }

    /// Ready is said after the first self-test, however it ends: CRUD does not wait for ClickHouse to come back.
    async fn test_analytics(&self, analytics: &Arc<Analytics>, catalogs: &Catalogs) {
        let first = async {
            loop {
                match catalogs.current() {
                    Some(catalog) => break analytics.self_test(&catalog).await,
                    None => sleep(CATALOG_INTERVAL).await,
                }
            }
        };
        if timeout(FIRST_TEST_TIMEOUT, first).await.is_err() {
            tracing::warn!("the first analytics self-test takes long; ready without it");
        }
        self.health.analytics_known();
        Arc::clone(analytics)
            .keep_testing(|| catalogs.current())
            .await;
    }

    fn analytics_config(&self) -> analytics::Config {
        let ClickHouseConfig {
            url,
            user,
            password,
            allow_old,
        } = self.config.clickhouse.clone();
        let database_url = self.config.database_url.clone();
        analytics::Config {
            url,
            user,
            password,
            database_url,
            allow_old,
            query_time_max: analytics::QUERY_TIME_MAX,
        }
    }

    /// Takes changed key files into use; a broken one is reported once and changes nothing.
    async fn follow_keys(&self) {
        let mut ticks = interval(KEYS_INTERVAL);
        let mut was_broken = false;
        loop {
            ticks.tick().await;
            let reloaded = self.chain.auth.reload();
            match &reloaded {
                Ok(true) => tracing::info!("token keys have changed"),
                Ok(false) => {}
                Err(error) if !was_broken => {
                    tracing::error!(
                        error = chain_of(error),
                        "token keys cannot be read; the last ones stay"
                    );
                }
                Err(_) => {}
            }
            was_broken = reloaded.is_err();
        }
    }
}

/// Removes expired answers of `Idempotency-Key`, of whatever tenant; every proxy does, and rows under a lock are passed
/// over, so they share the work.
async fn expire_kept(platform: Platform) {
    loop {
        let chance = f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0;
        sleep(EXPIRY_INTERVAL.mul_f64(0.5 + chance)).await;
        for _ in 0..EXPIRY_ROUNDS {
            match platform.expire_idempotency(EXPIRY_ROWS).await {
                Ok(gone) if gone == i64::from(EXPIRY_ROWS) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(
                        error = chain_of(&error),
                        "kept answers could not be removed"
                    );
                    break;
                }
            }
        }
    }
}

#[async_trait]
impl BackgroundService for Start {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            ended = self.run() => {
                if let Err(error) = ended {
                    tracing::error!(error = format!("{error:#}"), "the proxy cannot serve");
                    (self.on_fault)();
                }
            }
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
        let _ = shutdown.wait_for(|stop| *stop).await;
        // Requests that were being read when the listeners closed are counted a moment later.
        loop {
            sleep(DRAIN_INTERVAL).await;
            if self.chain.metrics.in_flight.get() == 0 {
                if let Some(parts) = self.chain.parts() {
                    parts.catalogs.leave().await;
                }
                return (self.on_drained)();
            }
        }
    }
}

/// Names this process among the proxies: the host, which is the pod's name in Kubernetes, and a word of its own.
fn instance() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "proxy".into());
    format!("{host}-{}", &Uuid::new_v4().simple().to_string()[..8])
}
