//! Logs as JSON on standard output, and metrics with closed label sets.

pub mod metrics;

use std::{
    io::{self, BufWriter, Stdout, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

/// Lines of the log wait for each other up to this size: a hundred or more leave with one call of the system, and no thread
/// waits for another that is in one.
const LOG_BYTES_MAX: usize = 32 * 1024;
/// And so long at most, which is what a process that is killed loses of its log.
const LOG_DELAY_MAX: Duration = Duration::from_millis(50);

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let out = BufWriter::with_capacity(LOG_BYTES_MAX, io::stdout());
    Log(Mutex::new(out))
});

struct Log(Mutex<BufWriter<Stdout>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    /// A line is written as one, so that no other comes into it.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// `SEPTEM_LOG` is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("SEPTEM_LOG must be a log filter such as info or proxy=debug,info.")]
pub struct LogFilterError;

/// Starts logging; `SEPTEM_LOG` is an env-filter, `info` by default. Call once, and [`flush_logs`] at the end.
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
        .with_writer(|| &*LOG)
        .init();
    thread::spawn(|| {
        loop {
            thread::sleep(LOG_DELAY_MAX);
            flush_logs();
        }
    });
    Ok(())
}

/// Writes what waits to be written.
pub fn flush_logs() {
    // Nobody could be told that the log cannot be written.
    let _ = LOG.lock().flush();
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
