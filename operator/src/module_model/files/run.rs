//! Runs what is left, file by file and tenant by tenant. Killed anywhere, the ledger says what has run: it is written
//! in the transaction of the file.

use std::time::Duration;

use crds::Reason;
use sqlx::PgConnection;
use tracing::instrument;
use uuid::Uuid;

use super::{
    compare::{Pending, compare},
    ledger::read_ledger,
    parse::{FileKind, SqlFile},
    rights,
};
use crate::{
    error::Error,
    module_model::{apply::Stop, validate::Desired},
    plane::Plane,
    postgres::{Fenced, ModuleSession, Refused, SessionError, Timeouts, execute},
    telemetry::TARGET,
};

/// Runs under one hold of the database's lock: other models get their turn between.
const TURN_RUNS: usize = 50;
/// Building an index takes longer than other statements.
const INDEX_TIMEOUT: Duration = Duration::from_secs(600);
/// Added to the time of a statement before PostgreSQL takes an operator for frozen that holds the lock.
const GRACE: Duration = Duration::from_secs(60);

/// A file that PostgreSQL refused.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}{}", .line.map(|n| format!(", line {n}")).unwrap_or_default(), .tenant.map(|t| format!(", tenant {t}")).unwrap_or_default())]
pub struct FileError {
    /// Its name.
    pub file: String,
    /// Its version.
    pub version: String,
    /// The line, where PostgreSQL says so.
    pub line: Option<usize>,
    /// For whom it ran.
    pub tenant: Option<Uuid>,
    /// What PostgreSQL says.
    #[source]
    pub source: Refused,
}

impl FileError {
    /// Why, in one word.
    pub fn reason(&self) -> Reason {
        match self.source.code.as_str() {
            "55P03" => Reason::LockUnavailable,
            "57014" => Reason::StatementTimeout,
            _ => Reason::MigrationFailed,
        }
    }
}

/// Runs every file that is left; returns how many runs there were.
#[instrument(target = TARGET, name = "run files", skip_all)]
pub async fn run_files(
    plane: &Plane,
    desired: &Desired,
    files: &[SqlFile],
    plan_hash: Option<&str>,
) -> Result<usize, Stop> {
    let mut runs = 0;
    let mut session = None;
    loop {
        let mut turn = Turn {
            fenced: plane.fenced(desired.timeouts).await?,
            desired,
            epoch: plane.epoch(),
            plan_hash,
        };
        turn.be_patient().await?;
        // Again, under the lock: nobody else runs files of this database now.
        let name = desired.model.name();
        let (ledger, tenants) = read_ledger(turn.fenced.conn(), name.module.as_str()).await?;
        let pending = compare(files, &ledger, name.model.as_str(), &tenants)?;
        if pending.is_empty() {
            return Ok(runs);
        }
        let session = match &mut session {
            Some(session) => session,
            empty => empty.insert(ModuleSession::open(plane.login(), &name.module).await?),
        };
        runs += turn.run(session, &pending).await?;
    }
}

/// One hold of the database's lock.
struct Turn<'a> {
    fenced: Fenced,
    desired: &'a Desired,
    epoch: i64,
    plan_hash: Option<&'a str>,
}

