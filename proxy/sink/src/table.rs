//! One captured model as the sink needs it: its columns in order, its INSERT, and rows encoded for it.

mod absent;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use model::{Column, Generation, ModelName, ModuleModel, TenantId};
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sql::clickhouse;
use uuid::Uuid;

use crate::{
    decode::Version,
    encode::{Adjusted, ValueError, encode, encode_missing},
    placeholder::Placeholder,
    rowbinary::put_uuid,
};

/// Columns of PostgreSQL that ClickHouse does not have.
const IGNORED: [&str; 1] = ["delete_id"];

/// Identity of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose row it is.
    pub tenant: Uuid,
    /// Its id.
    pub id: Uuid,
}

/// A row encoded as `RowBinary`, all but its last column `_synced_at`, which is the moment of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which row.
    pub key: Key,
    /// Which version of it.
    pub version: Version,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A value that the event did not carry, to be read back from ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Where in the row's bytes the value belongs.
    pub at: usize,
    /// The column, as an index into [`Table::columns`].
    pub column: usize,
}

/// A row and what was done to it.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The row.
    pub row: Row,
    /// Values that are missing in it, in order; nearly always none.
    pub holes: Vec<Hole>,
    /// What was changed so that it fits.
    pub adjusted: Adjusted,
}

/// Why a row cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// A column that the model does not have, at least not yet.
    #[error("the model has no column {0:?}")]
    UnknownColumn(String),
    /// A value that its column cannot hold.
    #[error("field {column:?} {source}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong with the value.
        source: ValueError,
    },
    /// Not a JSON object.
    #[error("the row is not an object")]
    Object(#[source] serde_json::Error),
    /// `tenant_id` or `id` is missing or no UUID.
    #[error("the row has no key")]
    Key,
}

/// One captured model of one generation.
#[derive(Debug)]
pub struct Table {
    model: Arc<ModuleModel>,
    generation: Generation,
    columns: Vec<Column>,
    /// By column, what a row holds that is older than it.
    absent: Vec<Option<Box<RawValue>>>,
    index: HashMap<String, usize>,
    /// Columns that events name and the model does not have, found with a catalogue that was newer than the event:
    /// dropped ones, and ones that somebody added by hand.
    strangers: RwLock<HashSet<String>>,
    qualified: String,
    insert: String,
}

impl Table {
    /// The table of `model` in the ClickHouse database of that name.
    pub fn new(database: &str, model: Arc<ModuleModel>, generation: Generation) -> Self {
        let columns: Vec<_> = model.captured_columns().collect();
        let fields = || model.fields().iter().chain(model.filling());
        let default = |c: &Column| {
            let field = fields().find(|f| f.column() == c.column)?;
            absent::default_of(field)
        };
        let absent = columns.iter().map(default).collect();
        let index = columns
            .iter()
            .enumerate()
            .map(|(i, c)| (c.column.as_str().to_owned(), i))
            .collect();
        let table = clickhouse::table_name(model.name(), generation);
        let qualified = format!(
            "{}.{}",
            clickhouse::quote_text(database),
            clickhouse::quote_text(&table)
        );
        let names: Vec<_> = clickhouse::ddl::insert_columns(&model)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let insert = format!(
            "INSERT INTO {qualified} ({}) FORMAT RowBinary",
            names.join(", ")
        );
        Self {
            model,
            generation,
            columns,
            absent,
            index,
            strangers: RwLock::default(),
            qualified,
            insert,
        }
    }

    /// Module and model.
    pub fn name(&self) -> &ModelName {
        self.model.name()
    }

    /// The model that it was made from.
    pub fn model(&self) -> &Arc<ModuleModel> {
        &self.model
    }

    /// The generation that it belongs to.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The columns of a row between its key and its version.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The table with its database, quoted.
    pub fn qualified(&self) -> &str {
        &self.qualified
    }

    /// The statement before the rows; it names its columns.
    pub fn insert(&self) -> &str {
        &self.insert
    }

    /// From now on, values of a column that the model does not have are left out of its rows. Whoever calls it knows
    /// that the column will never be the model's under this name: a column's name means one thing for ever, and the
    /// catalogue names it as soon as there are events with it.
    pub fn leave_out(&self, column: String) {
        let strangers = self.strangers.write();
        strangers
            .unwrap_or_else(PoisonError::into_inner)
            .insert(column);
    }

