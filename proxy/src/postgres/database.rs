//! One database: two lanes and streams, and what is retried where.

use std::{sync::Arc, time::Duration};

use model::TenantId;
use sql::Statement;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    config::{DatabaseConfig, LaneConfig},
    error::{ConnectError, DatabaseError},
    fence,
    frame::Row,
    lane::LaneHandle,
    rows::{RowStream, Streams},
    session::{Chunk, End, Failure},
    slow::Slow,
    startup::Purpose,
    transaction::Transaction,
};
use crate::per_runtime::PerRuntime;

/// How often a chunk that lost against another is run in all: once and two reruns.
const CONTENTION_RUNS: u32 = 3;

/// On whose behalf a chunk runs: what the settings `app.tenant_id` and `app.user_id` say while it does.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: Arc<str>,
}

/// Which connections a read takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// An index serves it: over a shared connection, and over an exclusive one if it is slow after all.
    Shared,
    /// Anything else.
    Exclusive,
}

/// Rows of each statement, in order.
pub type Answer = Vec<Vec<Row>>;

/// A database. Cheap to clone; make it inside a runtime that lives as long as it does: its tasks keep the exclusive
/// connections. Each runtime that reads has shared connections of its own.
#[derive(Clone)]
pub struct Database {
    lanes: Arc<Lanes>,
}

struct Lanes {
    config: Arc<DatabaseConfig>,
    shared: PerRuntime<LaneHandle>,
    slow: Slow,
    exclusive: LaneHandle,
    streams: Streams,
}

impl Database {
    /// Connects and refuses a role that could see past the fence. Later losses of connection are healed in the
    /// background.
    pub async fn connect(config: DatabaseConfig) -> Result<Self, ConnectError> {
        let config = Arc::new(config);
        let exclusive = LaneHandle::start(
            "exclusive",
            Arc::clone(&config),
            LaneConfig {
                // What makes it exclusive: a transaction that is held open has its connection for itself.
                depth: 1,
                ..config.exclusive.clone()
            },
            Purpose::Write,
        )
        .await?;
        let database = Self {
            lanes: Arc::new(Lanes {
                shared: PerRuntime::default(),
                slow: Slow::default(),
                exclusive,
                streams: Streams::new(Arc::clone(&config)),
                config,
            }),
        };
        database.assert_fenced().await?;
        Ok(database)
    }

    /// Checks that the role sees no more than one tenant's rows: neither it nor a role that it is a member of is a
    /// superuser, bypasses or replicates past row-level security, owns tables, or reads everything.
    pub async fn assert_fenced(&self) -> Result<(), ConnectError> {
        let nobody = Work {
            tenant: String::new(),
            user: "".into(),
            statements: fence::statements().into(),
            runs: 0,
            lost: false,
        };
        let answer = self
            .run_once(Lane::Exclusive, &nobody, End::Sync)
            .await
            .map_err(|failure| ConnectError::Check(as_read(failure)))?;
        Ok(fence::judge(&answer)?)
    }

    /// Whether some connection of each lane serves.
    pub fn is_ready(&self) -> bool {
        let mut shared = self.lanes.shared.all();
        self.lanes.exclusive.alive() > 0 && shared.all(|lane| lane.alive() > 0)
    }

