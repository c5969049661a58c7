//! Lines of the log that name the trace they belong to.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// JSON with `trace_id` at its end, where the trace is sampled.
pub(super) struct WithTraceId<Json>(pub Json);

impl<S, N, Json> FormatEvent<S, N> for WithTraceId<Json>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Json: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Not by way of `context`: this layer does not see spans of traces.
        let current = opentelemetry::Context::current();
        let span = current.span().span_context().clone();
        if !span.is_sampled() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => writeln!(writer, r#"{open},"trace_id":"{}"}}"#, span.trace_id()),
            None => writer.write_str(&line),
        }
    }
}
