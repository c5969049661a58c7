//! `POST /v1/data/{module}/{model}`: one new record.

use model::Action;
use sql::postgres::insert::{self, NewRow};

use super::{
    Call, Failure, accept,
    body::{self, Purpose},
    locks::Locks,
    parse,
    prefer::Preferences,
    record::{self, Shape, Wrote},
};
use crate::exchange::Reply;

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
    let values = body::with_defaults(call.model, input);
    let shape = Shape::new(call.model, selected.as_deref(), false);

    let tenant = call.caller.tenant.id;
    let row = NewRow {
        tenant,
        user: &call.caller.user,
        id: &id,
        values: &values,
    };
    // A record that refers to itself has no parent to lock yet.
    let parents = call
        .model
        .fields()
        .iter()
        .zip(&values)
        .filter_map(|(field, value)| Some((field, value.as_deref()?)))
        .filter(|(_, value)| *value != id);
    let locks = Locks::new(&tenant, call.model, parents, None);
    let mut statements = locks.statements();
    statements.push(insert::insert(call.model, &row, &shape.columns));
    let answer = call.write(statements).await?;
    let Some(row) = answer.last().and_then(|rows| rows.first()) else {
        return Err(locks.missing(&answer).into());
    };
    Ok(record::written(
        call,
        &Wrote::Created(id),
        &shape,
        row,
        &preferences,
    )?)
}
