//! Rows of one statement, however many there are, in constant memory.
//!
//! Each stream has a connection of its own: Execute with a row limit and Flush, and the next Execute when the server
//! has suspended the portal. It never syncs, so the whole of it is one implicit transaction, under one snapshot and the
//! tenant's setting; at its end the connection is closed, so nothing of it can meet anybody else. A slow reader holds
//! back the server through the socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::BytesMut;
use model::TenantId;
use postgres_protocol::message::frontend;
use sql::Statement;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    config::{DatabaseConfig, LaneConfig},
    database::Scope,
    error::DatabaseError,
    frame::{self, Frame, Row, ServerError},
    session::{bind, bind_and_execute},
    startup::{self, Opened, Purpose, SCOPE_STATEMENT},
    stream::Stream,
};
use crate::telemetry::chain_of;

/// Rows of one Execute: enough to make its cost vanish beside theirs.
const EXECUTE_ROWS: i32 = 1000;
/// Rows are handed over when they are this many bytes, even in the middle of an Execute.
const BATCH_BYTES: usize = 64 * 1024;
/// Room for one read.
const READ_BYTES: usize = 32 * 1024;

/// Who may stream, and the bounds of it.
pub(super) struct Streams {
    database: Arc<DatabaseConfig>,
    permits: Arc<Semaphore>,
    by_tenant: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// Rows of one statement, batch by batch. Dropped before its end it closes the connection, and the server notices that
/// within `client_connection_check_interval`, whatever it is doing.
pub struct RowStream {
    connection: Option<Connection>,
    deadline: Instant,
    _share: Share,
}

struct Connection {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
    /// Rows that have come and are not handed over yet.
    rows: Vec<Row>,
    bytes: usize,
    progress: Progress,
}

/// What the server's next frames belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Scope,
    Rows,
    Done,
}

/// One of the tenant's streams, and one of all. Given back when dropped.
struct Share {
    tenant: TenantId,
    by_tenant: Arc<Mutex<HashMap<TenantId, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    pub fn new(database: Arc<DatabaseConfig>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(database.streams.connections)),
            by_tenant: Arc::default(),
            database,
        }
    }

    /// Starts a statement. Returns when its first rows are there, or it is at its end, or `first_rows_wait` has passed;
    /// an error that comes later is one of [`RowStream::next`].
    pub async fn start(
        &self,
        scope: &Scope,
        statement: &Statement,
    ) -> Result<RowStream, DatabaseError> {
        let share = self.share(scope.tenant)?;
        let bounds = &self.database.streams;
        // Reads of this connection only: its one statement may take as long as the stream.
        let lane = LaneConfig {
            statement_timeout: bounds.deadline,
            ..self.database.exclusive.clone()
        };
        let deadline = Instant::now() + bounds.deadline;
        let opened = startup::open(&self.database, &lane, Purpose::Stream).await;
        let opened = opened.map_err(|error| {
            tracing::warn!(error = chain_of(&error), "no connection for a stream");
            DatabaseError::Unavailable
        })?;
        let mut connection = Connection::new(opened, scope, statement)?;
        let first = Instant::now() + bounds.first_rows_wait;
        // Too slow is not wrong: the reply begins without rows.
        if let Ok(fetched) = timeout_at(first, connection.fetch()).await {
            fetched?;
        }
        Ok(RowStream {
            connection: Some(connection),
            deadline,
            _share: share,
        })
    }

    fn share(&self, tenant: TenantId) -> Result<Share, DatabaseError> {
        let mut by_tenant = self.by_tenant.lock().expect("nothing panics with the lock");
        let taken = by_tenant.get(&tenant).copied().unwrap_or(0);
        if taken >= self.database.streams.per_tenant {
            return Err(DatabaseError::TooManyStreams);
        }
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| DatabaseError::Unavailable)?;
        by_tenant.insert(tenant, taken + 1);
        Ok(Share {
            tenant,
            by_tenant: Arc::clone(&self.by_tenant),
            _permit: permit,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut by_tenant = self.by_tenant.lock().expect("nothing panics with the lock");
        if let Some(taken) = by_tenant.get_mut(&self.tenant) {
            *taken -= 1;
            if *taken == 0 {
                by_tenant.remove(&self.tenant);
            }
        }
    }
}

