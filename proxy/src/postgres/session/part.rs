//! What is written for a part of a transaction, and what the server says at its end.

use std::{io, sync::Arc};

use bytes::BytesMut;
use postgres_protocol::{IsNull, message::frontend};
use sql::Statement;

use super::super::{
    frame::ProtocolError,
    startup::{BEGIN, COMMIT, ROLLBACK, SCOPE_STATEMENT},
};

/// Which part of a transaction a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, as the implicit transaction of one Sync.
    Whole,
    /// BEGIN, all of it, ROLLBACK.
    Undone,
    /// BEGIN and the first statements.
    First,
    /// More statements.
    Middle,
    /// The last statements and COMMIT.
    Last,
}

impl Part {
    /// Statements of ours before those of the request.
    pub fn lead(self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Undone | Self::First => 2,
            Self::Middle | Self::Last => 0,
        }
    }

    /// Statements of ours behind those of the request.
    pub fn tail(self) -> usize {
        usize::from(matches!(self, Self::Undone | Self::Last))
    }
}

/// What ReadyForQuery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Outside of every transaction.
    Idle,
    /// In a transaction.
    InTransaction,
    /// In one that takes nothing but its ROLLBACK.
    Failed,
}

impl Status {
    pub fn of(body: &[u8]) -> Result<Self, ProtocolError> {
        match body {
            b"I" => Ok(Self::Idle),
            b"T" => Ok(Self::InTransaction),
            b"E" => Ok(Self::Failed),
            _ => Err(ProtocolError("ready for something unknown")),
        }
    }
}

/// The statements of one part of a transaction, ours before and behind those of the request.
pub(super) fn write_part(
    part: Part,
    scope: Option<[Option<&str>; 2]>,
    statements: &[Statement],
    names: &[Arc<str>],
    output: &mut BytesMut,
) -> io::Result<()> {
    let ours =
        |name: &str, output: &mut BytesMut| bind_and_execute(name, std::iter::empty(), output);
    if matches!(part, Part::Undone | Part::First) {
        ours(BEGIN, output)?;
    }
    if let Some(scope) = scope {
        bind_and_execute(SCOPE_STATEMENT, scope.into_iter(), output)?;
    }
    for (statement, name) in statements.iter().zip(names) {
        let binds = statement.binds.iter().map(|b| b.as_deref());
        bind_and_execute(name, binds, output)?;
    }
    match part {
        Part::Undone => ours(ROLLBACK, output),
        Part::Last => ours(COMMIT, output),
        Part::Whole | Part::First | Part::Middle => Ok(()),
    }
}

/// Bind and Execute on the unnamed portal, everything in text format.
pub(in super::super) fn bind_and_execute<'a>(
    name: &str,
    binds: impl Iterator<Item = Option<&'a str>>,
    output: &mut BytesMut,
) -> io::Result<()> {
    bind(name, binds, output)?;
    frontend::execute("", 0, output)
}

/// Bind of the unnamed portal.
pub(in super::super) fn bind<'a>(
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
    })
}
