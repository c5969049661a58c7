//! An answer as it is kept, and as it is given again.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sql::{
    Statement,
    postgres::idempotency::{self, FirstAnswer},
};

use super::key::{Keyed, Name};
use crate::{
    exchange::{Body, Reply},
    postgres::Row,
    problem::{Problem, ProblemKind},
};

/// Most bytes of an answer that is kept: a bulk write of a whole body answers less, and a day of answers is stored.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The statement that keeps a reply; 413 when it is too large for that, before anything is committed.
pub(in crate::data) fn encode(name: &Name, reply: &Reply) -> Result<Statement, Problem> {
    let body = reply
        .body
        .whole()
        .ok_or_else(|| Problem::new(ProblemKind::Internal, "The answer to a write is streamed."))?;
    if body.len() > ANSWER_BYTES_MAX {
        let detail = format!(
            "The answer has more than {ANSWER_BYTES_MAX} bytes, too many to be kept for an Idempotency-Key; \
             nothing was written. Ask for return=minimal, or for fewer fields."
        );
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let answer = FirstAnswer {
        status: reply.status.as_u16(),
        headers: &headers_text(&reply.headers),
        body: &STANDARD.encode(body),
    };
    Ok(idempotency::keep(&name.as_key(), &answer))
}

/// An object of names and values; the values of a repeated name are one list, as HTTP reads them.
fn headers_text(headers: &HeaderMap) -> String {
    let mut object = serde_json::Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.filter_map(|v| v.to_str().ok()).collect();
        object.insert(name.to_string(), values.join(", ").into());
    }
    serde_json::Value::Object(object).to_string()
}

/// What was found for a key.
#[derive(Debug)]
pub(in crate::data) enum Kept {
    /// The answer of the same request.
    Same(Reply),
    /// Another request had this key.
    Other,
}

impl Kept {
    /// Reads the row of `look_up`; `None` when it is not one, which only another version of us could have written.
    pub fn read(keyed: &Keyed, row: &Row) -> Option<Self> {
        let mut texts = row
            .values()
            .map(|v| v.and_then(|v| std::str::from_utf8(v).ok()));
        let mut next = || texts.next().flatten();
        if next()? != keyed.fingerprint.to_base64() {
            return Some(Self::Other);
        }
        let mut reply = Reply::empty(StatusCode::from_u16(next()?.parse().ok()?).ok()?);
        let headers: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(next()?).ok()?;
        for (name, value) in &headers {
            let name: HeaderName = name.parse().ok()?;
            reply
                .headers
                .insert(name, HeaderValue::from_str(value.as_str()?).ok()?);
        }
        reply.headers.insert(
            HeaderName::from_static("idempotency-replayed"),
            HeaderValue::from_static("true"),
        );
        reply.body = Body::from(STANDARD.decode(next()?).ok()?);
        Some(Self::Same(reply))
    }
}

impl Kept {
    /// The reply, or 422.
    pub fn into_reply(self) -> Result<Reply, Problem> {
        match self {
            Self::Same(reply) => Ok(reply),
            Self::Other => Err(Problem::new(
                ProblemKind::IdempotencyMismatch,
                "This Idempotency-Key belongs to a request with another path, body or preference.",
            )),
        }
    }
}
