//! The wire loop of one connection: chunks out, answers in, never out of step.

mod pipeline;

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use sql::Statement;
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
    time::Instant,
};

use super::{
    config::LaneConfig,
    frame::{ProtocolError, Row, ServerError},
    queue::Queue,
    startup::Opened,
};
use pipeline::Pipeline;

/// Room for one read. Rows are slices of it, so what one answer keeps alive is not much larger than the answer.
const READ_BYTES: usize = 32 * 1024;
/// Between two looks at whether the server owes an answer for too long.
const STALL_CHECK: Duration = Duration::from_secs(1);

/// One request's statements, run as one transaction for one tenant.
#[derive(Debug)]
pub(super) struct Chunk {
    pub tenant: String,
    pub user: Arc<str>,
    pub statements: Arc<[Statement]>,
    /// Not sent after this.
    pub expires: Instant,
    /// Who asked may be gone; the answer is read all the same.
    pub reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
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
    /// Longest wait for a chunk's answer.
    pub answer_wait: Duration,
}

impl Bounds {
    pub fn new(
        lane: &LaneConfig,
        statements: usize,
        answer_bytes_max: usize,
        stall: Duration,
    ) -> Self {
        // A chunk that was just sent may wait for all those before it.
        let turns = u32::try_from(lane.depth).unwrap_or(u32::MAX);
        let answer_wait = lane
            .statement_timeout
            .saturating_mul(turns)
            .saturating_add(stall);
        Self {
            depth: lane.depth,
            statements,
            answer_bytes_max,
            answer_wait,
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
