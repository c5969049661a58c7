//! Media types: what is read and what is answered.

use http::{HeaderMap, header};

use crate::problem::{Problem, ProblemKind};

/// A representation of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json`: the envelope with `data` and `meta`.
    Json,
    /// `application/x-ndjson`: one record a line.
    Ndjson,
    /// `text/csv`: a header row, then one record a row.
    Csv,
}

impl Format {
    /// Those of a list, the one first that is answered when the client does not mind.
    pub const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            // RFC 4180 section 3: `header` says whether the first row is one.
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Ndjson => ("application", "x-ndjson"),
            Self::Csv => ("text", "csv"),
        }
    }
}

/// 406 unless JSON is among what the client takes.
pub(crate) fn require_json_answer(headers: &HeaderMap) -> Result<(), Problem> {
    choose(headers, &[Format::Json]).map(drop)
}

/// The format that the client likes best of those offered (RFC 9110 section 12.5.1), the first of them among equals.
/// 406 where it takes none.
pub(crate) fn choose(headers: &HeaderMap, offered: &[Format]) -> Result<Format, Problem> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let value = value.to_str().unwrap_or_default();
        ranges.extend(
            value
                .split(',')
                .filter(|r| !r.trim().is_empty())
                .map(Range::parse),
        );
    }
    if ranges.is_empty() && !headers.contains_key(header::ACCEPT) {
        return offered
            .first()
            .copied()
            .ok_or_else(|| not_acceptable(offered));
    }
    let mut best = None;
    for &format in offered {
        let quality = quality_of(format, &ranges);
        if quality > best.map_or(0, |(_, most)| most) {
            best = Some((format, quality));
        }
    }
    best.map(|(format, _)| format)
        .ok_or_else(|| not_acceptable(offered))
}

fn not_acceptable(offered: &[Format]) -> Problem {
    let names = offered.iter().map(|format| {
        let (kind, name) = format.media_type();
        format!("{kind}/{name}")
    });
    let names: Vec<_> = names.collect();
    Problem::new(
        ProblemKind::NotAcceptable,
        format!("What is answered here: {}.", names.join(", ")),
    )
}

/// One media range of `Accept`.
struct Range {
    kind: String,
    name: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    /// Parameters other than `q` are not looked at, as with every media type that we read. What is no number counts as
    /// 0: that range asks for nothing.
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (kind, name) = media.split_once('/').unwrap_or((&media, ""));
        let quality = parts
            .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            quality,
        }
    }
}

/// A quality value (RFC 9110 section 12.4.2): 0 to 1 with at most three digits behind the point.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match whole {
        "1" if digits && fraction.bytes().all(|b| b == b'0') => 1000,
        "0" if digits => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// What the most precise range that holds a format says of it.
fn quality_of(format: Format, ranges: &[Range]) -> u16 {
    let (kind, name) = format.media_type();
    let precision = |range: &Range| match (range.kind.as_str(), range.name.as_str()) {
        (k, n) if k == kind && n == name => Some(2),
        (k, "*") if k == kind => Some(1),
        ("*", "*") => Some(0),
        _ => None,
    };
    let matching = ranges
        .iter()
        .filter_map(|r| Some((precision(r)?, r.quality)));
    matching.max().map_or(0, |(_, quality)| quality)
}

/// 415 when the body says that it is something else than JSON in UTF-8. A body that says nothing is read as JSON, as
/// PostgREST does: there is one type that it can be, and whether it is one shows.
pub(crate) fn require_json_body(headers: &HeaderMap) -> Result<(), Problem> {
    let mut said = headers.get_all(header::CONTENT_TYPE).iter();
    if said.all(|value| value.to_str().is_ok_and(is_json)) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::UnsupportedMediaType,
        "The body is read as application/json only.",
    ))
}

fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|m| m.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|p| {
        let lower = p.to_ascii_lowercase();
        !lower.starts_with("charset=")
            || matches!(lower.as_str(), "charset=utf-8" | "charset=\"utf-8\"")
    });
    is_json && is_utf8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn json_is_answered_to_whoever_takes_it() {
        assert!(require_json_answer(&HeaderMap::new()).is_ok());
        for (value, good) in [
            ("*/*", true),
            ("text/html, application/json;q=0.5", true),
            ("Application/JSON", true),
            ("application/*", true),
            ("application/json;q=0", false),
            ("text/csv", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(
                require_json_answer(&headers(header::ACCEPT, value)).is_ok(),
                good,
                "{value}"
            );
        }
    }

    #[test]
    fn the_client_chooses_among_formats() {
        use Format::{Csv, Json, Ndjson};
        assert_eq!(choose(&HeaderMap::new(), &Format::ALL).ok(), Some(Json));
        for (value, expected) in [
            ("text/csv", Some(Csv)),
            ("TEXT/CSV; header=present", Some(Csv)),
            ("application/x-ndjson", Some(Ndjson)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/*", Some(Csv)),
            ("text/csv, application/json", Some(Json)),
            ("text/csv, application/json;q=0.9", Some(Csv)),
            ("text/csv;q=0.5, */*;q=0.1", Some(Csv)),
            ("*/*, application/json;q=0", Some(Ndjson)),
            ("application/json;q=0.2, application/*;q=0.8", Some(Ndjson)),
            ("text/csv;q=0.001", Some(Csv)),
            ("text/csv;q=0.000", None),
            ("text/csv;q=2", None),
            ("text/csv;q=x", None),
            ("text/html, image/png", None),
            ("text", None),
            ("*/json", None),
        ] {
            let chosen = choose(&headers(header::ACCEPT, value), &Format::ALL);
            assert_eq!(chosen.ok(), expected, "{value}");
        }
    }

    #[test]
    fn json_is_read_unless_the_body_says_otherwise() {
        assert!(require_json_body(&HeaderMap::new()).is_ok());
        let mut both = headers(header::CONTENT_TYPE, "application/json");
        both.append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert!(require_json_body(&both).is_err());
        for (value, good) in [
            ("application/json", true),
            ("application/json; charset=UTF-8", true),
            ("application/json; charset=latin1", false),
            ("text/json", false),
            ("", false),
            ("application/merge-patch+json", false),
        ] {
            assert_eq!(
                require_json_body(&headers(header::CONTENT_TYPE, value)).is_ok(),
                good,
                "{value}"
            );
        }
    }
}