impl RowStream {
    /// The next rows, never none of them; `None` after the last. An error is the last thing that comes.
    pub async fn next(&mut self) -> Option<Result<Vec<Row>, DatabaseError>> {
        let connection = self.connection.as_mut()?;
        let fetched = timeout_at(self.deadline, connection.fetch()).await;
        match fetched.unwrap_or(Err(DatabaseError::Timeout)) {
            Ok(()) if !connection.rows.is_empty() => {
                connection.bytes = 0;
                Some(Ok(std::mem::take(&mut connection.rows)))
            }
            Ok(()) => {
                self.connection = None;
                None
            }
            Err(error) => {
                self.connection = None;
                Some(Err(error))
            }
        }
    }
}

impl Connection {
    fn new(opened: Opened, scope: &Scope, statement: &Statement) -> Result<Self, DatabaseError> {
        let Opened { stream, input } = opened;
        let mut output = BytesMut::new();
        let tenant = scope.tenant.to_string();
        let settings = [Some(tenant.as_str()), Some(&*scope.user)];
        let binds = statement.binds.iter().map(|b| b.as_deref());
        bind_and_execute(SCOPE_STATEMENT, settings.into_iter(), &mut output)
            .and_then(|()| frontend::parse("", &statement.text, [], &mut output))
            .and_then(|()| bind("", binds, &mut output))
            .and_then(|()| execute_some(&mut output))
            .map_err(|_| DatabaseError::TooLarge)?;
        Ok(Self {
            stream,
            input,
            output,
            rows: Vec::new(),
            bytes: 0,
            progress: Progress::Scope,
        })
    }

    /// Reads until there are rows worth handing over, or no more. Dropped midway it has lost nothing.
    async fn fetch(&mut self) -> Result<(), DatabaseError> {
        loop {
            while self.bytes < BATCH_BYTES {
                let frame = match frame::take(&mut self.input) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => return Err(broken(&error)),
                };
                self.handle(frame)?;
            }
            if !self.output.is_empty() {
                self.send().await.map_err(|error| broken(&error))?;
            }
            if self.bytes >= BATCH_BYTES || self.progress == Progress::Done {
                return Ok(());
            }
            // Otherwise a full buffer would be read into in steps of 64 bytes.
            if self.input.capacity() - self.input.len() < READ_BYTES / 2 {
                self.input.reserve(READ_BYTES);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => {
                    return Err(broken(&std::io::Error::from(
                        std::io::ErrorKind::UnexpectedEof,
                    )));
                }
                Ok(_) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    async fn send(&mut self) -> std::io::Result<()> {
        self.stream.write_all_buf(&mut self.output).await?;
        self.stream.flush().await
    }

    fn handle(&mut self, frame: Frame) -> Result<(), DatabaseError> {
        match (frame.tag, self.progress) {
            // Notices, settings, notifications; Parse and Bind done; the scope's row.
            (b'N' | b'S' | b'A' | b'1' | b'2', _) | (b'D', Progress::Scope) => {}
            (b'C', Progress::Scope) => self.progress = Progress::Rows,
            (b'D', Progress::Rows) => {
                let row = Row::new(frame.body).map_err(|error| broken(&error))?;
                self.bytes += row.len();
                self.rows.push(row);
            }
            // Asked for at once, so that the server works while these rows are written.
            (b's', Progress::Rows) => {
                execute_some(&mut self.output).map_err(|error| broken(&error))?;
            }
            (b'C' | b'I', Progress::Rows) => self.progress = Progress::Done,
            (b'E', _) => return Err(ServerError::new(&frame.body).into()),
            _ => {
                return Err(broken(&frame::ProtocolError(
                    "a message that was not asked for",
                )));
            }
        }
        Ok(())
    }
}

/// Some rows of the unnamed portal, sent on without a Sync: that would end the transaction and the portal with it.
fn execute_some(output: &mut BytesMut) -> std::io::Result<()> {
    frontend::execute("", EXECUTE_ROWS, output)?;
    frontend::flush(output);
    Ok(())
}

fn broken(error: &(dyn std::error::Error + 'static)) -> DatabaseError {
    tracing::warn!(error = chain_of(error), "the connection of a stream ended");
    DatabaseError::Unavailable
}
