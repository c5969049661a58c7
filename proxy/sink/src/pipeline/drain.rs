//! The end: nothing more is read, what is held is written.

use tokio::time::{Instant, sleep_until};

use super::{Error, Pipeline, start_write};
use crate::source::Source;

impl Pipeline {
    /// Writes all that is held, within the configured time, and commits it. What is not written by then is read
    /// again by whoever has the partition next.
    pub(super) async fn finish_all(mut self) -> Result<Source, Error> {
        let deadline = Instant::now() + self.drain;
        let all: Vec<_> = self.tracker.assigned().collect();
        self.parts.source.pause(&all)?;
        loop {
            self.take_rebalances()?;
            let now = Instant::now();
            for queue in self.queues.values_mut() {
                start_write(
                    queue,
                    now,
                    &self.parts.delivery,
                    &mut self.jobs,
                    &mut self.job_bytes,
                );
            }
            tokio::select! {
                job = self.jobs.join_next() => match job {
                    Some(job) => self.finish(job.map_err(Error::Job)?),
                    None => break,
                },
                () = sleep_until(deadline) => {
                    tracing::warn!(jobs = self.jobs.len(), "not everything was written in time");
                    break;
                }
            }
        }
        self.jobs.abort_all();
        let positions = self.tracker.positions();
        self.parts
            .watermark
            .positions
            .send_replace(positions.clone());
        self.parts.source.commit_now(positions).await;
        Ok(self.parts.source)
    }
}
