//! `POST /v1/data/{module}/analytics`: aggregates over one model, read from ClickHouse.
//!
//! Two fences stand around a tenant, and either would do alone: the compiler writes `tenant_id = {tenant:UUID}` into
//! every statement, and ClickHouse's row policy of the role `t_<tenant>` shows no other tenant's rows. The role comes
//! from the verified token, the parameter from the compiler; [`store`](self) compares them before it sends anything.
//!
//! `meta.rowsScanned` counts what ClickHouse read, in whole granules: at both ends of a tenant's range it may include
//! some of its neighbours' rows, so it is a measure of cost and not a count of records.

mod error;
mod gate;
mod members;
mod plan;
mod probe;
mod reply;
mod request;
mod store;
mod watermark;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use model::{Action, Catalog, ModuleModel, Permission};
use secrecy::SecretString;
use sql::clickhouse::query::{Deleted, TenantStatement, render};
use uuid::Uuid;

pub use error::Error;
pub use probe::{SelfTest, VERSION_FLOOR};
pub use request::{GROUP_BY_MAX, LIMIT_DEFAULT, LIMIT_MAX, METRICS_MAX};
pub use store::ANSWER_BYTES_MAX;

use self::{
    gate::Gates,
    members::Members,
    plan::{Plan, plan},
    probe::Fault,
    reply::Meta,
    request::Asked,
    store::{Origin, Store},
    watermark::Watermarks,
};
use crate::{
    caller::Caller,
    data::{
        accept::{require_json_answer, require_json_body},
        prefer::Preferences,
    },
    exchange::{Reply, Request},
    problem::{FieldCode, Problem},
    query::{keeps_no_deleted, no_parameters, refuse},
};

/// How long a query may take in ClickHouse (DESIGN 7); the profile of the user allows no more.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of all values of a query as a URL spells them. Servers in front of ClickHouse take URLs of 64 KiB and add
/// to them; a thousand UUIDs are 45 KB.
pub const FILTER_BYTES_MAX: usize = 48 * 1024;
/// How soon the self-test is repeated until it has passed.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often it is repeated afterwards: tables, tenants and the server change.
const REPEAT_AFTER: Duration = Duration::from_secs(300);

/// Where analytics is read.
#[derive(Clone)]
pub struct Config {
    /// ClickHouse over HTTP: `http://host:port`.
    pub url: url::Url,
    /// The read-only user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// PostgreSQL as septem_app, for `lastSyncAt`.
    pub database_url: SecretString,
    /// Whether a server below [`VERSION_FLOOR`] is accepted; only the local stack says so.
    pub allow_old: bool,
    /// Whole seconds, 1 to 30: [`QUERY_TIME_MAX`].
    pub query_time_max: Duration,
}

/// Analytics of every tenant.
pub struct Analytics {
    store: Store,
    watermarks: Watermarks,
    gates: Gates,
    allow_old: bool,
    state: Mutex<SelfTest>,
}

impl Analytics {
    /// Connects lazily: neither store needs to be there yet. Errs when the PostgreSQL URL cannot be read. Must be
    /// called within a Tokio runtime.
    pub fn connect(config: &Config) -> Result<Self, sqlx::Error> {
        Ok(Self {
            store: Store::new(config),
            watermarks: Watermarks::connect(&config.database_url)?,
            gates: Gates::default(),
            allow_old: config.allow_old,
            state: Mutex::new(SelfTest::Pending),
        })
    }

