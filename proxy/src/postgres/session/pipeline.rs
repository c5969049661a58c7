//! What is under way on one connection, and what the server's frames mean for it.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use sql::Statement;
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::{
        frame::{self, Frame, ProtocolError, Row, ServerError},
        startup::ROLLBACK,
        statements::{Lookup, Statements},
    },
    Bounds, Chunk, End, Ended, Failure, Round, Then,
    hold::Hold,
    part::{Part, Status, bind_and_execute, write_part},
};

/// What the next ReadyForQuery ends.
enum Unit {
    /// A Parse, in a unit of its own: an error in a chunk cannot undo it, its own error cannot undo a chunk.
    Prepare {
        text: Arc<str>,
        name: Arc<str>,
    },
    Chunk(Under),
    /// ROLLBACK of a transaction that did not come to its end.
    Rollback {
        sent: Instant,
    },
}

/// A chunk under way.
struct Under {
    part: Part,
    reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
    statements: Arc<[Statement]>,
    /// Rows by statement, ours and those of the request.
    rows: Vec<Vec<Row>>,
    bytes: usize,
    error: Option<ServerError>,
    /// Whether the last statement was a COMMIT that committed: that of a failed transaction rolls back and says so, but
    /// is no error.
    committed: bool,
    sent: Instant,
}

/// Both directions of one connection, without its sockets: bytes to be written, units that owe an answer.
pub(super) struct Pipeline {
    bounds: Bounds,
    statements: Statements,
    units: VecDeque<Unit>,
    chunks: usize,
    /// When the server last said something.
    heard: Instant,
    /// Who may send.
    pub hold: Hold,
    /// What is to be written.
    pub output: BytesMut,
    /// Whether something was written that the stream may still hold back.
    pub unflushed: bool,
    /// Why a Parse failed, for the chunk that it was sent for.
    parse_error: Option<ServerError>,
    /// An error outside every unit: the server's last words.
    farewell: Option<ServerError>,
}

