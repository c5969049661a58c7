//! Operations with their values found, checked before a connection is taken.

use serde_json::value::RawValue;
use sql::Statement;

use super::{
    Entry, at, locks,
    operation::{Kind, Operation},
    reference::{Earlier, Record, Value},
    step::Step,
};
use crate::{
    data::Call,
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem},
    query::refuse,
};

/// A batch that may be run.
pub(super) struct Plan<'a> {
    /// Model and caller of each operation.
    pub calls: &'a [Call<'a>],
    /// What is fetched of each.
    pub entries: &'a [Entry],
    /// The operations.
    pub items: Vec<Item<'a>>,
    /// Locks on what is known to be there, in the order of all writers.
    pub locks: Vec<Statement>,
}

/// One operation.
pub(super) enum Item<'a> {
    /// Everything is known.
    Ready(Box<Step<'a>>),
    /// A value is in the answer to an earlier operation.
    Waiting(Values<'a>),
}

/// The values of an operation.
pub(super) struct Values<'a> {
    call: &'a Call<'a>,
    kind: Kind,
    on_conflict: &'a [String],
    id: Option<Value>,
    members: Vec<(&'a str, Value)>,
}

impl<'a> Plan<'a> {
    /// Finds every value and checks it. All that is wrong is told at once, with the rows; a value that comes later is
    /// checked then, and its type is taken to be right until then.
    pub fn new(
        calls: &'a [Call<'a>],
        operations: &'a [Operation<'_>],
        entries: &'a [Entry],
    ) -> Result<Self, Problem> {
        let mut earlier = Earlier::new(calls);
        let mut items = Vec::with_capacity(operations.len());
        let mut errors: Vec<FieldError> = Vec::new();
        for (row, (call, operation)) in calls.iter().zip(operations).enumerate() {
            let record = match item(call, operation, &earlier) {
                Ok((item, record)) => {
                    items.push(item);
                    record
                }
                Err(problem) => {
                    errors.extend(at(problem, row).errors);
                    // What follows may refer to it, and that is not wrong.
                    Record::new()
                }
            };
            earlier.push(operation, record);
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let locks = locks::before(items.iter().filter_map(|item| match item {
            Item::Ready(step) => Some(&**step),
            Item::Waiting(_) => None,
        }));
        Ok(Self {
            calls,
            entries,
            items,
            locks,
        })
    }
}

fn item<'a>(
    call: &'a Call<'a>,
    operation: &'a Operation<'_>,
    earlier: &Earlier<'_>,
) -> Result<(Item<'a>, Record), Problem> {
    let mut errors = Vec::new();
    let mut resolve = |field: &str, raw: &RawValue| match earlier.resolve(field, raw) {
        Ok(value) => value,
        Err(error) => {
            errors.push(error);
            Value::Known("null".to_owned())
        }
    };
    let mut id = operation.id.map(|raw| resolve("id", raw));
    let mut members = Vec::with_capacity(operation.data.len() + 1);
    let mut record = Record::new();
    if let Some(raw) = operation.version {
        members.push(("version", resolve("version", raw)));
    }
    for (name, raw) in &operation.data {
        let is_json = call
            .model
            .field(name)
            .is_some_and(|f| f.field_type == model::FieldType::Json);
        let value = if is_json {
            Value::Known(raw.get().to_owned())
        } else {
            resolve(name, raw)
        };
        // An update's `version` is the one that was, not the one that will be.
        if name != "version" {
            record.insert(name.clone(), value.clone());
        }
        members.push((name.as_str(), value));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    if operation.kind == Kind::Create && id.is_none() && !record.contains_key("id") {
        // Made here, so that what follows can refer to it.
        id = Some(Value::Known(format!("\"{}\"", uuid::Uuid::now_v7())));
    }
    record.extend(id.iter().map(|id| ("id".to_owned(), id.clone())));
    if operation.kind == Kind::Upsert {
        let is_by_id = operation.on_conflict == ["id"];
        if is_by_id && !record.contains_key("id") {
            let error = refuse("id", FieldCode::Required, "is required");
            return Err(Problem::invalid(vec![error]));
        }
        if !is_by_id {
            // A record that is there keeps its own.
            record.remove("id");
        }
    }
    let values = Values {
        call,
        kind: operation.kind,
        on_conflict: &operation.on_conflict,
        id,
        members,
    };
    let step = values.step(|field, value| match value {
        Value::Known(json) => Ok(json.clone()),
        Value::Answered { .. } => Ok(stand_in(call, field)),
    })?;
    let waits = |value: &Value| matches!(value, Value::Answered { .. });
    if values.all().any(|(_, value)| waits(value)) {
        Ok((Item::Waiting(values), record))
    } else {
        Ok((Item::Ready(Box::new(step)), record))
    }
}

impl<'a> Values<'a> {
    /// Every value with its name.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, &Value)> {
        let id = self.id.iter().map(|id| ("id", id));
        id.chain(self.members.iter().map(|(name, value)| (*name, value)))
    }

    /// The operation, with its values as JSON.
    pub fn step(
        &self,
        mut json: impl FnMut(&str, &Value) -> Result<String, Problem>,
    ) -> Result<Step<'a>, Problem> {
        let id = self.id.as_ref().map(|id| json("id", id)).transpose()?;
        let mut members = Vec::with_capacity(self.members.len());
        for (name, value) in &self.members {
            members.push((*name, json(name, value)?));
        }
        match self.kind {
            Kind::Upsert => Step::upsert(self.call, id, members, self.on_conflict),
            kind => Step::plan(self.call, kind, id, members),
        }
    }
}

/// A value that a field takes, in the place of one that is not known yet.
fn stand_in(call: &Call<'_>, field: &str) -> String {
    use model::FieldType;
    // What a caller may not see, he may still write.
    let declared = call.model.field(field).map(|f| &f.field_type);
    let kind = declared.or_else(|| call.model.column(field).map(|c| &c.field_type));
    let text = match kind {
        Some(FieldType::Bool) => "false",
        Some(
            FieldType::Int16
            | FieldType::Int32
            | FieldType::Int64
            | FieldType::Float64
            | FieldType::Decimal { .. },
        ) => "0",
        Some(FieldType::Uuid) => "\"00000000-0000-7000-8000-000000000000\"",
        Some(FieldType::Date) => "\"2000-01-01\"",
        Some(FieldType::Timestamp) => "\"2000-01-01T00:00:00Z\"",
        Some(FieldType::Time) => "\"00:00:00\"",
        Some(FieldType::Inet) => "\"0.0.0.0\"",
        Some(FieldType::Array { .. }) => "[]",
        Some(FieldType::Vector { dimension }) => {
            return serde_json::Value::from(vec![0; usize::from(*dimension)]).to_string();
        }
        Some(FieldType::Enum { values }) => {
            let first = values.first().map_or("", String::as_str);
            return serde_json::Value::from(first).to_string();
        }
        Some(FieldType::Text { .. } | FieldType::Bytes | FieldType::Json) | None => "\"\"",
    };
    text.to_owned()
}
