//! Values as text: one parser for defaults, filters, cursors and JSON scalars.
//!
//! The stores are more lenient than our API (`tomorrow`, `1_000`, `NaN`): nothing reaches them that did not
//! pass here, and what does is in one canonical spelling that PostgreSQL and ClickHouse both read.

use std::net::IpAddr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use uuid::Uuid;

use crate::FieldType;

/// Where a value comes from; a filter may compare with what a record cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueUse {
    /// To be stored: it must fit the field exactly.
    Store,
    /// To be compared with: extra digits and unknown enum texts simply match nothing.
    Compare,
}

/// Why a text is not a value of a type. The text is for the client and never repeats the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not of the type's syntax.
    #[error("is not {0}")]
    Malformed(&'static str),
    /// Right syntax, but the type cannot hold it.
    #[error("is out of range")]
    OutOfRange,
    /// More characters than `maxLength`.
    #[error("is longer than {0} characters")]
    TooLong(u32),
    /// Not one of an enum's values.
    #[error("is not one of the allowed values")]
    NotInEnum,
    /// U+0000, which PostgreSQL's text cannot hold.
    #[error("contains the character U+0000")]
    Nul,
}

/// Parses `text` as a value of `field_type` and returns its canonical spelling.
///
/// Arrays and vectors are refused as [`ValueError::Malformed`]: their elements are parsed one by one by the caller.
/// JSON is checked for syntax and returned as it is.
pub fn parse_value(
    field_type: &FieldType,
    text: &str,
    usage: ValueUse,
) -> Result<String, ValueError> {
    if text.contains('\0') {
        return Err(ValueError::Nul);
    }
    match field_type {
        FieldType::Bool => match text {
            "true" | "false" => Ok(text.to_owned()),
            _ => Err(ValueError::Malformed("true or false")),
        },
        FieldType::Int16 => parse_integer(text, i64::from(i16::MIN), i64::from(i16::MAX)),
        FieldType::Int32 => parse_integer(text, i64::from(i32::MIN), i64::from(i32::MAX)),
        FieldType::Int64 => parse_integer(text, i64::MIN, i64::MAX),
        FieldType::Float64 => parse_float(text),
        FieldType::Decimal { precision, scale } => parse_decimal(text, *precision, *scale, usage),
        FieldType::Text { max_length } => match max_length {
            Some(max) if usage == ValueUse::Store && text.chars().count() > *max as usize => {
                Err(ValueError::TooLong(*max))
            }
            _ => Ok(text.to_owned()),
        },
        FieldType::Uuid => parse_uuid(text),
        FieldType::Date => parse_date(text),
        FieldType::Timestamp => parse_timestamp(text),
        FieldType::Time => parse_time(text),
        FieldType::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(ValueError::Malformed("JSON")),
        },
        FieldType::Bytes => parse_base64(text),
        FieldType::Enum { values } => {
            if usage == ValueUse::Store && !values.iter().any(|v| v == text) {
                return Err(ValueError::NotInEnum);
            }
            Ok(text.to_owned())
        }
        FieldType::Inet => parse_inet(text),
        FieldType::Array { .. } | FieldType::Vector { .. } => {
            Err(ValueError::Malformed("a single value"))
        }
    }
}

/// Parses one element of a vector and returns the shortest spelling of the single that is nearest to it.
///
/// The digits are rounded once, by a way over a double they would be rounded twice.
pub fn parse_vector_element(text: &str) -> Result<String, ValueError> {
    split_number(text).ok_or(ValueError::Malformed("a number"))?;
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value.to_string()),
        _ => Err(ValueError::OutOfRange),
    }
}

/// JSON number syntax (RFC 8259 section 6), split as (negative, integer digits, fraction digits, exponent).
fn split_number(text: &str) -> Option<(bool, &str, &str, i32)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let whole_ok = !whole.is_empty() && digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let exponent = match exponent {
        None => 0,
        Some(e) => {
            let unsigned = e.strip_prefix(['+', '-']).unwrap_or(e);
            // Four digits are far past what any type holds, and keep the expansion below bounded.
            if unsigned.is_empty() || unsigned.len() > 4 || !digits(unsigned) {
                return None;
            }
            e.strip_prefix('+').unwrap_or(e).parse().ok()?
        }
    };
    (whole_ok && digits(fraction)).then_some((negative, whole, fraction, exponent))
}

fn parse_integer(text: &str, min: i64, max: i64) -> Result<String, ValueError> {
    match split_number(text) {
        Some((_, _, "", 0)) if !text.contains(['e', 'E']) => {}
        _ => return Err(ValueError::Malformed("an integer")),
    }
    match text.parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value.to_string()),
        _ => Err(ValueError::OutOfRange),
    }
}

fn parse_float(text: &str) -> Result<String, ValueError> {
    split_number(text).ok_or(ValueError::Malformed("a number"))?;
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value.to_string()),
        _ => Err(ValueError::OutOfRange),
    }
}

