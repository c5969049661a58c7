//! `/v1/cache`: small JSON values of a tenant in Valkey, which is their only home.

mod pattern;
mod store;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use model::Permission;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use pattern::Pattern;
pub use store::Store;

use crate::{
    caller::Caller,
    data::accept::{require_json_answer, require_json_body},
    exchange::{Reply, Request},
    problem::{FieldCode, Problem, ProblemKind},
    query::{no_parameters, refuse},
    valkey::{Away, Valkey},
};

/// Longest key and longest pattern, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest value, in bytes of its JSON text.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// `ttl` unless the request says otherwise, in seconds.
pub const TTL_SECONDS_DEFAULT: u32 = 300;
/// Ceiling of `ttl`, in seconds.
pub const TTL_SECONDS_MAX: u32 = 86_400;
/// Deepest nesting of a value (API.md, "Defaults and ceilings").
const DEPTH_MAX: usize = 32;

/// The cache API.
pub struct Cache {
    store: Store,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    ttl: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvalidateBody {
    pattern: String,
}

impl Cache {
    /// The cache in that Valkey.
    pub fn new(valkey: Arc<Valkey>) -> Self {
        Self {
            store: Store::new(valkey),
        }
    }

    /// `GET`, `PUT` and `DELETE cache/{key}`.
    pub async fn handle(
        &self,
        caller: &Caller,
        request: &Request,
        key: &str,
    ) -> Result<Reply, Problem> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(invalid(
                "key",
                FieldCode::TooLong,
                "A key has 1 to 512 bytes.",
            ));
        }
        no_parameters(&request.query)?;
        require_json_answer(&request.headers)?;
        let tenant = caller.tenant.id;
        match request.method {
            Method::GET | Method::HEAD => {
                caller.require(&Permission::CacheRead)?;
                let found = self
                    .store
                    .get(tenant, key)
                    .await
                    .map_err(away)?
                    .ok_or_else(Problem::not_found)?;
                let mut body = Vec::with_capacity(found.value.len() + 40);
                body.extend_from_slice(b"{\"data\":");
                body.extend_from_slice(&found.value);
                body.extend_from_slice(
                    format!(",\"meta\":{{\"ttl\":{}}}}}", found.ttl_seconds).as_bytes(),
                );
                Ok(
                    Reply::json(StatusCode::OK, body)
                        .with_header(header::CACHE_CONTROL, "no-store"),
                )
            }
            Method::PUT => {
                caller.require(&Permission::CacheWrite)?;
                let (value, ttl_seconds) = parse_put(request)?;
                self.store
                    .put(tenant, key, value, ttl_seconds)
                    .await
                    .map_err(away)?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            Method::DELETE => {
                caller.require(&Permission::CacheWrite)?;
                self.store.delete(tenant, key).await.map_err(away)?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Problem::method_not_allowed(if key == "invalidate" {
                "GET, HEAD, POST, PUT, DELETE"
            } else {
                "GET, HEAD, PUT, DELETE"
            })),
        }
    }

    /// `POST cache/invalidate`.
    pub async fn invalidate(&self, caller: &Caller, request: &Request) -> Result<Reply, Problem> {
        no_parameters(&request.query)?;
        require_json_answer(&request.headers)?;
        caller.require(&Permission::CacheWrite)?;
        let body: InvalidateBody = parse_json(request)?;
        if body.pattern.is_empty() || body.pattern.len() > KEY_BYTES_MAX {
            return Err(invalid(
                "pattern",
                FieldCode::TooLong,
                "A pattern has 1 to 512 bytes.",
            ));
        }
        let pattern = Pattern::new(&body.pattern);
        let count = self
            .store
            .invalidate(caller.tenant.id, &pattern)
            .await
            .map_err(away)?;
        Ok(Reply::json(
            StatusCode::OK,
            format!("{{\"data\":{{\"invalidated\":{count}}}}}"),
        ))
    }
}

