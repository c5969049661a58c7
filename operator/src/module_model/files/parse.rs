//! A file's name and text, read into what is run. Pure.

use std::sync::Arc;

use super::index::{IndexName, concurrent_index};
use crate::digest::sha256;

/// Most bytes of a file; a ConfigMap holds 1 MiB in all.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a name.
pub const NAME_BYTES_MAX: usize = 128;

/// `YYYYMMDD_HHMMSS`; in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// As it is in the file's name and in the ledger.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One that is in the ledger, where only parsed ones come.
    pub fn of_ledger(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// How often a file runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Once: objects of the module's own, and their rows.
    Schema,
    /// Once for each tenant: rows.
    PerTenant,
}

impl FileKind {
    /// As it is in the file and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::PerTenant => "per-tenant",
        }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFile {
    /// Its key in the ConfigMap.
    pub name: String,
    /// What orders it.
    pub version: Version,
    /// What the name says besides.
    pub description: String,
    /// How often it runs.
    pub kind: FileKind,
    /// The index that it builds, when it asks to run in no transaction: that is all that it may do then.
    pub index: Option<IndexName>,
    /// The part after `-- +goose Up`, on the lines that it has in the file.
    pub up: Arc<str>,
    /// SHA-256 of the whole file, in hexadecimal: an edit of its Down part is an edit.
    pub sha256: String,
}

/// What is wrong with a file, and on which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {problem}", .line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct ParseError {
    /// Its name.
    pub file: String,
    /// Counted from 1.
    pub line: Option<usize>,
    /// What to change.
    pub problem: String,
}

/// Where in a file we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Before,
    Up,
    Down,
}

/// Reads a file. PostgreSQL splits its statements, so `StatementBegin` and `StatementEnd` say nothing that is needed;
/// they must match all the same.
pub fn parse(name: &str, text: &str) -> Result<SqlFile, ParseError> {
    let at = |line: Option<usize>, problem: &str| ParseError {
        file: name.chars().take(NAME_BYTES_MAX).collect(),
        line,
        problem: problem.to_owned(),
    };
    let (version, description) =
        parse_name(name).ok_or_else(|| at(None, "a file is named YYYYMMDD_HHMMSS_description.sql, the description of lower-case letters, digits and underscores"))?;
    if text.len() > FILE_BYTES_MAX {
        return Err(at(None, "a file has at most 256 KiB"));
    }
    if text.contains('\0') {
        return Err(at(None, "a file has no NUL"));
    }
    let mut up = String::with_capacity(text.len());
    let (mut part, mut open, mut kind, mut transaction) = (Part::Before, false, None, true);
    for (i, line) in text.lines().enumerate() {
        let refuse = |problem: &str| Err(at(Some(i + 1), problem));
        match annotation(line) {
            None if part == Part::Up => up.push_str(line),
            None if part == Part::Before && !is_blank(line) => {
                return refuse("a statement stands before -- +goose Up");
            }
            None => {}
            Some(("goose", "Up")) if part == Part::Before => part = Part::Up,
            Some(("goose", "Down")) if part == Part::Up && !open => part = Part::Down,
            Some(("goose", "Up" | "Down")) => {
                return refuse("Up comes once, then Down at most once, outside of a statement");
            }
            Some(("goose", "StatementBegin")) if part != Part::Before && !open => open = true,
            Some(("goose", "StatementEnd")) if open => open = false,
            Some(("goose", "StatementBegin" | "StatementEnd")) => {
                return refuse("StatementBegin and StatementEnd come in turn, after Up or Down");
            }
            Some(("goose", "NO TRANSACTION")) if part == Part::Before => transaction = false,
            Some(("septem", "schema")) if kind.is_none() && part == Part::Before => {
                kind = Some(FileKind::Schema);
            }
            Some(("septem", "per-tenant")) if kind.is_none() && part == Part::Before => {
                kind = Some(FileKind::PerTenant);
            }
            Some((_, other)) => {
                let other: String = other.chars().take(40).collect();
                return refuse(&format!(
                    "annotation {other:?} is not known, or not known here: NO TRANSACTION, schema and per-tenant come once, before Up"
                ));
            }
        }
        up.push('\n');
    }
    if part == Part::Before {
        return Err(at(None, "-- +goose Up is missing"));
    }
    if open {
        return Err(at(None, "StatementBegin has no StatementEnd"));
    }
    let kind = kind.unwrap_or(FileKind::Schema);
    let index = match (transaction, kind) {
        (true, _) => None,
        (false, FileKind::PerTenant) => {
            return Err(at(None, "a per-tenant file runs in a transaction"));
        }
        (false, FileKind::Schema) => {
            Some(concurrent_index(&up).map_err(|problem| at(None, &problem))?)
        }
    };
    Ok(SqlFile {
        name: name.to_owned(),
        version,
        description,
        kind,
        index,
        up: up.into(),
        sha256: sha256(text),
    })
}

fn parse_name(name: &str) -> Option<(Version, String)> {
    let (version, rest) = name.split_at_checked(15)?;
    let description = rest.strip_prefix('_')?.strip_suffix(".sql")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_time = chrono::NaiveDateTime::parse_from_str(version, "%Y%m%d_%H%M%S")
        .is_ok_and(|time| time.format("%Y%m%d_%H%M%S").to_string() == version);
    let fits = name.len() <= NAME_BYTES_MAX && !description.is_empty();
    (is_time && fits && description.chars().all(plain))
        .then(|| (Version(version.to_owned()), description.to_owned()))
}

/// `-- +goose Up` → `("goose", "Up")`.
fn annotation(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim().strip_prefix("--")?.trim_start();
    let (who, what) = rest.strip_prefix('+')?.split_once(char::is_whitespace)?;
    matches!(who, "goose" | "septem").then(|| (who, what.trim()))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("--")
}

#[cfg(test)]
mod tests;
