//! Waiting for something to become true, with a limit.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Between two looks. Short, since the time until something shows is what several tests are about.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until `look` finds something, for at most `limit`. An error of `look` counts as nothing found and is
/// told when the limit passes.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let from = Instant::now();
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut last = None;
    while from.elapsed() < limit {
        every.tick().await;
        match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => bail!(
            "{what}: not within {} s; last error: {error:#}",
            limit.as_secs()
        ),
        None => bail!("{what}: not within {} s", limit.as_secs()),
    }
}

/// Looks again and again for the whole of `length`; the first error ends it.
pub async fn throughout<F>(length: Duration, mut look: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let from = Instant::now();
    let mut every = tokio::time::interval(LOOK_EVERY * 10);
    while from.elapsed() < length {
        every.tick().await;
        look().await?;
    }
    Ok(())
}
