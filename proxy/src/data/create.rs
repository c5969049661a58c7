//! `POST /v1/data/{module}/{model}`: one new record.

use model::Action;
use sql::{
    Statement,
    postgres::insert::{self, NewRow},
};

use super::{
    Call, Failure, accept,
    body::{self, Input, Purpose},
    locks::Locks,
    parse,
    prefer::Preferences,
    record::{self, Shape, Wrote},
};
use crate::{exchange::Reply, postgres::Row, problem::Problem};

pub(super) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Write)?;
    accept::require_json_answer(&call.request.headers)?;
    accept::require_json_body(&call.request.headers)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let input = body::parse_body(call.model, &call.request.body, Purpose::Create)?;
    let shape = Shape::new(call.model, selected.as_deref(), false);
    let creation = Creation::plan(call, input);
    let answer = call.write(creation.statements(&shape)).await?;
    let row = creation.read(&answer)?;
    Ok(record::written(
        call,
        &Wrote::Created(creation.id.clone()),
        &shape,
        row,
        &preferences,
    )?)
}

/// A record to be created: what runs, and what the answers mean. The last statement is the one that writes.
pub(super) struct Creation<'a> {
    /// For which model, and by whom.
    pub call: &'a Call<'a>,
    /// Its id, sent or made here.
    pub id: String,
    values: Vec<Option<String>>,
}

impl<'a> Creation<'a> {
    /// Fills in what was not sent.
    pub fn plan(call: &'a Call<'a>, mut input: Input) -> Self {
        let id = input.id.take();
        Self {
            call,
            id: id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            values: body::with_defaults(call.model, input),
        }
    }

    /// The statements of one transaction.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        let row = NewRow {
            tenant: self.call.caller.tenant.id,
            user: &self.call.caller.user,
            id: &self.id,
            values: &self.values,
        };
        let mut statements = self.locks().statements();
        statements.push(insert::insert(self.call.model, &row, &shape.columns));
        statements
    }

    /// The new row, or why there is none.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        let row = answer.last().and_then(|rows| rows.first());
        row.ok_or_else(|| self.locks().missing(answer))
    }

    /// A record that refers to itself has no parent to lock yet.
    pub fn locks(&self) -> Locks<'_> {
        let parents = self
            .call
            .model
            .fields()
            .iter()
            .zip(&self.values)
            .filter_map(|(field, value)| Some((field, value.as_deref()?)))
            .filter(|(_, value)| *value != self.id);
        Locks::new(&self.call.caller.tenant.id, self.call.model, parents, None)
    }
}
