//! A plan as somebody approves it: its statements, what each locks and loses, and the hash that binds it to the state of
//! the databases. Pure.

use std::{collections::BTreeSet, fmt::Write as _};

use crds::{module_model::NameRef, status::PlanStatus};
use serde::Serialize;

use super::{
    super::{
        apply::Look,
        build::{Phase, Plan, Step},
        files::{Files, SqlFile},
        observe::{Observed, ObservedAnalytics},
        validate::Desired,
    },
    config_map,
};
use crate::digest::sha256;

/// Most bytes of the statements in `status.plan.sql`.
const STATUS_SQL_BYTES_MAX: usize = 1_024;

/// A plan as somebody approves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// SHA-256 over the wish, what the databases hold, and the statements and files, in hexadecimal. Two databases that
    /// hold the same get the same change by one approval.
    pub hash: String,
    /// Whether values are lost by a statement of it.
    pub destructive: bool,
    /// Rows of the table, as PostgreSQL estimates.
    pub rows: i64,
    /// In order.
    pub steps: Vec<ProposedStep>,
    /// Files that no tenant has had, by version.
    pub files: Vec<ProposedFile>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProposedStep {
    /// What it does.
    pub step: String,
    /// Whether it reads the whole table.
    pub scans: bool,
    /// In order.
    pub statements: Vec<ProposedStatement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProposedStatement {
    /// Its text.
    pub sql: String,
    /// As PostgreSQL calls it.
    pub lock: &'static str,
    /// Whether values are lost by it.
    pub destructive: bool,
}

/// One SQL file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProposedFile {
    /// Its key in the ConfigMap.
    pub name: String,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// `schema`, or `per-tenant`.
    pub kind: &'static str,
}

impl Proposal {
    /// What is left to do; none when that is no statement and no new file. A file that was approved for the tenants of
    /// its time runs for later ones as well.
    pub fn of(desired: &Desired, found: &Look, plan: &Plan, files: &Files) -> Option<Self> {
        let analytics = found.analytics.as_ref();
        Self::new(
            desired,
            &found.observed,
            analytics,
            plan,
            &files.unapproved(),
        )
    }

