//! Files against the ledger: what is left to run, in order, or what stands against it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crds::{ConditionType, Reason};
use uuid::Uuid;

use super::{
    ledger::Ledger,
    parse::{FileKind, SqlFile, Version},
};
use crate::report::Refusal;

/// What is left to do for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<'a> {
    /// The file.
    pub file: &'a SqlFile,
    /// For whom it runs: once for nobody in particular, or for each tenant that has not had it.
    pub tenants: Vec<Option<Uuid>>,
    /// Whether the ledger has yet to say that every tenant there was has had it.
    pub mark: bool,
}

/// What is left to do, in the order of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending<'a> {
    /// By version.
    pub runs: Vec<Run<'a>>,
    /// The newest version of this resource that was applied.
    pub last: Option<Version>,
}

impl Pending<'_> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// Compares. `files` are those of one resource, `model` is its model; the order is kept among the files of one
/// resource, since resources of a module are reconciled each on its own.
pub fn compare<'a>(
    files: &'a [SqlFile],
    ledger: &Ledger,
    model: &str,
    tenants: &BTreeSet<Uuid>,
) -> Result<Pending<'a>, Refusal> {
    let refuse = |reason, message| {
        Err(Refusal {
            condition: ConditionType::SchemaApplied,
            reason,
            message,
        })
    };
    let mut by_version = BTreeMap::new();
    for file in files {
        if let Some(other) = by_version.insert(&file.version, file) {
            let message = format!(
                "spec.migrations.files: {} and {} have one version",
                other.name, file.name
            );
            return refuse(Reason::InvalidMigration, message);
        }
    }
    let last = ledger.last_of(model);
    let mut runs = Vec::new();
    for (version, file) in by_version {
        let mut recorded = ledger.of(version).peekable();
        let is_new = recorded.peek().is_none();
        for row in recorded {
            if row.model != model {
                let message = format!(
                    "{}: model {} of this module has run a file of this version; give it another",
                    file.name, row.model
                );
                return refuse(Reason::NameConflict, message);
            }
            if row.sha256 != file.sha256 {
                let message = format!(
                    "{}: it was applied with SHA-256 {} and has {} now; restore it and put the change into a new file",
                    file.name,
                    short(&row.sha256),
                    short(&file.sha256)
                );
                return refuse(Reason::ChecksumMismatch, message);
            }
        }
        if let Some(last) = last.as_ref().filter(|last| is_new && version < *last) {
            let message = format!(
                "{}: version {} has been applied and is newer; give this file a newer version",
                file.name,
                last.as_str()
            );
            return refuse(Reason::OutOfOrder, message);
        }
        let marked = ledger.has(version, None);
        let left: Vec<_> = match file.kind {
            FileKind::Schema if marked => Vec::new(),
            FileKind::Schema => vec![None],
            FileKind::PerTenant => tenants
                .iter()
                .filter(|tenant| !ledger.has(version, Some(**tenant)))
                .map(|tenant| Some(*tenant))
                .collect(),
        };
        let mark = file.kind == FileKind::PerTenant && !marked;
        if mark || !left.is_empty() {
            runs.push(Run {
                file,
                tenants: left,
                mark,
            });
        }
    }
    Ok(Pending { runs, last })
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

#[cfg(test)]
mod tests;
