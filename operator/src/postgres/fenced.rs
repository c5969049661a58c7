//! The transaction in which the operator changes a database.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::sync::OwnedMutexGuard;

use super::{Login, execute};
use crate::error::Error;
use sql::postgres::ddl::OWNER_ROLE;

/// Held by the session that changes a database; one number for all operators.
const LOCK_KEY: i64 = 0x7365_7074_656d_0001;
/// Which row of `platform.operator_epoch` is ours; there is one shard a database.
const SHARD: &str = "default";

/// Between two statements there is at most a call of ClickHouse or Connect (30 s).
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A statement that reads a whole table, or builds an index over it, ends by then: a table that takes longer needs its
/// index made by hand.
const SCAN_TIMEOUT: Duration = Duration::from_secs(3_600);

/// How long one statement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a lock: behind a statement that waits, every reader of the table waits too.
    pub lock: Duration,
    /// In all.
    pub statement: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(5),
            statement: Duration::from_secs(60),
        }
    }
}

/// An open transaction as the owner, alone in this database, and only while no newer operator has come.
///
/// It has a connection of its own: when it is dropped the connection closes, the server rolls back and the lock is
/// free, whatever the moment. After a commit the connection is kept for the next one, without the lock. The epoch's row is
/// held FOR SHARE until the end, so a successor waits for us, and calls of ClickHouse and Connect made meanwhile are
/// fenced too.
pub struct Fenced {
    conn: PgConnection,
    epoch: i64,
    timeouts: Timeouts,
    turn: Turn,
}

/// Our own reconciles queue for it, in order, instead of timing out on each other's lock. It holds the session of the
/// last one that committed: another login costs more than most transactions.
pub type Turn = OwnedMutexGuard<Option<PgConnection>>;

impl Fenced {
    /// Waits for the lock, at most `timeouts.lock`, and begins. `turn` is held until the end.
    pub async fn begin(
        login: &Login,
        epoch: i64,
        timeouts: Timeouts,
        mut turn: Turn,
    ) -> Result<Self, Error> {
        let set = |name: &str, value: Duration| format!("set {name} = {}", value.as_millis());
        let session = [
            set("lock_timeout", timeouts.lock),
            set("statement_timeout", timeouts.statement),
            // An operator that was frozen in mid-transaction loses it, and its successor goes on.
            set("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
            format!("set role {OWNER_ROLE}"),
        ];
        // A message of its own: in one with what follows, the limits would end with a transaction that is rolled back, and
        // not hold yet when the lock is waited for.
        let session = session.join("; ");
        let kept = match turn.take() {
            // What fails here is a session that the server has ended since.
            Some(mut kept) => execute(&mut kept, &session).await.is_ok().then_some(kept),
            None => None,
        };
        let mut conn = match kept {
            Some(conn) => conn,
            None => {
                let connected = login.connect().await;
                let mut conn = connected.map_err(Error::postgres("a connection"))?;
                execute(&mut conn, &session)
                    .await
                    .map_err(Error::postgres("a connection"))?;
                conn
            }
        };
        for statement in [
            format!("select pg_advisory_lock({LOCK_KEY})"),
            "begin".into(),
        ] {
            execute(&mut conn, &statement)
                .await
                .map_err(Error::postgres("the lock on this database"))?;
        }
        let mut fenced = Self {
            conn,
            epoch,
            timeouts,
            turn,
        };
        require_epoch(&mut fenced.conn, epoch).await?;
        Ok(fenced)
    }

    /// Commits and begins again under the same lock, for what must not share a transaction with what came before.
    pub async fn commit_and_begin(self) -> Result<Self, Error> {
        self.end_and_begin("commit").await
    }

    /// Gives up what was done, after an error of a statement too, and begins again under the same lock.
    pub async fn rollback_and_begin(self) -> Result<Self, Error> {
        self.end_and_begin("rollback").await
    }

    async fn end_and_begin(mut self, end: &str) -> Result<Self, Error> {
        for statement in [end, "begin"] {
            execute(&mut self.conn, statement)
                .await
                .map_err(Error::postgres("the commit"))?;
        }
        require_epoch(&mut self.conn, self.epoch).await?;
        Ok(self)
    }

    /// Lets the statements that follow read whole tables, or no longer.
    pub async fn allow_scans(&mut self, allowed: bool) -> Result<(), Error> {
        let limit = if allowed {
            SCAN_TIMEOUT.max(self.timeouts.statement)
        } else {
            self.timeouts.statement
        };
        let statement = format!("set local statement_timeout = {}", limit.as_millis());
        execute(&mut self.conn, &statement)
            .await
            .map_err(Error::postgres("a time limit"))
    }

    /// Runs a statement that no transaction may hold, such as CREATE INDEX CONCURRENTLY, and ends. The lock on the
    /// database is held throughout, and the epoch is ours before it and after it; a successor that comes meanwhile waits
    /// for the lock. It waits for other sessions without limit of its own: each of them may be an ordinary long
    /// transaction, and giving up would leave an invalid index.
    pub async fn run_outside(mut self, statement: &str, doing: &'static str) -> Result<(), Error> {
        let scan = SCAN_TIMEOUT.max(self.timeouts.statement);
        let prepare = [
            "commit".to_owned(),
            "set lock_timeout = 0".to_owned(),
            format!("set statement_timeout = {}", scan.as_millis()),
        ];
        for before in prepare {
            execute(&mut self.conn, &before)
                .await
                .map_err(Error::postgres("the commit"))?;
        }
        require_epoch(&mut self.conn, self.epoch).await?;
        execute(&mut self.conn, statement)
            .await
            .map_err(Error::postgres(doing))?;
        require_epoch(&mut self.conn, self.epoch).await?;
        let _ = self.conn.close().await;
        Ok(())
    }

    /// The connection inside the transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// Makes it so.
    pub async fn commit(mut self) -> Result<(), Error> {
        execute(&mut self.conn, "commit")
            .await
            .map_err(Error::postgres("the commit"))?;
        let unlock = format!("select pg_advisory_unlock({LOCK_KEY})");
        if execute(&mut self.conn, &unlock).await.is_ok() {
            *self.turn = Some(self.conn);
        }
        // Otherwise the lock goes with the session: what was committed stays.
        Ok(())
    }
}

/// Makes every older operator of this database stop: it takes the next epoch, after their open transactions.
pub(super) async fn claim_epoch(conn: &mut PgConnection) -> Result<i64, Error> {
    sqlx::query_scalar(
        "update platform.operator_epoch set epoch = epoch + 1 where shard = $1 returning epoch",
    )
    .bind(SHARD)
    .fetch_one(conn)
    .await
    .map_err(Error::postgres("the next epoch"))
}

/// Fails unless the epoch is ours. Inside a transaction the row is held until its end, so a successor waits.
pub(super) async fn require_epoch(conn: &mut PgConnection, epoch: i64) -> Result<(), Error> {
    let current: i64 =
        sqlx::query_scalar("select epoch from platform.operator_epoch where shard = $1 for share")
            .bind(SHARD)
            .fetch_one(conn)
            .await
            .map_err(Error::postgres("the operator's epoch"))?;
    if current == epoch {
        Ok(())
    } else {
        Err(Error::Superseded)
    }
}
