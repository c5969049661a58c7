//! Spans of traces: their names and attributes, after OpenTelemetry's semantic conventions where those have one.
//!
//! None holds a value of a tenant's, the text of a statement, an error's message or a secret: what failed is told by the
//! reason that the conditions tell, too.

use std::{fmt::Debug, future::Future};

use kube::core::ObjectMeta;
use opentelemetry::trace::TraceContextExt as _;
use tracing::{
    Instrument as _, Span,
    field::{self, Empty},
    info_span,
};
use url::Url;

use crate::metrics::{Kind, Outcome};
use crds::Reason;

/// Target of the spans that are traces, and of nothing else.
pub const TARGET: &str = "septem_trace";

/// One reconcile, the root of its trace.
pub fn reconcile(kind: Kind, object: &ObjectMeta) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "reconcile",
        "otel.name" = format!("reconcile {kind:?}"),
        "k8s.namespace.name" = object.namespace.as_deref(),
        "k8s.object.kind" = ?kind,
        "k8s.object.name" = object.name.as_deref(),
        "k8s.object.uid" = object.uid.as_deref(),
        "septem.generation" = object.generation,
        "septem.outcome" = Empty,
        "septem.reason" = Empty,
        "error.type" = Empty,
        "otel.status_code" = Empty,
    )
}

/// What the reconcile, whose span is the current one, came to; `reason` is that of `Ready`.
pub fn came_to(outcome: Outcome, reason: Option<Reason>) {
    let span = Span::current();
    span.record("septem.outcome", field::debug(outcome));
    if let Some(reason) = reason {
        span.record("septem.reason", reason.as_str());
    }
}

/// Says which step it is that the current span is about.
pub fn step(name: &'static str) {
    Span::current().record("septem.step", name);
    // The name of a span that has begun is not among its fields.
    let context = opentelemetry::Context::current();
    if context.has_active_span() {
        context.span().update_name(format!("apply {name}"));
    }
}

/// Notes that what the span is about has failed.
pub fn failed(span: &Span, reason: Reason) {
    span.record("error.type", reason.as_str());
    span.record("otel.status_code", "ERROR");
}

/// A statement to a database. Of its text only the first word is told.
pub fn statement(system: &'static str, text: &str, server: Option<&Url>) -> Span {
    info_span!(
        target: TARGET,
        "statement",
        "otel.name" = format!("{} {system}", operation(text)),
        "otel.kind" = "client",
        "db.system.name" = system,
        "db.operation.name" = operation(text),
        "server.address" = server.and_then(Url::host_str),
        "server.port" = server.and_then(Url::port_or_known_default),
        "otel.status_code" = Empty,
    )
}

/// A statement to PostgreSQL.
pub fn postgres(text: &str) -> Span {
    statement("postgresql", text, None)
}

/// A call of Kafka Connect.
pub fn call(method: &reqwest::Method, server: &Url) -> Span {
    info_span!(
        target: TARGET,
        "call",
        "otel.name" = format!("{method} connect"),
        "otel.kind" = "client",
        "http.request.method" = method.as_str(),
        "http.response.status_code" = Empty,
        "server.address" = server.host_str(),
        "server.port" = server.port_or_known_default(),
        "otel.status_code" = Empty,
    )
}

/// Does the work within the span, and notes there whether it failed.
pub async fn within<T, E: Debug>(
    span: Span,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let ended = work.instrument(span.clone()).await;
    if ended.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    ended
}

/// The first word of a statement, in capital letters.
fn operation(statement: &str) -> String {
    let word = statement.split_ascii_whitespace().next();
    word.unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_statement_its_first_word_is_told() {
        assert_eq!(operation("  alter table crm.deals add x text"), "ALTER");
        assert_eq!(operation("\nselect 'canary'"), "SELECT");
        assert_eq!(operation(""), "");
    }
}