impl Turn<'_> {
    /// The lock's session is idle while a file runs.
    async fn be_patient(&mut self) -> Result<(), Error> {
        let limit = self.desired.timeouts.statement.max(INDEX_TIMEOUT) + GRACE;
        let statement = format!(
            "set idle_in_transaction_session_timeout = {}",
            limit.as_millis()
        );
        execute(self.fenced.conn(), &statement)
            .await
            .map_err(Error::postgres("the lock on this database"))
    }

    async fn run(
        mut self,
        session: &mut ModuleSession,
        pending: &Pending<'_>,
    ) -> Result<usize, Error> {
        let mut runs = 0;
        for run in &pending.runs {
            let file = run.file;
            for tenant in &run.tenants {
                if runs == TURN_RUNS {
                    self.fenced.commit().await?;
                    return Ok(runs);
                }
                rights::ensure(self.fenced.conn(), &self.desired.model, file.kind).await?;
                let again = self.announce(session.pid(), file, *tenant).await?;
                // The file's session sees what is committed.
                self.fenced = self.fenced.commit_and_begin().await?;
                let ran = match &file.index {
                    None => session.run(&file.up, *tenant, self.desired.timeouts).await,
                    Some(_) => self.build_index(session, file, again).await?,
                };
                if let Err(error) = ran {
                    self.retract().await?;
                    return Err(error_of(file, *tenant, error));
                }
                tracing::info!(
                    resource = self.desired.resource,
                    file = file.name,
                    tenant = tenant.map(tracing::field::display),
                    "file run"
                );
                runs += 1;
            }
            if run.mark {
                self.mark(file).await?;
            }
        }
        self.fenced.commit().await?;
        Ok(runs)
    }

    /// Says what the session is about to run; whether an earlier run of the same was interrupted.
    async fn announce(
        &mut self,
        pid: i32,
        file: &SqlFile,
        tenant: Option<Uuid>,
    ) -> Result<bool, Error> {
        let name = self.desired.model.name();
        let doing = "the file that is run";
        let again: bool = sqlx::query_scalar(
            "select exists (select from platform.file_runs where module = $1 and version = $2 and sha256 = $3 and tenant_id is not distinct from $4)",
        )
        .bind(name.module.as_str())
        .bind(file.version.as_str())
        .bind(&file.sha256)
        .bind(tenant)
        .fetch_one(self.fenced.conn())
        .await
        .map_err(Error::postgres(doing))?;
        sqlx::query(
            "insert into platform.file_runs (module, pid, model, version, description, kind, tenant_id, sha256, epoch, plan_hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (module) do update set pid = excluded.pid, model = excluded.model, version = excluded.version, description = excluded.description, kind = excluded.kind, tenant_id = excluded.tenant_id, sha256 = excluded.sha256, epoch = excluded.epoch, plan_hash = excluded.plan_hash, fence = null, started_at = clock_timestamp()",
        )
        .bind(name.module.as_str())
        .bind(pid)
        .bind(name.model.as_str())
        .bind(file.version.as_str())
        .bind(&file.description)
        .bind(file.kind.as_str())
        .bind(tenant)
        .bind(&file.sha256)
        .bind(self.epoch)
        .bind(self.plan_hash)
        .execute(self.fenced.conn())
        .await
        .map_err(Error::postgres(doing))?;
        Ok(again)
    }

    /// The file failed by itself: no run of it is open.
    async fn retract(mut self) -> Result<(), Error> {
        sqlx::query("delete from platform.file_runs where module = $1")
            .bind(self.desired.model.name().module.as_str())
            .execute(self.fenced.conn())
            .await
            .map_err(Error::postgres("the file that was run"))?;
        self.fenced.commit().await
    }

    /// Every tenant that there is has had the file.
    async fn mark(&mut self, file: &SqlFile) -> Result<(), Error> {
        let name = self.desired.model.name();
        sqlx::query(
            "insert into platform.schema_migrations (module, version, model, sha256, statements, epoch, kind, description, plan_hash) values ($1, $2, $3, $4, 1, $5, $6, $7, $8)",
        )
        .bind(name.module.as_str())
        .bind(file.version.as_str())
        .bind(name.model.as_str())
        .bind(&file.sha256)
        .bind(self.epoch)
        .bind(FileKind::PerTenant.as_str())
        .bind(&file.description)
        .bind(self.plan_hash)
        .execute(self.fenced.conn())
        .await
        .map(drop)
        .map_err(Error::postgres("the ledger"))
    }

    /// Builds an index concurrently. One that an interrupted build left INVALID is dropped first; one that it had
    /// finished is only recorded.
    async fn build_index(
        &mut self,
        session: &mut ModuleSession,
        file: &SqlFile,
        again: bool,
    ) -> Result<Result<(), SessionError>, Error> {
        let Some(index) = &file.index else {
            return Ok(Ok(()));
        };
        let module = &self.desired.model.name().module;
        let valid = index_is_valid(self.fenced.conn(), module.as_str(), index.as_str()).await?;
        let patient = Timeouts {
            statement: self.desired.timeouts.statement.max(INDEX_TIMEOUT),
            ..self.desired.timeouts
        };
        Ok(async {
            if valid == Some(false) {
                let drop = sql::postgres::ddl::drop_index(module, index.as_str());
                session.run_alone(&drop, patient).await?;
            }
            if !(again && valid == Some(true)) {
                session.run_alone(&file.up, patient).await?;
            }
            session.record(self.desired.timeouts).await
        }
        .await)
    }
}

/// Whether an index is there and can be used.
async fn index_is_valid(
    conn: &mut PgConnection,
    module: &str,
    index: &str,
) -> Result<Option<bool>, Error> {
    sqlx::query_scalar(
        "select x.indisvalid from pg_index x join pg_class c on c.oid = x.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2",
    )
    .bind(module)
    .bind(index)
    .fetch_optional(conn)
    .await
    .map_err(Error::postgres("an index of a file"))
}

fn error_of(file: &SqlFile, tenant: Option<Uuid>, error: SessionError) -> Error {
    match error {
        SessionError::Refused(source) => Error::File(Box::new(FileError {
            file: file.name.clone(),
            version: file.version.as_str().to_owned(),
            line: source.position.map(|at| line_of(&file.up, at)),
            tenant,
            source,
        })),
        SessionError::Lost(source) => Error::Postgres {
            doing: "a SQL file",
            source,
        },
    }
}

/// The line of a character; both count from 1.
fn line_of(text: &str, position: usize) -> usize {
    let before = text.chars().take(position.saturating_sub(1));
    1 + before.filter(|c| *c == '\n').count()
}
