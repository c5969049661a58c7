//! A transaction that spans several round trips.

use std::sync::Arc;

use sql::Statement;
use tokio::sync::{mpsc, oneshot};

use super::{
    database::{Answer, as_read},
    error::DatabaseError,
    session::{Failure, Round, Then},
};

/// A transaction that is held open, with a connection for itself; made by [`Database::begin`](super::Database::begin).
///
/// Dropped before [`Self::commit`] it is rolled back. The first error rolls it back, too, and every later call is
/// [`DatabaseError::TransactionLost`]; so does a pause of more than
/// [`transaction_idle_max`](super::DatabaseConfig::transaction_idle_max) between two rounds, and dropping the future of
/// one. The connection serves others only after the server has said that it is outside of the transaction.
///
/// **Nobody but the caller can run it again**, since what a later round holds was made of what an earlier one answered:
/// after [`DatabaseError::Contention`], [`DatabaseError::StaleSchema`] or [`DatabaseError::TransactionLost`] nothing is
/// kept, and the whole of it may be begun anew.
///
/// While it is held, wait for no other connection of the same database: enough callers that do so wait for each other.
#[derive(Debug)]
pub struct Transaction {
    rounds: mpsc::Sender<Round>,
    /// Whether every round so far has had its answer.
    whole: bool,
}

impl Transaction {
    pub(super) fn new(rounds: mpsc::Sender<Round>) -> Self {
        Self {
            rounds,
            whole: true,
        }
    }

    /// Runs more statements, in one round trip.
    pub async fn run(
        &mut self,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        if !std::mem::replace(&mut self.whole, false) {
            return Err(DatabaseError::TransactionLost);
        }
        let answer = self.round(statements.into(), Then::Wait).await;
        self.whole = answer.is_ok();
        answer.map_err(|failure| match failure {
            Failure::Lost | Failure::NotSent => DatabaseError::TransactionLost,
            failure => as_read(failure),
        })
    }

    /// Runs the last statements, maybe none, and commits, in one round trip.
    ///
    /// [`DatabaseError::OutcomeUnknown`] when the connection is lost after it was sent; every other error means that
    /// nothing is kept.
    pub async fn commit(
        self,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, DatabaseError> {
        if !self.whole {
            return Err(DatabaseError::TransactionLost);
        }
        let answer = self.round(statements.into(), Then::Commit).await;
        answer.map_err(|failure| match failure {
            Failure::Lost => DatabaseError::OutcomeUnknown,
            Failure::NotSent => DatabaseError::TransactionLost,
            failure => as_read(failure),
        })
    }

    /// Undoes it, as dropping does. Returns at once.
    pub fn rollback(self) {}

    async fn round(&self, statements: Arc<[Statement]>, then: Then) -> Result<Answer, Failure> {
        let (reply, answer) = oneshot::channel();
        let round = Round {
            statements,
            then,
            reply,
        };
        // Nobody listens any more: the transaction is over.
        self.rounds
            .send(round)
            .await
            .map_err(|_| Failure::NotSent)?;
        answer.await.unwrap_or(Err(Failure::Lost))
    }
}