fn parse_decimal(
    text: &str,
    precision: u8,
    scale: u8,
    usage: ValueUse,
) -> Result<String, ValueError> {
    let (negative, whole, fraction, exponent) =
        split_number(text).ok_or(ValueError::Malformed("a number"))?;
    // All digits with the point moved by the exponent: no floating point touches a decimal.
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let point = whole.len() as i64 + i64::from(exponent);
    let (whole, fraction) = if point <= 0 {
        let zeros = usize::try_from(-point).map_err(|_| ValueError::OutOfRange)?;
        (String::from("0"), "0".repeat(zeros) + &digits)
    } else {
        let point = usize::try_from(point).map_err(|_| ValueError::OutOfRange)?;
        // Not by a format width, which has a bound that a client's digits can pass.
        let padded = "0".repeat(point.saturating_sub(digits.len()));
        let padded = digits + &padded;
        (padded[..point].to_owned(), padded[point..].to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let fits =
        whole.len() <= usize::from(precision - scale) && fraction.len() <= usize::from(scale);
    // A filter may name more digits than the field has; past the engines' own bound nothing can match.
    let bound = usize::from(crate::field::DECIMAL_PRECISION_MAX);
    let comparable = whole.len() + fraction.len() <= bound;
    if !(fits || usage == ValueUse::Compare && comparable) {
        return Err(ValueError::OutOfRange);
    }
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) {
        "-"
    } else {
        ""
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    })
}

fn parse_uuid(text: &str) -> Result<String, ValueError> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id.to_string()),
        _ => Err(ValueError::Malformed("a UUID")),
    }
}

fn year_in_range(year: i32) -> Result<(), ValueError> {
    if (1..=9999).contains(&year) {
        Ok(())
    } else {
        Err(ValueError::OutOfRange)
    }
}

fn parse_date(text: &str) -> Result<String, ValueError> {
    let malformed = ValueError::Malformed("a date (YYYY-MM-DD)");
    if !has_shape(text, "0000-00-00") {
        return Err(malformed);
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| malformed)?;
    year_in_range(date.year())?;
    Ok(date.format("%Y-%m-%d").to_string())
}

/// Whether digits stand where the shape has `0`, and its other characters where it has them: chrono by itself also
/// reads spaces, signs and fewer digits.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        other => found == other,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// `HH:MM:SS`, a point and digits or nothing, and what follows.
fn split_clock(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .get(8..)
        .filter(|_| has_shape(&text[..8], "00:00:00"))?;
    let end = match rest.strip_prefix('.') {
        None => 0,
        Some(fraction) => match fraction.bytes().take_while(u8::is_ascii_digit).count() {
            0 => return None,
            digits => 1 + digits,
        },
    };
    Some(text.split_at(8 + end))
}

fn parse_timestamp(text: &str) -> Result<String, ValueError> {
    let malformed = ValueError::Malformed("a timestamp (RFC 3339)");
    let has_date = text.is_ascii()
        && text.len() >= 19
        && has_shape(&text[..10], "0000-00-00")
        && matches!(text.as_bytes()[10], b'T' | b't' | b' ');
    if !has_date || split_clock(&text[11..]).is_none() {
        return Err(malformed);
    }
    let at = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.with_timezone(&Utc),
        Err(_) => {
            let local = format!("{}T{}", &text[..10], &text[11..]);
            NaiveDateTime::parse_from_str(&local, "%Y-%m-%dT%H:%M:%S%.f")
                .map_err(|_| malformed)?
                .and_utc()
        }
    };
    year_in_range(at.year())?;
    // A leap second would roll over in one store and not in the other; a seventh digit would be cut.
    if at.nanosecond() >= 1_000_000_000 || at.nanosecond() % 1_000 != 0 {
        return Err(ValueError::OutOfRange);
    }
    Ok(at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

fn parse_time(text: &str) -> Result<String, ValueError> {
    let malformed = ValueError::Malformed("a time of day (HH:MM:SS)");
    if split_clock(text).is_none_or(|(_, rest)| !rest.is_empty()) {
        return Err(malformed);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").map_err(|_| malformed)?;
    if time.nanosecond() >= 1_000_000_000 || time.nanosecond() % 1_000 != 0 {
        return Err(ValueError::OutOfRange);
    }
    Ok(time.format("%H:%M:%S%.6f").to_string())
}

fn parse_base64(text: &str) -> Result<String, ValueError> {
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(ValueError::Malformed("base64")),
    }
}

fn parse_inet(text: &str) -> Result<String, ValueError> {
    let malformed = ValueError::Malformed("an IP address or network");
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| malformed)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let Some(bits) = bits else {
        return Ok(address.to_string());
    };
    match bits.parse::<u8>() {
        Ok(n) if n <= most && n.to_string() == bits => Ok(if n == most {
            address.to_string()
        } else {
            format!("{address}/{n}")
        }),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests;
