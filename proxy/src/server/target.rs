//! The request target, split and decoded.

use percent_encoding::percent_decode_str;

use crate::problem::{Problem, ProblemKind};

/// A decoded request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Decoded segments after `/v1` or `/api/v1`; `None` when the path lies elsewhere.
    pub path: Option<Vec<String>>,
    /// The path as it was sent, without the query.
    pub raw_path: String,
    /// Decoded parameters in order; `+` is a space.
    pub query: Vec<(String, String)>,
}

fn refuse(detail: &str) -> Problem {
    Problem::new(ProblemKind::Validation, detail)
}

/// Splits and decodes `path?query`. Each segment is decoded by itself, so an encoded slash stays inside of it;
/// `.` and `..` mean nothing here.
pub fn parse(target: &str) -> Result<Target, Problem> {
    let (raw_path, query) = target.split_once('?').unwrap_or((target, ""));
    let rest = raw_path
        .strip_prefix("/v1/")
        .or_else(|| raw_path.strip_prefix("/api/v1/"));
    let path = match rest {
        Some(rest) => Some(
            rest.split('/')
                .map(|s| decode(s, "path"))
                .collect::<Result<Vec<_>, _>>()?,
        ),
        None => None,
    };
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((
                decode(&name.replace('+', " "), "query")?,
                decode(&value.replace('+', " "), "query")?,
            ))
        });
    Ok(Target {
        path,
        raw_path: raw_path.to_owned(),
        query: pairs.collect::<Result<_, Problem>>()?,
    })
}

fn decode(text: &str, part: &str) -> Result<String, Problem> {
    let bytes = text.as_bytes();
    let hex = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
    let broken = bytes
        .iter()
        .enumerate()
        .any(|(i, b)| *b == b'%' && !(hex(i + 1) && hex(i + 2)));
    if broken {
        return Err(refuse(&format!(
            "In the {part}, a percent sign is not followed by two hexadecimal digits."
        )));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(refuse(&format!("The {part} is not UTF-8."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_parameters_are_decoded_one_by_one() {
        let found = parse("/v1/cache/a%2Fb%20c?x=1&y=a+b%2Bc&z&x=2").unwrap();
        assert_eq!(found.path.unwrap(), ["cache", "a/b c"]);
        assert_eq!(found.raw_path, "/v1/cache/a%2Fb%20c");
        let pairs: Vec<_> = found
            .query
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("x", "1"), ("y", "a b+c"), ("z", ""), ("x", "2")]);
        assert_eq!(parse("/api/v1/schema").unwrap().path.unwrap(), ["schema"]);
        assert_eq!(parse("/v1/").unwrap().path.unwrap(), [""]);
        for outside in [
            "/",
            "/v1",
            "/v2/schema",
            "/v1x/schema",
            "//v1/schema",
            "/x/../v1/schema",
        ] {
            assert_eq!(parse(outside).unwrap().path, None, "{outside}");
        }
    }

    #[test]
    fn broken_encodings_are_refused() {
        for bad in [
            "/v1/a%",
            "/v1/a%2",
            "/v1/%zz",
            "/v1/%ff",
            "/v1/a?x=%",
            "/v1/a?%fe=1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
