//! One JSON value as a value of a field's type.

use model::{FieldType, ValueUse, parse_value, parse_vector_element};
use serde_json::value::RawValue;
use sql::postgres::array_literal;

use crate::{
    data::pg_array,
    json::{self, Wrong},
    problem::FieldCode,
    query::code_of,
};

/// A value as it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// The text of one JSON value, whose syntax is right.
    Json(&'a str),
    /// The text of a cell.
    Text(&'a str),
    /// A cell without a value.
    Null,
}

/// Reads a value; `None` is null. Numbers keep every digit; in JSON int64 and decimal may come as strings, everything
/// else in its own JSON kind only.
pub(super) fn parse(field_type: &FieldType, given: Given<'_>) -> Result<Option<String>, Wrong> {
    let raw = match given {
        Given::Null | Given::Json("null") => return Ok(None),
        Given::Text(text) => return parse_text(field_type, text).map(Some),
        Given::Json(raw) => raw,
    };
    match field_type {
        FieldType::Json => json::check(raw).map(|()| Some(raw.to_owned())),
        FieldType::Array { .. } | FieldType::Vector { .. } => parse_list(field_type, raw).map(Some),
        scalar => parse_scalar(scalar, raw).map(Some),
    }
}

/// Reads a cell: JSON for a json field, a JSON array or PostgreSQL's `{a,"b"}` for an array or a vector, for all else
/// the value's own text.
fn parse_text(field_type: &FieldType, text: &str) -> Result<String, Wrong> {
    match field_type {
        FieldType::Json => {
            let raw: &RawValue = serde_json::from_str(text)
                .map_err(|_| (FieldCode::InvalidValue, "is not JSON".to_owned()))?;
            json::check(raw.get()).map(|()| raw.get().to_owned())
        }
        FieldType::Array { .. } | FieldType::Vector { .. } if text.starts_with('{') => {
            let elements = pg_array::parse(text)
                .ok_or_else(|| (FieldCode::InvalidValue, "is not an array".to_owned()))?;
            elements_of(
                field_type,
                elements.iter().map(Option::as_deref),
                parse_text,
            )
        }
        FieldType::Array { .. } | FieldType::Vector { .. } => parse_list(field_type, text),
        scalar => parse_value(scalar, text, ValueUse::Store)
            .map_err(|error| (code_of(&error), error.to_string())),
    }
}

fn parse_scalar(field_type: &FieldType, raw: &str) -> Result<String, Wrong> {
    let is_string = raw.starts_with('"');
    let takes_string = !matches!(
        field_type,
        FieldType::Bool | FieldType::Int16 | FieldType::Int32 | FieldType::Float64
    );
    let takes_number = field_type.is_numeric();
    let takes_plain = takes_number || *field_type == FieldType::Bool;
    if is_string && !takes_string || !is_string && !takes_plain {
        return Err((
            FieldCode::InvalidValue,
            format!("is not {}", expected(field_type)),
        ));
    }
    let text = if is_string {
        unescape(raw)?
    } else {
        raw.to_owned()
    };
    parse_value(field_type, &text, ValueUse::Store)
        .map_err(|error| (code_of(&error), error.to_string()))
}

fn unescape(raw: &str) -> Result<String, Wrong> {
    // Its syntax is known to be right, so what is left is a surrogate without its partner.
    serde_json::from_str(raw).map_err(|_| {
        (
            FieldCode::InvalidValue,
            "contains a lone surrogate".to_owned(),
        )
    })
}

/// Reads a JSON array as an array or a vector.
fn parse_list(field_type: &FieldType, raw: &str) -> Result<String, Wrong> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw)
        .map_err(|_| (FieldCode::InvalidValue, "is not an array".to_owned()))?;
    let elements = elements.iter().map(|raw| raw.get());
    let elements = elements.map(|raw| Some(raw).filter(|raw| *raw != "null"));
    elements_of(field_type, elements, parse_scalar)
}

/// PostgreSQL's form of an array or a vector; `scalar` reads an element of an array. That it has another length is the one
/// thing that is said of such a vector.
fn elements_of<'t>(
    field_type: &FieldType,
    elements: impl ExactSizeIterator<Item = Option<&'t str>>,
    scalar: impl Fn(&FieldType, &str) -> Result<String, Wrong>,
) -> Result<String, Wrong> {
    match field_type {
        FieldType::Array { items } => {
            let items = items.as_field_type();
            list_of(elements, |text| scalar(&items, text))
        }
        FieldType::Vector { dimension } if elements.len() != usize::from(*dimension) => {
            let message = format!("has {} elements, not {dimension}", elements.len());
            Err((FieldCode::InvalidValue, message))
        }
        _ => list_of(elements, |text| {
            parse_vector_element(text).map_err(|error| (code_of(&error), error.to_string()))
        }),
    }
}

/// PostgreSQL's form of elements, none of which may be null.
fn list_of<'t>(
    elements: impl Iterator<Item = Option<&'t str>>,
    parse: impl Fn(&str) -> Result<String, Wrong>,
) -> Result<String, Wrong> {
    let element = |(i, element): (usize, Option<&str>)| match element {
        None => Err((FieldCode::InvalidValue, format!("element {i} is null"))),
        Some(text) => {
            parse(text).map_err(|(code, message)| (code, format!("element {i} {message}")))
        }
    };
    let values: Result<Vec<_>, _> = elements.enumerate().map(element).collect();
    Ok(array_literal(&values?))
}

fn expected(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::Bool => "true or false",
        FieldType::Int16 | FieldType::Int32 => "an integer",
        FieldType::Float64 => "a number",
        _ => "a string",
    }
}
