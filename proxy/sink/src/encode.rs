//! Values as Debezium writes them in JSON, encoded as `RowBinary` of their ClickHouse column.
//!
//! The forms are those of `decimal.handling.mode=string`, `time.precision.mode=microseconds` and
//! `binary.handling.mode=base64`; the column types are those of `sql::clickhouse::column_type`.

mod array;
mod number;
mod temporal;

use std::borrow::Cow;

use model::{Column, FieldType};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::rowbinary::{put_is_null, put_string, put_uuid};

/// Why a value cannot be written. It never repeats the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not the JSON form that Debezium uses for the type.
    #[error("is not in the form of its type")]
    Malformed,
    /// Of the right form, but the column cannot hold it.
    #[error("is out of range of its type")]
    OutOfRange,
}

/// What was changed so that a value fits its column, counted for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adjusted {
    /// Dates and instants moved into the years 1900 to 2299.
    pub clamped: u64,
    /// `NaN` and infinities that became null, or the type's default in a required column.
    pub not_finite: u64,
    /// Nulls that became the type's default: array elements, and values of required columns.
    pub null_filled: u64,
}

/// What a JSON text says about one value.
enum Value<T> {
    Is(T),
    /// `NaN` or an infinity: no ClickHouse column of ours has a place for it.
    NotFinite,
}

/// Appends one column's value. `None` and JSON null are null: type default in a required column.
pub fn encode(
    out: &mut Vec<u8>,
    column: &Column,
    value: Option<&RawValue>,
    adjusted: &mut Adjusted,
) -> Result<(), ValueError> {
    let value = value.map(RawValue::get).filter(|text| *text != "null");
    let nullable = !column.required && !column.field_type.is_list();
    let Some(text) = value else {
        if column.required {
            adjusted.null_filled += 1;
        }
        encode_absent(out, &column.field_type, nullable);
        return Ok(());
    };
    let start = out.len();
    if nullable {
        put_is_null(out, false);
    }
    match encode_value(out, &column.field_type, text, adjusted)? {
        Value::Is(()) => {}
        Value::NotFinite => {
            out.truncate(start);
            if column.required && column.field_type == FieldType::Timestamp {
                // The epoch would sort an endless validity before every real one.
                adjusted.clamped += 1;
                out.extend_from_slice(&temporal::bound(text).to_le_bytes());
            } else {
                adjusted.not_finite += 1;
                encode_absent(out, &column.field_type, nullable);
            }
        }
    }
    Ok(())
}

/// Appends what a column holds when there is no value, as in the row of a delete.
pub fn encode_missing(out: &mut Vec<u8>, column: &Column) {
    let nullable = !column.required && !column.field_type.is_list();
    encode_absent(out, &column.field_type, nullable);
}

fn encode_absent(out: &mut Vec<u8>, field_type: &FieldType, nullable: bool) {
    if nullable {
        put_is_null(out, true);
    } else {
        put_default(out, field_type);
    }
}

/// Zero, empty or the epoch.
fn put_default(out: &mut Vec<u8>, field_type: &FieldType) {
    let bytes = match field_type {
        FieldType::Bool => 1,
        FieldType::Int16 => 2,
        FieldType::Int32 | FieldType::Date => 4,
        FieldType::Int64 | FieldType::Float64 | FieldType::Timestamp | FieldType::Time => 8,
        FieldType::Uuid => 16,
        FieldType::Decimal { precision, .. } => number::decimal_bytes(*precision),
        // A length of zero.
        FieldType::Text { .. }
        | FieldType::Json
        | FieldType::Bytes
        | FieldType::Enum { .. }
        | FieldType::Inet
        | FieldType::Array { .. }
        | FieldType::Vector { .. } => 1,
    };
    out.resize(out.len() + bytes, 0);
}

fn encode_value(
    out: &mut Vec<u8>,
    field_type: &FieldType,
    text: &str,
    adjusted: &mut Adjusted,
) -> Result<Value<()>, ValueError> {
    match field_type {
        FieldType::Bool => match text {
            "true" => out.push(1),
            "false" => out.push(0),
            _ => return Err(ValueError::Malformed),
        },
        FieldType::Int16 => out.extend_from_slice(&number::integer::<i16>(text)?.to_le_bytes()),
        FieldType::Int32 => out.extend_from_slice(&number::integer::<i32>(text)?.to_le_bytes()),
        FieldType::Int64 => out.extend_from_slice(&number::integer::<i64>(text)?.to_le_bytes()),
        FieldType::Float64 => match number::float::<f64>(text)? {
            Value::Is(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::NotFinite => return Ok(Value::NotFinite),
        },
        FieldType::Decimal { precision, scale } => {
            let text = json_text(text)?;
            match number::decimal(&text, *precision, *scale)? {
                Value::Is(value) => {
                    out.extend_from_slice(&value.to_le_bytes()[..number::decimal_bytes(*precision)])
                }
                Value::NotFinite => return Ok(Value::NotFinite),
            }
        }
        FieldType::Text { .. }
        | FieldType::Json
        | FieldType::Bytes
        | FieldType::Enum { .. }
        | FieldType::Inet => {
            put_string(out, &json_text(text)?);
        }
        FieldType::Uuid => put_uuid(
            out,
            Uuid::try_parse(&json_text(text)?).map_err(|_| ValueError::Malformed)?,
        ),
        FieldType::Date => out.extend_from_slice(&temporal::date(text, adjusted)?.to_le_bytes()),
        FieldType::Timestamp => match temporal::timestamp(&json_text(text)?, adjusted)? {
            Value::Is(micros) => out.extend_from_slice(&micros.to_le_bytes()),
            Value::NotFinite => return Ok(Value::NotFinite),
        },
        FieldType::Time => out.extend_from_slice(&number::integer::<i64>(text)?.to_le_bytes()),
        FieldType::Array { items } => array::encode(out, *items, text, adjusted)?,
        FieldType::Vector { .. } => array::encode_vector(out, text, adjusted)?,
    }
    Ok(Value::Is(()))
}

/// A decimal as PostgreSQL writes it: every digit, with as many after the point as the scale; none for NaN.
pub(crate) fn decimal_text(
    json: &str,
    precision: u8,
    scale: u8,
) -> Result<Option<String>, ValueError> {
    let text = json_text(json)?;
    let Value::Is(unscaled) = number::decimal(&text, precision, scale)? else {
        return Ok(None);
    };
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!(
        "{:0>width$}",
        unscaled.unsigned_abs(),
        width = usize::from(scale) + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let point = if scale == 0 { "" } else { "." };
    Ok(Some(format!("{sign}{whole}{point}{fraction}")))
}

pub(crate) fn json_text(text: &str) -> Result<Cow<'_, str>, ValueError> {
    // `Cow` alone is always owned when deserialized; the wrapper borrows where there is no escape.
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(text)
        .map(|t| t.0)
        .map_err(|_| ValueError::Malformed)
}

#[cfg(test)]
mod tests;
