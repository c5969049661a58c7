//! What a record of the topic means to hooks. Pure: the record and the catalogue decide.

use std::sync::Arc;

use bytes::Bytes;
use model::{Catalog, Hook, HookEvent, ModuleModel, TenantId};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::record::{self, Row};
use crate::{
    catalog::Known,
    decode::{Change, ChangeEvent, Operation, Version},
    placeholder::Placeholder,
    table::{Key, read_key},
};

/// A write that somebody is told of.
#[derive(Debug)]
pub(super) struct Told {
    /// What it was decided by, held until everybody is told.
    #[expect(dead_code, reason = "that it is held is what it is for")]
    pub catalog: Arc<Catalog>,
    /// The model, as it is now.
    pub model: Arc<ModuleModel>,
    /// What happened.
    pub event: HookEvent,
    /// To which record.
    pub key: Key,
    /// Its place in the table's history.
    pub version: Version,
    /// The same each time this event is read.
    pub event_id: Uuid,
    /// What is sent.
    pub body: Bytes,
}

impl Told {
    /// Who is told.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.model.hooks(self.event)
    }
}

/// What is to be done with a record.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Nobody is to be told.
    Nothing,
    /// Its hooks are called.
    Told(Told),
    /// A change of a table with hooks that cannot be read.
    Unreadable,
}

/// Decides by a catalogue that is at least as new as the record.
pub(super) fn meaning_of(known: &Known, payload: &[u8], placeholder: &Placeholder) -> Meaning {
    let catalog = &known.catalog;
    let Ok(event) = ChangeEvent::decode(payload) else {
        // Not even its table can be told; the sink keeps it as a dead letter of its own.
        return Meaning::Unreadable;
    };
    // A snapshot reads what was told long ago, and an older generation's events were told as its own.
    if event.origin.database != catalog.database || event.origin.generation != catalog.generation {
        return Meaning::Nothing;
    }
    let Some(model) = catalog.told(&event.schema, &event.table) else {
        return Meaning::Nothing;
    };
    let (row, operation) = match (&event.change, event.operation) {
        (Change::Upsert(row), Operation::Create | Operation::Update) => (*row, event.operation),
        (Change::Delete(row), Operation::Delete) => (*row, event.operation),
        _ => return Meaning::Nothing,
    };
    read(known, model, &event, row, operation, placeholder).unwrap_or(Meaning::Unreadable)
}

fn read(
    known: &Known,
    model: &Arc<ModuleModel>,
    event: &ChangeEvent<'_>,
    row: &RawValue,
    operation: Operation,
    placeholder: &Placeholder,
) -> Option<Meaning> {
    let key = read_key(row).ok()?;
    let after: Row<'_> = serde_json::from_str(row.get()).ok()?;
    let is_deleted = after.get("deleted_at").is_some_and(|v| v.get() != "null");
    let what = match operation {
        Operation::Create => HookEvent::AfterCreate,
        // It leaves its table in the same transaction, and that is told.
        Operation::Update if is_deleted && !model.soft_delete() => return Some(Meaning::Nothing),
        // A deleted record does not change until it is restored, so this is its deletion.
        Operation::Update if is_deleted => HookEvent::AfterDelete,
        Operation::Update => HookEvent::AfterUpdate,
        Operation::Delete | Operation::None => HookEvent::AfterDelete,
    };
    let tenant: TenantId = key.tenant.to_string().parse().ok()?;
    let installed = known.catalog.tenant(&tenant);
    let installed = installed.is_some_and(|t| t.modules.contains(&model.name().module));
    if !installed || model.hooks(what).next().is_none() {
        return Some(Meaning::Nothing);
    }
    let record = match operation {
        // Of the row before, only the key is there in every table.
        Operation::Delete => format!("{{\"id\":\"{}\"}}", key.id),
        _ => {
            let before = event.before.filter(|before| before.get() != "null");
            let before: Option<Row<'_>> = before.and_then(|b| serde_json::from_str(b.get()).ok());
            record::write(model, &after, before.as_ref(), placeholder).ok()?
        }
    };
    let event_id = identity(event, &key, what);
    Some(Meaning::Told(Told {
        body: body(model, event, what, event_id, &key, record)?,
        catalog: Arc::clone(&known.catalog),
        model: Arc::clone(model),
        event: what,
        version: event.version,
        key,
        event_id,
    }))
}

fn body(
    model: &ModuleModel,
    event: &ChangeEvent<'_>,
    what: HookEvent,
    event_id: Uuid,
    key: &Key,
    record: String,
) -> Option<Bytes> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        event_id: Uuid,
        event: &'static str,
        module: &'a str,
        model: &'a str,
        tenant_id: Uuid,
        committed_at: Option<String>,
        record: Box<RawValue>,
    }
    let at = event.committed_at;
    let body = Body {
        event_id,
        event: what.as_str(),
        module: model.name().module.as_str(),
        model: model.name().model.as_str(),
        tenant_id: key.tenant,
        committed_at: at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()),
        record: RawValue::from_string(record).ok()?,
    };
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

/// (generation, sequence, table, key, what), hashed: it says nothing of other tenants' writes, which positions would.
fn identity(event: &ChangeEvent<'_>, key: &Key, what: HookEvent) -> Uuid {
    let text = format!(
        "{} {:032x} {}.{} {} {} {}",
        event.origin.generation,
        event.version.0,
        event.schema,
        event.table,
        key.tenant,
        key.id,
        what.as_str()
    );
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    // Version 8: made by a rule of our own (RFC 9562).
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
