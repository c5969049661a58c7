//! `POST /v1/data/{module}/batch`: several writes to several models, all or nothing.
//!
//! Parse → plan → one round trip, as a single write. Two things make it more than one: an `Idempotency-Key` or a dry run
//! (the transaction is held open until the answer is known), and a reference to what only the database knows. A failure
//! is told apart by running the operations again one by one.

mod locks;
mod operation;
mod plan;
mod reference;
mod run;
mod step;

use http::{Method, StatusCode, header};
use model::{Action, Catalog, HookEvent, Permission};

use super::{
    Asked, Call, Failure, accept,
    prefer::{Honours, Preferences, Return},
    record::Shape,
    written::with_applied,
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, FieldError, Problem, ProblemKind},
    query::refuse,
};
use operation::{Kind, Operation};
use plan::Plan;
pub(super) use step::Locked;

/// Most operations of a batch (API.md "Defaults and ceilings").
pub(crate) const OPERATIONS_MAX: usize = 100;

/// Most bytes of an answer (API.md: 32 MiB). One round trip has this bound already, several together have not.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

pub(super) async fn batch(asked: &Asked<'_>, catalog: &Catalog) -> Result<Reply, Failure> {
    let request = asked.request;
    if !asked.caller.tenant.modules.contains(asked.module) {
        return Err(Problem::not_found().into());
    }
    if request.method != Method::POST {
        return Err(Problem::method_not_allowed("POST").into());
    }
    accept::require_json_answer(&request.headers)?;
    accept::require_json_body(&request.headers)?;
    let preferences = Preferences::parse(&request.headers)?;
    refuse_what_is_not_for_many(asked)?;
    let operations = operation::parse(&request.body)?;
    let calls = calls(asked, catalog, &operations)?;
    let entries = entries(&calls, &operations, &preferences)?;
    let plan = Plan::new(&calls, &operations, &entries)?;
    let rows = run::run(asked.session, &plan).await?;
    let reply = reply(&rows, &entries, &preferences)?;
    let finished = asked.session.finish(reply).await;
    finished.map_err(|stopped| calls[0].failure(stopped))
}

