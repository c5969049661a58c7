//! One Kafka record as Debezium wrote it (JSON, schemas disabled), read into a [`ChangeEvent`].
//!
//! Only the envelope is read here; the row itself stays text until the table is known.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use model::Generation;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Position of a change in its table's history; the highest wins in ClickHouse.
///
/// It is the pair in `source.sequence`: end of the last commit, then the position of the change. The position alone
/// is wrong: a transaction that stays open across an incremental snapshot is emitted after the snapshot's row with
/// a lower position, but with a later commit before it. Rows of the initial snapshot are 0: every change beats them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u128);

/// Where an event comes from: `source.name` is `cdc.<database>.g<N>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The database.
    pub database: Cow<'a, str>,
    /// Its capture generation.
    pub generation: Generation,
}

/// One change, its row still text.
#[derive(Debug)]
pub struct ChangeEvent<'a> {
    /// Which connector wrote it.
    pub origin: Origin<'a>,
    /// Schema in PostgreSQL.
    pub schema: Cow<'a, str>,
    /// Table in PostgreSQL.
    pub table: Cow<'a, str>,
    /// Its place in the table's history.
    pub version: Version,
    /// Position in the WAL; incremental snapshots have none.
    pub lsn: Option<u64>,
    /// When its transaction committed, on PostgreSQL's clock; for a snapshot the time of reading, so `None`.
    pub committed_at: Option<DateTime<Utc>>,
    /// How it came about.
    pub operation: Operation,
    /// The row before the change, where the table's replica identity tells it.
    pub before: Option<&'a RawValue>,
    /// What happened.
    pub change: Change<'a>,
}

/// How a change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An insert.
    Create,
    /// An update.
    Update,
    /// A delete.
    Delete,
    /// Nobody's write: a snapshot read the row, the table was emptied, or it is no row at all.
    None,
}

/// What happened to a row.
#[derive(Debug)]
pub enum Change<'a> {
    /// Created, updated or read by a snapshot; the whole row.
    Upsert(&'a RawValue),
    /// Deleted; only its key counts. Under the default replica identity the other columns hold null or zero.
    Delete(&'a RawValue),
    /// The whole table was emptied, which grants forbid.
    Truncate,
    /// A logical message; nobody of ours writes one.
    Message,
}

/// Why a record is not a change event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not an envelope.
    #[error("the envelope cannot be read")]
    Envelope(#[source] serde_json::Error),
    /// `source.name` is not `cdc.<database>.g<N>`.
    #[error("the source's name is not cdc.<database>.g<N>")]
    Origin,
    /// `source.sequence` is not a pair of positions.
    #[error("the source's sequence is not a pair of positions")]
    Sequence,
    /// `op` is not one that we know.
    #[error("the operation is unknown")]
    Operation,
    /// The operation needs a row that is not there.
    #[error("the row is missing")]
    Row,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Source<'a>,
    #[serde(borrow)]
    op: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    table: Cow<'a, str>,
    sequence: Option<String>,
    snapshot: Option<String>,
    lsn: Option<u64>,
    ts_us: Option<i64>,
    ts_ms: Option<i64>,
}

impl<'a> ChangeEvent<'a> {
    /// Reads a record's value. What it says of a row is not looked at.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let Envelope {
            before,
            after,
            source,
            op,
        } = serde_json::from_slice(payload).map_err(DecodeError::Envelope)?;
        // Absent, or "false" where nulls are replaced by defaults, in a streamed event.
        let snapshot = source.snapshot.as_deref().filter(|s| *s != "false");
        let from_initial_snapshot = op == "r" && snapshot != Some("incremental");
        let version = match (from_initial_snapshot, &source.sequence) {
            (true, _) => Version(0),
            (false, Some(text)) => parse_sequence(text)?,
            (false, None) => return Err(DecodeError::Sequence),
        };
        let operation = match &*op {
            "c" => Operation::Create,
            "u" => Operation::Update,
            "d" => Operation::Delete,
            _ => Operation::None,
        };
        let change = match &*op {
            "c" | "u" | "r" => Change::Upsert(after.ok_or(DecodeError::Row)?),
            "d" => Change::Delete(before.ok_or(DecodeError::Row)?),
            "t" => Change::Truncate,
            "m" => Change::Message,
            _ => return Err(DecodeError::Operation),
        };
        let micros = source.ts_us.or_else(|| source.ts_ms?.checked_mul(1_000));
        let committed_at = micros
            .filter(|_| snapshot.is_none() && op != "r")
            .and_then(DateTime::from_timestamp_micros);
        Ok(Self {
            origin: parse_origin(source.name)?,
            schema: source.schema,
            table: source.table,
            version,
            lsn: source.lsn,
            committed_at,
            operation,
            before,
            change,
        })
    }
}

fn parse_origin(name: Cow<'_, str>) -> Result<Origin<'_>, DecodeError> {
    let parts = |name: &str| {
        let (database, generation) = name.strip_prefix("cdc.")?.rsplit_once(".g")?;
        Some((database.len(), Generation(generation.parse().ok()?)))
    };
    let (length, generation) = parts(&name).ok_or(DecodeError::Origin)?;
    let database = match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[4..4 + length]),
        Cow::Owned(name) => Cow::Owned(name[4..4 + length].to_owned()),
    };
    Ok(Origin {
        database,
        generation,
    })
}

/// `["<end of last commit>","<position>"]`; null, as in the first events of a generation, is 0.
fn parse_sequence(text: &str) -> Result<Version, DecodeError> {
    let (commit, position): (Option<&str>, Option<&str>) =
        serde_json::from_str(text).map_err(|_| DecodeError::Sequence)?;
    let number = |text: Option<&str>| {
        text.map_or(Ok(0), str::parse::<u64>)
            .map_err(|_| DecodeError::Sequence)
    };
    Ok(Version(
        u128::from(number(commit)?) << 64 | u128::from(number(position)?),
    ))
}

#[cfg(test)]
mod tests;
