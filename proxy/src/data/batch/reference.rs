//! `{"$ref": "home.id"}`: the value of a field of an earlier operation's record.
//!
//! It stands for the JSON text that the API would show. What the client has sent itself, and ids, are known at once; the
//! rest is in the answer to the earlier operation.

use std::collections::HashMap;

use model::{Action, Column, Permission};
use serde_json::value::RawValue;

use super::operation::Operation;
use crate::{
    data::{Call, body::Object, prefer::Preferences, record::Shape},
    postgres::Row,
    problem::{FieldCode, FieldError, Problem, ProblemKind},
    query::{refuse, unknown_field},
};

/// A value of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// JSON.
    Known(String),
    /// A column of the record of an earlier operation.
    Answered {
        /// Which operation.
        operation: usize,
        /// Which column.
        column: Column,
    },
}

/// What of a record is known before it is written: JSON, or where it will be, by name.
pub(super) type Record = HashMap<String, Value>;

/// The operations so far.
pub(super) struct Earlier<'a> {
    calls: &'a [Call<'a>],
    names: HashMap<&'a str, usize>,
    records: Vec<Record>,
}

impl<'a> Earlier<'a> {
    pub fn new(calls: &'a [Call<'a>]) -> Self {
        Self {
            calls,
            names: HashMap::new(),
            records: Vec::new(),
        }
    }

    /// Adds an operation behind the others.
    pub fn push(&mut self, operation: &'a Operation<'_>, record: Record) {
        if let Some(name) = &operation.reference {
            self.names.insert(name, self.records.len());
        }
        self.records.push(record);
    }

    /// What a value stands for: itself, unless it is a reference.
    pub fn resolve(&self, field: &str, raw: &RawValue) -> Result<Value, FieldError> {
        let Some(reference) = parse(field, raw.get())? else {
            return Ok(Value::Known(raw.get().to_owned()));
        };
        let wrong = |message: &str| Err(refuse(field, FieldCode::InvalidValue, message));
        let Some((name, member)) = reference.split_once('.') else {
            return wrong("is a reference such as {\"$ref\": \"home.id\"}");
        };
        let Some(operation) = self.names.get(name).copied() else {
            return wrong("refers to no earlier operation");
        };
        if let Some(value) = self.records[operation].get(member) {
            return Ok(value.clone());
        }
        let call = &self.calls[operation];
        let Some(column) = call.model.column(member) else {
            let error = unknown_field(call.model, member);
            return Err(FieldError {
                field: field.to_owned(),
                ..error
            });
        };
        // What the client did not send itself it would read by copying it.
        let read = Permission::on(call.model.name(), Action::Read);
        if !call.caller.permissions.contains(&read) {
            let message = format!("refers to a record that needs the permission {read}");
            return Err(refuse(field, FieldCode::InvalidValue, message));
        }
        Ok(Value::Answered {
            operation,
            column: column.clone(),
        })
    }
}

/// The text of a reference; `None` when the value is none. An object with another member is no reference.
fn parse(field: &str, raw: &str) -> Result<Option<String>, FieldError> {
    if !raw.starts_with('{') {
        return Ok(None);
    }
    let Ok(Object(members)) = serde_json::from_str::<Object<'_>>(raw) else {
        return Ok(None);
    };
    match members.as_slice() {
        [(name, target)] if name == "$ref" => {
            let target = serde_json::from_str(target.get());
            let message = "is a reference such as {\"$ref\": \"home.id\"}";
            let target = target.map_err(|_| refuse(field, FieldCode::InvalidValue, message))?;
            Ok(Some(target))
        }
        _ => Ok(None),
    }
}

/// The JSON text of a column of an answered row, as the API shows it, digits and all.
pub(super) fn shown(shape: &Shape, row: &Row, column: &Column) -> Result<String, Problem> {
    let mut object = Vec::new();
    shape.object(row, &Preferences::default(), &mut object)?;
    let text = std::str::from_utf8(&object).ok();
    let members = text.and_then(|t| serde_json::from_str::<Object<'_>>(t).ok());
    let value = members.and_then(|Object(members)| {
        let mut members = members.into_iter();
        members.find(|(name, _)| name == column.name.as_str())
    });
    match value {
        Some((_, raw)) => Ok(raw.get().to_owned()),
        // `deleted_at` of a live record is not shown, and is null.
        None if text.is_some() => Ok("null".to_owned()),
        None => Err(Problem::new(
            ProblemKind::Internal,
            "The record could not be read.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_with_one_member_refers() {
        for (raw, expected) in [
            (r#"{"$ref":"home.id"}"#, Some("home.id")),
            (r#"{ "$ref" : "a\u0062.c" }"#, Some("ab.c")),
            (r#"{"$ref":"a.b","x":1}"#, None),
            (r#"{"$ref":"a.b","$ref":"a.b"}"#, None),
            (r#"{"ref":"a.b"}"#, None),
            (r#"{}"#, None),
            (r#"["$ref"]"#, None),
            (r#""$ref""#, None),
            ("1", None),
        ] {
            assert_eq!(parse("f", raw).unwrap().as_deref(), expected, "{raw}");
        }
        assert!(parse("f", r#"{"$ref":1}"#).is_err());
        assert!(parse("f", r#"{"$ref":"\ud800"}"#).is_err());
    }
}
