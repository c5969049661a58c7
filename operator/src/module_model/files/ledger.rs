//! What `platform.schema_migrations` says of a module's files, and which tenants have the module.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::parse::Version;
use crate::error::Error;

/// A file that has run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Its version.
    pub version: String,
    /// The model whose resource named it.
    pub model: String,
    /// Of the whole file.
    pub sha256: String,
    /// For whom; none once every tenant that there was has had it, and for a file that runs once.
    pub tenant: Option<Uuid>,
}

/// The files of a module that have run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    rows: BTreeMap<String, Vec<Row>>,
}

impl Ledger {
    /// From its rows.
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        let mut ledger = Self::default();
        for row in rows {
            ledger
                .rows
                .entry(row.version.clone())
                .or_default()
                .push(row);
        }
        ledger
    }

    /// What it says of a version.
    pub fn of(&self, version: &Version) -> impl Iterator<Item = &Row> {
        self.rows.get(version.as_str()).into_iter().flatten()
    }

    /// Whether the version has run for the tenant, or for everybody.
    pub fn has(&self, version: &Version, tenant: Option<Uuid>) -> bool {
        self.of(version).any(|row| row.tenant == tenant)
    }

    /// The newest version that ran for a model's resource.
    pub fn last_of(&self, model: &str) -> Option<Version> {
        let rows = self.rows.values().rev().flatten();
        let newest = rows.into_iter().find(|row| row.model == model);
        newest.map(|row| Version::of_ledger(&row.version))
    }
}

/// Reads the ledger and the tenants that have the module, whatever their state: those that are suspended come back.
pub async fn read_ledger(
    conn: &mut PgConnection,
    module: &str,
) -> Result<(Ledger, BTreeSet<Uuid>), Error> {
    #[derive(Deserialize)]
    struct Found {
        rows: Vec<Row>,
        tenants: BTreeSet<Uuid>,
    }
    let text: String = sqlx::query_scalar(
        "select json_build_object('rows', (select coalesce(json_agg(json_build_object('version', version, 'model', model, 'sha256', sha256, 'tenant', tenant_id)), '[]') from platform.schema_migrations where module = $1 and kind <> 'model'), 'tenants', (select coalesce(json_agg(t.tenant_id), '[]') from platform.tenant_modules m join platform.tenants t using (tenant_id) where m.module = $1 and t.served))::text",
    )
    .bind(module)
    .fetch_one(conn)
    .await
    .map_err(Error::postgres("a look at the ledger"))?;
    let found: Found = serde_json::from_str(&text).map_err(Error::Observed)?;
    Ok((Ledger::new(found.rows), found.tenants))
}
