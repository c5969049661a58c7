//! Schema `platform` as the proxy sees it: a few functions, called as `septem_app` through a small pool.
//!
//! The hot path does not come here; CRUD has connections of its own.

use std::{collections::HashSet, time::Duration};

use model::{
    Catalog, CatalogError, Permission, Revision, TenantId, catalog::CATALOG_CHANNEL,
    catalog::CATALOG_QUERY,
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

/// Catalogue loads, revision checks and permission misses: few and short.
const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for a connection: a request waits for this when PostgreSQL is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// PostgreSQL did not answer, or not with what we expect.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The URL is not one of PostgreSQL.
    #[error("the database URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// A statement failed.
    #[error("while {doing}")]
    Query {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The catalogue is not one that this version reads.
    #[error("while reading the catalogue")]
    Catalog(#[source] CatalogError),
}

fn query(doing: &'static str) -> impl FnOnce(sqlx::Error) -> PlatformError {
    move |source| PlatformError::Query { doing, source }
}

/// The pool.
#[derive(Clone)]
pub struct Platform {
    pool: PgPool,
}

/// A connection that hears of new revisions.
pub struct Listener(PgListener);

impl Platform {
    /// Makes the pool without connecting. Call inside a runtime.
    pub fn new(url: &SecretString) -> Result<Self, PlatformError> {
        let options: PgConnectOptions = url.expose_secret().parse().map_err(PlatformError::Url)?;
        let options = options.application_name("septem-proxy");
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// The whole catalogue at one moment.
    pub async fn catalog(&self) -> Result<Catalog, PlatformError> {
        let json: String = sqlx::query_scalar(CATALOG_QUERY)
            .fetch_one(&self.pool)
            .await
            .map_err(query("loading the catalogue"))?;
        Catalog::parse(&json).map_err(PlatformError::Catalog)
    }

    /// The revision that is published now.
    pub async fn revision(&self) -> Result<Revision, PlatformError> {
        sqlx::query_scalar("select platform.catalog_revision_now()")
            .fetch_one(&self.pool)
            .await
            .map(Revision)
            .map_err(query("asking for the revision"))
    }

    /// Tells the operator the oldest revision that this instance still uses, and that it is there.
    pub async fn acknowledge(
        &self,
        instance: &str,
        revision: Revision,
    ) -> Result<(), PlatformError> {
        sqlx::query("select platform.acknowledge_revision($1, $2)")
            .bind(instance)
            .bind(revision.0)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(query("acknowledging the revision"))
    }

    /// Tells the operator not to wait for this instance any more.
    pub async fn forget(&self, instance: &str) -> Result<(), PlatformError> {
        sqlx::query("select platform.forget_instance($1)")
            .bind(instance)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(query("taking leave"))
    }

    /// What a user of a tenant may do. Permissions that this version does not know are passed over.
    pub async fn permissions(
        &self,
        tenant: TenantId,
        user: &str,
    ) -> Result<HashSet<Permission>, PlatformError> {
        let names: Vec<String> = sqlx::query_scalar("select platform.permissions_of($1, $2)")
            .bind(tenant.as_uuid())
            .bind(user)
            .fetch_all(&self.pool)
            .await
            .map_err(query("loading permissions"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes kept answers that are older than 24 hours, at most `most` of them, and tells how many.
    pub async fn expire_idempotency(&self, most: i32) -> Result<i64, PlatformError> {
        sqlx::query_scalar("select platform.expire_idempotency($1)")
            .bind(most)
            .fetch_one(&self.pool)
            .await
            .map_err(query("removing kept answers"))
    }

    /// Whether the database answers.
    pub async fn is_there(&self) -> bool {
        sqlx::query("select 1").execute(&self.pool).await.is_ok()
    }

    /// Listens for new revisions on a connection of its own.
    pub async fn listen(&self) -> Result<Listener, PlatformError> {
        let mut listener = PgListener::connect_with(&self.pool)
            .await
            .map_err(query("connecting to listen"))?;
        listener
            .listen(CATALOG_CHANNEL)
            .await
            .map_err(query("listening for revisions"))?;
        Ok(Listener(listener))
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Listener {
    /// Waits for the next notification. `false`: the connection was lost, and notifications may be too.
    pub async fn heard(&mut self) -> Result<bool, PlatformError> {
        let first = self
            .0
            .try_recv()
            .await
            .map_err(query("waiting for a revision"))?;
        // One reload serves all that have queued up behind it.
        while self.0.next_buffered().is_some() {}
        Ok(first.is_some())
    }
}
