//! Versioned SQL files of a module: read from ConfigMaps, compared with the ledger, and run in order, each in one
//! transaction as a role that reaches nothing outside of the module's schema.

mod compare;
mod fetch;
mod index;
mod ledger;
mod parse;
mod rights;
mod run;

use std::collections::BTreeSet;

use crds::{ConditionType, Reason, status::MigrationsStatus};
use kube::Client;
use uuid::Uuid;

use self::{
    compare::{Run, compare},
    fetch::{Fetched, fetch},
    ledger::{Ledger, read_ledger},
};
pub use parse::{FileKind, SqlFile};
pub use run::FileError;

use super::{apply::Stop, validate::Desired};
use crate::{error::Error, plane::Plane, report::Stage};

/// What models that name files wait for besides other models: a tenant that gets the module.
pub fn waits_for_tenants(module: &str) -> String {
    // A space: no model has such a name.
    format!("{module} tenants")
}

/// The files of one resource, and how far they have come.
pub struct Files {
    files: Vec<SqlFile>,
    ledger: Ledger,
    tenants: BTreeSet<Uuid>,
    model: String,
}

/// What came of reading them.
pub enum Read {
    /// They can be read, and nothing stands against them.
    Files(Files),
    /// A ConfigMap is not there yet.
    Missing(Stage),
}

impl Files {
    /// Reads the ConfigMaps and the ledger. A resource that names none costs nothing.
    pub async fn read(client: &Client, plane: &Plane, desired: &Desired) -> Result<Read, Stop> {
        let mut files = Self {
            files: Vec::new(),
            ledger: Ledger::default(),
            tenants: BTreeSet::new(),
            model: desired.model.name().model.as_str().to_owned(),
        };
        if desired.file_maps.is_empty() {
            return Ok(Read::Files(files));
        }
        match fetch(client, &desired.namespace, &desired.file_maps).await? {
            Fetched::Files(fetched) => files.files = fetched,
            Fetched::Missing(name) => {
                let message = format!(
                    "spec.migrations.files: there is no ConfigMap {name} in namespace {}; create it, and it is found within 15 seconds",
                    desired.namespace
                );
                return Ok(Read::Missing(Stage::missing(
                    ConditionType::SchemaApplied,
                    Reason::ConfigMapNotFound,
                    message,
                )));
            }
        }
        files.look(plane, desired).await?;
        compare(&files.files, &files.ledger, &files.model, &files.tenants)?;
        Ok(Read::Files(files))
    }

    /// Whether nothing is left to run.
    pub fn are_done(&self) -> bool {
        self.pending().is_empty()
    }

    /// Whether a tenant that comes later has to have some of them.
    pub fn wait_for_tenants(&self) -> bool {
        self.files.iter().any(|f| f.kind == FileKind::PerTenant)
    }

    /// Those that are left, by version.
    pub fn pending(&self) -> Vec<&SqlFile> {
        self.runs().into_iter().map(|run| run.file).collect()
    }

    /// Those that have not been run for every tenant of a time: what somebody may have to approve. Later tenants get
    /// what is approved.
    pub fn unapproved(&self) -> Vec<&SqlFile> {
        let mut runs = self.runs();
        runs.retain(|run| run.mark || run.file.kind == FileKind::Schema);
        runs.into_iter().map(|run| run.file).collect()
    }

    fn runs(&self) -> Vec<Run<'_>> {
        let pending = compare(&self.files, &self.ledger, &self.model, &self.tenants);
        // Refusals were answered when the files were read.
        pending.map(|p| p.runs).unwrap_or_default()
    }

    /// For the status; none when the resource names none.
    pub fn status(&self) -> Option<MigrationsStatus> {
        (!self.files.is_empty()).then(|| MigrationsStatus {
            last_version: self
                .ledger
                .last_of(&self.model)
                .map(|v| v.as_str().to_owned()),
            pending: i32::try_from(self.pending().len()).unwrap_or(i32::MAX),
            failed_version: None,
        })
    }

    /// Runs what is left; returns how many runs there were.
    pub async fn run(
        &self,
        plane: &Plane,
        desired: &Desired,
        plan_hash: Option<&str>,
    ) -> Result<usize, Stop> {
        run::run_files(plane, desired, &self.files, plan_hash).await
    }

    /// For the status, from another look.
    pub async fn status_now(
        &mut self,
        plane: &Plane,
        desired: &Desired,
    ) -> Result<Option<MigrationsStatus>, Error> {
        self.look(plane, desired).await?;
        Ok(self.status())
    }

    async fn look(&mut self, plane: &Plane, desired: &Desired) -> Result<(), Error> {
        let mut conn = plane
            .looks
            .acquire()
            .await
            .map_err(Error::postgres("a connection"))?;
        let module = desired.model.name().module.as_str();
        (self.ledger, self.tenants) = read_ledger(&mut conn, module).await?;
        Ok(())
    }
}
