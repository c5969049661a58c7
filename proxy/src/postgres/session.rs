//! The wire loop of one connection: chunks out, answers in, never out of step.

mod hold;
mod part;
mod pipeline;

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use sql::Statement;
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    config::{DatabaseConfig, LaneConfig},
    frame::{ProtocolError, Row, ServerError},
    queue::Queue,
    startup::Opened,
};
pub(super) use part::{bind, bind_and_execute};
use pipeline::Pipeline;

/// Room for one read. Rows are slices of it, so what one answer keeps alive is not much larger than the answer.
const READ_BYTES: usize = 32 * 1024;
/// Between two looks at whether the server owes an answer for too long.
const STALL_CHECK: Duration = Duration::from_secs(1);

/// One request's statements, run as one transaction for one tenant.
#[derive(Debug)]
pub(super) struct Chunk {
    pub end: End,
    pub tenant: String,
    pub user: Arc<str>,
    pub statements: Arc<[Statement]>,
    /// Not sent after this.
    pub expires: Instant,
    /// Who asked may be gone; the answer is read all the same.
    pub reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
}

/// How the transaction of a chunk ends. All but the first are for connections with one chunk at a time.
#[derive(Debug)]
pub(super) enum End {
    /// With its Sync: committed, unless a statement failed.
    Sync,
    /// Rolled back, whatever the statements answered.
    Rollback,
    /// With a round that comes this way and commits; rolled back when the sender is dropped before that.
    Held(mpsc::Receiver<Round>),
}

/// More statements of a transaction that is held open.
#[derive(Debug)]
pub(super) struct Round {
    pub statements: Arc<[Statement]>,
    pub then: Then,
    pub reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
}

/// What follows the statements of a [`Round`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another round.
    Wait,
    /// COMMIT.
    Commit,
}

/// Why a chunk has no rows.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was never sent.
    NotSent,
    /// The connection ended after it was sent.
    Lost,
    /// The server refused it and has rolled back.
    Refused(ServerError),
    /// Its answer was larger than allowed.
    TooLarge,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the connection to the database server ended")]
    Io(#[from] io::Error),
    #[error("the database server closed the connection")]
    Closed(#[source] Option<ServerError>),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the database server owed an answer for too long")]
    Stalled,
}

/// Bounds of one connection.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub depth: usize,
    pub statements: usize,
    pub answer_bytes_max: usize,
    /// Longest silence while a chunk's answer is owed.
    pub answer_wait: Duration,
    /// Longest pause between two rounds of a transaction.
    pub transaction_idle_max: Duration,
}

impl Bounds {
    pub fn new(database: &DatabaseConfig, lane: &LaneConfig) -> Self {
        // A chunk that was just sent may wait for all those before it.
        let turns = u32::try_from(lane.depth).unwrap_or(u32::MAX);
        let answer_wait = lane
            .statement_timeout
            .saturating_mul(turns)
            .saturating_add(database.stall_timeout);
        Self {
            depth: lane.depth,
            statements: database.statements,
            answer_bytes_max: database.answer_bytes_max,
            answer_wait,
            transaction_idle_max: database.transaction_idle_max,
        }
    }
}

/// Serves chunks of the queue until the connection ends. What was sent and not answered fails as lost.
pub(super) async fn serve(opened: Opened, queue: &Queue<Chunk>, bounds: Bounds) -> Ended {
    let Opened { stream, mut input } = opened;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut pipeline = Pipeline::new(bounds);
    let mut stall_check = tokio::time::interval(STALL_CHECK);
    let ended = loop {
        while pipeline.has_room() {
            let Some(chunk) = queue.pop() else { break };
            pipeline.send(chunk);
        }
        // Otherwise a full buffer would be read into in steps of 64 bytes.
        if input.capacity() - input.len() < READ_BYTES / 2 {
            input.reserve(READ_BYTES);
        }
        let outcome: Result<(), Ended> = tokio::select! {
            biased;
            read = reader.read_buf(&mut input) => pipeline.received(read, &mut input),
            written = write_some(&mut writer, &mut pipeline.output), if pipeline.unflushed => {
                pipeline.unflushed = false;
                written.map_err(Ended::Io)
            }
            () = queue.ready(), if pipeline.has_room() => Ok(()),
            round = pipeline.hold.next_round() => {
                match round {
                    Some(round) => pipeline.send_round(round),
                    None => pipeline.roll_back(),
                }
                Ok(())
            }
            now = stall_check.tick() => match pipeline.deadline() {
                Some(deadline) if deadline < now => Err(Ended::Stalled),
                _ => Ok(()),
            },
        };
        if let Err(ended) = outcome {
            break ended;
        }
    };
    pipeline.fail_all();
    ended
}

/// Writes what there is and flushes. Dropped midway it has lost nothing: what was written has left the buffer.
async fn write_some(
    writer: &mut (impl AsyncWrite + Unpin),
    output: &mut BytesMut,
) -> io::Result<()> {
    while !output.is_empty() {
        if writer.write_buf(output).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}
