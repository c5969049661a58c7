//! `docs/troubleshooting.md`, read as what it claims.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::Scene;
use uuid::Uuid;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md");
/// The module, and its namespace, that the page tells of.
const MODULE: &str = "crm";
/// Its tenant.
const TENANT: &str = "0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01";

/// What the page says that an object says.
#[derive(Debug, Clone)]
pub struct Told {
    /// Type of the condition; of a refusal, nothing.
    pub condition: String,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

impl Told {
    /// The same of the scene's module.
    pub fn of(&self, scene: &Scene) -> Self {
        let mut told = self.clone();
        told.message = told.message.replace(MODULE, &scene.module);
        told
    }
}

impl Told {
    /// The same of that tenant.
    pub fn with_id(mut self, id: Uuid) -> Self {
        self.message = self.message.replace(TENANT, &id.to_string());
        self
    }
}

/// The table below one heading. Each row must be taken once.
pub struct Section(BTreeMap<String, Told>);

/// Headings that a table follows, in the order of the page.
pub fn sections() -> Result<Vec<String>> {
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    let parts = page.split("\n## ").skip(1);
    let tables = parts.filter(|part| part.contains("\n| mistake |"));
    Ok(tables
        .filter_map(|part| part.lines().next().map(str::to_owned))
        .collect())
}

impl Section {
    /// Reads the table below that heading.
    pub fn read(heading: &str) -> Result<Self> {
        let page = std::fs::read_to_string(PAGE).context(PAGE)?;
        let mut parts = page.split("\n## ");
        let part = parts.find(|part| part.lines().next() == Some(heading));
        let part = part.with_context(|| format!("no heading {heading}"))?;
        let mut rows = BTreeMap::new();
        for line in part.lines().filter(|l| l.starts_with("| ")).skip(1) {
            let cells: Vec<_> = line
                .split('|')
                .map(|c| c.trim().trim_matches('`'))
                .collect();
            let [_, mistake, condition, reason, message, advice, _] = cells[..] else {
                anyhow::bail!("{line}: a row has five cells");
            };
            ensure!(!advice.is_empty(), "{line}: what is to be done?");
            let told = Told {
                condition: condition.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
            };
            rows.insert(mistake.to_owned(), told);
        }
        Ok(Self(rows))
    }

    /// The row of that mistake.
    pub fn take(&mut self, mistake: &str) -> Result<Told> {
        let told = self.0.remove(mistake);
        told.with_context(|| format!("the page has no row, or no other, of: {mistake}"))
    }

    /// The row again, with something that only the test knows.
    pub fn put(&mut self, mistake: &str, told: Told) {
        self.0.insert(mistake.to_owned(), told);
    }

    /// Nothing is left that was not compared.
    pub fn end(self) -> Result<()> {
        ensure!(
            self.0.is_empty(),
            "rows that nobody compares: {:#?}",
            self.0
        );
        Ok(())
    }
}
