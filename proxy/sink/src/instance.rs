//! What a process tells the operator: that it is there, and the oldest revision of the catalogue that it still uses.

use std::time::Duration;

use model::{InUse, Revision};
use sqlx::PgPool;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// Between two signs of life: the operator takes an instance for gone that it has not seen for 30 s, so five may be
/// lost.
const BEAT: Duration = Duration::from_secs(5);
/// Between two looks at what is in use: as long may a change wait for a batch that has been written.
const IN_USE_INTERVAL: Duration = Duration::from_millis(200);
/// Between two attempts while PostgreSQL does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest that taking leave may take; the operator stops waiting by itself later.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Writes change events to ClickHouse.
    Sink,
    /// Tells modules of them.
    Hooks,
}

/// One process.
#[derive(Debug)]
pub struct Instance {
    name: String,
    work: Work,
    /// What was told last, and when; its lock keeps an older word from following a newer one.
    told: Mutex<Option<(Revision, Instant)>>,
}

impl Instance {
    /// This process: named by the host, which is the pod's name in Kubernetes, and a word of its own.
    pub fn of_process(work: Work) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "sink".into());
        Self {
            name: format!("{host}-{}", &Uuid::new_v4().simple().to_string()[..8]),
            work,
            told: Mutex::default(),
        }
    }

    /// Tells the oldest revision that something is still being done by. Before the first catalogue that is 0: a change
    /// is not carried out behind the back of a process that is just reading the state before it.
    pub async fn acknowledge(&self, pool: &PgPool, in_use: &InUse) -> Result<(), sqlx::Error> {
        let mut told = self.told.lock().await;
        let oldest = in_use.oldest().unwrap_or(Revision(0));
        sqlx::query("select platform.acknowledge_revision_of_sink($1, $2, $3)")
            .bind(&self.name)
            .bind(oldest.0)
            .bind(self.work == Work::Hooks)
            .execute(pool)
            .await?;
        *told = Some((oldest, Instant::now()));
        Ok(())
    }

    /// Tells it again for ever: when what was done by an older revision is over, and at every beat.
    pub async fn keep_acknowledging(&self, pool: &PgPool, in_use: &InUse) {
        loop {
            sleep(IN_USE_INTERVAL).await;
            let told = *self.told.lock().await;
            let oldest = in_use.oldest();
            let is_due = told.is_some_and(|(revision, at)| {
                oldest.is_some_and(|oldest| oldest != revision) || at.elapsed() >= BEAT
            });
            if is_due && self.acknowledge(pool, in_use).await.is_err() {
                // What follows the catalogue fails in the same way, and logs it.
                sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Takes leave, so that nobody waits for this process.
    pub async fn leave(&self, pool: &PgPool) {
        let leave = sqlx::query("select platform.forget_instance($1)")
            .bind(&self.name)
            .execute(pool);
        if !matches!(timeout(LEAVE_TIMEOUT, leave).await, Ok(Ok(_))) {
            tracing::warn!("the operator was not told of the end");
        }
    }
}
