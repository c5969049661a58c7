//! A connected data plane: what every reconciler works with once the DataPlane has been reconciled.

use std::sync::Arc;

use crds::Reason;
use model::Generation;
use secrecy::SecretString;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Mutex, watch};

use crate::{
    clickhouse::ClickHouse,
    error::Error,
    module_model,
    postgres::{Fenced, Login, Timeouts},
    tenant,
};

/// Whether changes flow from PostgreSQL to Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capture {
    /// The task runs and reads the slot.
    Running,
    /// It does not, or not yet.
    Stopped {
        /// Why.
        reason: Reason,
        /// Why, for people.
        message: String,
    },
}

/// One database and its ClickHouse, bootstrapped, with our epoch.
pub struct Plane {
    /// Name of the database.
    pub database: String,
    /// The capture generation that is read.
    pub generation: Generation,
    /// ClickHouse, as its administrator.
    pub clickhouse: ClickHouse,
    /// URL of Valkey, with its password.
    pub valkey: SecretString,
    /// Connections that only look.
    pub looks: PgPool,
    /// Whether changes flow; told by the DataPlane's reconciler.
    pub capture: watch::Sender<Capture>,
    /// What reconciles of its ModuleModels ask at once.
    pub models: module_model::Gathered,
    /// What reconciles of its Tenants ask at once.
    pub tenants: tenant::Gathered,
    owner: Login,
    epoch: i64,
    fingerprint: [u8; 32],
    turns: Arc<Mutex<Option<PgConnection>>>,
}

impl Plane {
    /// What bootstrapping left.
    ///
    /// `fingerprint` is that of the Secrets, of which a plane lives and dies.
    pub fn new(
        owner: Login,
        epoch: i64,
        generation: Generation,
        clickhouse: ClickHouse,
        valkey: SecretString,
        fingerprint: [u8; 32],
    ) -> Self {
        let stopped = Capture::Stopped {
            reason: Reason::Progressing,
            message: "the connector has not been looked at yet".into(),
        };
        Self {
            database: owner.database.clone(),
            generation,
            clickhouse,
            valkey,
            looks: owner.looks(),
            capture: watch::Sender::new(stopped),
            models: module_model::Gathered::default(),
            tenants: tenant::Gathered::default(),
            owner,
            epoch,
            fingerprint,
            turns: Arc::default(),
        }
    }

    /// Begins the transaction in which something is changed.
    pub async fn fenced(&self, timeouts: Timeouts) -> Result<Fenced, Error> {
        let turn = Arc::clone(&self.turns).lock_owned().await;
        Fenced::begin(&self.owner, self.epoch, timeouts, turn).await
    }

    /// The operator's own login.
    pub fn login(&self) -> &Login {
        &self.owner
    }

    /// The operator's epoch, for the ledger.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Of the Secrets that it was made from.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}
