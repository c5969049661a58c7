//! Errors as RFC 9457 `application/problem+json`.
//!
//! What a client reads here and what the log says are two texts: `detail` is written by us for clients and never
//! holds SQL, a constraint's name or another tenant's value.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{caller::TraceId, exchange::Reply};

/// Where problem types live unless configured otherwise.
pub const PROBLEM_BASE_DEFAULT: &str = "https://api.septemcore.com/problems/";

/// Most errors that are told of one request: a body may hold a hundred thousand wrong names.
pub const ERRORS_MAX: usize = 100;

/// The closed list of problem types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// 400: the request is not understood or a value is refused.
    Validation,
    /// 401: no token, or none that verifies.
    Unauthorized,
    /// 403: a permission is missing.
    Forbidden,
    /// 403: the tenant is suspended.
    TenantSuspended,
    /// 403: the tenant is read-only and this is a write.
    TenantReadOnly,
    /// 404: not there, or not yours.
    NotFound,
    /// 405: the path has no such method.
    MethodNotAllowed,
    /// 406: no such representation.
    NotAcceptable,
    /// 409: a unique value is taken, a reference is missing or in use, a version is stale.
    Conflict,
    /// 409: history still loads into analytics.
    NotSynced,
    /// 412: `If-Match` names another version.
    PreconditionFailed,
    /// 413: the body, or the answer, is over the limit.
    TooLarge,
    /// 414: the URI is over the limit.
    UriTooLong,
    /// 415: not a media type that is read here.
    UnsupportedMediaType,
    /// 429: the tenant has had its share for now; retry.
    RateLimited,
    /// 422: the `Idempotency-Key` belongs to another request.
    IdempotencyMismatch,
    /// 431: the header block is over the limit.
    HeadersTooLarge,
    /// 500: a fault of ours.
    Internal,
    /// 503: a part behind us is away, or a queue is full; retry.
    Unavailable,
    /// 503: the connection was lost after a write was sent.
    OutcomeUnknown,
    /// 504: the deadline has passed.
    Timeout,
}

impl ProblemKind {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::Validation,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TenantSuspended,
        Self::TenantReadOnly,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::NotSynced,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::IdempotencyMismatch,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::Timeout,
    ];

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Validation => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::TenantSuspended | Self::TenantReadOnly => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict | Self::NotSynced => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The last segment of `type`, and the label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation-error",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::TenantSuspended => "tenant-suspended",
            Self::TenantReadOnly => "tenant-read-only",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::Conflict => "conflict",
            Self::NotSynced => "not-synced",
            Self::PreconditionFailed => "precondition-failed",
            Self::TooLarge => "content-too-large",
            Self::UriTooLong => "uri-too-long",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::RateLimited => "rate-limited",
            Self::IdempotencyMismatch => "idempotency-mismatch",
            Self::HeadersTooLarge => "headers-too-large",
            Self::Internal => "internal-error",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Timeout => "gateway-timeout",
        }
    }

    /// `code`: the name in upper snake case, such as `NOT_FOUND`.
    pub fn code(self) -> String {
        self.name().to_ascii_uppercase().replace('-', "_")
    }
}

/// The closed list of codes of [`FieldError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FieldCode {
    /// No such field, parameter or relation.
    UnknownField,
    /// Required, and missing or null.
    Required,
    /// Not of the type's syntax.
    InvalidValue,
    /// Right syntax, but the type cannot hold it.
    OutOfRange,
    /// More characters than allowed.
    TooLong,
    /// Not one of an enum's values.
    NotInEnum,
    /// A field that the server keeps.
    ReadOnly,
    /// An operator that the type does not take, or that is not known.
    InvalidOperator,
    /// A limit of the API, such as filters in one request.
    LimitExceeded,
    /// Among live rows this value is taken.
    NotUnique,
    /// No such row to refer to.
    ReferenceNotFound,
    /// Live rows refer to this one.
    ReferenceInUse,
    /// The version named is not the current one.
    StaleVersion,
    /// The key appears twice.
    Duplicate,
    /// The id is that of a deleted record.
    Deleted,
    /// No record has the id.
    NotFound,
    /// The module refused it.
    Refused,
}

impl FieldCode {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 17] = [
        Self::UnknownField,
        Self::Required,
        Self::InvalidValue,
        Self::OutOfRange,
        Self::TooLong,
        Self::NotInEnum,
        Self::ReadOnly,
        Self::InvalidOperator,
        Self::LimitExceeded,
        Self::NotUnique,
        Self::ReferenceNotFound,
        Self::ReferenceInUse,
        Self::StaleVersion,
        Self::Duplicate,
        Self::Deleted,
        Self::NotFound,
        Self::Refused,
    ];
}

/// One field or parameter and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, the parameter, or a path such as `filters.amount`.
    pub field: String,
    /// What is wrong, for programs.
    pub code: FieldCode,
    /// What is wrong, for people; never the value of another tenant.
    pub message: String,
    /// The row of a bulk body, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
}

/// An error that will be answered.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which problem; status and `type` follow from it.
    pub kind: ProblemKind,
    /// One sentence or two for people, constant or made of the client's own words.
    pub detail: String,
    /// What is wrong field by field.
    pub errors: Vec<FieldError>,
    /// Seconds for `Retry-After`.
    pub retry_after_seconds: Option<u64>,
    /// `Allow`, with 405.
    pub allow: Option<&'static str>,
}

impl Problem {
    /// A problem with nothing but its kind and a sentence.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let retry_after_seconds = match kind {
            ProblemKind::Unavailable | ProblemKind::OutcomeUnknown => Some(1),
            _ => None,
        };
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds,
            allow: None,
        }
    }

    /// 400 with what is wrong field by field: the first [`ERRORS_MAX`] of it.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields or parameters are refused.", many.len()),
        };
        errors.truncate(ERRORS_MAX);
        Self {
            errors,
            ..Self::new(ProblemKind::Validation, detail)
        }
    }

    /// 405 naming what the path takes.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("This path takes {allow}.");
        Self {
            allow: Some(allow),
            ..Self::new(ProblemKind::MethodNotAllowed, detail)
        }
    }

    /// The one 404: unknown module, not installed, unknown model, unknown id and somebody else's id.
    pub fn not_found() -> Self {
        Self::new(ProblemKind::NotFound, "There is no such resource.")
    }

    /// The reply: `application/problem+json` with `traceId`.
    pub fn into_reply(self, base: &str, trace: &TraceId) -> Reply {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            r#type: String,
            title: &'static str,
            status: u16,
            detail: &'a str,
            code: String,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
            trace_id: &'a str,
        }
        let status = self.kind.status();
        let body = Body {
            r#type: format!("{base}{}", self.kind.name()),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.kind.code(),
            errors: &self.errors,
            trace_id: &trace.0,
        };
        let body = serde_json::to_vec(&body).expect("a problem is plain data");
        let mut reply = Reply::json(status, body);
        reply.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_seconds {
            reply = reply.with_header(header::RETRY_AFTER, &seconds.to_string());
        }
        if let Some(allow) = self.allow {
            reply = reply.with_header(header::ALLOW, allow);
        }
        if self.kind == ProblemKind::Unauthorized {
            reply = reply.with_header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
        }
        reply
    }
}
