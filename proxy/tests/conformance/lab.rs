//! A filled database, the endpoints over it, and the judge.

use std::fmt::Write as _;

use http::StatusCode;
use proxy::postgres::DatabaseConfig;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::Mutex;

use super::{models::models, rows};
use crate::support::world::{A, Seen, World};

/// Two tenants' rows, the endpoints, and a connection that no policy binds.
pub struct Lab {
    /// The endpoints.
    pub world: World,
    judge: Mutex<PgConnection>,
    failures: Mutex<Vec<String>>,
}

/// `data` and `meta` of a list, as text.
#[derive(serde::Deserialize)]
struct List {
    data: Vec<Box<RawValue>>,
}

impl Lab {
    /// A lab of one's own.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with a changed configuration of the database.
    pub async fn with(change: impl FnOnce(&mut DatabaseConfig)) -> Self {
        let world = World::of(&models(), change).await;
        let mut judge = world.database.admin().await;
        rows::fill(&mut judge).await;
        crate::support::database::run(&mut judge, "set timezone = 'UTC'").await;
        Self {
            world,
            judge: Mutex::new(judge),
            failures: Mutex::default(),
        }
    }

    /// The rows of plain SQL that yields one text each; the error's SQLSTATE where PostgreSQL has no such operator.
    pub async fn try_rows(&self, sql: &str) -> Result<Vec<String>, String> {
        let mut judge = self.judge.lock().await;
        let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *judge);
        rows.await.map_err(|error| match error {
            sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
            other => panic!("{other}\n{sql}"),
        })
    }

    /// The same where SQL must be right.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        match self.try_rows(sql).await {
            Ok(rows) => rows,
            Err(state) => panic!("the judge's own SQL fails with {state}: {sql}"),
        }
    }

    /// Sends a GET of the first tenant; whatever comes back holds nothing of the second's.
    pub async fn get(&self, target: &str) -> Seen {
        let seen = self.world.send(A, "GET", target, None).await;
        if seen.text.contains(rows::CANARY) {
            self.fail(format!(
                "another tenant's row\n  GET {target}\n  {}",
                seen.text
            ))
            .await;
        }
        if seen.status.is_server_error() {
            self.fail(format!("{}\n  GET {target}\n  {}", seen.status, seen.text))
                .await;
        }
        seen
    }

    /// A list whose records are these rows of SQL, byte for byte, in order.
    pub async fn expect(&self, target: &str, sql: &str) {
        let expected = self.rows(sql).await;
        let seen = self.get(target).await;
        if seen.status != StatusCode::OK {
            self.fail(format!(
                "{}\n  GET {target}\n  {}\n  {sql}",
                seen.status, seen.text
            ))
            .await;
            return;
        }
        let list: List = serde_json::from_str(&seen.text).unwrap();
        let actual: Vec<_> = list.data.iter().map(|d| d.get().to_owned()).collect();
        if actual != expected {
            let mut report = format!("other rows\n  GET {target}\n  {sql}\n");
            let first =
                (0..actual.len().max(expected.len())).find(|i| actual.get(*i) != expected.get(*i));
            let at = first.unwrap_or_default();
            let _ = write!(
                report,
                "  {} rows for {}, first at {at}:\n  is {:?}\n  be {:?}",
                actual.len(),
                expected.len(),
                actual.get(at),
                expected.get(at)
            );
            self.fail(report).await;
        }
    }

    /// A list whose ids are those of the rows of a model for which a condition holds, in an order.
    pub async fn expect_ids(&self, model: &str, query: &str, condition: &str, order: &str) {
        let separator = if query.is_empty() { "" } else { "&" };
        let target = format!("{model}?select=id&limit=1000{separator}{query}");
        let sql = format!(
            "select '{{\"id\":\"' || id || '\"}}' from oracle.{model} t where {condition} order by {order}"
        );
        self.expect(&target, &sql).await;
    }

    /// A 400 with exactly these errors, as `field CODE`.
    pub async fn refused(&self, target: &str, errors: &[&str]) -> Seen {
        let seen = self.get(target).await;
        if seen.status != StatusCode::BAD_REQUEST || seen.errors() != errors {
            self.fail(format!(
                "should be refused with {errors:?}\n  GET {target}\n  {} {}",
                seen.status, seen.text
            ))
            .await;
        }
        seen
    }

    /// Notes what is wrong; [`Self::finish`] tells it.
    pub async fn fail(&self, what: String) {
        self.failures.lock().await.push(what);
    }

    /// What was wrong since the last call.
    pub async fn failures(&self) -> Vec<String> {
        std::mem::take(&mut *self.failures.lock().await)
    }

    /// Panics with all that was wrong.
    pub async fn finish(self) {
        let Self {
            world,
            judge,
            failures,
        } = self;
        let _ = judge.into_inner().close().await;
        let failures = failures.into_inner();
        let shown: Vec<_> = failures.iter().take(40).map(String::as_str).collect();
        drop(world);
        assert!(
            failures.is_empty(),
            "{} failures\n{}",
            failures.len(),
            shown.join("\n")
        );
    }
}

/// One parameter, percent-encoded.
pub fn pair(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}
