//! Cross-origin requests (Fetch standard): only configured origins, echoed exactly, never `*`.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::exchange::{METHODS, Reply};

/// Browsers cap it at two hours.
const MAX_AGE_SECONDS: &str = "7200";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Accept, Prefer, If-Match, If-None-Match, Idempotency-Key, X-Request-Id, Traceparent";
const EXPOSED: &str = "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, X-Request-Id, X-Total-Count";

/// The origin of the request, if browsers there may read the answer.
pub fn allowed_origin<'a>(
    headers: &'a HeaderMap,
    allowed: &HashSet<String>,
) -> Option<&'a HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    origin
        .to_str()
        .is_ok_and(|o| allowed.contains(o))
        .then_some(origin)
}

/// The answer to a preflight, which carries no token and is answered before one is asked for.
pub fn preflight(method: &Method, headers: &HeaderMap, allowed: &HashSet<String>) -> Option<Reply> {
    let asks =
        method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || allowed_origin(headers, allowed).is_none() {
        return None;
    }
    Some(
        Reply::empty(StatusCode::NO_CONTENT)
            .with_header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .with_header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
            .with_header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    )
}

/// Adds what a browser at an allowed origin needs to read the reply; `Vary: Origin` always, for caches between.
pub fn allow(reply: &mut Reply, origin: Option<HeaderValue>) {
    reply
        .headers
        .append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        reply
            .headers
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply.headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_origins_are_answered() {
        let allowed = HashSet::from(["https://app.example".to_owned()]);
        let headers = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            headers.insert(
                header::ACCESS_CONTROL_REQUEST_METHOD,
                "POST".parse().unwrap(),
            );
            headers
        };
        assert!(preflight(&Method::OPTIONS, &headers("https://app.example"), &allowed).is_some());
        assert!(preflight(&Method::GET, &headers("https://app.example"), &allowed).is_none());
        for origin in [
            "https://app.example.evil",
            "http://app.example",
            "null",
            "https://APP.example",
            "*",
        ] {
            assert!(
                preflight(&Method::OPTIONS, &headers(origin), &allowed).is_none(),
                "{origin}"
            );
        }
        assert!(allowed_origin(&headers("https://app.example"), &HashSet::new()).is_none());
    }
}
