//! The catalogue that requests are served from: swapped whole, kept when PostgreSQL is away.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use model::{Catalog, Revision};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    data::CatalogSource,
    platform::{Platform, PlatformError},
    telemetry::{chain_of, metrics::Metrics},
};

/// Between two looks at the published revision for the sake of a 404: ten a second at most.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest that a 404 waits for such a look.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two looks without any cause, in case a notification was lost; also the beat of `last_seen`.
const BEAT: Duration = Duration::from_secs(10);
/// Between two attempts to listen.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Holder of the current catalogue.
pub struct Catalogs {
    platform: Platform,
    instance: String,
    metrics: Arc<Metrics>,
    current: ArcSwapOption<Catalog>,
    /// Moment of the last look at the revision; its lock makes looks single flight.
    checked_at: Mutex<Instant>,
    loading: Mutex<()>,
}

impl Catalogs {
    /// A holder with nothing in it yet. `instance` names this process in `platform.proxy_instances`.
    pub fn new(platform: Platform, instance: String, metrics: Arc<Metrics>) -> Self {
        let checked_at = Mutex::new(Instant::now());
        Self {
            platform,
            instance,
            metrics,
            current: ArcSwapOption::empty(),
            checked_at,
            loading: Mutex::new(()),
        }
    }

    /// The catalogue that is served; `None` before the first load.
    pub fn current(&self) -> Option<Arc<Catalog>> {
        self.current.load_full()
    }

    /// Loads the catalogue again, whatever its revision: also for a statement that no longer fits the tables.
    pub async fn reload(&self) -> Result<(), PlatformError> {
        // One after the other, so that an older load cannot end after a newer one.
        let _loading = self.loading.lock().await;
        let catalog = self.platform.catalog().await?;
        self.metrics.catalog_revision.set(catalog.revision.0);
        tracing::info!(revision = catalog.revision.0, "catalogue loaded");
        self.current.store(Some(Arc::new(catalog)));
        self.acknowledge().await
    }

    async fn reload_if_changed(&self) -> Result<(), PlatformError> {
        let published = self.platform.revision().await?;
        match self.current() {
            Some(held) if held.revision == published => Ok(()),
            _ => self.reload().await,
        }
    }

    async fn acknowledge(&self) -> Result<(), PlatformError> {
        match self.current() {
            Some(held) => {
                self.platform
                    .acknowledge(&self.instance, held.revision)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Follows the published catalogue for ever: listens, loads at each notification, at each reconnect, and looks
    /// at every beat.
    pub async fn follow(&self) {
        loop {
            if let Err(error) = self.listen_until_lost().await {
                let error = chain_of(&error);
                tracing::warn!(
                    error,
                    "the catalogue cannot be followed; the last one is served"
                );
            }
            sleep(RECONNECT_DELAY).await;
        }
    }

    async fn listen_until_lost(&self) -> Result<(), PlatformError> {
        let mut listener = self.platform.listen().await?;
        // Whatever was published before LISTEN took effect is in this load.
        self.reload().await?;
        loop {
            match timeout(BEAT, listener.heard()).await {
                Ok(Ok(true)) => self.reload().await?,
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.reload_if_changed().await?;
                    self.acknowledge().await?;
                }
            }
        }
    }
}

#[async_trait]
impl CatalogSource for Catalogs {
    /// Asked before something unknown is answered with 404, and when a statement no longer fits the tables. Callers
    /// that wait together share one look; when PostgreSQL is away there is nothing newer.
    async fn newer_than(&self, seen: Revision) -> Option<Arc<Catalog>> {
        let asked_at = Instant::now();
        let mut checked_at = self.checked_at.lock().await;
        if *checked_at < asked_at {
            sleep_until(*checked_at + CHECK_INTERVAL).await;
            *checked_at = Instant::now();
            // A failure is logged by the beat, which fails in the same way.
            let _ = timeout(CHECK_TIMEOUT, self.reload_if_changed()).await;
        }
        drop(checked_at);
        self.current().filter(|c| c.revision != seen)
    }
}
