//! From an open stream to a server that waits for queries: startup, SCRAM, settings.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::frontend,
};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    config::{DatabaseConfig, LaneConfig},
    error::ConnectError,
    frame::{self, Frame, Row, ServerError},
    session::bind_and_execute,
    stream::{self, Stream},
};

/// The statement that every chunk begins with, prepared as [`SCOPE_STATEMENT`] on every connection. It stands alone:
/// folded into a query the setting could come after the policy has read it.
const SCOPE_TEXT: &str =
    "select set_config('app.tenant_id', $1::text, true), set_config('app.user_id', $2::text, true)";
/// Its name.
pub(super) const SCOPE_STATEMENT: &str = "scope";

/// The ends of a transaction that lasts longer than its chunk, prepared under these names where there are such.
pub(super) const TRANSACTION_STATEMENTS: [&str; 3] = [BEGIN, COMMIT, ROLLBACK];
/// Opens it.
pub(super) const BEGIN: &str = "begin";
/// Keeps it.
pub(super) const COMMIT: &str = "commit";
/// Undoes it; the one statement that a failed transaction still takes.
pub(super) const ROLLBACK: &str = "rollback";

/// Whose process answers. A server says it when it lets somebody in; a pooler says something else there, since it has
/// keys of its own to cancel by.
const PROCESS_TEXT: &str = "select pg_backend_pid()";
/// `protocol_violation`, with which PgBouncer refuses settings that it does not hand on. The server has other codes for
/// what may be wrong with them.
const UNKNOWN_PARAMETER: &str = "08P01";

/// ParameterStatus of a standby: `in_hot_standby` is `on`.
const IN_HOT_STANDBY: &[u8] = b"in_hot_standby\0on\0";

/// Between two looks of the server at whether the reader of a stream is still there: it ends within a second. Chunks are
/// short, and whoever gives one up keeps the connection.
const CLIENT_CHECK_MILLISECONDS: &str = "500";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Chunks that only read.
    Read,
    /// Chunks and transactions that may write.
    Write,
    /// One statement that may read for a long time.
    Stream,
}

/// A stream on which the server waits for queries, and what was read ahead (nothing, as a rule).
pub(super) struct Opened {
    pub stream: Box<dyn Stream>,
    pub input: BytesMut,
}

/// Opens a connection for a lane, within `connect_timeout`.
pub(super) async fn open(
    config: &DatabaseConfig,
    lane: &LaneConfig,
    purpose: Purpose,
) -> Result<Opened, ConnectError> {
    match tokio::time::timeout(
        config.connect_timeout,
        open_unbounded(config, lane, purpose),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut),
    }
}

