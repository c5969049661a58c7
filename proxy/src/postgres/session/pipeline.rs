//! What is under way on one connection, and what the server's frames mean for it.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BytesMut;
use postgres_protocol::{IsNull, message::frontend};
use sql::Statement;
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::{
        frame::{self, Frame, ProtocolError, Row, ServerError},
        startup::SCOPE_STATEMENT,
        statements::{Lookup, Statements},
    },
    Bounds, Chunk, Ended, Failure,
};

/// What the next ReadyForQuery ends.
enum Unit {
    /// A Parse, in a unit of its own: an error in a chunk cannot undo it, its own error cannot undo a chunk.
    Prepare {
        text: Arc<str>,
        name: Arc<str>,
    },
    Chunk(Under),
}

/// A chunk under way.
struct Under {
    reply: oneshot::Sender<Result<Vec<Vec<Row>>, Failure>>,
    statements: Arc<[Statement]>,
    /// Rows by statement; the first is the scope's.
    rows: Vec<Vec<Row>>,
    bytes: usize,
    error: Option<ServerError>,
    sent: Instant,
}

/// Both directions of one connection, without its sockets: bytes to be written, units that owe an answer.
pub(super) struct Pipeline {
    bounds: Bounds,
    statements: Statements,
    units: VecDeque<Unit>,
    chunks: usize,
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
            output: BytesMut::with_capacity(16 * 1024),
            unflushed: false,
            parse_error: None,
            farewell: None,
        }
    }

    pub fn has_room(&self) -> bool {
        self.chunks < self.bounds.depth
    }

    /// When the oldest chunk under way has waited for too long.
    pub fn deadline(&self) -> Option<Instant> {
        let oldest = self.units.iter().find_map(|unit| match unit {
            Unit::Chunk(chunk) => Some(chunk.sent),
            Unit::Prepare { .. } => None,
        })?;
        Some(oldest + self.bounds.answer_wait)
    }

    /// Writes a chunk behind those under way, unless nobody waits for it any more.
    pub fn send(&mut self, chunk: Chunk) {
        let Chunk {
            tenant,
            user,
            statements,
            expires,
            reply,
        } = chunk;
        if reply.is_closed() {
            return;
        }
        let now = Instant::now();
        if expires < now {
            let _ = reply.send(Err(Failure::NotSent));
            return;
        }
        let whole = self.output.len();
        let names: Vec<_> = statements.iter().map(|s| self.prepare(&s.text)).collect();
        let start = self.output.len();
        let scope = [Some(tenant.as_str()), Some(&*user)];
        let mut written = bind_and_execute(SCOPE_STATEMENT, scope.into_iter(), &mut self.output);
        for (statement, name) in statements.iter().zip(&names) {
            let binds = statement.binds.iter().map(|b| b.as_deref());
            written = written.and_then(|()| bind_and_execute(name, binds, &mut self.output));
        }
        self.unflushed |= self.output.len() > whole;
        if written.is_err() {
            // A bind past the protocol's bounds. The Parse units stay: they are whole.
            self.output.truncate(start);
            let _ = reply.send(Err(Failure::TooLarge));
            return;
        }
        frontend::sync(&mut self.output);
        self.unflushed = true;
        self.chunks += 1;
        let rows = Vec::with_capacity(statements.len() + 1);
        let under = Under {
            reply,
            statements,
            rows,
            bytes: 0,
            error: None,
            sent: now,
        };
        self.units.push_back(Unit::Chunk(under));
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
        while let Some(frame) = frame::take(input)? {
            self.handle(frame)?;
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame) -> Result<(), ProtocolError> {
        match frame.tag {
            // Notices, settings, notifications; Parse, Bind and Close done.
            b'N' | b'S' | b'A' | b'1' | b'2' | b'3' => Ok(()),
            b'Z' => self.finish(),
            b'E' => {
                let error = ServerError::new(&frame.body);
                match self.units.front_mut() {
                    Some(Unit::Chunk(chunk)) => chunk.error = Some(error),
                    Some(Unit::Prepare { text, name }) => {
                        self.statements.forget_failed(text, name);
                        self.parse_error.get_or_insert(error);
                    }
                    None => self.farewell = Some(error),
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
            b'C' | b'I' => self.with_chunk(|chunk, _| {
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
            Some(Unit::Chunk(chunk)) => {
                if chunk.rows.is_empty() {
                    chunk.rows.push(Vec::new());
                }
                act(chunk, self.bounds.answer_bytes_max)
            }
            _ => Err(ProtocolError("rows outside a chunk")),
        }
    }

    /// ReadyForQuery: the oldest unit is done.
    fn finish(&mut self) -> Result<(), ProtocolError> {
        match self
            .units
            .pop_front()
            .ok_or(ProtocolError("ready without a unit"))?
        {
            Unit::Prepare { .. } => Ok(()),
            Unit::Chunk(chunk) => {
                self.chunks -= 1;
                self.answer(chunk)
            }
        }
    }

    fn answer(&mut self, chunk: Under) -> Result<(), ProtocolError> {
        let Under {
            reply,
            statements,
            mut rows,
            bytes,
            error,
            ..
        } = chunk;
        let parse_error = self.parse_error.take();
        let result = match error {
            None if bytes > self.bounds.answer_bytes_max => Err(Failure::TooLarge),
            None => {
                // One list for the scope, one a statement, and the empty one that the last completion opened.
                if rows.len() != statements.len() + 2 {
                    return Err(ProtocolError("another number of answers than statements"));
                }
                rows.pop();
                rows.remove(0);
                Ok(rows)
            }
            Some(error) => {
                // The Bind of a statement whose Parse failed finds none; the Parse knows why.
                let cause = if error.code == "26000" {
                    parse_error
                } else {
                    None
                };
                if is_stale(&error) {
                    statements.iter().for_each(|s| self.close(&s.text));
                }
                Err(Failure::Refused(cause.unwrap_or(error)))
            }
        };
        // Nobody may be waiting: the request was given up, and its answer has been read.
        let _ = reply.send(result);
        Ok(())
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

    pub fn fail_all(self) {
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

/// Bind and Execute on the unnamed portal, everything in text format.
fn bind_and_execute<'a>(
    name: &str,
    binds: impl Iterator<Item = Option<&'a str>>,
    output: &mut BytesMut,
) -> io::Result<()> {
    let value = |value: Option<&str>, buffer: &mut BytesMut| match value {
        Some(text) => {
            buffer.extend_from_slice(text.as_bytes());
            Ok(IsNull::No)
        }
        None => Ok(IsNull::Yes),
    };
    frontend::bind("", name, [], binds, value, [], output).map_err(|error| match error {
        frontend::BindError::Serialization(error) => error,
        frontend::BindError::Conversion(error) => io::Error::other(error),
    })?;
    frontend::execute("", 0, output)
}
