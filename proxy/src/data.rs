//! The five endpoints of a model: list, get, create, patch, delete.
//!
//! Parse → plan → render (crate `sql`) → execute as one transaction in one round trip → reply.

pub(crate) mod accept;
mod body;
mod create;
mod cursor;
mod delete;
mod encode;
pub(crate) mod etag;
mod get;
mod lane;
mod list;
mod locks;
mod parse;
mod patch;
mod pg_array;
mod plan;
pub(crate) mod prefer;
mod record;
mod refusal;

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use model::{Action, Catalog, ModuleModel, Permission, Revision};
use sql::Statement;

pub use cursor::{CursorKeyError, CursorKeys};

use crate::{
    caller::Caller,
    exchange::{Reply, Request},
    postgres::{Answer, Database, DatabaseError, Lane, Scope},
    problem::{Problem, ProblemKind},
};

/// Where a newer catalogue comes from when the tables are not those that a request was planned for.
#[async_trait]
pub trait CatalogSource: Send + Sync {
    /// A catalogue newer than `seen`, if one is published by now.
    async fn newer_than(&self, seen: Revision) -> Option<Arc<Catalog>>;
}

/// What the endpoints need: made once in the runtime that serves them.
#[derive(Clone)]
pub struct Data {
    /// The tenants' rows.
    pub database: Database,
    /// What cursors are sealed with.
    pub cursor_keys: Arc<CursorKeys>,
    /// Asked when a statement meets a table that is not as the catalogue says.
    pub catalogs: Arc<dyn CatalogSource>,
}

/// Answers `/v1/data/{module}/{model}` and, with an id, `/v1/data/{module}/{model}/{id}`.
///
/// The caller is authenticated and the tenant's state is checked; the model and the permission are looked up here.
/// Reads are run again once after a lost connection, everything once more with a newer catalogue.
pub async fn handle(
    data: &Data,
    caller: &Caller,
    request: &Request,
    module: &str,
    model: &str,
    id: Option<&str>,
) -> Result<Reply, Problem> {
    let first = handle_once(data, caller, &caller.catalog, request, module, model, id).await;
    let stale = match first {
        Err(Failure::Stale(stale)) => stale,
        Err(Failure::Problem(problem)) => return Err(problem),
        Ok(reply) => return Ok(reply),
    };
    // The transaction was rolled back, so this holds for writes too. Without a newer catalogue it was only the
    // prepared statement that was old.
    let newer = data.catalogs.newer_than(caller.catalog.revision).await;
    let catalog = newer.as_ref().unwrap_or(&caller.catalog);
    tracing::info!(%stale, revision = catalog.revision.0, "planning again");
    match handle_once(data, caller, catalog, request, module, model, id).await {
        Ok(reply) => Ok(reply),
        Err(Failure::Problem(problem)) => Err(problem),
        Err(Failure::Stale(stale)) => {
            tracing::error!(%stale, revision = catalog.revision.0, "the tables are not those of the catalogue");
            Err(Problem::new(
                ProblemKind::Unavailable,
                "The model is being changed. Try again.",
            ))
        }
    }
}

async fn handle_once(
    data: &Data,
    caller: &Caller,
    catalog: &Arc<Catalog>,
    request: &Request,
    module: &str,
    model: &str,
    id: Option<&str>,
) -> Result<Reply, Failure> {
    let model = catalog
        .model(&caller.tenant, module, model)
        .ok_or_else(Problem::not_found)?;
    let call = Call {
        data,
        caller,
        catalog,
        request,
        model,
    };
    match (&request.method, id) {
        (&Method::GET | &Method::HEAD, None) => list::list(&call).await,
        (&Method::GET | &Method::HEAD, Some(id)) => get::get(&call, id).await,
        (&Method::POST, None) => create::create(&call).await,
        (&Method::PATCH, Some(id)) => patch::patch(&call, id).await,
        (&Method::DELETE, Some(id)) => delete::delete(&call, id).await,
        (_, None) => Err(Problem::method_not_allowed("GET, HEAD, POST").into()),
        (_, Some(_)) => Err(Problem::method_not_allowed("GET, HEAD, PATCH, DELETE").into()),
    }
}

/// One request to one model.
struct Call<'a> {
    data: &'a Data,
    caller: &'a Caller,
    catalog: &'a Catalog,
    request: &'a Request,
    model: &'a ModuleModel,
}

impl Call<'_> {
    /// 403 unless the caller may do that with this model.
    fn require(&self, action: Action) -> Result<(), Problem> {
        self.caller
            .require(&Permission::on(self.model.name(), action))
    }

    fn scope(&self) -> Scope {
        Scope {
            tenant: self.caller.tenant.id,
            user: Arc::clone(&self.caller.user),
        }
    }

    /// Runs statements that only read.
    async fn read(
        &self,
        lane: Lane,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, Failure> {
        let database = &self.data.database;
        let answer = database.run_read(&self.scope(), lane, statements).await;
        answer.map_err(|error| self.refusal(error))
    }

    /// Runs statements that write.
    async fn write(&self, statements: Vec<Statement>) -> Result<Answer, Failure> {
        let database = &self.data.database;
        let answer = database.run_write(&self.scope(), statements).await;
        answer.map_err(|error| self.refusal(error))
    }

    /// The failure of a statement as the client may know it.
    fn refusal(&self, error: DatabaseError) -> Failure {
        match error {
            DatabaseError::StaleSchema(_) => Failure::Stale(error),
            other => Failure::Problem(refusal::problem_of(self.model, other)),
        }
    }
}

/// Why there is no reply yet, or none at all.
enum Failure {
    /// Planned for other tables.
    Stale(DatabaseError),
    /// The answer.
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
