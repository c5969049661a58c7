//! Logs, one JSON object a line on stdout, and traces.

mod log;
pub mod spans;
mod traces;

use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

pub use spans::TARGET;
use traces::Traces;
pub use traces::TracesError;

/// What has to be ended with the process.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
}

/// Starts logging with a filter such as `info` or `operator=debug,info`, and traces where OpenTelemetry's variables name an
/// endpoint. Within a runtime, with a provider of TLS installed.
pub fn init(filter: &str) -> anyhow::Result<Telemetry> {
    let traces = Traces::start(|name| std::env::var(name).ok())?;
    // Our spans are of traces: no line of the log lists them, and without traces they cost nothing.
    let filter = EnvFilter::try_new(filter)?.add_directive(format!("{TARGET}=off").parse()?);
    match &traces {
        None => tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_env_filter(filter)
            .init(),
        Some(traces) => {
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .map_event_format(log::WithTraceId);
            tracing_subscriber::registry()
                .with(traces.layer())
                .with(lines.with_filter(filter))
                .init();
        }
    }
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends the spans that are still here, for 5 s at most.
    pub async fn end(self) {
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

/// An error with everything that caused it, for the one place where it is logged. What an error already repeats of its
/// cause is said once; an error of PostgreSQL is its message, without the line of the server's own source code.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let sent = cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error);
        let said = sent.map_or_else(|| cause.to_string(), |e| e.message().to_owned());
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source().filter(|_| sent.is_none());
    }
    text
}