fn parse_put(request: &Request) -> Result<(Bytes, u32), Problem> {
    let body: PutBody<'_> = parse_json(request)?;
    let ttl = match body.ttl {
        None => TTL_SECONDS_DEFAULT,
        Some(raw) => parse_ttl(raw.get())?,
    };
    let value = body.value.get();
    if value.len() > VALUE_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "A value has at most 1 MiB.",
        ));
    }
    if depth(value) > DEPTH_MAX {
        return Err(invalid(
            "value",
            FieldCode::LimitExceeded,
            "JSON is nested at most 32 deep.",
        ));
    }
    Ok((Bytes::copy_from_slice(value.as_bytes()), ttl))
}

/// A whole number of seconds, written as one: `1.5`, `1e2`, `"60"` and `0` are refused.
fn parse_ttl(text: &str) -> Result<u32, Problem> {
    match text.parse::<i64>() {
        Ok(ttl) if ttl <= 0 => Err(invalid(
            "ttl",
            FieldCode::OutOfRange,
            "must be at least 1 second",
        )),
        Ok(ttl) if ttl <= i64::from(TTL_SECONDS_MAX) => {
            Ok(u32::try_from(ttl).expect("1 to 86400 fits"))
        }
        Ok(_) => Err(invalid(
            "ttl",
            FieldCode::OutOfRange,
            "must be at most 86400 seconds",
        )),
        Err(_) => Err(invalid(
            "ttl",
            FieldCode::InvalidValue,
            "must be a whole number of seconds",
        )),
    }
}

/// How deep brackets nest in a JSON text that has been parsed.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn parse_json<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, Problem> {
    require_json_body(&request.headers)?;
    // serde_json tells where and what in words that hold nothing but the client's own member names.
    serde_json::from_slice(&request.body).map_err(|error| {
        Problem::new(
            ProblemKind::Validation,
            format!("The body is not as expected: {error}."),
        )
    })
}

fn invalid(field: &str, code: FieldCode, message: &str) -> Problem {
    Problem::invalid(vec![refuse(field, code, message)])
}

fn away(_: Away) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "The cache cannot be reached at the moment.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_a_whole_number_of_seconds() {
        for (text, expected) in [("1", Some(1)), ("86400", Some(86_400))] {
            assert_eq!(parse_ttl(text).ok(), expected, "{text}");
        }
        for text in [
            "0",
            "-1",
            "86401",
            "1.5",
            "300.0",
            "1e2",
            "\"60\"",
            "null",
            "true",
            "99999999999999999999",
        ] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        for (json, expected) in [
            ("1", 0),
            ("[]", 1),
            ("[[{}]]", 3),
            (r#"["[[\"[["]"#, 1),
            (r#"{"a":[1],"b":[2]}"#, 2),
        ] {
            assert_eq!(depth(json), expected, "{json}");
        }
    }

    #[test]
    fn a_put_keeps_the_value_to_the_byte() {
        let request = |body: &str| Request {
            method: Method::PUT,
            path: Vec::new(),
            raw_path: String::new(),
            query: Vec::new(),
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let (value, ttl) = parse_put(&request(
            r#"{"value": {"n": 1.10, "big": 12345678901234567890}, "ttl": 7}"#,
        ))
        .unwrap();
        assert_eq!(
            (&value[..], ttl),
            (&br#"{"n": 1.10, "big": 12345678901234567890}"#[..], 7)
        );
        assert_eq!(
            parse_put(&request(r#"{"value": null}"#)).unwrap(),
            (Bytes::from_static(b"null"), 300)
        );
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"value":1,"x":2}"#,
            r#"{"value":1,"value":2}"#,
            r#"{"value":1}x"#,
            r#"{"value":NaN}"#,
            "{\"value\":1,\"ttl\":0}",
        ] {
            assert!(parse_put(&request(bad)).is_err(), "{bad}");
        }
        let nested = format!("{{\"value\":{}{}}}", "[".repeat(33), "]".repeat(33));
        assert!(parse_put(&request(&nested)).is_err());
    }
}
