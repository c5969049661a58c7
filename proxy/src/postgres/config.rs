//! What a database is reached by, and how much of it is used.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

/// How the connection is protected; the values of libpq's `sslmode` that leave no doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS: loopback and networks that are encrypted otherwise.
    Disable,
    /// TLS, whoever the server is.
    Require,
    /// TLS with a certificate for the host, from the file's authorities or else the well-known ones.
    VerifyFull {
        /// `sslrootcert`: a PEM file of authorities.
        root_certificates: Option<PathBuf>,
    },
}

/// One lane's connections and bounds.
#[derive(Debug, Clone)]
pub struct LaneConfig {
    /// Connections: those of the shared lane of each runtime that reads, which is each thread of the listener; those of
    /// the exclusive lane of this process.
    pub connections: usize,
    /// Most chunks under way on one connection. The exclusive lane has one, whatever this says.
    pub depth: usize,
    /// Most chunks that wait for a connection; the next is refused at once.
    pub queue: usize,
    /// Longest wait in the queue.
    pub queue_wait: Duration,
    /// `statement_timeout` of its connections.
    pub statement_timeout: Duration,
    /// `lock_timeout` of its connections.
    pub lock_timeout: Duration,
}

/// Bounds of [`RowStream`](super::RowStream)s.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Streams at once, each with a connection.
    pub connections: usize,
    /// Streams at once of one tenant.
    pub per_tenant: usize,
    /// Longest time from the start of a stream to its end.
    pub deadline: Duration,
    /// Longest wait for first rows before a stream is handed out without them.
    pub first_rows_wait: Duration,
}

impl Default for StreamConfig {
    /// Two for a tenant (API.md, "Reading") and as many as the exclusive lane has in all, so that streams never have more
    /// of the server than the rest. Ten minutes: a snapshot that is older keeps dead rows of every table from being
    /// cleaned away. Twenty seconds for first rows, which is within the 30 s that a request has for its head.
    fn default() -> Self {
        Self {
            connections: 8,
            per_tenant: 2,
            deadline: Duration::from_secs(600),
            first_rows_wait: Duration::from_secs(20),
        }
    }
}

/// One database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Its password, for SCRAM-SHA-256.
    pub password: SecretString,
    /// Name of the database.
    pub database: String,
    /// Protection of the connection.
    pub tls: TlsMode,
    /// The lane of quick reads.
    pub shared: LaneConfig,
    /// The lane of everything else.
    pub exclusive: LaneConfig,
    /// Rows that are streamed.
    pub streams: StreamConfig,
    /// Longest pause between two rounds of a transaction that is held open. Its locks are in the way of others for that
    /// long, so it is no longer than what one statement may take.
    pub transaction_idle_max: Duration,
    /// Prepared statements kept on one connection.
    pub statements: usize,
    /// Longest time to open a connection, TLS and login included.
    pub connect_timeout: Duration,
    /// Longest silence of a server that owes an answer, beyond the lane's `statement_timeout`.
    pub stall_timeout: Duration,
    /// Most bytes of one answer (API.md: 32 MiB).
    pub answer_bytes_max: usize,
}

/// Why a URL does not say how to reach a database. Never holds the URL, which has the password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL.
    #[error("the database URL cannot be parsed")]
    Malformed(#[from] url::ParseError),
    /// Some part is missing or not one that is known.
    #[error("the database URL {0}")]
    Refused(&'static str),
}

impl DatabaseConfig {
    /// Reads `postgres://user:password@host:port/database?sslmode=disable|require|verify-full&sslrootcert=…`.
    /// `sslmode` is `disable` when absent; other parameters are refused.
    ///
    /// The bounds are those measured best on two cores: for quick reads a connection with sixteen chunks for each thread,
    /// eight for the rest.
    pub fn from_url(text: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(ConfigError::Refused("does not start with postgres://"));
        }
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or(ConfigError::Refused("has no host"))?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let user = decode(url.username())?;
        if user.is_empty() {
            return Err(ConfigError::Refused("has no user"));
        }
        let database = decode(url.path().trim_start_matches('/'))?;
        if database.is_empty() {
            return Err(ConfigError::Refused("has no database"));
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(5432),
            user,
            password: decode(url.password().unwrap_or_default())?.into(),
            database,
            tls: tls_mode(&url)?,
            shared: LaneConfig {
                connections: 1,
                depth: 16,
                queue: 256,
                queue_wait: Duration::from_secs(2),
                statement_timeout: Duration::from_millis(100),
                lock_timeout: Duration::from_millis(100),
            },
            exclusive: LaneConfig {
                connections: 8,
                depth: 1,
                queue: 128,
                queue_wait: Duration::from_secs(4),
                statement_timeout: Duration::from_secs(5),
                lock_timeout: Duration::from_secs(2),
            },
            streams: StreamConfig::default(),
            transaction_idle_max: Duration::from_secs(5),
            statements: 256,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
            answer_bytes_max: 32 * 1024 * 1024,
        })
    }
}

fn decode(text: &str) -> Result<String, ConfigError> {
    match percent_encoding::percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(ConfigError::Refused("holds bytes that are no text")),
    }
}

fn tls_mode(url: &Url) -> Result<TlsMode, ConfigError> {
    let mut mode = "disable".to_owned();
    let mut root_certificates = None;
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslmode" => mode = value.into_owned(),
            "sslrootcert" => root_certificates = Some(PathBuf::from(&*value)),
            _ => {
                return Err(ConfigError::Refused(
                    "has a parameter other than sslmode and sslrootcert",
                ));
            }
        }
    }
    match mode.as_str() {
        "disable" => Ok(TlsMode::Disable),
        "require" => Ok(TlsMode::Require),
        "verify-full" => Ok(TlsMode::VerifyFull { root_certificates }),
        _ => Err(ConfigError::Refused(
            "has an sslmode other than disable, require and verify-full",
        )),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_url_says_everything() {
        let config = DatabaseConfig::from_url(
            "postgres://a%40b:p%2Fw@[::1]:17405/septem?sslmode=verify-full&sslrootcert=/ca.pem",
        )
        .unwrap();
        assert_eq!(
            (config.host.as_str(), config.port, config.user.as_str()),
            ("::1", 17405, "a@b")
        );
        assert_eq!(
            (config.password.expose_secret(), config.database.as_str()),
            ("p/w", "septem")
        );
        assert_eq!(
            config.tls,
            TlsMode::VerifyFull {
                root_certificates: Some("/ca.pem".into())
            }
        );
        for bad in [
            "mysql://a@h/d",
            "postgres://h/d",
            "postgres://a@h",
            "postgres://a@h/d?sslmode=prefer",
            "postgres://a@h/d?options=-crow_security=off",
            "postgres://a%00@h/d",
            "x",
        ] {
            assert!(DatabaseConfig::from_url(bad).is_err(), "{bad}");
        }
    }
}
