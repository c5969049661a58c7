//! The catalogue, kept current: read whole, again at each notification, at each lost connection, and on demand.

use std::{collections::HashMap, sync::Arc, time::Duration};

use model::{
    Catalog, CatalogError, InUse, ModelName, catalog::CATALOG_CHANNEL, catalog::CATALOG_QUERY,
};
use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    chain::chain,
    instance::Instance,
    metrics::{Metrics, Retried},
    table::Table,
};

/// At most five looks a second, however many records ask.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// A look that nobody asked for, should a notification have been lost all the same.
const LOOK_UNASKED: Duration = Duration::from_secs(30);

/// What is known of the catalogue, and since when.
#[derive(Debug)]
pub struct Known {
    /// The catalogue. Whatever is decided by it holds it until it is over.
    pub catalog: Arc<Catalog>,
    /// What was committed before this moment is in it.
    pub as_of: Instant,
    tables: HashMap<ModelName, Arc<Table>>,
}

/// The catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not answer with it.
    #[error("reading the catalogue")]
    Read(#[source] sqlx::Error),
    /// The operator could not be told what is in use.
    #[error("telling what is in use")]
    Acknowledge(#[source] sqlx::Error),
    /// The document is not one that this version reads.
    #[error(transparent)]
    Document(#[from] CatalogError),
}

impl Known {
    /// The tables of a catalogue in the ClickHouse database of that name.
    ///
    /// Tables whose model did not change are those of `before`, so that a batch need not end.
    pub fn new(catalog: Catalog, database: &str, as_of: Instant, before: Option<&Self>) -> Self {
        let catalog = Arc::new(catalog);
        let generation = catalog.generation;
        let tables = catalog.all_captured().map(|model| {
            let kept = before.and_then(|known| known.tables.get(model.name()));
            let kept =
                kept.filter(|table| table.model() == model && table.generation() == generation);
            let table = kept
                .cloned()
                .unwrap_or_else(|| Arc::new(Table::new(database, Arc::clone(model), generation)));
            (model.name().clone(), table)
        });
        let tables = tables.collect();
        Self {
            catalog,
            as_of,
            tables,
        }
    }

    /// The table that a PostgreSQL table is captured into.
    pub fn table(&self, schema: &str, table: &str) -> Option<&Arc<Table>> {
        let name = self.catalog.captured(schema, table)?.name();
        self.tables.get(name)
    }

    /// Every captured table.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }
}

/// Asks for a look at the catalogue, and sees what the last one found. `None` until the first succeeded.
#[derive(Clone)]
pub struct CatalogFeed {
    known: watch::Receiver<Option<Arc<Known>>>,
    ask: Arc<Notify>,
}

impl CatalogFeed {
    /// Keeps the catalogue current in a task of its own until `stop`, and tells the operator as `instance` what is in
    /// use.
    pub fn start(
        pool: PgPool,
        database: String,
        instance: Instance,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let (sender, known) = watch::channel(None);
        let ask = Arc::new(Notify::new());
        let keeper = Keeper {
            pool,
            database,
            metrics,
            ask: Arc::clone(&ask),
            known: sender,
            in_use: Arc::default(),
            instance,
        };
        tokio::spawn(async move {
            stop.run_until_cancelled(keeper.run()).await;
            keeper.instance.leave(&keeper.pool).await;
        });
        Self { known, ask }
    }

    /// A feed that never changes, for tests.
    pub fn fixed(known: Known) -> Self {
        let (_, known) = watch::channel(Some(Arc::new(known)));
        Self {
            known,
            ask: Arc::new(Notify::new()),
        }
    }

    /// Asks for a look; its result is newer than this call.
    pub fn ask(&self) {
        self.ask.notify_one();
    }

    /// Waits until the task has ended: it takes leave of the operator.
    pub async fn ended(&mut self) {
        while self.known.changed().await.is_ok() {}
    }

    /// What the last look found.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.known.borrow().clone()
    }

    /// Waits for the next look to end, or for the first.
    pub async fn changed(&mut self) {
        if self.known.changed().await.is_err() {
            // The keeper has stopped, so we are stopping as well.
            std::future::pending::<()>().await;
        }
    }
}

struct Keeper {
    pool: PgPool,
    database: String,
    metrics: Metrics,
    ask: Arc<Notify>,
    known: watch::Sender<Option<Arc<Known>>>,
    in_use: Arc<InUse>,
    instance: Instance,
}

impl Keeper {
    async fn run(&self) {
        let told = self.instance.keep_acknowledging(&self.pool, &self.in_use);
        tokio::join!(told, self.keep_current());
    }

    async fn keep_current(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let Err(error) = self.follow(&mut backoff).await else {
                continue;
            };
            self.metrics.retry(Retried::Catalog);
            tracing::warn!(error = %chain(&error), "the catalogue cannot be read");
            backoff.wait().await;
        }
    }

    /// Listens first and reads then, so that no change falls between. Ends when the connection does.
    async fn follow(&self, backoff: &mut Backoff) -> Result<(), Error> {
        // Known before anything is loaded, so that whatever is published meanwhile waits for us.
        let told = self.instance.acknowledge(&self.pool, &self.in_use).await;
        told.map_err(Error::Acknowledge)?;
        let mut listener = PgListener::connect_with(&self.pool)
            .await
            .map_err(Error::Read)?;
        listener
            .listen(CATALOG_CHANNEL)
            .await
            .map_err(Error::Read)?;
        loop {
            self.look().await?;
            *backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
            tokio::time::sleep(LOOK_INTERVAL).await;
            tokio::select! {
                // None: the connection was lost and made anew; notifications may be missing.
                notified = listener.try_recv() => { notified.map_err(Error::Read)?; }
                () = self.ask.notified() => {}
                () = tokio::time::sleep(LOOK_UNASKED) => {}
            }
        }
    }

    async fn look(&self) -> Result<(), Error> {
        let as_of = Instant::now();
        let text: String = sqlx::query_scalar(CATALOG_QUERY)
            .fetch_one(&self.pool)
            .await
            .map_err(Error::Read)?;
        let catalog = Catalog::parse(&text)?;
        self.known.send_modify(|known| {
            if known
                .as_ref()
                .is_none_or(|k| k.catalog.revision != catalog.revision)
            {
                tracing::info!(
                    revision = catalog.revision.0,
                    generation = catalog.generation.0,
                    "catalogue read"
                );
            }
            let new = Known::new(catalog, &self.database, as_of, known.as_deref());
            self.in_use.watch(&new.catalog);
            *known = Some(Arc::new(new));
        });
        Ok(())
    }
}
