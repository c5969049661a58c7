//! A record in a JSON body, read by the model. All that is wrong is told at once.

mod value;

use std::fmt;

use model::{Field, FieldType, ModuleModel, ValueUse, parse_value};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    problem::{ERRORS_MAX, FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
};

/// Columns that nobody sets.
const SERVER_KEPT: [&str; 7] = [
    "tenant_id",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "deleted_at",
    "delete_id",
];

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new record: `id` may be sent.
    Create,
    /// A change: `version` may be sent, as the one that the client expects.
    Patch,
}

/// A body as it was meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    /// `id`, if sent.
    pub id: Option<String>,
    /// `version`, if sent.
    pub version: Option<i64>,
    /// By field of the model: not sent, null, or a canonical value.
    pub values: Vec<Option<Option<String>>>,
}

/// Reads a body. A value that the type cannot hold, an unknown or server-kept name, a name that is given twice, a
/// required field that is set to null and, on create, one that is missing and has no default are errors, told together.
pub(super) fn parse_body(
    model: &ModuleModel,
    body: &[u8],
    purpose: Purpose,
) -> Result<Input, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8."))?;
    if text.trim_start().starts_with('[') {
        return Err(malformed(
            "An array of records is not served yet; send one object.",
        ));
    }
    // The text of a JSON error may repeat what was sent, so it stays here.
    let object: Object<'_> =
        serde_json::from_str(text).map_err(|_| malformed("The body is not a JSON object."))?;
    let mut input = Input {
        values: vec![None; model.fields().len()],
        ..Input::default()
    };
    let mut errors = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (name, raw) in &object.0 {
        if errors.len() >= ERRORS_MAX {
            break;
        }
        if !seen.insert(name.as_str()) {
            errors.push(refuse(name, FieldCode::Duplicate, "appears twice"));
            continue;
        }
        if let Err(error) = take(model, &mut input, name, raw.get(), purpose) {
            errors.push(error);
        }
    }
    if purpose == Purpose::Create {
        let missing =
            |f: &&Field| f.required && f.default.is_none() && !seen.contains(f.name.as_str());
        let missing = model.fields().iter().filter(missing);
        errors.extend(missing.map(|f| refuse(f.name.as_str(), FieldCode::Required, "is required")));
    }
    if errors.is_empty() {
        Ok(input)
    } else {
        Err(Problem::invalid(errors))
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::Validation, detail)
}

fn take(
    model: &ModuleModel,
    input: &mut Input,
    name: &str,
    raw: &str,
    purpose: Purpose,
) -> Result<(), FieldError> {
    let error = |(code, message): (FieldCode, String)| refuse(name, code, message);
    match (name, purpose) {
        ("id", Purpose::Create) => {
            let id = value::parse(&FieldType::Uuid, raw).map_err(error)?;
            input.id =
                Some(id.ok_or_else(|| refuse(name, FieldCode::InvalidValue, "is not a UUID"))?);
            return Ok(());
        }
        ("version", Purpose::Patch) => {
            let version = value::parse(&FieldType::Int64, raw).map_err(error)?;
            let version = version.and_then(|v| v.parse().ok());
            input.version = Some(
                version
                    .ok_or_else(|| refuse(name, FieldCode::InvalidValue, "is not an integer"))?,
            );
            return Ok(());
        }
        ("id", Purpose::Patch) => {
            return Err(refuse(name, FieldCode::ReadOnly, "cannot be changed"));
        }
        ("version", Purpose::Create) => {
            return Err(refuse(name, FieldCode::ReadOnly, "is kept by the server"));
        }
        _ if SERVER_KEPT.contains(&name) => {
            return Err(refuse(name, FieldCode::ReadOnly, "is kept by the server"));
        }
        _ => {}
    }
    let at = model.fields().iter().position(|f| f.name.as_str() == name);
    let at = at.ok_or_else(|| crate::query::unknown_field(model, name))?;
    let field = &model.fields()[at];
    let value = value::parse(&field.field_type, raw).map_err(error)?;
    if value.is_none() && field.required {
        return Err(refuse(name, FieldCode::Required, "must not be null"));
    }
    input.values[at] = Some(value);
    Ok(())
}

/// Every field's value for a new record: what was sent, else the default, else null.
pub(super) fn with_defaults(model: &ModuleModel, input: Input) -> Vec<Option<String>> {
    let values = model.fields().iter().zip(input.values);
    values
        .map(|(field, sent)| sent.unwrap_or_else(|| default_of(field)))
        .collect()
}

/// The value of a field's default now. `now` and `generate` are words for timestamp and uuid only.
fn default_of(field: &Field) -> Option<String> {
    let default = field.default.as_deref()?;
    match (&field.field_type, default) {
        (FieldType::Timestamp, "now") => Some(
            chrono::Utc::now()
                .format("%Y-%m-%dT%H:%M:%S%.6fZ")
                .to_string(),
        ),
        (FieldType::Uuid, "generate") => Some(uuid::Uuid::now_v7().to_string()),
        (field_type, text) => {
            let value = parse_value(field_type, text, ValueUse::Store);
            Some(value.expect("a model's defaults passed this parser when the model was checked"))
        }
    }
}

/// The members of an object in order, repeated names included; values are not looked into.
pub(super) struct Object<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests;
