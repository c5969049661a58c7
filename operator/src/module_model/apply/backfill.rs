//! Brings older rows to a column in batches, each with its progress in one transaction.

use std::time::{Duration, Instant};

use model::Field;
use sql::postgres::ddl::{self, Fill};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    error::Error, failpoint::failpoint, module_model::validate::Desired, postgres::Fenced,
};

/// Rows of a batch: locked together for some milliseconds, and one transaction for those who follow the log.
const BATCH_ROWS: i64 = 2_000;
/// How long batches follow one another before others of this database have their turn.
const SLICE: Duration = Duration::from_secs(3);
/// How far change capture may be behind (`confirmed_flush_lsn`): a backfill writes as fast as it can, and what is not
/// yet read keeps the log from being removed.
const CAPTURE_LAG_BYTES_MAX: i64 = 256 << 20;
/// How far a standby may be behind with what it replays, where this role may see it.
const STANDBY_LAG_SECONDS_MAX: i32 = 10;

/// How far a backfill has come.
pub struct Progress {
    /// The field.
    pub field: String,
    /// Rows written so far.
    pub rows: i64,
    /// Whether every row has been looked at.
    pub ended: bool,
    /// Why it does not go on at once.
    pub paused: Option<Paused>,
}

/// What a backfill waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// Change capture is far behind.
    Capture,
    /// A standby is far behind.
    Standby,
}

impl Paused {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "change capture is more than 256 MiB behind",
            Self::Standby => "a standby is more than 10 s behind",
        }
    }
}

/// Runs batches from where the last one ended.
pub(super) async fn run(
    mut fenced: Fenced,
    desired: &Desired,
    field: &Field,
    fill: &Fill,
) -> Result<Progress, Error> {
    let started = Instant::now();
    let statement = ddl::fill_batch(desired.model.name(), field, fill);
    loop {
        let (rows, ended) = batch(&mut fenced, desired, field, &statement).await?;
        let paused = match ended {
            true => None,
            false => lag(&mut fenced).await?,
        };
        failpoint!("backfill-before");
        let progress = Progress {
            field: field.name.as_str().to_owned(),
            rows,
            ended,
            paused,
        };
        if ended || paused.is_some() || started.elapsed() > SLICE {
            fenced.commit().await?;
            failpoint!("backfill-after");
            return Ok(progress);
        }
        fenced = fenced.commit_and_begin().await?;
        failpoint!("backfill-after");
    }
}

/// One batch and its progress. Answers how many rows were written in all, and whether it was the last.
async fn batch(
    fenced: &mut Fenced,
    desired: &Desired,
    field: &Field,
    statement: &str,
) -> Result<(i64, bool), Error> {
    let name = desired.model.name();
    let (module, model) = (name.module.as_str(), name.model.as_str());
    let column = field.column();
    let doing = "a batch of older rows";
    let (tenant, id): (Option<Uuid>, Option<Uuid>) = sqlx::query_as(
        "select fill_tenant, fill_id from platform.model_columns where module = $1 and model = $2 and name = $3 for update",
    )
    .bind(module)
    .bind(model)
    .bind(column.as_str())
    .fetch_one(fenced.conn())
    .await
    .map_err(Error::postgres(doing))?;
    let (keys, written, tenant, id): (i64, i64, Option<Uuid>, Option<Uuid>) =
        sqlx::query_as(AssertSqlSafe(statement))
            .bind(tenant)
            .bind(id)
            .bind(BATCH_ROWS)
            .fetch_one(fenced.conn())
            .await
            .map_err(Error::postgres(doing))?;
    let ended = keys < BATCH_ROWS;
    let rows: i64 = sqlx::query_scalar(
        "update platform.model_columns set filled_rows = filled_rows + $4, fill_tenant = coalesce($5, fill_tenant), fill_id = coalesce($6, fill_id), filled_at = case when $7 then clock_timestamp() end where module = $1 and model = $2 and name = $3 returning filled_rows",
    )
    .bind(module)
    .bind(model)
    .bind(column.as_str())
    .bind(written)
    .bind(tenant)
    .bind(id)
    .bind(ended)
    .fetch_one(fenced.conn())
    .await
    .map_err(Error::postgres(doing))?;
    Ok((rows, ended))
}

/// Whether those who follow the log are too far behind.
async fn lag(fenced: &mut Fenced) -> Result<Option<Paused>, Error> {
    let (capture, standby): (i64, i32) = sqlx::query_as(
        "select coalesce((select max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)) from pg_replication_slots where slot_type = 'logical' and database = current_database()), 0)::bigint, coalesce((select max(extract(epoch from replay_lag)) from pg_stat_replication), 0)::int",
    )
    .fetch_one(fenced.conn())
    .await
    .map_err(Error::postgres("how far change capture is"))?;
    Ok(if capture > CAPTURE_LAG_BYTES_MAX {
        Some(Paused::Capture)
    } else if standby > STANDBY_LAG_SECONDS_MAX {
        Some(Paused::Standby)
    } else {
        None
    })
}
