//! Answers: the headers and the problems that all operations share, and which of them an operation has.

use serde_json::{Map, Value, json};

use super::schemas;
use crate::problem::ProblemKind;

/// What an operation does, as far as its problems depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Reads or forgets something small.
    Plain,
    /// Reads what may be large.
    Read,
    /// Reads what may be an export.
    List,
    /// Takes a body and never conflicts.
    Put,
    /// Reads with a body that says what.
    Analytics,
    /// Creates, or does several things.
    Create,
    /// Changes what is there.
    Change,
    /// Deletes or restores what is there.
    Delete,
}

/// Problems of every request. 405 is of methods that are not described.
const ALWAYS: [u16; 10] = [400, 401, 403, 404, 406, 414, 431, 500, 503, 504];

/// Problems that an operation can answer beside those.
fn problems(deed: Deed) -> &'static [u16] {
    match deed {
        Deed::Plain => &[],
        Deed::Read => &[413],
        Deed::List => &[413, 429],
        Deed::Put => &[413, 415],
        Deed::Analytics => &[409, 413, 415],
        Deed::Create => &[409, 413, 415, 422],
        Deed::Change => &[409, 412, 413, 415, 422],
        Deed::Delete => &[409, 412, 413, 422],
    }
}

/// The answers of an operation: the good ones given, and its problems by reference. There is no `default`: with one,
/// whoever holds answers against the document takes every status for right.
pub(super) fn of(deed: Deed, good: Vec<(&str, Value)>) -> Value {
    let mut responses = Map::new();
    for (status, response) in good {
        responses.insert(status.to_owned(), response);
    }
    for status in ALWAYS.iter().chain(problems(deed)) {
        let name = format!("#/components/responses/Problem{status}");
        responses.insert(status.to_string(), json!({"$ref": name}));
    }
    responses.into()
}

/// `components.responses`.
pub(super) fn shared() -> Map<String, Value> {
    let described: [(u16, &str, &[&str]); 16] = [
        (
            400,
            "The request is not understood, or a value is refused; errors[] names each field.",
            &[],
        ),
        (
            401,
            "No token, or none that verifies.",
            &["WWW-Authenticate!"],
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
        (414, "The URI is longer than 8 KiB.", &[]),
        (415, "A media type that is not read here.", &[]),
        (
            422,
            "The Idempotency-Key was used with another request.",
            &[],
        ),
        (
            429,
            "As many exports of the tenant are under way as there may be.",
            &["Retry-After!"],
        ),
        (431, "The headers are over the limit of 16 KiB.", &[]),
        (500, "A fault of ours.", &[]),
        (
            503,
            "A part behind the proxy is away or busy, or (code OUTCOME_UNKNOWN) a write may have been carried out.",
            &["Retry-After!"],
        ),
        (504, "The deadline has passed.", &[]),
    ];
    let mut responses = Map::new();
    for (status, description, headers) in described {
        responses.insert(
            format!("Problem{status}"),
            problem(status, description, headers),
        );
    }
    responses
}

fn problem(status: u16, description: &str, headers: &[&str]) -> Value {
    let own = json!({"properties": {"status": {"const": status}}});
    let mut content = json!({"schema": {"allOf": [schemas::reference("Problem"), own]}});
    if let Some(example) = example(status) {
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
        empty("If-None-Match names what would be answered.", &["ETag!"]),
    )
}

/// Headers by name. One that is always there ends in `!`.
fn headers_of(names: &[&str]) -> Value {
    let each = names.iter().map(|name| {
        let (name, component) = match name.strip_suffix('!') {
            Some(name) => (name, format!("{name}.always")),
            None => (*name, (*name).to_owned()),
        };
        let reference = json!({"$ref": format!("#/components/headers/{component}")});
        (name.to_owned(), reference)
    });
    each.collect::<Map<_, _>>().into()
}

/// `components.headers`: each as it may be there, and those that an answer always has once more as such.
pub(super) fn shared_headers() -> Value {
    let text = |description: &str, pattern: &str| json!({"description": description, "schema": {"type": "string", "pattern": pattern}});
    let whole = |description: &str, minimum: u8| json!({"description": description, "schema": {"type": "integer", "minimum": minimum}});
    let mut headers = Map::new();
    for (name, header) in [
        (
            "ETag",
            text(
                "The strong tag of what is answered; of a record its version in quotes.",
                "^\"[0-9a-f]+\"$",
            ),
        ),
        (
            "Location",
            text(
                "The path of the new record; not of many.",
                "^/(?:api/)?v1/data/[^/?]+/[^/?]+/[0-9a-f-]{36}$",
            ),
        ),
        (
            "Link",
            text(
                "The page behind this one (rel=\"next\") and the one before (rel=\"prev\"), where there are such.",
                "^<[^<> ]+>; rel=\"(?:next|prev)\"(?:, <[^<> ]+>; rel=\"prev\")?$",
            ),
        ),
        (
            "Preference-Applied",
            text(
                "Which of the preferences asked for were honoured.",
                "^[a-z-]+=[a-z0-9-]+(?:, [a-z-]+=[a-z0-9-]+)*$",
            ),
        ),
        (
            "Idempotency-Replayed",
            text(
                "There when this is the first answer to the same Idempotency-Key, told again.",
                "^true$",
            ),
        ),
        (
            "X-Total-Count",
            whole("meta.count, where the body has no place for it.", 0),
        ),
        ("Retry-After", whole("Seconds.", 1)),
        (
            "WWW-Authenticate",
            text("Bearer, and why the token was refused.", "^Bearer "),
        ),
    ] {
        if ["ETag", "Retry-After", "WWW-Authenticate"].contains(&name) {
            let mut always = header.clone();
            always["required"] = json!(true);
            headers.insert(format!("{name}.always"), always);
        }
        headers.insert(name.to_owned(), header);
    }
    headers.into()
}
