//! ClickHouse's answer, told in our words: exact numbers, RFC 3339, names instead of positions.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    error::Error,
    plan::{Output, Shape},
};

/// What `FORMAT JSONCompact` answers, as far as we read it.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<Vec<&'a RawValue>>,
    statistics: Statistics,
}

#[derive(Deserialize)]
struct Statistics {
    rows_read: u64,
}

/// What is told beside the rows.
pub(super) struct Meta {
    /// Everything acknowledged until then is counted.
    pub last_sync_at: DateTime<Utc>,
    /// From the request's arrival.
    pub duration_ms: u128,
}

/// The body of the reply. `limit` rows at most; `meta.truncated` is there, and true, when there were more.
pub(super) fn render(
    answer: &[u8],
    outputs: &[Output],
    limit: u32,
    as_text: bool,
    meta: &Meta,
) -> Result<String, Error> {
    let document: Document<'_> =
        serde_json::from_slice(answer).map_err(|_| Error::Answer("not JSONCompact"))?;
    let limit = limit as usize;
    let mut body = String::with_capacity(answer.len() + 64 * document.data.len().min(limit) + 128);
    body.push_str("{\"data\":[");
    for (i, row) in document.data.iter().take(limit).enumerate() {
        if row.len() != outputs.len() {
            return Err(Error::Answer("not the columns that were asked for"));
        }
        body.push_str(if i == 0 { "{" } else { ",{" });
        for (j, (cell, output)) in row.iter().zip(outputs).enumerate() {
            // Names are fields and aliases: letters, digits and underscores.
            write!(
                body,
                "{}\"{}\":",
                if j == 0 { "" } else { "," },
                output.name
            )
            .expect("a String takes all");
            print(cell.get(), output.shape, as_text, &mut body)?;
        }
        body.push('}');
    }
    let last_sync_at = meta
        .last_sync_at
        .to_rfc3339_opts(SecondsFormat::Millis, true);
    let rows_scanned = document.statistics.rows_read;
    write!(
        body,
        "],\"meta\":{{\"lastSyncAt\":\"{last_sync_at}\",\"rowsScanned\":{rows_scanned},\"durationMs\":{}{}}}}}",
        meta.duration_ms,
        if document.data.len() > limit { ",\"truncated\":true" } else { "" },
    )
    .expect("a String takes all");
    Ok(body)
}

/// Prints one cell. The server may quote 64-bit integers and decimals or not, as its profile says; either is read.
fn print(cell: &str, shape: Shape, as_text: bool, out: &mut String) -> Result<(), Error> {
    if cell == "null" {
        out.push_str(cell);
        return Ok(());
    }
    let bare = cell
        .strip_prefix('"')
        .and_then(|c| c.strip_suffix('"'))
        .unwrap_or(cell);
    let number = |text: &str, out: &mut String| {
        let quote = if as_text { "\"" } else { "" };
        write!(out, "{quote}{text}{quote}").expect("a String takes all");
    };
    match shape {
        // ClickHouse escapes more than it must, such as `\/`; a value has one spelling in all of our answers.
        Shape::Plain if cell.contains('\\') => {
            let text: String =
                serde_json::from_str(cell).map_err(|_| Error::Answer("a text that is none"))?;
            out.push_str(
                &serde_json::to_string(&text).map_err(|_| Error::Answer("a text that is none"))?,
            );
        }
        Shape::Plain => out.push_str(cell),
        Shape::Integer => number(digits(bare)?, out),
        Shape::Decimal(scale) => number(&with_scale(digits(bare)?, scale), out),
        Shape::Average => number(without_zeros(digits(bare)?), out),
        Shape::Timestamp => {
            let zone = if bare.ends_with('Z') { "" } else { "Z" };
            write!(out, "\"{}{zone}\"", bare.replace(' ', "T")).expect("a String takes all");
        }
        Shape::Time => {
            write!(out, "\"{}\"", time_of_day(integer(bare)?)).expect("a String takes all")
        }
        Shape::Instant => match instant(bare)? {
            Some(at) => write!(out, "\"{at}\"").expect("a String takes all"),
            None => out.push_str("null"),
        },
    }
    Ok(())
}

/// A decimal number in plain notation, as both stores print it; nothing else may stand where a number does.
fn digits(text: &str) -> Result<&str, Error> {
    let is_plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    if is_plain && !text.is_empty() {
        Ok(text)
    } else {
        Err(Error::Answer("a number that is none"))
    }
}

fn integer(text: &str) -> Result<i64, Error> {
    text.parse()
        .map_err(|_| Error::Answer("an integer that is none"))
}

