//! What one request does to the database: one transaction, however many steps it takes.

use std::sync::Arc;

use sql::Statement;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    Data, Failure,
    idempotency::{self, Kept, Keyed, NoPlace, Place},
    prefer::Preferences,
};
use crate::{
    caller::Caller,
    exchange::{Reply, Request},
    postgres::{Answer, Database, DatabaseError, Lane, RowStream, Scope, Transaction},
    problem::{Problem, ProblemKind},
};

/// The request's way to the database.
///
/// Without an `Idempotency-Key` a write is one round trip that commits. With one, the first step claims the key, and
/// [`Self::finish`] keeps the answer and commits: two round trips. In between the transaction is held open.
pub(super) struct Session<'a> {
    data: &'a Data,
    scope: Scope,
    keyed: Option<Keyed>,
    /// Everything is undone at the end. Nothing is kept for a key then, since nothing was done.
    dry_run: bool,
    /// When a second request with the same key has waited long enough.
    deadline: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The key's place in this process; kept until the request is over.
    place: Option<Place>,
    open: Option<Transaction>,
    /// The claimed transaction has failed: what is read now only explains why.
    failed: bool,
}

/// Why a step has no answer.
pub(super) enum Stopped {
    /// The database.
    Database(DatabaseError),
    /// The request is answered.
    Replay(Reply),
    /// Decided here.
    Problem(Problem),
}

impl From<DatabaseError> for Stopped {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Stopped {
    /// As the request's failure; `refusal` says what an error of the database is to the client.
    pub fn into_failure(self, refusal: impl FnOnce(DatabaseError) -> Problem) -> Failure {
        match self {
            Self::Database(error @ DatabaseError::StaleSchema(_)) => Failure::Stale(error),
            Self::Database(error) => Failure::Problem(refusal(error)),
            Self::Replay(reply) => Failure::Replay(reply),
            Self::Problem(problem) => Failure::Problem(problem),
        }
    }
}

impl<'a> Session<'a> {
    /// A session that has not begun. 400 when the key is not one.
    pub fn new(data: &'a Data, caller: &Caller, request: &Request) -> Result<Self, Problem> {
        let keyed = idempotency::parse(caller, request)?;
        // What is wrong with the preferences is told by who reads them all.
        let preferences = Preferences::parse(&request.headers);
        let dry_run = preferences.is_ok_and(|p| p.is_dry_run());
        Ok(Self {
            data,
            dry_run,
            scope: Scope {
                tenant: caller.tenant.id,
                user: Arc::clone(&caller.user),
            },
            keyed: keyed.filter(|_| !dry_run),
            deadline: Instant::now() + idempotency::WAIT_MAX,
            state: Mutex::default(),
        })
    }

