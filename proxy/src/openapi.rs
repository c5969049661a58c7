//! `GET /v1/openapi.json`: OpenAPI 3.1 of what this tenant has and this caller may do, and nothing else.
//!
//! A document follows from the catalogue's revision and from the shape of what the caller may do, never from who
//! asks: callers with the same shape share one, and its text is the same however often it is built.

mod access;
mod bodies;
pub mod docs;
mod document;
mod example;
mod parameters;
mod paths;
mod prefer;
mod record;
mod responses;
mod schemas;
mod store;
mod values;

use std::sync::Arc;

use http::{Method, StatusCode, header};

pub use store::{Documents, STORED_BYTES_MAX};

use crate::{
    caller::Caller,
    data::{accept::require_json_answer, etag::is_none_match},
    exchange::{Reply, Request},
    problem::{Problem, ProblemKind},
    query::no_parameters,
};

/// Largest document that is sent: the limit of every answer (API.md, "Defaults and ceilings").
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// `GET openapi.json`.
pub async fn handle(
    documents: &Arc<Documents>,
    caller: &Caller,
    request: &Request,
) -> Result<Reply, Problem> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    no_parameters(&request.query)?;
    require_json_answer(&request.headers)?;
    let stored = documents.of(caller).await?;
    if stored.text.len() > DOCUMENT_BYTES_MAX {
        return Err(Problem::new(
            ProblemKind::TooLarge,
            "The description of this many models has more than 32 MiB. GET /v1/schema describes them one by one.",
        ));
    }
    let reply = if is_none_match(&request.headers, &stored.tag) {
        Reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        Reply::json(StatusCode::OK, stored.text.clone())
    };
    Ok(reply
        .with_header(header::ETAG, &stored.tag)
        .with_header(header::CACHE_CONTROL, "private, no-cache")
        .with_header(header::VARY, "Authorization"))
}

/// The schema of a body as the document gives it, by itself, for the tests of the parser.
#[cfg(test)]
pub(crate) fn body_schema(model: &model::ModuleModel, body: Body) -> serde_json::Value {
    let of_model = record::bodies(&access::Reach::of_test(model));
    let key = format!("{}.{}", record::key(model), body.name());
    let mut all = schemas::shared();
    all.extend(bodies::local_references());
    all.extend(of_model);
    serde_json::json!({"$ref": format!("#/components/schemas/{key}"), "components": {"schemas": all}})
}

/// The body of a creation as the document describes it.
#[cfg(test)]
pub(crate) fn create_body(model: &model::ModuleModel) -> serde_json::Value {
    bodies::create(&access::Reach::of_test(model))
}

/// A body that has a schema.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// Of a new record.
    Create,
    /// Of a change of one record.
    Change,
    /// Of one entry of a change of many.
    ChangeById,
    /// Of a change of all records of a filter.
    ChangeOfFilter,
    /// Of one operation of a batch.
    Operation,
}

#[cfg(test)]
impl Body {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::ChangeById => "change-by-id",
            Self::ChangeOfFilter => "change-of-filter",
            Self::Operation => "operation",
        }
    }
}

#[cfg(test)]
mod tests;
