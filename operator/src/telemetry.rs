//! Logs: one JSON object a line on stdout.

use tracing_subscriber::EnvFilter;

/// Starts logging with a filter such as `info` or `operator=debug,info`.
pub fn init(filter: &str) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(EnvFilter::try_new(filter)?)
        .init();
    Ok(())
}

/// An error with everything that caused it, for the one place where it is logged.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