    /// Encodes the row after a change. A column that it lacks is younger than the
    /// row and holds what PostgreSQL shows there: the field's constant default, else null, in a required column the
    /// type's default.
    pub fn encode(
        &self,
        after: &RawValue,
        version: Version,
        placeholder: Option<&Placeholder>,
    ) -> Result<Encoded, RowError> {
        let fields = self.read(after)?;
        let key = fields.key()?;
        let mut bytes = Vec::with_capacity(after.get().len());
        put_key(&mut bytes, key);
        let (mut adjusted, mut holes) = (Adjusted::default(), Vec::new());
        for (i, (column, value)) in self.columns.iter().zip(&fields.values).enumerate() {
            let value = value.or(self.absent[i].as_deref());
            let untouched = placeholder
                .zip(value)
                .is_some_and(|(p, v)| p.is(&column.field_type, v.get()));
            if untouched {
                holes.push(Hole {
                    at: bytes.len(),
                    column: i,
                });
                continue;
            }
            encode(&mut bytes, column, value, &mut adjusted).map_err(|source| RowError::Value {
                column: column.column.as_str().to_owned(),
                source,
            })?;
        }
        put_version(&mut bytes, version, false);
        Ok(Encoded {
            row: Row {
                key,
                version,
                bytes,
            },
            holes,
            adjusted,
        })
    }

    /// Encodes the row of a delete: the key of `before` and nothing else of it.
    pub fn encode_tombstone(&self, before: &RawValue, version: Version) -> Result<Row, RowError> {
        let key = read_key(before)?;
        let mut bytes = Vec::with_capacity(64 + 8 * self.columns.len());
        put_key(&mut bytes, key);
        for column in &self.columns {
            encode_missing(&mut bytes, column);
        }
        put_version(&mut bytes, version, true);
        Ok(Row {
            key,
            version,
            bytes,
        })
    }

    fn read<'a>(&self, row: &'a RawValue) -> Result<Fields<'a>, RowError> {
        let mut reader = serde_json::Deserializer::from_str(row.get());
        let fields = reader
            .deserialize_map(FieldsVisitor(&self.index, self.columns.len()))
            .map_err(RowError::Object)?;
        if !fields.unknown.is_empty() {
            let strangers = self.strangers.read();
            let strangers = strangers.unwrap_or_else(PoisonError::into_inner);
            let is_new = |name: &&Cow<'_, str>| !strangers.contains(&***name);
            if let Some(name) = fields.unknown.iter().find(is_new) {
                return Err(RowError::UnknownColumn(name.to_string()));
            }
        }
        Ok(fields)
    }
}

/// The key of a row, whatever else it holds.
pub fn read_key(row: &RawValue) -> Result<Key, RowError> {
    let mut reader = serde_json::Deserializer::from_str(row.get());
    let no_columns = HashMap::new();
    reader
        .deserialize_map(FieldsVisitor(&no_columns, 0))
        .map_err(RowError::Object)?
        .key()
}

fn put_key(out: &mut Vec<u8>, key: Key) {
    put_uuid(out, key.tenant);
    // FixedString(16), big-endian: as a UUID, ClickHouse would sort it by its second half and make FINAL slow.
    out.extend_from_slice(key.id.as_bytes());
}

fn put_version(out: &mut Vec<u8>, version: Version, deleted: bool) {
    out.extend_from_slice(&version.0.to_le_bytes());
    out.push(u8::from(deleted));
}

/// A row's fields by column, still text.
struct Fields<'a> {
    tenant: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    values: Vec<Option<&'a RawValue>>,
    unknown: Vec<Cow<'a, str>>,
}

impl Fields<'_> {
    fn key(&self) -> Result<Key, RowError> {
        let uuid = |value: Option<&RawValue>| {
            let text: &str = serde_json::from_str(value?.get()).ok()?;
            // As strict as TenantId: one spelling, and never the nil UUID.
            text.parse::<TenantId>().ok().map(|id| id.as_uuid())
        };
        let id = |value: Option<&RawValue>| {
            Uuid::try_parse(serde_json::from_str(value?.get()).ok()?).ok()
        };
        match (uuid(self.tenant), id(self.id)) {
            (Some(tenant), Some(id)) => Ok(Key { tenant, id }),
            _ => Err(RowError::Key),
        }
    }
}

struct FieldsVisitor<'i>(&'i HashMap<String, usize>, usize);

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let Self(index, columns) = self;
        let mut fields = Fields {
            tenant: None,
            id: None,
            values: vec![None; columns],
            unknown: Vec::new(),
        };
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            match &*name.0 {
                "tenant_id" => fields.tenant = Some(value),
                "id" => fields.id = Some(value),
                other => match index.get(other) {
                    Some(i) => fields.values[*i] = Some(value),
                    None if IGNORED.contains(&other) => {}
                    None => fields.unknown.push(name.0),
                },
            }
        }
        Ok(fields)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
