//! The catalogue that requests are served from: swapped whole, kept when PostgreSQL is away.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use model::{Catalog, InUse, Revision};
use tokio::{
    join,
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
/// Between two looks without any cause, in case a notification was lost.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Between two signs of life: the operator takes an instance for gone that it has not seen for 30 s, so five may be
/// lost.
const BEAT: Duration = Duration::from_secs(5);
/// Between two looks at which revision is still in use: as long may a change wait for a request that has ended.
const IN_USE_INTERVAL: Duration = Duration::from_millis(200);
/// Longest that taking leave may take; the operator stops waiting by itself later.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts to listen.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Holder of the current catalogue.
pub struct Catalogs {
    platform: Platform,
    instance: String,
    metrics: Arc<Metrics>,
    current: ArcSwapOption<Catalog>,
    in_use: InUse,
    /// What the operator was told last, and when; its lock keeps an older word from following a newer one.
    told: Mutex<Option<(Revision, Instant)>>,
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
            in_use: InUse::default(),
            told: Mutex::default(),
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
        let catalog = Arc::new(catalog);
        self.in_use.watch(&catalog);
        self.current.store(Some(catalog));
        self.acknowledge().await
    }

    async fn reload_if_changed(&self) -> Result<(), PlatformError> {
        let published = self.platform.revision().await?;
        match self.current() {
            Some(held) if held.revision == published => Ok(()),
            _ => self.reload().await,
        }
    }

    /// Tells the operator the oldest revision that a request still works with: not what is served from now on, since an
    /// export may run for long by an older one. Before the first load that is 0: a change is not carried out behind
    /// the back of a proxy that is just reading the state before it.
    async fn acknowledge(&self) -> Result<(), PlatformError> {
        let mut told = self.told.lock().await;
        let oldest = self.in_use.oldest().unwrap_or(Revision(0));
        self.platform.acknowledge(&self.instance, oldest).await?;
        *told = Some((oldest, Instant::now()));
        Ok(())
    }

    /// Tells it again for ever: when requests by an older revision have ended, and at every beat.
    async fn keep_acknowledging(&self) {
        loop {
            sleep(IN_USE_INTERVAL).await;
            let told = *self.told.lock().await;
            let oldest = self.in_use.oldest();
            let is_due = told.is_some_and(|(revision, at)| {
                oldest.is_some_and(|oldest| oldest != revision) || at.elapsed() >= BEAT
            });
            if is_due && self.acknowledge().await.is_err() {
                // What follows the catalogue fails in the same way, and logs it.
                sleep(RECONNECT_DELAY).await;
            }
        }
    }

    /// Takes leave, so that nobody waits for this instance. Call when nothing is under way any more.
    pub async fn leave(&self) {
        // Whoever acknowledges now would be back again.
        let _told = self.told.lock().await;
        match timeout(LEAVE_TIMEOUT, self.platform.forget(&self.instance)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = chain_of(&error),
                    "the operator was not told of the end"
                );
            }
            Err(_) => tracing::warn!("the operator was not told of the end in time"),
        }
    }

    /// Follows the published catalogue for ever: listens, loads at each notification, at each reconnect, and looks
    /// now and then; and tells the operator what is in use.
    pub async fn follow(&self) {
        join!(self.keep_current(), self.keep_acknowledging());
    }

    async fn keep_current(&self) {
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
        // Known before anything is loaded, so that whatever is published meanwhile waits for us.
        self.acknowledge().await?;
        let mut listener = self.platform.listen().await?;
        // Whatever was published before LISTEN took effect is in this load.
        self.reload().await?;
        loop {
            match timeout(LOOK_INTERVAL, listener.heard()).await {
                Ok(Ok(true)) => self.reload().await?,
                Ok(Ok(false)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => self.reload_if_changed().await?,
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
