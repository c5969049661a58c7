//! The endpoints of a model, and writes to several models at once.
//!
//! Parse → plan → render (crate `sql`) → execute as one transaction in one round trip → reply.

pub(crate) mod accept;
mod batch;
mod body;
mod count;
mod create;
mod cursor;
mod delete;
mod distinct;
mod encode;
pub(crate) mod etag;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod get;
mod hooked;
mod idempotency;
mod include;
mod lane;
pub(crate) mod limits;
mod lines;
mod list;
mod locks;
mod order;
mod page;
mod parse;
mod patch;
mod pg_array;
mod plan;
pub(crate) mod prefer;
mod reach;
mod record;
mod refusal;
pub(crate) mod relation;
mod restore;
mod select;
mod session;
mod split;
mod tree;
mod writing;
mod written;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    FutureExt as _,
    stream::{self, BoxStream, StreamExt as _},
};
use http::Method;
use model::{Action, Catalog, Field, ModelName, ModuleModel, Permission, Revision};
use sql::Statement;

pub use cursor::{CursorKeyError, CursorKeys};
pub use idempotency::Flights;

use session::{Session, Stopped};

use crate::{
    caller::Caller,
    exchange::{Body, Reply, Request},
    hooks::Hooks,
    postgres::{Answer, Database, DatabaseError, Lane, RowStream},
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
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
    /// Writes under way that have an `Idempotency-Key`.
    pub flights: Flights,
    /// Asked before a write of a model that has hooks.
    pub hooks: Arc<Hooks>,
}

/// What of a module is asked for. Names are as they were asked.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// `/v1/data/{module}/{model}` and, with an id, `/v1/data/{module}/{model}/{id}`.
    Model {
        /// The model.
        model: &'a str,
        /// The record.
        id: Option<&'a str>,
    },
    /// `/v1/data/{module}/{model}/{id}/restore`.
    Restore {
        /// The model.
        model: &'a str,
        /// The record.
        id: &'a str,
    },
    /// `/v1/data/{module}/batch`.
    Batch,
}

/// What a model's path takes.
pub(crate) const OF_ALL: &str = "GET, HEAD, POST, PATCH, DELETE";
/// What a record's path takes.
pub(crate) const OF_ONE: &str = "GET, HEAD, PATCH, DELETE";

/// Answers a request to a module's data.
///
/// The caller is authenticated and the tenant's state is checked; the model and the permission are looked up here.
/// Reads are run again once after a lost connection, everything once more with a newer catalogue.
pub async fn handle(
    data: &Data,
    caller: &Caller,
    request: &Request,
    module: &str,
    target: Target<'_>,
) -> Result<Reply, Problem> {
    let session = Session::new(data, caller, request)?;
    let asked = Asked {
        data,
        caller,
        request,
        session: &session,
        module,
        target,
    };
    let stale = match asked.answer(&caller.catalog).await {
        Err(Failure::Stale(stale)) => stale,
        answered => return settled(answered, &caller.catalog),
    };
    // The transaction was rolled back, so this holds for writes too. Without a newer catalogue it was only the
    // prepared statement that was old.
    let newer = data.catalogs.newer_than(caller.catalog.revision).await;
    let catalog = newer.as_ref().unwrap_or(&caller.catalog);
    tracing::info!(%stale, revision = catalog.revision.0, "planning again");
    let answered = asked.answer(catalog).await;
    if let Err(Failure::Stale(stale)) = &answered {
        tracing::error!(%stale, revision = catalog.revision.0, "the tables are not those of the catalogue");
    }
    settled(answered, catalog)
}

fn settled(answered: Result<Reply, Failure>, catalog: &Arc<Catalog>) -> Result<Reply, Problem> {
    match answered {
        Ok(reply) | Err(Failure::Replay(reply)) => Ok(holding(reply, catalog)),
        Err(Failure::Problem(problem)) => Err(problem),
        Err(Failure::Stale(_)) => Err(Problem::new(
            ProblemKind::Unavailable,
            "The model is being changed. Try again.",
        )),
    }
}

/// A body that is sent piece by piece holds the catalogue that it was planned by until its end, so that the revision
/// counts as used.
fn holding(mut reply: Reply, catalog: &Arc<Catalog>) -> Reply {
    if let Body::Stream(pieces) = reply.body {
        let next = |(mut pieces, held): (BoxStream<'static, _>, _)| async move {
            let piece = pieces.next().await?;
            Some((piece, (pieces, held)))
        };
        reply.body = Body::Stream(stream::unfold((pieces, Arc::clone(catalog)), next).boxed());
    }
    reply
}

/// A request, whichever catalogue it is answered from.
struct Asked<'a> {
    data: &'a Data,
    caller: &'a Caller,
    request: &'a Request,
    session: &'a Session<'a>,
    module: &'a str,
    target: Target<'a>,
}

