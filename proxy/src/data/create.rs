//! `POST /v1/data/{module}/{model}`: one new record.

use http::StatusCode;
use model::{Action, Field};
use sql::postgres::insert::{self, NewRow};

use super::{
    Call, Failure, accept,
    body::{self, Purpose},
    parse,
    prefer::Preferences,
    record::{self, Shape},
    refusal::{conflict, missing_reference},
};
use crate::{exchange::Reply, postgres::Row};

pub(super) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Write)?;
    accept::require_json_answer(&call.request.headers)?;
    accept::require_json_body(&call.request.headers)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let mut input = body::parse_body(call.model, &call.request.body, Purpose::Create)?;
    let id = input
        .id
        .take()
        .unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let values = body::with_defaults(call.model, input)?;
    let shape = Shape::new(call.model, selected.as_deref(), false);

    let tenant = call.caller.tenant.id;
    let row = NewRow {
        tenant,
        user: &call.caller.user,
        id: &id,
        values: &values,
    };
    // A record that refers to itself has no parent to lock yet.
    let parents: Vec<(&Field, &str)> = call
        .model
        .fields()
        .iter()
        .zip(&values)
        .filter_map(|(field, value)| Some((field, value.as_deref()?)))
        .filter(|(field, value)| field.references.is_some() && *value != id)
        .collect();
    let mut statements: Vec<_> = parents
        .iter()
        .filter_map(|(field, value)| {
            Some(insert::lock_parent(
                &tenant,
                field.references.as_ref()?,
                value,
            ))
        })
        .collect();
    statements.push(insert::insert(call.model, &row, &shape.columns));
    let answer = call
        .data
        .database
        .run_write(&call.scope(), statements)
        .await
        .map_err(|e| call.refusal(e))?;
    let Some(row) = answer.last().and_then(|rows| rows.first()) else {
        return Err(missing_parents(&parents, &answer).into());
    };
    Ok(record::written(
        call,
        &shape,
        row,
        StatusCode::CREATED,
        &preferences,
        Some(id),
    )?)
}

/// 409 with the fields whose parents could not be locked.
pub(super) fn missing_parents(
    parents: &[(&Field, &str)],
    locks: &[Vec<Row>],
) -> crate::problem::Problem {
    let missing = parents
        .iter()
        .zip(locks)
        .filter(|(_, rows)| rows.is_empty());
    conflict(
        missing
            .map(|((field, _), _)| missing_reference(field.name.as_str()))
            .collect(),
    )
}
