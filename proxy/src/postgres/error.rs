//! What can go wrong, as the rest of the proxy needs to tell it apart.

use std::io;

use super::{
    fence::FenceError,
    frame::{ProtocolError, ServerError},
};

/// A connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection, or it ended during the start.
    #[error("the database server cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The server speaks no TLS and the URL asks for it.
    #[error("the database server offers no TLS")]
    NoTls,
    /// The handshake failed.
    #[error("TLS with the database server failed")]
    Tls(#[source] io::Error),
    /// The file that `sslrootcert` names.
    #[error("the file of sslrootcert cannot be read")]
    RootCertificates(#[source] io::Error),
    /// A way to log in other than SCRAM-SHA-256.
    #[error("the database server asks for a way to log in that is not SCRAM-SHA-256")]
    AuthenticationMethod,
    /// SCRAM did not come to an end: a wrong password, or a server that does not know it.
    #[error("SCRAM with the database server failed")]
    Scram(#[source] io::Error),
    /// The server refused.
    #[error("the database server refused the connection: {code} {message}")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
    /// Not the server itself answers. Settings of a connection are the second lock of the fence's door, and a pooler that
    /// hands statements to whatever server is free neither keeps them nor knows what was prepared.
    #[error(
        "a connection pooler answers in the place of the database server: connect to PostgreSQL itself, the proxy \
         pools its connections"
    )]
    Pooled,
    /// A standby: its rows may be old, and it takes no writes.
    #[error("the database server is a standby")]
    Standby,
    /// Not the protocol that we know.
    #[error("the database server broke the protocol: {0}")]
    Protocol(&'static str),
    /// `connect_timeout` has passed.
    #[error("the database server did not answer in time")]
    TimedOut,
    /// The role could see past the fence.
    #[error("the database role is not fenced")]
    Fence(#[from] FenceError),
    /// The check of the fence could not be made.
    #[error("the database role could not be checked")]
    Check(#[source] DatabaseError),
}

impl From<ProtocolError> for ConnectError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error.0)
    }
}

/// A chunk did not succeed. Nothing of it has been written, except where the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// No connection, or the queue is full; the chunk was not sent.
    #[error("no database connection is free")]
    Unavailable,
    /// The tenant streams as much at once as it may; nothing was sent.
    #[error("the tenant has too many streams under way")]
    TooManyStreams,
    /// The connection ended after a write was sent.
    #[error("the database connection was lost after a write was sent")]
    OutcomeUnknown,
    /// A transaction had ended before this round of it: an earlier round failed or was given up, the pause before it
    /// was too long, or the connection was lost. Nothing of it is kept.
    #[error("the transaction has been rolled back before its end")]
    TransactionLost,
    /// 57014: `statement_timeout` has passed.
    #[error("the statement took too long")]
    Timeout,
    /// 55P03: a row is locked by somebody else for longer than `lock_timeout`.
    #[error("a row stayed locked")]
    Locked,
    /// 40001, 40P01, or the guard of a deletion that cascades, several times over.
    #[error("concurrent writes got in each other's way")]
    Contention,
    /// 53***: the server is out of something. 25006: it takes no writes, as managed servers do that run out of space.
    #[error("the database server is out of resources or takes no writes ({0})")]
    Resources(String),
    /// 26000, 0A000, 42703, 42P01 or 3F000, and where a column of the same name has another type 42804 or 42883: the
    /// tables are not those of our catalogue. Reload it and run once more.
    #[error("the tables are not those of the catalogue ({0})")]
    StaleSchema(String),
    /// 23505 with the name of the index.
    #[error("a unique value is taken")]
    NotUnique(String),
    /// 23503 with the name of the foreign key.
    #[error("a reference is missing")]
    ReferenceMissing(String),
    /// 22012: the record would be larger than `sql::postgres::RECORD_BYTES_MAX`. The one division that we write is there
    /// to say so.
    #[error("the record is too large")]
    RecordTooLarge,
    /// 2201E: a statement that had to write has written nothing. The one logarithm that we write is there to say so.
    #[error("nothing was written")]
    NothingWritten,
    /// 23502, 23514, 54000 or 22***, with the name of the check where there is one.
    #[error("a value was refused ({code})")]
    Invalid {
        /// SQLSTATE.
        code: String,
        /// Name of the check.
        constraint: Option<String>,
    },
    /// More bytes than an answer may have.
    #[error("the answer is too large")]
    TooLarge,
    /// Anything else: a fault of ours, for the log.
    #[error("the database refused a statement: {code} {message}")]
    Unexpected {
        /// SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
}

impl From<ServerError> for DatabaseError {
    fn from(error: ServerError) -> Self {
        let constraint = error.constraint.clone();
        match error.code.as_str() {
            "57014" => Self::Timeout,
            "55P03" => Self::Locked,
            // 2201F: a row came to refer to one that was going. The one square root that we write is there for it.
            "40001" | "40P01" | "2201F" => Self::Contention,
            "26000" | "0A000" | "42703" | "42P01" | "3F000" | "42804" | "42883" => {
                Self::StaleSchema(error.code)
            }
            "23505" => Self::NotUnique(constraint.unwrap_or_default()),
            "23503" => Self::ReferenceMissing(constraint.unwrap_or_default()),
            "22012" => Self::RecordTooLarge,
            "2201E" => Self::NothingWritten,
            // 54000: an index, or a page, cannot hold the value.
            "23502" | "23514" | "54000" => Self::Invalid {
                code: error.code,
                constraint,
            },
            code if code.starts_with("22") => Self::Invalid {
                code: error.code,
                constraint,
            },
            code if code.starts_with("53") || code == "25006" => Self::Resources(error.code),
            _ => Self::Unexpected {
                code: error.code,
                message: error.message,
            },
        }
    }
}