    /// As [`Proposal::of`], of its parts.
    pub fn new(
        desired: &Desired,
        observed: &Observed,
        analytics: Option<&ObservedAnalytics>,
        plan: &Plan,
        files: &[&SqlFile],
    ) -> Option<Self> {
        let model = plan.model.as_deref()?;
        let steps: Vec<_> = plan
            .changes()
            .iter()
            .map(|step| ProposedStep {
                step: described(step),
                scans: step.scans(),
                statements: step
                    .intends(model)
                    .into_iter()
                    .map(|s| ProposedStatement {
                        sql: s.sql,
                        lock: s.lock.as_str(),
                        destructive: s.destructive,
                    })
                    .collect(),
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|f| ProposedFile {
                name: f.name.clone(),
                sha256: f.sha256.clone(),
                kind: f.kind.as_str(),
            })
            .collect();
        let mut proposal = Self {
            hash: String::new(),
            destructive: steps
                .iter()
                .any(|s| s.statements.iter().any(|s| s.destructive)),
            rows: plan.rows,
            steps,
            files,
        };
        if proposal.count() == 0 {
            return None;
        }
        proposal.hash = sha256(
            [
                super::digest_of(desired),
                state(observed, analytics),
                proposal.digests().join(" "),
            ]
            .join("\n"),
        );
        Some(proposal)
    }

    /// Statements and files.
    pub fn count(&self) -> usize {
        self.statements().count() + self.files.len()
    }

    fn statements(&self) -> impl Iterator<Item = &ProposedStatement> {
        self.steps.iter().flat_map(|s| &s.statements)
    }

    /// Each statement and file as text, in order.
    fn texts(&self) -> impl Iterator<Item = String> {
        let statements = self.statements().map(|s| s.sql.clone());
        let files = self
            .files
            .iter()
            .map(|f| format!("file {} {}", f.name, f.sha256));
        statements.chain(files)
    }

    /// SHA-256 of each statement and file, in order.
    pub fn digests(&self) -> Vec<String> {
        self.texts().map(sha256).collect()
    }

    /// The first statement or file that is not among those.
    pub fn first_beyond(&self, approved: &BTreeSet<String>) -> Option<String> {
        self.texts().find(|text| !approved.contains(&sha256(text)))
    }

    /// The same by the name of the plan that it is the rest of.
    pub fn rest_of(self, hash: String) -> Self {
        Self { hash, ..self }
    }

    /// For the status; the ConfigMap is named where it is written.
    pub fn status(&self, config_map: Option<String>) -> PlanStatus {
        let mut sql = self.texts().collect::<Vec<_>>().join(";\n");
        if sql.len() > STATUS_SQL_BYTES_MAX {
            let cut = (0..STATUS_SQL_BYTES_MAX - 2)
                .rev()
                .find(|i| sql.is_char_boundary(*i));
            sql.truncate(cut.unwrap_or(0));
            sql.push('…');
        }
        PlanStatus {
            hash: self.hash.clone(),
            destructive: self.destructive,
            statements: i32::try_from(self.count()).unwrap_or(i32::MAX),
            sql,
            config_map_ref: config_map.map(|name| NameRef { name }),
        }
    }

    /// All of it, for people.
    pub fn text(&self, desired: &Desired) -> String {
        let name = desired.model.name();
        let mut text = format!(
            "-- Plan {}\n-- of {}.{} ({}), about {} rows as PostgreSQL estimates.\n",
            self.hash,
            name.module.as_str(),
            name.model.as_str(),
            desired.resource,
            self.rows
        );
        if self.destructive {
            text.push_str("-- DATA IS LOST by the statements that say so.\n");
        }
        for (i, step) in self.steps.iter().enumerate() {
            let scans = if step.scans {
                "; reads the whole table"
            } else {
                ""
            };
            let _ = writeln!(text, "\n-- {}. {}{scans}", i + 1, step.step);
            let mut said = None;
            for statement in &step.statements {
                let ProposedStatement {
                    sql,
                    lock,
                    destructive,
                } = statement;
                // Once for statements that are alike.
                if said.replace((lock, destructive)) != Some((lock, destructive)) {
                    let loses = if *destructive { "; DATA IS LOST" } else { "" };
                    let _ = writeln!(text, "-- lock: {lock}{loses}");
                }
                let _ = writeln!(text, "{sql};");
            }
        }
        if !self.files.is_empty() {
            text.push_str("\n-- SQL files, before what takes away:\n");
        }
        for ProposedFile { name, sha256, kind } in &self.files {
            let _ = writeln!(text, "-- {name} ({kind}), SHA-256 {sha256}");
        }
        text
    }

    /// All of it, for programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "hash": self.hash, "destructive": self.destructive, "rows": self.rows,
            "steps": self.steps, "files": self.files,
        })
    }

    /// The status of a plan that waits.
    pub fn pending(&self, desired: &Desired) -> PlanStatus {
        self.status(Some(config_map::name(desired)))
    }
}

/// What the databases hold, as far as a plan is made from it. The fence is not in it: it is closed without being asked
/// for; nor are rows, revisions and what others acknowledge.
fn state(observed: &Observed, analytics: Option<&ObservedAnalytics>) -> String {
    let table = observed.table.as_ref();
    let state = (
        table.map(|t| (&t.columns, &t.constraints, &t.indexes, &t.triggers)),
        table.map(|t| (&t.replica_identity, t.captured)),
        &observed.ledger,
        observed.published.as_ref().map(|p| &p.document),
        analytics.map(|a| &a.columns),
    );
    // What was read from JSON can be written as JSON.
    serde_json::to_string(&state).unwrap_or_default()
}

fn described(step: &Step) -> String {
    let of = |phase: &Phase| phase.as_str();
    match step {
        Step::ClickHouse { phase, .. } => format!("{}, in ClickHouse", of(phase)),
        Step::Transaction {
            phase, document, ..
        } => {
            let told = if document.is_some() {
                "; the catalogue tells proxies and sinks"
            } else {
                ""
            };
            format!("{}, one transaction{told}", of(phase))
        }
        Step::Concurrently { phase, .. } => format!("{}, concurrently", of(phase)),
        Step::Backfill { field, .. } => {
            format!("backfill of {}, batch by batch", field.name.as_str())
        }
        Step::Validate { .. } => "proof of older rows".to_owned(),
        Step::Acknowledge { .. } => {
            "waits until every live proxy and sink uses the new catalogue".to_owned()
        }
    }
}
