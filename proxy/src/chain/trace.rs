//! Request id and W3C trace id: taken over when well formed, else made.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use uuid::Uuid;

use crate::caller::TraceId;

/// Header that carries the request id, in and out.
pub const REQUEST_ID: &str = "x-request-id";
/// Longest request id that is taken over, in bytes: it goes into every log line.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The caller's `X-Request-Id` if it is one plain word, else a new UUIDv7.
pub fn request_id(headers: &HeaderMap) -> String {
    let plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_BYTES_MAX
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    match headers
        .get(REQUEST_ID)
        .and_then(|v| v.to_str().ok())
        .filter(plain)
    {
        Some(id) => id.to_owned(),
        None => new_request_id().to_string(),
    }
}

/// The trace of `traceparent` (W3C Trace Context, version 00), else a new one. All-zero ids are invalid there.
pub fn trace_id(headers: &HeaderMap) -> TraceId {
    let mut given = headers.get_all("traceparent").iter();
    let one = given
        .next()
        .filter(|_| given.next().is_none())
        .and_then(|v| v.to_str().ok());
    let trace = match one.and_then(parse_traceparent) {
        Some(trace) => trace.to_owned(),
        None => new_trace_id().simple().to_string(),
    };
    TraceId(trace.into())
}

/// A UUIDv7. From this thread's generator: the system's random numbers would be a call each, and nobody has to guess an
/// id that is told to who asks.
fn new_request_id() -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.map_or(0, |since| since.as_millis() as u64);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rand::random()).into_uuid()
}

/// The same for a trace: 16 bytes, some of which are never all zero.
fn new_trace_id() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

fn parse_traceparent(text: &str) -> Option<&str> {
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let some_bit = |part: &str| part.bytes().any(|b| b != b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version == "00" && parts.next().is_none();
    (known
        && hex(trace, 32)
        && hex(parent, 16)
        && hex(flags, 2)
        && some_bit(trace)
        && some_bit(parent))
    .then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_over_only_when_well_formed() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |text: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            let found = trace_id(&headers);
            match expected {
                Some(expected) => assert_eq!(&*found.0, expected, "{text}"),
                None => assert!(found.0.len() == 32 && &*found.0 != trace, "{text}"),
            }
        };
        check(&format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace));
        check(&format!("01-{trace}-00f067aa0ba902b7-01"), None);
        check(
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            None,
        );
        check(
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            None,
        );
        check(&format!("00-{trace}-0000000000000000-01"), None);
        check(&format!("00-{trace}-00f067aa0ba902b7"), None);
        check(&format!("00-{trace}-00f067aa0ba902b7-01-x"), None);
        check("", None);
    }

    #[test]
    fn a_request_id_is_one_plain_word() {
        let check = |text: &str, taken: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, text.parse().unwrap());
            assert_eq!(request_id(&headers) == text, taken, "{text}");
        };
        check("0198f0aa-5b1e-7c3d-9a4e-2f6b8c1d0e01", true);
        check("a b", false);
        check("{\"x\":1}", false);
        check(&"a".repeat(129), false);
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
