//! Media types: what is read and what is answered.

use http::{HeaderMap, header};

use crate::problem::{Problem, ProblemKind};

/// 406 unless JSON is among what the client takes.
pub(crate) fn require_json_answer(headers: &HeaderMap) -> Result<(), Problem> {
    let mut asked = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            asked |= !range.trim().is_empty();
            if takes_json(range) {
                return Ok(());
            }
        }
    }
    if asked {
        return Err(Problem::new(
            ProblemKind::NotAcceptable,
            "Only application/json is answered here.",
        ));
    }
    Ok(())
}

fn takes_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let refused = parts.any(|p| {
        let quality = p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="));
        quality.and_then(|q| q.parse::<f32>().ok()) == Some(0.0)
    });
    let names_json = ["*/*", "application/*", "application/json"]
        .iter()
        .any(|m| m.eq_ignore_ascii_case(media));
    names_json && !refused
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
