//! Logs as JSON on standard output, and metrics with closed label sets.

pub mod metrics;

use tracing_subscriber::EnvFilter;

/// `SEPTEM_LOG` is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("SEPTEM_LOG must be a log filter such as info or proxy=debug,info.")]
pub struct LogFilterError;

/// Starts logging; `SEPTEM_LOG` is an env-filter, `info` by default. Call once.
pub fn init_logs() -> Result<(), LogFilterError> {
    let filter = std::env::var("SEPTEM_LOG")
        .ok()
        .filter(|f| !f.is_empty())
        .unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(filter).map_err(|_| LogFilterError)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .init();
    Ok(())
}

/// An error with its causes, for one log field.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