/// 400 for parameters, of which there are none, and for conditions, which name the state of one record.
fn refuse_what_is_not_for_many(asked: &Asked<'_>) -> Result<(), Problem> {
    let parameters = asked.request.query.iter();
    let mut errors: Vec<_> = parameters
        .map(|(name, _)| refuse(name, FieldCode::UnknownField, "is not a parameter here"))
        .collect();
    for (name, message) in [
        (
            header::IF_MATCH,
            "names one record; give an operation its version",
        ),
        (header::IF_NONE_MATCH, "is a condition of reads"),
    ] {
        if asked.request.headers.contains_key(&name) {
            let word = if name == header::IF_MATCH {
                "If-Match"
            } else {
                "If-None-Match"
            };
            errors.push(refuse(word, FieldCode::InvalidValue, message));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

/// The model of each operation. 404 for one that is not there, as everywhere; 403 without its permission.
fn calls<'a>(
    asked: &'a Asked<'_>,
    catalog: &'a Catalog,
    operations: &[Operation<'_>],
) -> Result<Vec<Call<'a>>, Problem> {
    let mut calls = Vec::with_capacity(operations.len());
    for (row, operation) in operations.iter().enumerate() {
        let model = asked
            .caller
            .model(catalog, asked.module, &operation.model)
            .ok_or_else(|| {
                let error = refuse("model", FieldCode::NotFound, "is not there");
                let errors = vec![at_row(error, row)];
                Problem {
                    errors,
                    ..Problem::not_found()
                }
            })?;
        calls.push(asked.call(catalog, model));
    }
    for (call, operation) in calls.iter().zip(operations) {
        call.require(match operation.kind {
            Kind::Create | Kind::Update | Kind::Upsert => Action::Write,
            Kind::Delete | Kind::Restore => Action::Delete,
        })?;
    }
    refuse_hooked(&calls, operations)?;
    Ok(calls)
}

/// 400 for operations that a module wants to be asked about first. What it would be asked about is not known before the
/// transaction: values may come from it, and a hook may change what later operations refer to.
fn refuse_hooked(calls: &[Call<'_>], operations: &[Operation<'_>]) -> Result<(), Problem> {
    let hooked = |(row, (call, operation)): (usize, (&Call<'_>, &Operation<'_>))| {
        let events: &[HookEvent] = match operation.kind {
            Kind::Create => &[HookEvent::BeforeCreate],
            Kind::Update | Kind::Restore => &[HookEvent::BeforeUpdate],
            // As with a single write that merges.
            Kind::Upsert => &[HookEvent::BeforeCreate, HookEvent::BeforeUpdate],
            Kind::Delete => &[HookEvent::BeforeDelete],
        };
        let mut asked = events.iter().flat_map(|event| call.model.hooks(*event));
        asked.next()?;
        let message = "has hooks that are asked before a write; write it on its own";
        let error = refuse("model", FieldCode::InvalidValue, message);
        Some(at_row(error, row))
    };
    let errors: Vec<_> = calls
        .iter()
        .zip(operations)
        .enumerate()
        .filter_map(hooked)
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

/// What is fetched and answered of one operation's record.
struct Entry {
    shape: Shape,
    /// Whether it is shown; null where it is not.
    shown: bool,
}

/// As a single write answers unless asked: a record that was created or changed, nothing of a deleted one, and nothing to
/// who may not read the model.
fn entries(
    calls: &[Call<'_>],
    operations: &[Operation<'_>],
    preferences: &Preferences,
) -> Result<Vec<Entry>, Problem> {
    let entry = |(call, operation): (&Call<'_>, &Operation<'_>)| {
        let read = Permission::on(call.model.name(), Action::Read);
        let deletes = operation.kind == Kind::Delete;
        let shown = match preferences.returning {
            Some(Return::Representation) => {
                call.caller.require(&read)?;
                true
            }
            Some(Return::Minimal | Return::HeadersOnly) => false,
            None => !deletes && call.caller.permissions.contains(&read),
        };
        Ok(Entry {
            shape: Shape::new(call.model, None, deletes),
            shown,
        })
    };
    calls.iter().zip(operations).map(entry).collect()
}

fn reply(rows: &[Row], entries: &[Entry], preferences: &Preferences) -> Result<Reply, Problem> {
    let reply = match preferences.returning {
        Some(Return::Minimal | Return::HeadersOnly) => Reply::empty(StatusCode::NO_CONTENT),
        Some(Return::Representation) | None => {
            let mut body = b"{\"data\":[".to_vec();
            for (i, (row, entry)) in rows.iter().zip(entries).enumerate() {
                if i > 0 {
                    body.push(b',');
                }
                if entry.shown {
                    entry.shape.object(row, preferences, &mut body)?;
                } else {
                    body.extend_from_slice(b"null");
                }
                if body.len() > ANSWER_BYTES_MAX {
                    let detail = "The answer is too large; ask for return=minimal.";
                    return Err(Problem::new(ProblemKind::TooLarge, detail));
                }
            }
            body.extend_from_slice(b"],\"meta\":{}}");
            Reply::json(StatusCode::OK, body)
                .with_header(header::VARY, "Accept, Prefer, Authorization")
        }
    };
    Ok(with_applied(reply, preferences, Honours::One))
}

fn at_row(error: FieldError, row: usize) -> FieldError {
    FieldError {
        row: Some(row),
        ..error
    }
}

/// The problem of one operation, with its place in the batch.
fn at(mut problem: Problem, row: usize) -> Problem {
    if problem.errors.is_empty() {
        let code = match problem.kind {
            ProblemKind::NotFound => Some(("id", FieldCode::NotFound)),
            ProblemKind::TooLarge => Some(("data", FieldCode::LimitExceeded)),
            ProblemKind::Conflict | ProblemKind::Validation => {
                Some(("data", FieldCode::InvalidValue))
            }
            _ => None,
        };
        let error = code.map(|(field, code)| refuse(field, code, problem.detail.clone()));
        problem.errors.extend(error);
    }
    for error in &mut problem.errors {
        error.row = Some(row);
    }
    problem
}

#[cfg(test)]
mod agreement;
