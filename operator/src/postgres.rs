//! PostgreSQL: logins, connections, and the one transaction in which anything is changed.
//!
//! Connections are direct, never through a transaction pooler: session locks and `set role` would not survive one.

mod bootstrap;
mod fenced;
mod module_session;
mod roles;
mod upkeep;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use url::Url;

pub use bootstrap::{Bootstrapped, bootstrap};
pub use fenced::{Fenced, Timeouts};
pub use module_session::{ModuleSession, Refused, SessionError};
pub use roles::RoleSecrets;
use sql::postgres::ddl::OWNER_ROLE;

use crate::{error::Error, telemetry::spans};

/// Connections that look and change nothing. Reconciles run at most this many at once, too.
pub const LOOKS_MAX: u32 = 8;
/// A look at the catalogue takes milliseconds.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// A user of a database, from a URL `postgres://user:password@host:port/database?sslmode=…`.
#[derive(Debug, Clone)]
pub struct Login {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// `sslmode`, `prefer` unless given.
    pub ssl_mode: String,
}

impl Login {
    /// Parses the URL; the error says what is wrong and repeats none of it.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|_| "key url is not a URL")?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("key url is not a postgres:// URL");
        }
        let text =
            |part: &str| percent_decode(part).ok_or("key url has a malformed percent escape");
        let ssl_mode = url
            .query_pairs()
            .find(|(key, _)| key == "sslmode")
            .map(|(_, value)| value.into_owned());
        let ssl_mode = ssl_mode.unwrap_or_else(|| "prefer".into());
        if ssl_mode.parse::<PgSslMode>().is_err() {
            return Err("key url has an unknown sslmode");
        }
        let login = Self {
            host: url.host_str().ok_or("key url has no host")?.to_owned(),
            port: url.port().unwrap_or(5432),
            database: text(url.path().trim_start_matches('/'))?,
            user: text(url.username())?,
            password: text(url.password().unwrap_or_default())?.into(),
            ssl_mode,
        };
        if login.database.is_empty() || login.user.is_empty() {
            return Err("key url needs a user and a database");
        }
        Ok(login)
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .password(self.password.expose_secret())
            .ssl_mode(self.ssl_mode.parse().unwrap_or(PgSslMode::Prefer))
            .application_name("septem-operator")
            // "already exists, skipping" is what we count on, not news.
            .options([("client_min_messages", "warning")])
            .disable_statement_logging()
    }

    /// One connection, as the login itself.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = self.options();
        let connecting = PgConnection::connect_with(&options);
        let timeout = Duration::from_secs(10);
        tokio::time::timeout(timeout, connecting)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Connections that only look, as the owner.
    pub fn looks(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(LOOKS_MAX)
            .acquire_timeout(Duration::from_secs(10))
            .idle_timeout(Duration::from_secs(60))
            .after_connect(|conn, _| Box::pin(prepare_look(conn)))
            .connect_lazy_with(self.options())
    }
}

async fn prepare_look(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statements = [
        format!("set role {OWNER_ROLE}"),
        "set default_transaction_read_only = on".into(),
        format!("set statement_timeout = {}", LOOK_TIMEOUT.as_millis()),
    ];
    for statement in &statements {
        execute(conn, statement).await?;
    }
    Ok(())
}

/// Decodes `%41`; none when an escape is malformed.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Runs one statement that takes no binds. The only place where text that is not a constant becomes SQL: it is made
/// by crate `sql`, or of constants of ours.
pub async fn execute(conn: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    let running = sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn);
    spans::within(spans::postgres(statement), running)
        .await
        .map(drop)
}

/// Runs a statement of crate `sql` with a tenant as `$1`. How many rows it changed.
pub async fn execute_for(
    conn: &mut PgConnection,
    statement: String,
    tenant: uuid::Uuid,
) -> Result<i64, sqlx::Error> {
    let span = spans::postgres(&statement);
    let query = sqlx::query(AssertSqlSafe(statement)).bind(tenant);
    let done = spans::within(span, query.execute(conn)).await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// Runs a statement of crate `sql` with a tenant as `$1`. The number that it answers.
pub async fn number_for(
    conn: &mut PgConnection,
    statement: String,
    tenant: uuid::Uuid,
) -> Result<i64, sqlx::Error> {
    let span = spans::postgres(&statement);
    let query = sqlx::query_scalar(AssertSqlSafe(statement)).bind(tenant);
    spans::within(span, query.fetch_one(conn)).await
}

/// Runs statements in order.
pub async fn execute_all(
    conn: &mut PgConnection,
    statements: &[String],
    doing: &'static str,
) -> Result<(), Error> {
    for statement in statements {
        execute(conn, statement)
            .await
            .map_err(Error::postgres(doing))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_from_its_url() {
        let login =
            Login::parse("postgres://us%40er:p%2Fw@db:5433/septem?sslmode=require").unwrap();
        assert_eq!(
            (
                login.user.as_str(),
                login.password.expose_secret(),
                login.port,
                login.ssl_mode.as_str()
            ),
            ("us@er", "p/w", 5433, "require")
        );
        for bad in [
            "",
            "http://a@b/c",
            "postgres://h/",
            "postgres://u@h/",
            "postgres://u@h/d?sslmode=x",
            "postgres://u%zz@h/d",
        ] {
            assert!(Login::parse(bad).is_err(), "{bad}");
        }
    }
}