    /// What the self-test found last; requests are answered 503 until it is [`SelfTest::Passed`].
    pub fn state(&self) -> SelfTest {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows once that the fences stand: the server's version, no role and an unknown role refused, nothing writable,
    /// no system tables or table functions, and that a tenant's role sees none of another's rows in the tables of
    /// the catalogue. When ClickHouse is away, what was found before stays.
    pub async fn self_test(&self, catalog: &Catalog) -> SelfTest {
        let found = match probe::run(&self.store, catalog, self.allow_old).await {
            Ok(()) => SelfTest::Passed,
            Err(Fault::Open(what)) => {
                tracing::error!(fence = true, what, "the analytics self-test failed");
                SelfTest::Failed(what.into())
            }
            Err(Fault::Unproven(error)) => {
                tracing::warn!(error = %error, "the analytics self-test has not come to an end");
                self.state()
            }
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = found.clone();
        found
    }

    /// Repeats the self-test for ever: every 2 s until it has passed, then every 5 minutes.
    pub async fn keep_testing(self: Arc<Self>, catalog: impl Fn() -> Option<Arc<Catalog>> + Send) {
        loop {
            if let Some(catalog) = catalog() {
                self.self_test(&catalog).await;
            }
            let pause = if self.state() == SelfTest::Passed {
                REPEAT_AFTER
            } else {
                RETRY_AFTER
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Answers one request of a caller whom the chain has verified.
pub async fn handle(
    analytics: &Analytics,
    caller: &Caller,
    request: &Request,
    module: &str,
) -> Result<Reply, Problem> {
    let arrived = Instant::now();
    check_head(request)?;
    let numbers_as_text = Preferences::parse(&request.headers)?.numbers_as_strings;
    let Plan { query, outputs } = decide(caller, module, &request.body)?;
    let statement = render(&query);
    check_size(&statement)?;
    let query_id = format!("{}-{}", caller.trace, Uuid::new_v4().simple());
    let failed = |error: Error| error.into_problem(&query_id);

    if analytics.state() != SelfTest::Passed {
        return Err(failed(Error::Closed));
    }
    let tenant = &caller.tenant.id;
    let place = analytics.gates.enter(tenant).await.map_err(failed)?;
    let last_sync_at = analytics
        .watermarks
        .last_sync_at(tenant, &query.model)
        .await
        .map_err(failed)?;
    // Before sending, so that a node that dies with the query leaves a trace of it here.
    tracing::info!(
        target: "audit",
        tenant_id = %tenant,
        trace_id = %caller.trace,
        query_id,
        model = format!("{}.{}", query.model.module.as_str(), query.model.model.as_str()),
        "analytics query"
    );
    let origin = Origin {
        query_id: &query_id,
        trace: &caller.trace.0,
    };
    let answer = analytics
        .store
        .run(tenant, &statement, &origin)
        .await
        .map_err(failed)?;
    drop(place);
    let meta = Meta {
        last_sync_at,
        duration_ms: arrived.elapsed().as_millis(),
    };
    let body =
        reply::render(&answer, &outputs, query.limit, numbers_as_text, &meta).map_err(failed)?;
    Ok(Reply::json(StatusCode::OK, body))
}

/// Values travel in the URL of ClickHouse's HTTP interface, which has a bound.
fn check_size(statement: &TenantStatement) -> Result<(), Problem> {
    // As in a URL; and a character that ClickHouse's escapes are made of may become two.
    let encoded = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._*".contains(&b) => 1,
        b'\\' | b'\'' | b'\t' | b'\n' => 6,
        _ => 3,
    };
    let values = statement.statement.binds.iter().flatten();
    let bytes: usize = values.flat_map(|value| value.bytes()).map(encoded).sum();
    if bytes <= FILTER_BYTES_MAX {
        return Ok(());
    }
    let message = format!("have more than {FILTER_BYTES_MAX} bytes of values, encoded for a URL");
    Err(Problem::invalid(vec![refuse(
        "filters",
        FieldCode::LimitExceeded,
        message,
    )]))
}

/// What can be said without the body.
fn check_head(request: &Request) -> Result<(), Problem> {
    if request.method != Method::POST {
        return Err(Problem::method_not_allowed("POST"));
    }
    no_parameters(&request.query)?;
    require_json_answer(&request.headers)?;
    require_json_body(&request.headers)
}

/// The body held against what the caller may ask: unknown model 404, no permission 403, then everything else 400.
fn decide(caller: &Caller, module: &str, body: &[u8]) -> Result<Plan, Problem> {
    let mut members = Members::parse(body)?;
    let name = members
        .take::<String>("model", "the name of a model")
        .map_err(|e| Problem::invalid(vec![e]))?;
    let Some(name) = name else {
        return Err(Problem::invalid(vec![refuse(
            "model",
            FieldCode::Required,
            "is needed",
        )]));
    };
    let model = caller
        .model(&caller.catalog, module, &name)
        .ok_or_else(Problem::not_found)?;
    caller.require(&Permission::on(model.name(), Action::Read))?;
    let asked = Asked::parse(members)?;
    if asked.deleted != Deleted::Exclude {
        if !model.soft_delete() {
            return Err(Problem::invalid(vec![keeps_no_deleted(model, "deleted")]));
        }
        caller.require(&Permission::on(model.name(), Action::Delete))?;
    }
    require_analytics(model)?;
    plan(model, caller.catalog.generation, caller.tenant.id, asked)
}

fn require_analytics(model: &ModuleModel) -> Result<(), Problem> {
    if model.analytics() {
        return Ok(());
    }
    Err(Problem::invalid(vec![refuse(
        "model",
        FieldCode::InvalidValue,
        "has no analytics",
    )]))
}

#[cfg(test)]
mod tests;
