//! One database: two lanes, and what is retried where.

use std::{sync::Arc, time::Duration};

use model::TenantId;
use sql::Statement;
use tokio::sync::oneshot;

use super::{
    config::DatabaseConfig,
    error::{ConnectError, DatabaseError},
    fence,
    frame::Row,
    lane::LaneHandle,
    session::{Chunk, Failure},
};

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

/// A database. Cheap to clone; make it inside the runtime that uses it, whose tasks keep the connections.
#[derive(Clone)]
pub struct Database {
    lanes: Arc<Lanes>,
}

struct Lanes {
    shared: LaneHandle,
    exclusive: LaneHandle,
}

impl Database {
    /// Connects and refuses a role that could see past the fence. Later losses of connection are healed in the
    /// background.
    pub async fn connect(config: DatabaseConfig) -> Result<Self, ConnectError> {
        let config = Arc::new(config);
        let shared =
            LaneHandle::start("shared", Arc::clone(&config), config.shared.clone(), false).await?;
        let exclusive = LaneHandle::start(
            "exclusive",
            Arc::clone(&config),
            config.exclusive.clone(),
            true,
        )
        .await?;
        let database = Self {
            lanes: Arc::new(Lanes { shared, exclusive }),
        };
        database.assert_fenced().await?;
        Ok(database)
    }

    /// Checks that the role sees no more than one tenant's rows: neither it nor a role that it is a member of is a
    /// superuser, bypasses or replicates past row-level security, owns tables, or reads everything.
    pub async fn assert_fenced(&self) -> Result<(), ConnectError> {
        let answer = self
            .run_once(Lane::Exclusive, "", "".into(), fence::statements().into())
            .await
            .map_err(|failure| ConnectError::Check(as_read(failure)))?;
        Ok(fence::judge(&answer)?)
    }

    /// Whether some connection of each lane serves.
    pub fn is_ready(&self) -> bool {
        self.lanes.shared.alive() > 0 && self.lanes.exclusive.alive() > 0
    }

    /// Runs statements that only read, as one transaction. Run again once when the connection is lost, and in the
    /// exclusive lane when too slow for the shared one. Dropping the future leaves the connection in step.
    pub async fn run_read(
        &self,
        scope: &Scope,
        lane: Lane,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        let statements = statements.into();
        let tenant = scope.tenant.to_string();
        let mut lane = lane;
        let mut lost = false;
        let mut runs = 0;
        loop {
            runs += 1;
            let result = self
                .run_once(
                    lane,
                    &tenant,
                    Arc::clone(&scope.user),
                    Arc::clone(&statements),
                )
                .await;
            match result {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lost) if !lost => lost = true,
                Err(failure) => match as_read(failure) {
                    DatabaseError::Timeout | DatabaseError::Locked if lane == Lane::Shared => {
                        lane = Lane::Exclusive
                    }
                    DatabaseError::Contention if runs < CONTENTION_RUNS => step_back(runs).await,
                    error => return Err(error),
                },
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
        let statements = statements.into();
        let tenant = scope.tenant.to_string();
        let mut runs = 0;
        loop {
            runs += 1;
            let result = self
                .run_once(
                    Lane::Exclusive,
                    &tenant,
                    Arc::clone(&scope.user),
                    Arc::clone(&statements),
                )
                .await;
            match result {
                Ok(answer) => return Ok(answer),
                Err(Failure::Lost) => return Err(DatabaseError::OutcomeUnknown),
                Err(failure) => match as_read(failure) {
                    DatabaseError::Contention if runs < CONTENTION_RUNS => step_back(runs).await,
                    error => return Err(error),
                },
            }
        }
    }

    async fn run_once(
        &self,
        lane: Lane,
        tenant: &str,
        user: Arc<str>,
        statements: Arc<[Statement]>,
    ) -> Result<Answer, Failure> {
        let lane = match lane {
            Lane::Shared => &self.lanes.shared,
            Lane::Exclusive => &self.lanes.exclusive,
        };
        let (reply, answer) = oneshot::channel();
        lane.push(Chunk {
            tenant: tenant.to_owned(),
            user,
            statements,
            expires: lane.expiry(),
            reply,
        });
        // A sender that is dropped without a word belonged to a task that was torn down with the chunk under way.
        answer.await.unwrap_or(Err(Failure::Lost))
    }
}

/// Lets the winner finish: whoever lost and came back at once could take a lock away under its eyes, and lose again.
async fn step_back(runs: u32) {
    let chance = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    tokio::time::sleep(Duration::from_micros(100) * (100 + chance) * runs).await;
}

fn as_read(failure: Failure) -> DatabaseError {
    match failure {
        Failure::NotSent | Failure::Lost => DatabaseError::Unavailable,
        Failure::TooLarge => DatabaseError::TooLarge,
        Failure::Refused(error) => error.into(),
    }
}
