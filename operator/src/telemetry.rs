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