    /// Runs statements that only read. Of a write with a key they are a part of its transaction: even an answer that
    /// wrote nothing is given again.
    pub async fn read(
        &self,
        lane: Lane,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, Stopped> {
        if self.keyed.is_some() && !self.state.lock().await.failed {
            return self.step(statements.into().to_vec()).await;
        }
        let database = self.database();
        Ok(database.run_read(&self.scope, lane, statements).await?)
    }

    /// Runs a statement that only reads and may have any number of rows, beside every transaction.
    pub async fn stream(&self, statement: &Statement) -> Result<RowStream, Stopped> {
        Ok(self.database().stream(&self.scope, statement).await?)
    }

    /// Runs statements that write, committed with them unless there is a key.
    pub async fn write(&self, statements: Vec<Statement>) -> Result<Answer, Stopped> {
        if self.keyed.is_some() {
            return self.step(statements).await;
        }
        let database = self.database();
        Ok(match self.dry_run {
            true => database.run_rolled_back(&self.scope, statements).await?,
            false => database.run_write(&self.scope, statements).await?,
        })
    }

    /// Runs statements as the next step of a transaction that [`Self::finish`] ends. An error has ended it already.
    pub async fn step(&self, mut statements: Vec<Statement>) -> Result<Answer, Stopped> {
        let mut state = self.state.lock().await;
        if let Some(mut open) = state.open.take() {
            let answer = open.run(statements).await;
            match &answer {
                Ok(_) => state.open = Some(open),
                Err(_) => state.failed = true,
            }
            return Ok(answer?);
        }
        let result = match &self.keyed {
            None => self
                .database()
                .begin(&self.scope, statements)
                .await
                .map_err(Stopped::from),
            Some(keyed) => {
                let mut all = keyed.claim();
                let claims = all.len();
                all.append(&mut statements);
                let claimed = self.claim(keyed, all, &mut state).await;
                claimed.map(|(open, mut answer)| {
                    answer.drain(..claims);
                    (open, answer)
                })
            }
        };
        match result {
            Ok((open, answer)) => {
                state.open = Some(open);
                state.failed = false;
                Ok(answer)
            }
            Err(stopped) => {
                state.failed = true;
                Err(stopped)
            }
        }
    }

    /// Answers from what is kept, if the write was carried out before: for who is about to do more than write, such as
    /// to ask somebody else. Who comes second has waited for the first by then.
    pub async fn replay(&self) -> Result<(), Stopped> {
        let Some(keyed) = &self.keyed else {
            return Ok(());
        };
        let mut state = self.state.lock().await;
        if state.open.is_none() {
            self.take_place(keyed, &mut state).await?;
            self.look_up(keyed).await?;
        }
        Ok(())
    }

    /// Whether what is written is committed by [`Self::finish`] only.
    pub fn is_held(&self) -> bool {
        self.keyed.is_some()
    }

    /// Undoes what the open transaction has done, so that it may be done another way.
    pub async fn undo(&self) {
        if let Some(open) = self.state.lock().await.open.take() {
            open.rollback();
        }
    }

    /// Ends the open transaction with the reply: kept and committed when it is a success, undone when it is not.
    pub async fn finish(&self, reply: Reply) -> Result<Reply, Stopped> {
        if !reply.status.is_success() {
            self.undo().await;
            return Ok(reply);
        }
        if self.keyed.is_some() && self.state.lock().await.open.is_none() {
            // Nothing was asked of the database; the key is taken all the same.
            self.step(Vec::new()).await?;
        }
        let Some(open) = self.state.lock().await.open.take() else {
            return Ok(reply);
        };
        if self.dry_run {
            open.rollback();
            return Ok(reply);
        }
        let last = match &self.keyed {
            Some(keyed) => vec![idempotency::encode(&keyed.name, &reply)?],
            None => Vec::new(),
        };
        open.commit(last).await?;
        Ok(reply)
    }

    fn database(&self) -> &Database {
        &self.data.database
    }

    /// Begins with the claim; answers from what is kept where another was first.
    async fn claim(
        &self,
        keyed: &Keyed,
        statements: Vec<Statement>,
        state: &mut State,
    ) -> Result<(Transaction, Answer), Stopped> {
        let statements: Arc<[Statement]> = statements.into();
        if self.take_place(keyed, state).await? {
            self.look_up(keyed).await?;
        }
        loop {
            let begun = self.database().begin(&self.scope, Arc::clone(&statements));
            match begun.await {
                Ok(begun) => return Ok(begun),
                Err(DatabaseError::NothingWritten) => self.look_up(keyed).await?,
                // By the claim of another process, or by a row of the write itself: both may be free in a moment.
                Err(DatabaseError::Locked) if Instant::now() < self.deadline => {
                    sleep(idempotency::CLAIM_INTERVAL).await;
                    self.look_up(keyed).await?;
                }
                Err(DatabaseError::Locked) => return Err(still_running().into()),
                Err(error) => return Err(error.into()),
            }
            if Instant::now() > self.deadline {
                return Err(still_running().into());
            }
        }
    }

    /// Waits for who works on the key in this process; whether there was somebody.
    async fn take_place(&self, keyed: &Keyed, state: &mut State) -> Result<bool, Problem> {
        if state.place.is_some() {
            return Ok(false);
        }
        let place = self.data.flights.enter(&keyed.name, self.deadline).await;
        let place = place.map_err(|why| match why {
            NoPlace::Running => still_running(),
            NoPlace::Full => Problem::new(
                ProblemKind::Unavailable,
                "Too many writes with an Idempotency-Key are under way. Try again.",
            ),
        })?;
        let waited = place.waited;
        state.place = Some(place);
        Ok(waited)
    }

    /// Stops with what is kept for the key.
    async fn look_up(&self, keyed: &Keyed) -> Result<(), Stopped> {
        let statements = [sql::postgres::idempotency::look_up(&keyed.name.as_key())];
        // Exclusive: what was just written is to be seen, whatever serves the shared lane one day.
        let answer = self
            .database()
            .run_read(&self.scope, Lane::Exclusive, statements)
            .await?;
        let Some(row) = answer.first().and_then(|rows| rows.first()) else {
            return Ok(());
        };
        let Some(kept) = Kept::read(keyed, row) else {
            tracing::error!("a kept answer cannot be read");
            let detail = "The first answer to this Idempotency-Key cannot be read.";
            return Err(Problem::new(ProblemKind::Internal, detail).into());
        };
        Err(Stopped::Replay(kept.into_reply()?))
    }
}

/// 409: the first with this key has not come to its end.
fn still_running() -> Problem {
    Problem {
        retry_after_seconds: Some(1),
        ..Problem::new(
            ProblemKind::Conflict,
            "A request with this Idempotency-Key, or one for the same record, is still running. Try again.",
        )
    }
}
