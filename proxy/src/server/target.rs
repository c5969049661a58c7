//! The request target, split and decoded.

use std::sync::LazyLock;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

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

/// What a URI cannot hold and clients send all the same, such as `extra->>name` or an array's braces: it is taken as
/// if it had come percent-encoded, as browsers send it (WHATWG URL, percent-encode sets).
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Whether a byte of a request target is one that no URI holds.
pub fn is_escaped(byte: u8) -> bool {
    // Asked of each byte of each target.
    static OF_BYTES: LazyLock<[bool; 256]> = LazyLock::new(|| {
        std::array::from_fn(|byte| {
            let byte = [u8::try_from(byte).expect("there are 256 bytes")];
            percent_encode(&byte, ESCAPED).next() != std::str::from_utf8(&byte).ok()
        })
    });
    OF_BYTES[usize::from(byte)]
}

/// The head with its target made a URI; `None` where it is one already. The head is one that framing has passed.
pub fn escape(head: &[u8]) -> Option<Vec<u8>> {
    let from = head.iter().position(|b| *b == b' ')? + 1;
    let to = from + head[from..].iter().position(|b| *b == b' ')?;
    let target = &head[from..to];
    if !target.iter().any(|b| is_escaped(*b)) {
        return None;
    }
    let escaped = percent_encode(target, ESCAPED).to_string();
    Some([&head[..from], escaped.as_bytes(), &head[to..]].concat())
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
    fn what_no_uri_holds_is_escaped() {
        let escaped = |head: &str| escape(head.as_bytes()).map(|h| String::from_utf8(h).unwrap());
        for (sent, target) in [
            ("/v1/x?a->>b=eq.{1}", "/v1/x?a-%3E%3Eb=eq.%7B1%7D"),
            ("/v1/\u{e4}?\"|^`\\<", "/v1/%C3%A4?%22%7C%5E%60%5C%3C"),
            ("/%3E?>%", "/%3E?%3E%"),
        ] {
            let head = |target| format!("GET {target} HTTP/1.1\r\nX: {{>}}\r\n\r\n");
            assert_eq!(escaped(&head(sent)), Some(head(target)));
        }
        for whole in [
            "GET /v1/x?a=(1,*)!~'$;:@[]&b=%2B HTTP/1.1\r\nX: {\r\n\r\n",
            "",
            " ",
        ] {
            assert_eq!(escaped(whole), None, "{whole}");
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
