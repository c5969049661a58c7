//! Answers: the headers and the problems that all operations share, and which of them an operation has.

use serde_json::{Map, Value, json};

use super::schemas;
use crate::problem::ProblemKind;

/// What an operation does, as far as its problems depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Reads what the proxy itself knows.
    Describe,
    /// Reads rows.
    Read,
    /// Reads with a body that says what.
    Query,
    /// Writes with a body.
    Write,
    /// Writes without a body.
    Delete,
}

/// Problems that an operation can answer, beside those of every request: 405, 414 and 431 come before an operation
/// is known, 500 is a fault of ours.
fn problems(deed: Deed) -> &'static [u16] {
    match deed {
        Deed::Describe => &[400, 401, 403, 404, 406, 503],
        Deed::Read => &[400, 401, 403, 404, 406, 413, 429, 503, 504],
        Deed::Query => &[400, 401, 403, 404, 406, 409, 413, 415, 503, 504],
        Deed::Write => &[400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 503, 504],
        Deed::Delete => &[400, 401, 403, 404, 406, 409, 412, 413, 422, 503, 504],
    }
}

/// The answers of an operation: the good ones given, and its problems by reference.
pub(super) fn of(deed: Deed, good: Vec<(&str, Value)>) -> Value {
    let mut responses = Map::new();
    for (status, response) in good {
        responses.insert(status.to_owned(), response);
    }
    for status in problems(deed) {
        let name = format!("Problem{status}");
        responses.insert(
            status.to_string(),
            json!({"$ref": format!("#/components/responses/{name}")}),
        );
    }
    responses.insert(
        "default".into(),
        json!({"$ref": "#/components/responses/Problem"}),
    );
    responses.into()
}

/// `components.responses`.
pub(super) fn shared() -> Map<String, Value> {
    let described: [(u16, &str, &[&str]); 14] = [
        (
            400,
            "The request is not understood, or a value is refused; errors[] names each field.",
            &[],
        ),
        (
            401,
            "No token, or none that verifies.",
            &["WWW-Authenticate"],
        ),
        (
            403,
            "A permission is missing, or the tenant is suspended or read-only.",
            &[],
        ),
        (404, "Not there, or not yours.", &[]),
        (406, "No representation that Accept takes.", &[]),
        (
            409,
            "A unique value is taken, a reference is missing or in use, a version is stale, or a request with the same key is running.",
            &["Retry-After"],
        ),
        (412, "If-Match names another version.", &[]),
        (413, "The body or the answer is over the limit.", &[]),
        (415, "A media type that is not read here.", &[]),
        (
            422,
            "The Idempotency-Key was used with another request.",
            &[],
        ),
        (
            429,
            "The tenant has had its share for now.",
            &["Retry-After"],
        ),
        (500, "A fault of ours.", &[]),
        (
            503,
            "A part behind the proxy is away or busy, or (code OUTCOME_UNKNOWN) a write may have been carried out.",
            &["Retry-After"],
        ),
        (504, "The deadline has passed.", &[]),
    ];
    let mut responses = Map::new();
    responses.insert(
        "Problem".into(),
        problem(
            "Any other problem, such as 405, 414, 431 or 500.",
            &["Allow"],
            None,
        ),
    );
    for (status, description, headers) in described {
        responses.insert(
            format!("Problem{status}"),
            problem(description, headers, example(status)),
        );
    }
    responses
}

fn problem(description: &str, headers: &[&str], example: Option<Value>) -> Value {
    let mut content = json!({"schema": schemas::reference("Problem")});
    if let Some(example) = example {
        content["example"] = example;
    }
    let mut response = json!({
        "description": description,
        "content": {"application/problem+json": content},
    });
    if !headers.is_empty() {
        response["headers"] = headers_of(headers);
    }
    response
}

/// A problem of that status as [`crate::problem`] words it.
fn example(status: u16) -> Option<Value> {
    let kind = match status {
        400 => ProblemKind::Validation,
        401 => ProblemKind::Unauthorized,
        403 => ProblemKind::Forbidden,
        404 => ProblemKind::NotFound,
        409 => ProblemKind::Conflict,
        412 => ProblemKind::PreconditionFailed,
        503 => ProblemKind::Unavailable,
        504 => ProblemKind::Timeout,
        _ => return None,
    };
    Some(json!({
        "type": format!("{}{}", crate::problem::PROBLEM_BASE_DEFAULT, kind.name()),
        "title": kind.status().canonical_reason(),
        "status": status,
        "detail": "What went wrong, in a sentence.",
        "code": kind.code(),
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    }))
}

/// A good answer with a JSON body.
pub(super) fn json(description: &str, schema: Value, headers: &[&str]) -> Value {
    let mut response = json!({
        "description": description,
        "content": {"application/json": {"schema": schema}},
    });
    if !headers.is_empty() {
        response["headers"] = headers_of(headers);
    }
    response
}

/// A good answer without a body.
pub(super) fn empty(description: &str, headers: &[&str]) -> Value {
    let mut response = json!({"description": description});
    if !headers.is_empty() {
        response["headers"] = headers_of(headers);
    }
    response
}

/// 304.
pub(super) fn not_modified() -> (&'static str, Value) {
    (
        "304",
        empty("If-None-Match names what would be answered.", &["ETag"]),
    )
}

fn headers_of(names: &[&str]) -> Value {
    let each = names.iter().map(|name| {
        (
            (*name).to_owned(),
            json!({"$ref": format!("#/components/headers/{name}")}),
        )
    });
    each.collect::<Map<_, _>>().into()
}

/// `components.headers`.
pub(super) fn shared_headers() -> Value {
    let text =
        |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "ETag": text("The strong tag of what is answered; of a record its version in quotes."),
        "Location": text("The path of the new record."),
        "Link": text("The next page (rel=next) and the one before (rel=prev), where there are such."),
        "Preference-Applied": text("Which of the preferences asked for were honoured."),
        "Idempotency-Replayed": {
            "description": "true when this is the first answer to the same Idempotency-Key, told again.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
        "WWW-Authenticate": text("Bearer, and why the token was refused."),
        "Allow": text("The methods of the path, with 405."),
    })
}
