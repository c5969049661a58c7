//! Calls that could not be delivered, in `platform.hook_dead_letters`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use model::{HookEvent, ModelName};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::config::Selection;

/// A call that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The event.
    pub event_id: Uuid,
    /// The hook, with its model.
    pub url: String,
    /// What happened.
    pub event: HookEvent,
    /// To a record of this model.
    pub name: ModelName,
    /// Of this tenant.
    pub tenant: Uuid,
    /// This record.
    pub record: Uuid,
    /// Its place in the table's history.
    pub position: u128,
    /// What is sent.
    pub body: String,
}

/// How many dead letters a hook has.
#[derive(Debug)]
pub struct Pile {
    /// `module.model`.
    pub model: String,
    /// When it is called.
    pub event: String,
    /// Where.
    pub url: String,
    /// How many.
    pub count: i64,
    /// The oldest of them.
    pub since: DateTime<Utc>,
    /// What the last tries met, one word each.
    pub failures: String,
}

/// The table. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters(PgPool);

const FROM_SELECTION: &str =
    "module = $1 and ($2::text is null or model = $2) and ($3::uuid is null or tenant_id = $3)";

impl DeadLetters {
    /// In this database, as role septem_sink.
    pub fn new(pool: PgPool) -> Self {
        Self(pool)
    }

    /// Keeps a call. Kept already, it stays as it is.
    pub async fn bury(&self, letter: &DeadLetter, failure: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into platform.hook_dead_letters
               (event_id, url, event, module, model, tenant_id, record_id, position, body, failure)
             values ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric, $9, $10)
             on conflict (event_id, url) do nothing",
        )
        .bind(letter.event_id)
        .bind(&letter.url)
        .bind(letter.event.as_str())
        .bind(letter.name.module.as_str())
        .bind(letter.name.model.as_str())
        .bind(letter.tenant)
        .bind(letter.record)
        .bind(letter.position.to_string())
        .bind(&letter.body)
        .bind(failure)
        .execute(&self.0)
        .await
        .map(drop)
    }

    /// Forgets what is older; tells how many those were, and how many are left.
    pub async fn expire(&self, keep: Duration) -> Result<(u64, i64), sqlx::Error> {
        let expired = sqlx::query(
            "delete from platform.hook_dead_letters where dead_at < now() - make_interval(secs => $1)",
        )
        .bind(keep.as_secs_f64())
        .execute(&self.0)
        .await?
        .rows_affected();
        let left = sqlx::query_scalar("select count(*) from platform.hook_dead_letters");
        Ok((expired, left.fetch_one(&self.0).await?))
    }

    /// What is there, by hook.
    pub async fn piles(&self) -> Result<Vec<Pile>, sqlx::Error> {
        let rows = sqlx::query(
            "select module || '.' || model, event, url, count(*), min(dead_at), string_agg(distinct failure, ' ')
             from platform.hook_dead_letters group by 1, 2, 3 order by 1, 2, 3",
        )
        .fetch_all(&self.0)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Pile {
                    model: row.try_get(0)?,
                    event: row.try_get(1)?,
                    url: row.try_get(2)?,
                    count: row.try_get(3)?,
                    since: row.try_get(4)?,
                    failures: row.try_get(5)?,
                })
            })
            .collect()
    }

    /// The next of a selection in order of each record, after the given one.
    pub async fn next(
        &self,
        selection: &Selection,
        after: Option<&DeadLetter>,
    ) -> Result<Option<DeadLetter>, sqlx::Error> {
        let text = format!(
            "select event_id, url, event, module, model, tenant_id, record_id, position::text, body
             from platform.hook_dead_letters where {FROM_SELECTION}
               and ($4::text is null
                 or (model, tenant_id, record_id, position, url) > ($4, $5::uuid, $6::uuid, $7::text::numeric, $8))
             order by model, tenant_id, record_id, position, url limit 1"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(selection.module.as_str())
            .bind(selection.model.as_ref().map(|m| m.as_str().to_owned()))
            .bind(selection.tenant)
            .bind(after.map(|a| a.name.model.as_str().to_owned()))
            .bind(after.map(|a| a.tenant))
            .bind(after.map(|a| a.record))
            .bind(after.map(|a| a.position.to_string()))
            .bind(after.map(|a| a.url.clone()))
            .fetch_optional(&self.0)
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Forgets one.
    pub async fn forget(&self, letter: &DeadLetter) -> Result<(), sqlx::Error> {
        sqlx::query("delete from platform.hook_dead_letters where event_id = $1 and url = $2")
            .bind(letter.event_id)
            .bind(&letter.url)
            .execute(&self.0)
            .await
            .map(drop)
    }

    /// Forgets a selection; tells how many.
    pub async fn drop(&self, selection: &Selection) -> Result<u64, sqlx::Error> {
        let text = format!("delete from platform.hook_dead_letters where {FROM_SELECTION}");
        sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(selection.module.as_str())
            .bind(selection.model.as_ref().map(|m| m.as_str().to_owned()))
            .bind(selection.tenant)
            .execute(&self.0)
            .await
            .map(|done| done.rows_affected())
    }
}

fn read(row: &sqlx::postgres::PgRow) -> Result<DeadLetter, sqlx::Error> {
    fn parsed<T>(value: Option<T>) -> Result<T, sqlx::Error> {
        value.ok_or_else(|| sqlx::Error::Decode("a dead letter has an unknown form".into()))
    }
    let text = |at: usize| row.try_get::<String, _>(at);
    Ok(DeadLetter {
        event_id: row.try_get(0)?,
        url: text(1)?,
        event: parsed(serde_json::from_value(text(2)?.into()).ok())?,
        name: ModelName {
            module: parsed(text(3)?.parse().ok())?,
            model: parsed(text(4)?.parse().ok())?,
        },
        tenant: row.try_get(5)?,
        record: row.try_get(6)?,
        position: parsed(text(7)?.parse().ok())?,
        body: text(8)?,
    })
}
