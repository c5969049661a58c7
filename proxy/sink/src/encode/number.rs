//! Integers, floats and exact decimals.

use std::str::FromStr;

use super::{Value, ValueError};

/// Bytes of ClickHouse's `Decimal(precision, _)`: Decimal32, Decimal64 or Decimal128.
pub(super) fn decimal_bytes(precision: u8) -> usize {
    match precision {
        ..=9 => 4,
        10..=18 => 8,
        _ => 16,
    }
}

/// An integer in its plain spelling; a fraction or an exponent is malformed.
pub(super) fn integer<T: FromStr>(text: &str) -> Result<T, ValueError> {
    text.parse().map_err(|_| {
        // Digits that do not parse are too many of them.
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if is_integer {
            ValueError::OutOfRange
        } else {
            ValueError::Malformed
        }
    })
}

/// A number of IEEE 754.
pub(super) trait Float: FromStr {
    /// Neither `NaN` nor an infinity.
    fn is_finite(&self) -> bool;
}

impl Float for f32 {
    fn is_finite(&self) -> bool {
        f32::is_finite(*self)
    }
}

impl Float for f64 {
    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}

/// A double or a single. The text is parsed by the standard library, which rounds correctly to the last bit.
pub(super) fn float<T: Float>(text: &str) -> Result<Value<T>, ValueError> {
    let bare = text.trim_matches('"');
    if bare.len() != text.len() {
        return match bare {
            "NaN" | "NAN" | "Infinity" | "-Infinity" => Ok(Value::NotFinite),
            _ => Err(ValueError::Malformed),
        };
    }
    match text.parse::<T>() {
        Ok(value) if value.is_finite() => Ok(Value::Is(value)),
        Ok(_) => Ok(Value::NotFinite),
        Err(_) => Err(ValueError::Malformed),
    }
}

/// `text` times ten to the power of `scale`, exactly; a digit that the scale cannot hold is out of range.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Result<Value<i128>, ValueError> {
    if matches!(
        text,
        "NAN" | "NaN" | "Infinity" | "-Infinity" | "POSITIVE_INFINITY" | "NEGATIVE_INFINITY"
    ) {
        return Ok(Value::NotFinite);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.parse::<i32>().map_err(|_| ValueError::Malformed)?,
        ),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(ValueError::Malformed);
    }
    let mut unscaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let next = unscaled
            .checked_mul(10)
            .and_then(|n| n.checked_add(i128::from(digit - b'0')));
        unscaled = next.ok_or(ValueError::OutOfRange)?;
    }
    // The digits now stand for unscaled × 10^(exponent − fraction digits); bring that to 10^−scale.
    let fraction_digits = i32::try_from(fraction.len()).map_err(|_| ValueError::OutOfRange)?;
    let mut shift = i64::from(exponent) - i64::from(fraction_digits) + i64::from(scale);
    while shift > 0 && unscaled != 0 {
        unscaled = unscaled.checked_mul(10).ok_or(ValueError::OutOfRange)?;
        shift -= 1;
    }
    while shift < 0 && unscaled != 0 {
        if unscaled % 10 != 0 {
            return Err(ValueError::OutOfRange);
        }
        unscaled /= 10;
        shift += 1;
    }
    if unscaled >= 10_i128.pow(u32::from(precision)) {
        return Err(ValueError::OutOfRange);
    }
    Ok(Value::Is(if negative { -unscaled } else { unscaled }))
}