impl Pipeline {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            statements: Statements::new(bounds.statements),
            bounds,
            units: VecDeque::new(),
            chunks: 0,
            heard: Instant::now(),
            hold: Hold::Free,
            output: BytesMut::with_capacity(16 * 1024),
            unflushed: false,
            parse_error: None,
            farewell: None,
        }
    }

    pub fn has_room(&self) -> bool {
        self.hold.is_free() && self.chunks < self.bounds.depth
    }

    /// When the server has owed an answer in silence for too long.
    pub fn deadline(&self) -> Option<Instant> {
        let oldest = self.units.iter().find_map(|unit| match unit {
            Unit::Chunk(chunk) => Some(chunk.sent),
            Unit::Rollback { sent } => Some(*sent),
            Unit::Prepare { .. } => None,
        })?;
        Some(oldest.max(self.heard) + self.bounds.answer_wait)
    }

    /// Writes a chunk behind those under way, unless nobody waits for it any more.
    pub fn send(&mut self, chunk: Chunk) {
        let Chunk {
            end,
            tenant,
            user,
            statements,
            expires,
            reply,
        } = chunk;
        if reply.is_closed() {
            return;
        }
        // A transaction that outlives its Sync has the connection for itself: what went in between would be in it.
        let alone = self.chunks == 0 && self.hold.is_free();
        if expires < Instant::now() || !alone && !matches!(end, End::Sync) {
            let _ = reply.send(Err(Failure::NotSent));
            return;
        }
        let (part, hold) = match end {
            End::Sync => (Part::Whole, Hold::Free),
            End::Rollback => (Part::Undone, Hold::Answering(None)),
            End::Held(rounds) => (Part::First, Hold::Answering(Some(rounds))),
        };
        let scope = [Some(tenant.as_str()), Some(&*user)];
        if self.write(part, Some(scope), statements, reply) {
            self.hold = hold;
        }
    }

    /// Writes more statements of the transaction that is held.
    pub fn send_round(&mut self, round: Round) {
        let Round {
            statements,
            then,
            reply,
        } = round;
        if reply.is_closed() {
            // Whoever gives up a round gives up the transaction.
            return self.roll_back();
        }
        let rounds = self.hold.take_rounds();
        let part = match then {
            Then::Wait => Part::Middle,
            Then::Commit => Part::Last,
        };
        if self.write(part, None, statements, reply) {
            self.hold = Hold::Answering(rounds.filter(|_| part == Part::Middle));
        } else {
            self.roll_back();
        }
    }

    /// Ends the transaction that is held. The connection serves nobody else before the server has said that it is
    /// outside of it.
    pub fn roll_back(&mut self) {
        self.hold.close();
        let start = self.output.len();
        if bind_and_execute(ROLLBACK, std::iter::empty(), &mut self.output).is_err() {
            // It has no binds that could be too long. Without it, silence ends the connection.
            self.output.truncate(start);
        }
        frontend::sync(&mut self.output);
        self.unflushed = true;
        let sent = Instant::now();
        self.units.push_back(Unit::Rollback { sent });
    }

    /// Writes statements up to a Sync. `false`, and nothing written but Parse units, when they cannot be.
    fn write(
        &mut self,
        part: Part,
        scope: Option<[Option<&str>; 2]>,
        statements: Arc<[Statement]>,
        reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
    ) -> bool {
        let whole = self.output.len();
        let names: Vec<_> = statements.iter().map(|s| self.prepare(&s.text)).collect();
        let start = self.output.len();
        let written = write_part(part, scope, &statements, &names, &mut self.output);
        self.unflushed |= self.output.len() > whole;
        if written.is_err() {
            // A bind past the protocol's bounds. The Parse units stay: they are whole.
            self.output.truncate(start);
            let _ = reply.send(Err(Failure::TooLarge));
            return false;
        }
        frontend::sync(&mut self.output);
        self.unflushed = true;
        self.chunks += 1;
        // The first statement's list; each completion opens the next one's.
        let mut rows = Vec::with_capacity(part.lead() + statements.len() + part.tail() + 1);
        rows.push(Vec::new());
        let under = Under {
            part,
            reply,
            statements,
            rows,
            bytes: 0,
            error: None,
            committed: false,
            sent: Instant::now(),
        };
        self.units.push_back(Unit::Chunk(under));
        true
    }

    /// The name of a prepared statement; its Parse is written ahead where needed.
    fn prepare(&mut self, text: &str) -> Arc<str> {
        let (name, evicted) = match self.statements.look_up(text) {
            Lookup::Known(name) => return name,
            Lookup::New { name, evicted } => (name, evicted),
        };
        let start = self.output.len();
        let mut written = Ok(());
        if let Some(old) = evicted {
            written = frontend::close(b'S', &old, &mut self.output);
        }
        let written = written.and_then(|()| frontend::parse(&name, text, [], &mut self.output));
        if written.is_err() {
            // Only a NUL in the text can do that; the Bind will then find no such statement.
            self.output.truncate(start);
            self.statements.forget(text);
            return name;
        }
        frontend::sync(&mut self.output);
        self.units.push_back(Unit::Prepare {
            text: text.into(),
            name: Arc::clone(&name),
        });
        name
    }

    pub fn received(&mut self, read: io::Result<usize>, input: &mut BytesMut) -> Result<(), Ended> {
        if read? == 0 {
            return Err(Ended::Closed(self.farewell.take()));
        }
        self.heard = Instant::now();
        while let Some(frame) = frame::take(input)? {
            self.handle(frame)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        match frame.tag {
            // Notices, settings, notifications; Parse, Bind and Close done.
            b'N' | b'S' | b'A' | b'1' | b'2' | b'3' => Ok(()),
            b'Z' => self.finish(Status::of(&frame.body)?),
            b'E' => {
                let error = ServerError::new(&frame.body);
                match self.units.front_mut() {
                    Some(Unit::Chunk(chunk)) => chunk.error = Some(error),
                    Some(Unit::Prepare { text, name }) => {
                        self.statements.forget_failed(text, name);
                        self.parse_error.get_or_insert(error);
                    }
                    Some(Unit::Rollback { .. }) | None => self.farewell = Some(error),
                }
                Ok(())
            }
            b'D' => self.with_chunk(|chunk, most| {
                let row = Row::new(frame.body)?;
                chunk.bytes += row.len();
                let rows = chunk.rows.last_mut().filter(|_| chunk.bytes <= most);
                if let Some(rows) = rows {
                    rows.push(row);
                }
                Ok(())
            }),
            // A statement is done; the next one's rows follow.
            b'C' if matches!(self.units.front(), Some(Unit::Rollback { .. })) => Ok(()),
            b'C' | b'I' => self.with_chunk(|chunk, _| {
                chunk.committed = frame.body.as_ref() == b"COMMIT\0";
                chunk.rows.push(Vec::new());
                Ok(())
            }),
            _ => Err(ProtocolError("a message that was not asked for")),
        }
    }

    fn with_chunk(
        &mut self,
        act: impl FnOnce(&mut Under, usize) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        match self.units.front_mut() {
            Some(Unit::Chunk(chunk)) => act(chunk, self.bounds.answer_bytes_max),
            _ => Err(ProtocolError("rows outside a chunk")),
        }
    }

    /// ReadyForQuery: the oldest unit is done.
    fn finish(&mut self, status: Status) -> Result<(), ProtocolError> {
        match self
            .units
            .pop_front()
            .ok_or(ProtocolError("ready without a unit"))?
        {
            Unit::Prepare { .. } => Ok(()),
            Unit::Rollback { .. } if status == Status::Idle => {
                self.hold = Hold::Free;
                Ok(())
            }
            Unit::Rollback { .. } => Err(ProtocolError("a transaction that cannot be rolled back")),
            Unit::Chunk(chunk) => {
                self.chunks -= 1;
                let part = chunk.part;
                let succeeded = self.answer(chunk)?;
                self.after(part, status, succeeded)
            }
        }
    }

    /// What becomes of the connection after an answer.
    fn after(&mut self, part: Part, status: Status, succeeded: bool) -> Result<(), ProtocolError> {
        match (part, status) {
            (Part::Whole, Status::Idle) => {}
            (Part::Undone | Part::Last, Status::Idle) => self.hold = Hold::Free,
            (Part::First | Part::Middle, Status::InTransaction) if succeeded => {
                match self.hold.take_rounds() {
                    Some(rounds) => {
                        let until = Instant::now() + self.bounds.transaction_idle_max;
                        self.hold = Hold::Waiting { rounds, until };
                    }
                    None => self.roll_back(),
                }
            }
            (Part::Whole, _) | (Part::First | Part::Middle, Status::Idle) => {
                return Err(ProtocolError("a transaction that is not the one asked for"));
            }
            (_, Status::InTransaction | Status::Failed) => self.roll_back(),
        }
        Ok(())
    }

    /// Hands over the answer. Returns whether it is one.
    fn answer(&mut self, chunk: Under) -> Result<bool, ProtocolError> {
        let Under {
            part,
            reply,
            statements,
            mut rows,
            bytes,
            error,
            committed,
            ..
        } = chunk;
        let parse_error = self.parse_error.take();
        let result = match error {
            None if part == Part::Last && !committed => Err(Failure::Refused(ServerError {
                code: "25P02".into(),
                message: "the transaction had failed before its commit".into(),
                constraint: None,
            })),
            None if bytes > self.bounds.answer_bytes_max => Err(Failure::TooLarge),
            None => {
                // One list for each statement, ours too, and the empty one that the last completion opened.
                let (lead, count) = (part.lead(), statements.len());
                if rows.len() != lead + count + part.tail() + 1 {
                    return Err(ProtocolError("another number of answers than statements"));
                }
                rows.truncate(lead + count);
                rows.drain(..lead);
                Ok(rows)
            }
            Some(error) => {
                // The Bind of a statement whose Parse failed finds none, or the transaction failed; the Parse knows why.
                let cause = match error.code.as_str() {
                    "26000" | "25P02" => parse_error,
                    _ => None,
                };
                let error = cause.unwrap_or(error);
                if is_stale(&error) {
                    statements.iter().for_each(|s| self.close(&s.text));
                }
                Err(Failure::Refused(error))
            }
        };
        let succeeded = result.is_ok();
        // Nobody may be waiting: the request was given up, and its answer has been read.
        let _ = reply.send(result);
        Ok(succeeded)
    }

    /// Forgets a statement on both sides; the next use prepares it again under another name.
    fn close(&mut self, text: &str) {
        let Some(name) = self.statements.forget(text) else {
            return;
        };
        let start = self.output.len();
        if frontend::close(b'S', &name, &mut self.output).is_err() {
            self.output.truncate(start);
            return;
        }
        frontend::sync(&mut self.output);
        self.units.push_back(Unit::Prepare {
            text: text.into(),
            name,
        });
        self.unflushed = true;
    }

    pub fn fail_all(mut self) {
        self.hold.close();
        for unit in self.units {
            if let Unit::Chunk(chunk) = unit {
                let _ = chunk.reply.send(Err(Failure::Lost));
            }
        }
    }
}

/// SQLSTATEs after which a prepared statement is of no more use.
fn is_stale(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        "26000" | "0A000" | "42703" | "42P01" | "3F000"
    )
}