    /// Runs statements that only read, as one transaction. Run again once when the connection is lost, and in the
    /// exclusive lane when too slow for the shared one, as are statements of the same text for a minute. Dropping the future leaves the connection in step.
    pub async fn run_read(
        &self,
        scope: &Scope,
        lane: Lane,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        let mut work = Work::new(scope, statements);
        let (mut lane, slow) = (lane, &self.lanes.slow);
        if lane == Lane::Shared && slow.has_any(&work.statements, Instant::now()) {
            lane = Lane::Exclusive;
        }
        loop {
            match work
                .judge(self.run_once(lane, &work, End::Sync).await)
                .await
            {
                Outcome::Done(answer) => return Ok(answer),
                Outcome::Again => {}
                Outcome::Failed(error @ (DatabaseError::Timeout | DatabaseError::Locked))
                    if lane == Lane::Shared =>
                {
                    // Of a lock a statement cannot help it.
                    if error == DatabaseError::Timeout {
                        slow.remember(&work.statements, Instant::now());
                    }
                    lane = Lane::Exclusive;
                }
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    /// Runs statements that write, as one transaction, over an exclusive connection. Run again only where the
    /// server says that it has rolled back because of others.
    pub async fn run_write(
        &self,
        scope: &Scope,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        let mut work = Work::new(scope, statements);
        loop {
            let result = self.run_once(Lane::Exclusive, &work, End::Sync).await;
            if matches!(result, Err(Failure::Lost)) {
                return Err(DatabaseError::OutcomeUnknown);
            }
            match work.judge(result).await {
                Outcome::Done(answer) => return Ok(answer),
                Outcome::Again => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    /// Runs statements that write, answers as [`Self::run_write`] would and keeps nothing: one transaction that ends in
    /// ROLLBACK, in one round trip. Sequences go on, and locks are taken and waited for.
    pub async fn run_rolled_back(
        &self,
        scope: &Scope,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        let mut work = Work::new(scope, statements);
        loop {
            let result = self.run_once(Lane::Exclusive, &work, End::Rollback).await;
            match work.judge(result).await {
                Outcome::Done(answer) => return Ok(answer),
                Outcome::Again => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    /// Runs statements as the first round of a transaction that is held open on an exclusive connection.
    ///
    /// This round is run again where others were in its way or the connection was lost, since nothing else depends on it
    /// yet. From then on only the caller can begin again: see [`Transaction`].
    pub async fn begin(
        &self,
        scope: &Scope,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<(Transaction, Answer), DatabaseError> {
        let mut work = Work::new(scope, statements);
        loop {
            let (rounds, way) = mpsc::channel(1);
            let result = self.run_once(Lane::Exclusive, &work, End::Held(way)).await;
            match work.judge(result).await {
                Outcome::Done(answer) => return Ok((Transaction::new(rounds), answer)),
                Outcome::Again => {}
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    /// Runs a statement that only reads and hands over its rows as they come, over a connection of its own: in constant
    /// memory, under one snapshot, for at most `streams.deadline`.
    ///
    /// [`DatabaseError::TooManyStreams`] when the tenant has as many under way as it may, and
    /// [`DatabaseError::Unavailable`] when all tenants together have; neither waits.
    pub async fn stream(
        &self,
        scope: &Scope,
        statement: &Statement,
    ) -> Result<RowStream, DatabaseError> {
        self.lanes.streams.start(scope, statement).await
    }

    /// The shared lane of this runtime.
    fn shared(&self) -> Arc<LaneHandle> {
        let config = &self.lanes.config;
        self.lanes.shared.get(|| {
            let (database, lane) = (Arc::clone(config), config.shared.clone());
            LaneHandle::spawn("shared", database, lane, Purpose::Read, None)
        })
    }

    async fn run_once(&self, lane: Lane, work: &Work, end: End) -> Result<Answer, Failure> {
        let here;
        let lane = match lane {
            Lane::Shared => {
                here = self.shared();
                &here
            }
            Lane::Exclusive => &self.lanes.exclusive,
        };
        let (reply, answer) = oneshot::channel();
        lane.push(Chunk {
            end,
            tenant: work.tenant.clone(),
            user: Arc::clone(&work.user),
            statements: Arc::clone(&work.statements),
            expires: lane.expiry(),
            reply,
        });
        // A sender that is dropped without a word belonged to a task that was torn down with the chunk under way.
        answer.await.unwrap_or(Err(Failure::Lost))
    }
}

/// Statements for somebody, and how often they have been run.
struct Work {
    tenant: String,
    user: Arc<str>,
    statements: Arc<[Statement]>,
    runs: u32,
    lost: bool,
}

/// What to do after a run.
enum Outcome {
    Done(Answer),
    Again,
    Failed(DatabaseError),
}

impl Work {
    fn new(scope: &Scope, statements: impl Into<Arc<[Statement]>>) -> Self {
        Self {
            tenant: scope.tenant.to_string(),
            user: Arc::clone(&scope.user),
            statements: statements.into(),
            runs: 0,
            lost: false,
        }
    }

    /// Judges a run of which nothing is kept when its connection is lost: that is worth one more, and a lost race
    /// several.
    async fn judge(&mut self, result: Result<Answer, Failure>) -> Outcome {
        self.runs += 1;
        match result {
            Ok(answer) => Outcome::Done(answer),
            Err(Failure::Lost) if !self.lost => {
                self.lost = true;
                Outcome::Again
            }
            Err(failure) => match as_read(failure) {
                DatabaseError::Contention if self.runs < CONTENTION_RUNS => {
                    step_back(self.runs).await;
                    Outcome::Again
                }
                error => Outcome::Failed(error),
            },
        }
    }
}

/// Lets the winner finish: whoever lost and came back at once could take a lock away under its eyes, and lose again.
async fn step_back(runs: u32) {
    let chance = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    tokio::time::sleep(Duration::from_micros(100) * (100 + chance) * runs).await;
}

pub(super) fn as_read(failure: Failure) -> DatabaseError {
    match failure {
        Failure::NotSent | Failure::Lost => DatabaseError::Unavailable,
        Failure::TooLarge => DatabaseError::TooLarge,
        Failure::Refused(error) => error.into(),
    }
}
