//! Days and instants, moved into what `Date32` and `DateTime64` hold.

use chrono::DateTime;

use super::{Adjusted, Value, ValueError, number};

/// 1900-01-01 and 2299-12-31 as days since 1970-01-01: the range of `Date32`, and of `DateTime64` before 26.8.
const DAYS: (i32, i32) = (-25_567, 120_529);
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// The same two days as the first and last microsecond.
const MICROS: (i64, i64) = (
    DAYS.0 as i64 * MICROS_PER_DAY,
    (DAYS.1 as i64 + 1) * MICROS_PER_DAY - 1,
);

/// Days since 1970-01-01.
pub(super) fn date(text: &str, adjusted: &mut Adjusted) -> Result<i32, ValueError> {
    let days = number::integer::<i64>(text)?;
    let held = days.clamp(i64::from(DAYS.0), i64::from(DAYS.1));
    if held != days {
        adjusted.clamped += 1;
    }
    i32::try_from(held).map_err(|_| ValueError::OutOfRange)
}

/// Microseconds since 1970-01-01T00:00:00Z, from ISO text. Years past 9999 and before 1 have a sign.
pub(super) fn timestamp(text: &str, adjusted: &mut Adjusted) -> Result<Value<i64>, ValueError> {
    let micros = match text {
        "infinity" | "-infinity" => return Ok(Value::NotFinite),
        _ if text.starts_with('+') => i64::MAX,
        _ if text.starts_with('-') => i64::MIN,
        _ => DateTime::parse_from_rfc3339(text)
            .map_err(|_| ValueError::Malformed)?
            .timestamp_micros(),
    };
    let held = micros.clamp(MICROS.0, MICROS.1);
    if held != micros {
        adjusted.clamped += 1;
    }
    Ok(Value::Is(held))
}

/// The first or last instant that the column holds, for `-infinity` and `infinity` as JSON texts.
pub(super) fn bound(text: &str) -> i64 {
    if text.contains('-') {
        MICROS.0
    } else {
        MICROS.1
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn the_bounds_are_those_of_date32() {
        let days = |y, m, d| {
            let day = NaiveDate::from_ymd_opt(y, m, d).unwrap();
            i32::try_from((day - NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days()).unwrap()
        };
        assert_eq!(DAYS, (days(1900, 1, 1), days(2299, 12, 31)));
    }
}