impl Asked<'_> {
    async fn answer(&self, catalog: &Catalog) -> Result<Reply, Failure> {
        let (model, id, restores) = match self.target {
            Target::Batch => return batch::batch(self, catalog).boxed().await,
            Target::Restore { model, id } => (model, Some(id), true),
            Target::Model { model, id } => (model, id, false),
        };
        let model = self
            .caller
            .model(catalog, self.module, model)
            .ok_or_else(Problem::not_found)?;
        let call = self.call(catalog, model);
        // Boxed, or whoever reads one record would move a future about that has room for the largest of all.
        let reply = match (&self.request.method, id) {
            (_, Some(id)) if restores => restore::restore(&call, id).boxed().await,
            (&Method::GET | &Method::HEAD, None) => list::list(&call).boxed().await,
            (&Method::GET | &Method::HEAD, Some(id)) => get::get(&call, id).boxed().await,
            (&Method::POST, None) => create::create(&call).boxed().await,
            (&Method::PATCH, None) => patch::several::patch(&call).boxed().await,
            (&Method::DELETE, None) => delete::filtered::delete(&call).boxed().await,
            (&Method::PATCH, Some(id)) => patch::patch(&call, id).boxed().await,
            (&Method::DELETE, Some(id)) => delete::delete(&call, id).boxed().await,
            (&Method::PUT, Some(_)) => {
                let problem = Problem::method_not_allowed(OF_ONE);
                let detail = "A record is not replaced as a whole; change it with PATCH.";
                Err(Problem {
                    detail: detail.to_owned(),
                    ..problem
                }
                .into())
            }
            (_, None) => Err(Problem::method_not_allowed(OF_ALL).into()),
            (_, Some(_)) => Err(Problem::method_not_allowed(OF_ONE).into()),
        }?;
        let finished = self.session.finish(reply).await;
        finished.map_err(|stopped| call.failure(stopped))
    }

    fn call<'b>(&'b self, catalog: &'b Catalog, model: &'b ModuleModel) -> Call<'b> {
        Call {
            data: self.data,
            caller: self.caller,
            catalog,
            request: self.request,
            session: self.session,
            model,
        }
    }
}

/// One request to one model.
struct Call<'a> {
    data: &'a Data,
    caller: &'a Caller,
    catalog: &'a Catalog,
    request: &'a Request,
    session: &'a Session<'a>,
    model: &'a ModuleModel,
}

impl Call<'_> {
    /// 403 unless the caller may do that with this model.
    fn require(&self, action: Action) -> Result<(), Problem> {
        self.caller
            .require(&Permission::on(self.model.name(), action))
    }

    /// 403 naming the permission unless the caller may read these models too.
    fn require_read(&self, models: &[ModelName]) -> Result<(), Problem> {
        let each = models.iter().map(|name| Permission::on(name, Action::Read));
        each.into_iter()
            .try_for_each(|permission| self.caller.require(&permission))
    }

    /// `If-Match`, if sent; 400 where versions are no condition of a write.
    fn if_match(&self) -> Result<Option<etag::IfMatch>, Problem> {
        let sent = etag::if_match(&self.request.headers);
        if sent.is_none() || self.model.optimistic_locking() {
            return Ok(sent);
        }
        let name = self.model.name().model.as_str();
        let message = format!("versions are no condition of a write of {name}");
        let error = refuse("If-Match", FieldCode::InvalidValue, message);
        Err(Problem::invalid(vec![error]))
    }

    /// The relation of a model through a field, as errors name it: without the field where the caller does not see that.
    fn relation_through(&self, model: &ModelName, field: &Field) -> String {
        let (module, name) = (model.module.as_str(), model.model.as_str());
        let seen = self.caller.model(self.catalog, module, name);
        match seen.is_some_and(|seen| seen.shows([&field.name])) {
            true => format!("{name}!{}", field.name.as_str()),
            false => name.to_owned(),
        }
    }

    /// What names of relations mean to this caller.
    fn names(&self) -> relation::Names<'_> {
        relation::Names {
            catalog: self.catalog,
            tenant: &self.caller.tenant,
            permissions: &self.caller.permissions,
        }
    }

    /// Runs statements that only read.
    async fn read(
        &self,
        lane: Lane,
        statements: impl Into<Arc<[Statement]>>,
    ) -> Result<Answer, Failure> {
        let answer = self.session.read(lane, statements).await;
        answer.map_err(|stopped| self.failure(stopped))
    }

    /// Runs a statement that only reads and may have any number of rows.
    async fn stream(&self, statement: &Statement) -> Result<RowStream, Failure> {
        let rows = self.session.stream(statement).await;
        rows.map_err(|stopped| self.failure(stopped))
    }

    /// Runs statements that write.
    async fn write(&self, statements: Vec<Statement>) -> Result<Answer, Failure> {
        let answer = self.session.write(statements).await;
        answer.map_err(|stopped| self.failure(stopped))
    }

    /// Runs statements that write, as one step of a transaction that ends with the request.
    async fn step(&self, statements: Vec<Statement>) -> Result<Answer, Failure> {
        let answer = self.session.step(statements).await;
        answer.map_err(|stopped| self.failure(stopped))
    }

    /// Why the database has no answer, as the client may know it.
    fn failure(&self, stopped: Stopped) -> Failure {
        stopped.into_failure(|error| {
            let of_filter = match &error {
                DatabaseError::Invalid { code, .. } => {
                    refusal::of_filter(&self.request.query, code)
                }
                DatabaseError::Unexpected { code, .. } => {
                    let of_filter = refusal::of_filter(&self.request.query, code);
                    if of_filter.is_some() {
                        // Most likely the filter's fault; should it be the server's, the log has it.
                        tracing::warn!(sqlstate = code, "PostgreSQL failed inside over a filter");
                    }
                    of_filter
                }
                _ => None,
            };
            of_filter.unwrap_or_else(|| refusal::problem_of(self.model, error))
        })
    }
}

/// Why there is no reply yet, or none at all.
enum Failure {
    /// Planned for other tables.
    Stale(DatabaseError),
    /// The answer.
    Problem(Problem),
    /// The answer, given before.
    Replay(Reply),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
