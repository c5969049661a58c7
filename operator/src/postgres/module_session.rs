//! The session that runs a module's SQL files: logged in as the module's own role, so that there is no other role to
//! go back to. `set role` alone would not do: a file could say `reset role`.

use model::Ident;
use secrecy::SecretString;
use sql::postgres::ddl;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use super::{Login, Timeouts, execute, roles::leave_groups};
use crate::error::Error;

/// A statement of an author that PostgreSQL refused. Its text is shown to the author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct Refused {
    /// SQLSTATE.
    pub code: String,
    /// PostgreSQL's message, without its detail: that may show rows.
    pub message: String,
    /// Where in the text that was given, in characters from 1, if PostgreSQL says so.
    pub position: Option<usize>,
}

/// Why a file did not run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file's own doing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Anything else.
    #[error("the connection")]
    Lost(#[source] sqlx::Error),
}

/// An open session.
pub struct ModuleSession {
    conn: PgConnection,
    pid: i32,
    module: Ident,
}

impl ModuleSession {
    /// Makes the role if it is missing, lets it in for a moment with a password that nobody else knows, and shuts the
    /// door behind the session. Whoever was killed in between leaves a door that shuts itself within a minute.
    pub async fn open(owner: &Login, module: &Ident) -> Result<Self, Error> {
        let doing = "the role of a module's SQL files";
        let mut admin = owner.connect().await.map_err(Error::postgres(doing))?;
        let login = open_door(&mut admin, owner, module)
            .await
            .map_err(Error::postgres(doing))?;
        let opened = login.connect().await;
        execute(&mut admin, &ddl::close_module_role(module))
            .await
            .map_err(Error::postgres(doing))?;
        let _ = admin.close().await;
        let mut conn = opened.map_err(Error::postgres(
            "a session of the role of a module's SQL files (pg_hba.conf must let roles septem_m_* in from here)",
        ))?;
        let pid = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut conn)
            .await
            .map_err(Error::postgres(doing))?;
        Ok(Self {
            conn,
            pid,
            module: module.clone(),
        })
    }

    /// The server's number of this session.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Runs a file in one transaction, together with its row in the ledger.
    pub async fn run(
        &mut self,
        statements: &str,
        tenant: Option<uuid::Uuid>,
        timeouts: Timeouts,
    ) -> Result<(), SessionError> {
        self.begin(tenant, timeouts).await?;
        sqlx::query("select septem_files.run($1)")
            .bind(statements)
            .persistent(false)
            .execute(&mut self.conn)
            .await
            .map_err(|error| session_error(error, statements))?;
        // What was put off to the commit is done now, so that nothing comes after the last look.
        for statement in ["set constraints all immediate", "close all"] {
            self.execute(statement).await?;
        }
        self.finish().await
    }

    /// Runs one statement outside of a transaction, for at most `timeouts.statement`. What it waits for are older
    /// transactions, and giving up would leave an INVALID index, so there is no limit on waiting for locks.
    pub async fn run_alone(
        &mut self,
        statement: &str,
        timeouts: Timeouts,
    ) -> Result<(), SessionError> {
        self.prepare().await?;
        let limit = format!("set statement_timeout = {}", timeouts.statement.as_millis());
        self.execute(&limit).await?;
        // The extended protocol takes exactly one statement.
        sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .execute(&mut self.conn)
            .await
            .map(drop)
            .map_err(|error| session_error(error, statement))
    }

    /// Records the file of this session as run.
    pub async fn record(&mut self, timeouts: Timeouts) -> Result<(), SessionError> {
        self.begin(None, timeouts).await?;
        self.finish().await
    }

    async fn begin(
        &mut self,
        tenant: Option<uuid::Uuid>,
        timeouts: Timeouts,
    ) -> Result<(), SessionError> {
        self.prepare().await?;
        let limits = [
            "begin".to_owned(),
            format!("set local lock_timeout = {}", timeouts.lock.as_millis()),
            format!(
                "set local statement_timeout = {}",
                timeouts.statement.as_millis()
            ),
        ];
        for statement in &limits {
            self.execute(statement).await?;
        }
        let tenant = tenant.map(|id| id.to_string()).unwrap_or_default();
        sqlx::query("select pg_catalog.set_config('app.tenant_id', $1, true)")
            .bind(tenant)
            .persistent(false)
            .execute(&mut self.conn)
            .await
            .map_err(|error| session_error(error, ""))?;
        self.execute("select septem_files.begin()").await
    }

    async fn finish(&mut self) -> Result<(), SessionError> {
        self.execute("select septem_files.finish()").await?;
        self.execute("commit").await
    }

    /// As new, whatever the last file has set.
    async fn prepare(&mut self) -> Result<(), SessionError> {
        self.execute("rollback").await?;
        self.execute("reset all").await?;
        for statement in ddl::module_session(&self.module) {
            self.execute(&statement).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &str) -> Result<(), SessionError> {
        execute(&mut self.conn, statement)
            .await
            .map_err(|error| session_error(error, ""))
    }
}

async fn open_door(
    admin: &mut PgConnection,
    owner: &Login,
    module: &Ident,
) -> Result<Login, sqlx::Error> {
    let role = ddl::module_role(module);
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(&role)
            .fetch_one(&mut *admin)
            .await?;
    if !exists {
        execute(admin, &ddl::create_module_role(module)).await?;
        tracing::info!(role, "role created");
    }
    leave_groups(admin, &role).await?;
    let connect = ddl::let_module_role_connect(module, &owner.database);
    execute(admin, &connect).await?;
    let row = sqlx::query(
        "select (now() + interval '1 minute')::text as until, rolsuper or rolbypassrls or rolreplication or rolcreatedb as mighty from pg_roles where rolname = $1",
    )
    .bind(&role)
    .fetch_one(&mut *admin)
    .await?;
    if row.try_get("mighty")? {
        execute(admin, &ddl::humble_module_role(module)).await?;
        tracing::warn!(role, "role had other attributes and was put right");
    }
    let until: String = row.try_get("until")?;
    let password = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
    for statement in ddl::open_module_role(module, &verifier, &until) {
        execute(admin, &statement).await?;
    }
    Ok(Login {
        user: role,
        password: SecretString::from(password),
        ..owner.clone()
    })
}

fn session_error(error: sqlx::Error, text: &str) -> SessionError {
    let refused = error
        .as_database_error()
        .and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
        // A server that goes down says nothing about the file.
        .filter(|e| {
            !["57P", "08", "53"]
                .iter()
                .any(|class| e.code().starts_with(class))
        });
    match refused {
        Some(refused) => SessionError::Refused(Refused {
            code: refused.code().to_owned(),
            message: refused.message().to_owned(),
            position: match refused.position() {
                Some(PgErrorPosition::Original(position)) => Some(position),
                Some(PgErrorPosition::Internal { position, query }) if query == text => {
                    Some(position)
                }
                _ => None,
            },
        }),
        None => SessionError::Lost(error),
    }
}