/// The start of a bucket in its zone. An offset of odd seconds, as before 1920, has no place in RFC 3339: UTC.
fn instant(cell: &str) -> Result<Option<String>, Error> {
    let unread = || Error::Answer("an instant that is none");
    let (start, offset): (Option<Exact>, Option<Exact>) =
        serde_json::from_str(cell).map_err(|_| unread())?;
    let (Some(Exact(start)), Some(Exact(offset))) = (start, offset) else {
        return Ok(None);
    };
    let at = DateTime::from_timestamp_micros(start).ok_or_else(unread)?;
    let offset = if offset % 60 == 0 {
        i32::try_from(offset).map_err(|_| unread())?
    } else {
        0
    };
    let zone = FixedOffset::east_opt(offset).ok_or_else(unread)?;
    Ok(Some(
        at.with_timezone(&zone)
            .to_rfc3339_opts(SecondsFormat::Secs, true),
    ))
}

/// An integer, quoted or not.
struct Exact(i64);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        raw.get()
            .trim_matches('"')
            .parse()
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// The same number with exactly `scale` digits behind the point; ClickHouse leaves trailing zeros out.
fn with_scale(text: &str, scale: u8) -> String {
    let scale = usize::from(scale);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if scale == 0 {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction:0<scale$}")
    }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// `HH:MM:SS.ffffff`, as records have it.
fn time_of_day(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    format!(
        "{:02}:{:02}:{:02}.{fraction:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cell: &str, shape: Shape, as_text: bool, expected: &str) {
        let mut out = String::new();
        print(cell, shape, as_text, &mut out).unwrap();
        assert_eq!(out, expected, "{cell} as {shape:?}");
    }

    #[test]
    fn numbers_keep_every_digit_and_their_scale() {
        let huge = "170141183460469231731687303715884105727";
        check(huge, Shape::Integer, false, huge);
        check(&format!("\"{huge}\""), Shape::Integer, false, huge);
        check("5", Shape::Integer, true, "\"5\"");
        check("-1.5", Shape::Decimal(2), false, "-1.50");
        check("\"7\"", Shape::Decimal(2), true, "\"7.00\"");
        check("7", Shape::Decimal(0), false, "7");
        check("20242.500000", Shape::Average, false, "20242.5");
        check("20240.000000", Shape::Average, false, "20240");
        check("100", Shape::Average, false, "100");
        check("null", Shape::Decimal(2), true, "null");
        check("0.1", Shape::Plain, true, "0.1");
    }

    #[test]
    fn moments_are_printed_as_the_api_says() {
        check(
            "\"2026-01-02 03:04:05.000006\"",
            Shape::Timestamp,
            false,
            "\"2026-01-02T03:04:05.000006Z\"",
        );
        let instants = [
            ("[1774744200000000, 3600]", "\"2026-03-29T01:30:00+01:00\""),
            (
                "[\"1774747800000000\", 7200]",
                "\"2026-03-29T03:30:00+02:00\"",
            ),
            ("[0, 0]", "\"1970-01-01T00:00:00Z\""),
            ("[-60000000, 20476]", "\"1969-12-31T23:59:00Z\""),
            ("[null, null]", "null"),
        ];
        for (cell, expected) in instants {
            check(cell, Shape::Instant, false, expected);
        }
        check("11045000006", Shape::Time, false, "\"03:04:05.000006\"");
        check("11045500000", Shape::Time, false, "\"03:04:05.500000\"");
        check(r#""a\/b\\""#, Shape::Plain, false, r#""a/b\\""#);
    }

    #[test]
    fn nothing_but_a_number_stands_where_a_number_does() {
        for cell in ["\"1\\\"\"", "\"\"", "{}", "nan", "1e5"] {
            assert!(
                print(cell, Shape::Integer, false, &mut String::new()).is_err(),
                "{cell}"
            );
        }
    }

    #[test]
    fn one_row_more_than_the_limit_tells_that_there_are_more() {
        let outputs = [Output {
            name: "count".into(),
            shape: Shape::Integer,
        }];
        let meta = Meta {
            last_sync_at: DateTime::UNIX_EPOCH,
            duration_ms: 7,
        };
        let answer = br#"{"meta":[],"data":[[2],["1"]],"rows":2,"statistics":{"elapsed":0.1,"rows_read":9,"bytes_read":1}}"#;
        let body = render(answer, &outputs, 1, false, &meta).unwrap();
        let expected = r#"{"data":[{"count":2}],"meta":{"lastSyncAt":"1970-01-01T00:00:00.000Z","rowsScanned":9,"durationMs":7,"truncated":true}}"#;
        assert_eq!(body, expected);
        assert!(
            !render(answer, &outputs, 2, false, &meta)
                .unwrap()
                .contains("truncated")
        );
        assert!(render(answer, &[], 2, false, &meta).is_err());
        assert!(render(b"{}", &outputs, 2, false, &meta).is_err());
    }
}
