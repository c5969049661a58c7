//! What is to be done with a record, decided from the record and the catalogue alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::{Catalog, ModelName};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    catalog::Known,
    decode::{Change, ChangeEvent},
    encode::Adjusted,
    metrics::{ErrorClass, Outcome},
    placeholder::Placeholder,
    record::Record,
    table::{Encoded, Key, Row, RowError, Table, read_key},
};

/// The schema of our own tables.
const PLATFORM: &str = "platform";
/// Written each second by the connector; its changes carry the clock of the watermark.
const HEARTBEAT: &str = "cdc_heartbeat";

/// A change of the heartbeat row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Position of the change in the WAL.
    pub lsn: u64,
    /// When its transaction committed, on PostgreSQL's clock.
    pub at: DateTime<Utc>,
}

/// Whose data a record that cannot be written belongs to: what the watermark is held back for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One tenant's rows of a model.
    Tenant(ModelName, Uuid),
    /// A model, since the tenant cannot be read.
    Model(ModelName),
    /// Every captured model, since not even the table can be read.
    Everything,
}

/// Why a record cannot be written, and what that holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Why.
    pub class: ErrorClass,
    /// What is held back.
    pub scope: Scope,
    /// When the change was committed, if the record tells.
    pub committed_at: Option<DateTime<Utc>>,
}

/// A row and all that is needed should it have to go to the dead-letter topic.
#[derive(Debug)]
pub struct RoutedRow {
    /// What it was decided by, held until it is written.
    pub catalog: Arc<Catalog>,
    /// Where it is to be written.
    pub table: Arc<Table>,
    /// The row, with its holes.
    pub encoded: Encoded,
    /// When the change was committed; none for rows of a snapshot.
    pub committed_at: Option<DateTime<Utc>>,
}

/// What is to be done with a record.
#[derive(Debug)]
pub enum Step {
    /// Write a row.
    Write(RoutedRow),
    /// Tell the watermark.
    Heartbeat(Heartbeat),
    /// Nothing.
    Skip(Outcome),
    /// Look at the catalogue again before deciding: the record may be newer than what we know.
    Ask,
    /// Cannot be written.
    Dead(Dead),
}

/// Decides about a record that was read at `read_at`.
///
/// The operator commits a table's DDL together with the catalogue that describes it. A catalogue looked at after
/// the record was read therefore knows every table and column of ours that the record can name; a column that it does
/// not know has been dropped since, or is somebody else's.
pub fn route(
    known: &Known,
    record: &Record,
    read_at: Instant,
    placeholder: Option<&Placeholder>,
) -> Step {
    let Some(payload) = &record.payload else {
        return Step::Skip(Outcome::Empty);
    };
    let event = match ChangeEvent::decode(payload) {
        Ok(event) => event,
        Err(_) => return Step::Dead(unreadable(known, payload)),
    };
    let is_current = known.as_of >= read_at;
    if event.origin.database != known.catalog.database
        || event.origin.generation < known.catalog.generation
    {
        return Step::Skip(Outcome::Retired);
    }
    if event.origin.generation > known.catalog.generation {
        return if is_current {
            Step::Skip(Outcome::Retired)
        } else {
            Step::Ask
        };
    }
    if event.schema == PLATFORM {
        return platform_step(&event);
    }
    let Some(table) = known.table(&event.schema, &event.table) else {
        // What only hooks follow is no news: asking for each of its records would hold the others up.
        let is_known = known.catalog.told(&event.schema, &event.table).is_some();
        return if is_current || is_known {
            Step::Skip(Outcome::Uncaptured)
        } else {
            Step::Ask
        };
    };
    row_step(known, table, event, is_current, placeholder)
}

fn platform_step(event: &ChangeEvent<'_>) -> Step {
    match (&*event.table, &event.change, event.lsn, event.committed_at) {
        // Only a streamed change is a clock: a snapshot reads the row at no transaction's commit.
        (HEARTBEAT, Change::Upsert(_), Some(lsn), Some(at)) => {
            Step::Heartbeat(Heartbeat { lsn, at })
        }
        (HEARTBEAT, ..) => Step::Skip(Outcome::Empty),
        _ => Step::Skip(Outcome::Signal),
    }
}

fn row_step(
    known: &Known,
    table: &Arc<Table>,
    event: ChangeEvent<'_>,
    is_current: bool,
    placeholder: Option<&Placeholder>,
) -> Step {
    let ChangeEvent {
        version,
        committed_at,
        change,
        ..
    } = event;
    let dead = |class, key: Option<Key>| Dead {
        class,
        scope: match key {
            Some(key) => Scope::Tenant(table.name().clone(), key.tenant),
            None => Scope::Model(table.name().clone()),
        },
        committed_at,
    };
    let routed = |encoded| {
        Step::Write(RoutedRow {
            catalog: Arc::clone(&known.catalog),
            table: Arc::clone(table),
            encoded,
            committed_at,
        })
    };
    // Told by the key alone, and looked for only where there is anything to be found.
    if let Change::Upsert(row) | Change::Delete(row) = &change
        && known.catalog.erased_some()
        && read_key(row).is_ok_and(|key| known.catalog.is_erased(key.tenant))
    {
        return Step::Skip(Outcome::Erased);
    }
    match change {
        Change::Message => Step::Skip(Outcome::Empty),
        Change::Truncate => Step::Dead(dead(ErrorClass::Truncate, None)),
        Change::Delete(before) => match table.encode_tombstone(before, version) {
            Ok(row) => routed(Encoded {
                row,
                holes: Vec::new(),
                adjusted: Adjusted::default(),
            }),
            Err(_) => Step::Dead(dead(ErrorClass::Key, None)),
        },
        Change::Upsert(after) => loop {
            return match table.encode(after, version, placeholder) {
                Ok(encoded) => routed(encoded),
                Err(RowError::UnknownColumn(column)) if is_current => {
                    table.leave_out(column);
                    continue;
                }
                Err(RowError::UnknownColumn(_)) => Step::Ask,
                Err(RowError::Value { .. }) => {
                    Step::Dead(dead(ErrorClass::Value, read_key(after).ok()))
                }
                Err(RowError::Object(_) | RowError::Key) => Step::Dead(dead(ErrorClass::Key, None)),
            };
        },
    }
}

/// The smallest scope that a record still tells which is no change event: its table may be readable all the same.
fn unreadable(known: &Known, payload: &[u8]) -> Dead {
    #[derive(serde::Deserialize)]
    struct Source {
        schema: String,
        table: String,
    }
    #[derive(serde::Deserialize)]
    struct Envelope {
        source: Source,
    }
    let envelope = serde_json::from_slice::<Envelope>(payload).ok();
    let table = envelope.and_then(|e| known.table(&e.source.schema, &e.source.table));
    Dead {
        class: ErrorClass::Envelope,
        scope: table.map_or(Scope::Everything, |table| {
            Scope::Model(table.name().clone())
        }),
        committed_at: None,
    }
}

impl Dead {
    /// Of a row that was encoded and could not be written.
    pub fn of_row(
        class: ErrorClass,
        table: &Table,
        row: &Row,
        committed_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            class,
            scope: Scope::Tenant(table.name().clone(), row.key.tenant),
            committed_at,
        }
    }
}

#[cfg(test)]
mod tests;