async fn open_unbounded(
    config: &DatabaseConfig,
    lane: &LaneConfig,
    purpose: Purpose,
) -> Result<Opened, ConnectError> {
    let mut wire = Wire {
        stream: stream::open(config).await?,
        input: BytesMut::new(),
        output: BytesMut::new(),
    };
    let milliseconds = |d: Duration| d.as_millis().max(1).to_string();
    let (statement_timeout, lock_timeout) = (
        milliseconds(lane.statement_timeout),
        milliseconds(lane.lock_timeout),
    );
    let idle_timeout = milliseconds(config.transaction_idle_max.saturating_mul(2));
    let parameters = [
        ("user", config.user.as_str()),
        ("database", &config.database),
        ("application_name", "septem-proxy"),
        ("client_encoding", "UTF8"),
        // What the encoder reads.
        ("DateStyle", "ISO, YMD"),
        ("TimeZone", "UTC"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
        // A role's own settings must not open the fence or change what a name means.
        ("row_security", "on"),
        ("search_path", "pg_catalog"),
        ("default_transaction_isolation", "read committed"),
        (
            "default_transaction_read_only",
            if purpose == Purpose::Write {
                "off"
            } else {
                "on"
            },
        ),
        ("statement_timeout", &statement_timeout),
        ("lock_timeout", &lock_timeout),
        // Should this process stop without closing its sockets, what it had open holds its locks no longer than that.
        ("idle_in_transaction_session_timeout", &idle_timeout),
        // Compiling a plan takes longer than any statement of ours may.
        ("jit", "off"),
        (
            "client_connection_check_interval",
            match purpose {
                Purpose::Stream => CLIENT_CHECK_MILLISECONDS,
                Purpose::Read | Purpose::Write => "0",
            },
        ),
    ];
    frontend::startup_message(parameters, &mut wire.output).map_err(ConnectError::Unreachable)?;
    wire.send().await?;
    log_in(&mut wire, config)
        .await
        .map_err(|error| match error {
            ConnectError::Refused { code, .. } if code == UNKNOWN_PARAMETER => ConnectError::Pooled,
            error => error,
        })?;
    let process = wire.process(announced).await?;
    frontend::parse(SCOPE_STATEMENT, SCOPE_TEXT, [], &mut wire.output)
        .map_err(ConnectError::Unreachable)?;
    // Their names are their texts.
    for text in TRANSACTION_STATEMENTS
        .iter()
        .filter(|_| purpose == Purpose::Write)
    {
        frontend::parse(text, text, [], &mut wire.output).map_err(ConnectError::Unreachable)?;
    }
    frontend::parse("", PROCESS_TEXT, [], &mut wire.output).map_err(ConnectError::Unreachable)?;
    bind_and_execute("", std::iter::empty(), &mut wire.output)
        .map_err(ConnectError::Unreachable)?;
    frontend::sync(&mut wire.output);
    wire.send().await?;
    if wire.process(answering).await? != process {
        return Err(ConnectError::Pooled);
    }
    Ok(Opened {
        stream: wire.stream,
        input: wire.input,
    })
}

/// AuthenticationOk, or SCRAM-SHA-256 to its end. Clear-text and MD5 passwords are refused.
async fn log_in(wire: &mut Wire, config: &DatabaseConfig) -> Result<(), ConnectError> {
    let mut scram: Option<ScramSha256> = None;
    let mut proven = false;
    loop {
        let frame = wire.next().await?;
        if frame.tag != b'R' {
            return Err(ConnectError::Protocol("no authentication request"));
        }
        let (code, data) = frame
            .body
            .split_first_chunk::<4>()
            .ok_or(ConnectError::Protocol("a short authentication request"))?;
        match (i32::from_be_bytes(*code), &mut scram) {
            // A server that breaks off SCRAM with "ok" has not shown that it knows the password.
            (0, None) => return Ok(()),
            (0, Some(_)) if proven => return Ok(()),
            (10, None) => {
                if !data
                    .split(|b| *b == 0)
                    .any(|m| m == SCRAM_SHA_256.as_bytes())
                {
                    return Err(ConnectError::AuthenticationMethod);
                }
                let password = config.password.expose_secret().as_bytes();
                let exchange = ScramSha256::new(password, ChannelBinding::unsupported());
                frontend::sasl_initial_response(
                    SCRAM_SHA_256,
                    exchange.message(),
                    &mut wire.output,
                )
                .map_err(ConnectError::Scram)?;
                scram = Some(exchange);
                wire.send().await?;
            }
            (11, Some(exchange)) => {
                exchange.update(data).map_err(ConnectError::Scram)?;
                frontend::sasl_response(exchange.message(), &mut wire.output)
                    .map_err(ConnectError::Scram)?;
                wire.send().await?;
            }
            (12, Some(exchange)) => {
                exchange.finish(data).map_err(ConnectError::Scram)?;
                proven = true;
            }
            _ => return Err(ConnectError::AuthenticationMethod),
        }
    }
}

struct Wire {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
}

impl Wire {
    async fn send(&mut self) -> Result<(), ConnectError> {
        self.stream
            .write_all_buf(&mut self.output)
            .await
            .map_err(ConnectError::Unreachable)?;
        self.stream.flush().await.map_err(ConnectError::Unreachable)
    }

    /// The next frame that is neither notice nor setting; an error of the server as an error.
    async fn next(&mut self) -> Result<Frame, ConnectError> {
        loop {
            while let Some(frame) = frame::take(&mut self.input)? {
                match frame.tag {
                    // After a failover the old address may lead to a server that is none yet, or not any more. It is
                    // tried again until it is one. Told before the server is ready (PostgreSQL 14 and newer).
                    b'S' if frame.body.as_ref() == IN_HOT_STANDBY => {
                        return Err(ConnectError::Standby);
                    }
                    b'N' | b'S' => {}
                    b'E' => {
                        let ServerError { code, message, .. } = ServerError::new(&frame.body);
                        return Err(ConnectError::Refused { code, message });
                    }
                    _ => return Ok(frame),
                }
            }
            self.input.reserve(1024);
            let read = self
                .stream
                .read_buf(&mut self.input)
                .await
                .map_err(ConnectError::Unreachable)?;
            if read == 0 {
                return Err(ConnectError::Unreachable(
                    std::io::ErrorKind::UnexpectedEof.into(),
                ));
            }
        }
    }

    /// The process that is named before the server is ready; `name` finds it in a frame.
    async fn process(
        &mut self,
        name: impl Fn(Frame) -> Result<Option<u32>, ConnectError>,
    ) -> Result<Option<u32>, ConnectError> {
        let mut process = None;
        loop {
            let frame = self.next().await?;
            if frame.tag == b'Z' {
                return Ok(process);
            }
            process = name(frame)?.or(process);
        }
    }
}

/// The process of BackendKeyData.
fn announced(frame: Frame) -> Result<Option<u32>, ConnectError> {
    let key = (frame.tag == b'K').then_some(frame.body);
    let id = key.and_then(|key| key.first_chunk().copied());
    Ok(id.map(u32::from_be_bytes))
}

/// The process that the row of [`PROCESS_TEXT`] has.
fn answering(frame: Frame) -> Result<Option<u32>, ConnectError> {
    if frame.tag != b'D' {
        return Ok(None);
    }
    let row = Row::new(frame.body)?;
    let text = row.values().next().flatten();
    Ok(text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()))
}
