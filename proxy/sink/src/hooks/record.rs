//! A row as the API would show it, from Debezium's JSON: the same fields in the same order and spelling.

use std::{
    collections::BTreeMap,
    fmt::{Display, LowerExp},
    str::FromStr,
};

use chrono::{DateTime, NaiveDate};
use model::{Column, FieldType, ModuleModel};
use serde_json::value::RawValue;

use crate::{
    encode::{ValueError, decimal_text, json_text},
    placeholder::Placeholder,
};

/// A row's values by column, still text.
pub(super) type Row<'a> = BTreeMap<String, &'a RawValue>;

/// Writes a record: the fields of the model and the system columns, `deleted_at` only where it is set. A value that the
/// change did not touch and the event does not hold is left out.
pub(super) fn write(
    model: &ModuleModel,
    after: &Row<'_>,
    before: Option<&Row<'_>>,
    placeholder: &Placeholder,
) -> Result<String, ValueError> {
    let mut out = String::from("{");
    for column in model.columns() {
        let (name, kept_as) = (column.name.as_str(), column.column.as_str());
        let untouched = |value: &&RawValue| placeholder.is(&column.field_type, value.get());
        let value = match after.get(kept_as).copied() {
            Some(value) if untouched(&value) => {
                let old = before.and_then(|row| row.get(kept_as).copied());
                match old.filter(|old| !untouched(old)) {
                    Some(old) => Some(old),
                    None => continue,
                }
            }
            // The event is older than the column: what the field was then is not told.
            None if !column.system => continue,
            value => value,
        };
        let value = value.map(RawValue::get).filter(|text| *text != "null");
        if name == "deleted_at" && value.is_none() {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        // Names are identifiers: nothing in them is to be escaped.
        out.push_str(&format!("\"{name}\":"));
        match value {
            Some(text) => out.push_str(&value_of(column, text)?),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

fn value_of(column: &Column, json: &str) -> Result<String, ValueError> {
    match &column.field_type {
        FieldType::Array { items } => {
            let items = items.as_field_type();
            list(json, |element| scalar(&items, element))
        }
        FieldType::Vector { .. } => list(json, single),
        field_type => scalar(field_type, json),
    }
}

fn list(
    json: &str,
    spell: impl Fn(&str) -> Result<String, ValueError>,
) -> Result<String, ValueError> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| ValueError::Malformed)?;
    let element = |raw: &&RawValue| match raw.get() {
        "null" => Ok("null".to_owned()),
        text => spell(text),
    };
    let elements: Result<Vec<_>, _> = elements.iter().map(element).collect();
    Ok(format!("[{}]", elements?.join(",")))
}

fn scalar(field_type: &FieldType, json: &str) -> Result<String, ValueError> {
    match field_type {
        FieldType::Bool
        | FieldType::Int16
        | FieldType::Int32
        | FieldType::Int64
        | FieldType::Text { .. }
        | FieldType::Uuid
        | FieldType::Bytes
        | FieldType::Enum { .. }
        | FieldType::Inet
        | FieldType::Array { .. }
        | FieldType::Vector { .. } => Ok(json.to_owned()),
        FieldType::Float64 => double(json),
        FieldType::Decimal { precision, scale } => {
            Ok(decimal_text(json, *precision, *scale)?.unwrap_or_else(|| "null".into()))
        }
        FieldType::Json => json_text(json).map(|text| text.into_owned()),
        FieldType::Date => date(json),
        FieldType::Timestamp => timestamp(json),
        FieldType::Time => time(json),
    }
}

fn double(json: &str) -> Result<String, ValueError> {
    float::<f64>(json, 15)
}

fn single(json: &str) -> Result<String, ValueError> {
    float::<f32>(json, 6)
}

/// PostgreSQL's spelling of the shortest text of a number: plain from 1e-4 up to 10 to the power of its decimal digits,
/// else with an exponent of two digits or more.
fn float<T: FromStr + Display + LowerExp>(json: &str, digits: i32) -> Result<String, ValueError> {
    if json.starts_with('"') {
        return Ok("null".into());
    }
    let value: T = json.parse().map_err(|_| ValueError::Malformed)?;
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').ok_or(ValueError::Malformed)?;
    let exponent: i32 = exponent.parse().map_err(|_| ValueError::Malformed)?;
    if (-4..digits).contains(&exponent) {
        return Ok(format!("{value}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()))
}

fn date(json: &str) -> Result<String, ValueError> {
    let days: i64 = json.parse().map_err(|_| ValueError::Malformed)?;
    let date = chrono::TimeDelta::try_days(days)
        .and_then(|days| NaiveDate::default().checked_add_signed(days));
    let date = date.ok_or(ValueError::OutOfRange)?;
    Ok(format!("\"{}\"", date.format("%Y-%m-%d")))
}

fn timestamp(json: &str) -> Result<String, ValueError> {
    let text = json_text(json)?;
    match DateTime::parse_from_rfc3339(&text) {
        Ok(at) => Ok(format!(
            "\"{}\"",
            at.to_utc().format("%Y-%m-%dT%H:%M:%S%.6fZ")
        )),
        // Written by hand into the database; the API has no spelling for it either.
        Err(_) => Ok(json.to_owned()),
    }
}

fn time(json: &str) -> Result<String, ValueError> {
    let micros: u64 = json.parse().map_err(|_| ValueError::Malformed)?;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    Ok(format!(
        "\"{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}\""
    ))
}

#[cfg(test)]
mod tests {
    use model::ScalarType;

    use super::*;

    #[test]
    fn values_are_spelled_as_the_api_spells_them() {
        let decimal = FieldType::Decimal {
            precision: 38,
            scale: 2,
        };
        let array = |items| FieldType::Array { items };
        for (field_type, json, expected) in [
            (FieldType::Bool, "true", "true"),
            (
                FieldType::Int64,
                "9223372036854775807",
                "9223372036854775807",
            ),
            (FieldType::Float64, "1.0E20", "1e+20"),
            (FieldType::Float64, "1.0E15", "1e+15"),
            (FieldType::Float64, "1.23456789012345E14", "123456789012345"),
            (FieldType::Float64, "1.5E-5", "1.5e-05"),
            (FieldType::Float64, "1.0E-4", "0.0001"),
            (FieldType::Float64, "2.0", "2"),
            (FieldType::Float64, "-0.0", "-0"),
            (
                FieldType::Float64,
                "1.7976931348623157E308",
                "1.7976931348623157e+308",
            ),
            (FieldType::Float64, "\"NaN\"", "null"),
            (
                decimal.clone(),
                "\"12345678901234567890.10\"",
                "12345678901234567890.10",
            ),
            (decimal.clone(), "\"-0.05\"", "-0.05"),
            (decimal.clone(), "\"1.5E+3\"", "1500.00"),
            (decimal, "\"NAN\"", "null"),
            (
                FieldType::Text { max_length: None },
                "\"a\\u00e4\\n\"",
                "\"a\\u00e4\\n\"",
            ),
            (FieldType::Date, "-1", "\"1969-12-31\""),
            (FieldType::Date, "20455", "\"2026-01-02\""),
            (
                FieldType::Timestamp,
                "\"2026-01-02T03:04:05Z\"",
                "\"2026-01-02T03:04:05.000000Z\"",
            ),
            (
                FieldType::Timestamp,
                "\"2026-01-02T03:04:05.12Z\"",
                "\"2026-01-02T03:04:05.120000Z\"",
            ),
            (FieldType::Time, "11045500000", "\"03:04:05.500000\""),
            (FieldType::Time, "86400000000", "\"24:00:00.000000\""),
            (FieldType::Json, "\"{\\\"a\\\": 1.10}\"", "{\"a\": 1.10}"),
            (FieldType::Bytes, "\"AP8Q\"", "\"AP8Q\""),
            (array(ScalarType::Text), "[\"a\",null]", "[\"a\",null]"),
            (array(ScalarType::Date), "[0]", "[\"1970-01-01\"]"),
            (array(ScalarType::Float64), "[2.0]", "[2]"),
            (
                FieldType::Vector { dimension: 6 },
                "[0.1,100000.0,1000000.0,1.5E-5,-0.0,3.4028235E38]",
                "[0.1,100000,1e+06,1.5e-05,-0,3.4028235e+38]",
            ),
        ] {
            let column = Column {
                name: "x".parse().unwrap(),
                column: "x".parse().unwrap(),
                field_type: field_type.clone(),
                required: false,
                system: false,
            };
            assert_eq!(
                value_of(&column, json).unwrap(),
                expected,
                "{field_type:?} {json}"
            );
        }
    }

    #[test]
    fn an_untouched_value_is_the_one_before_or_left_out() {
        let model: ModuleModel = serde_json::from_value(serde_json::json!({
            "module": "crm", "model": "deals", "autoApi": true, "analytics": false, "maxPageSize": 10,
            "fields": [{"name": "title", "type": "text"}, {"name": "body", "type": "text"}],
        })).unwrap();
        let after = r#"{"id": "i", "title": "t", "body": "ab", "deleted_at": null, "delete_id": null, "old": 1}"#;
        let before = r#"{"body": "whole"}"#;
        let (after, before): (Row, Row) = (
            serde_json::from_str(after).unwrap(),
            serde_json::from_str(before).unwrap(),
        );
        let placeholder = Placeholder::new("ab");
        let text = |before: Option<&Row<'_>>| write(&model, &after, before, &placeholder).unwrap();
        let rest = r#","created_at":null,"updated_at":null,"created_by":null,"updated_by":null,"version":null}"#;
        assert_eq!(
            text(Some(&before)),
            format!(r#"{{"id":"i","title":"t","body":"whole"{rest}"#)
        );
        assert_eq!(text(None), format!(r#"{{"id":"i","title":"t"{rest}"#));
    }

    proptest::proptest! {
        #[test]
        fn input_never_panics(json in "\\PC{0,40}") {
            for field_type in [FieldType::Float64, FieldType::Date, FieldType::Timestamp, FieldType::Time, FieldType::Json,
                FieldType::Decimal { precision: 38, scale: 38 }, FieldType::Array { items: ScalarType::Float64 }, FieldType::Vector { dimension: 2 }] {
                let column = Column { name: "x".parse().unwrap(), column: "x".parse().unwrap(), field_type, required: false, system: false };
                let _ = value_of(&column, &json);
            }
        }

        #[test]
        fn a_float_reads_back_as_itself(value: f64) {
            proptest::prop_assume!(value.is_finite());
            let text = double(&format!("{value:?}")).unwrap();
            proptest::prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
