//! `POST /v1/data/{module}/{model}`: new records, one or many.

mod many;
mod upsert;
mod upsertion;

use http::header;
use model::Action;
use sql::{
    Statement,
    postgres::insert::{self, NewRow},
};

use super::{
    Call, Failure, accept,
    body::{self, Format, Input, Purpose, Reading, Sent},
    hooked::{self, Which},
    locks::Locks,
    prefer::{Missing, Preferences, Resolution, Return},
    record::Shape,
    writing::{self, WriteQuery},
    written::{self, Wrote},
};
pub(super) use upsertion::Upsertion;

use crate::{exchange::Reply, postgres::Row, problem::Problem};

/// What a request for new records says beside the records.
struct Asked {
    preferences: Preferences,
    query: WriteQuery,
    returning: Return,
}

pub(super) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Write)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    let format = Format::of(headers, body::OF_CREATE)?;
    writing::no_conditions(headers, &[header::IF_MATCH, header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let query = WriteQuery::parse(call.model, &call.request.query, Purpose::Create)?;
    query.nothing_else()?;
    let on_conflict = query.on_conflict.as_deref();
    let upsert = upsert::key_of(call.model, preferences.resolution, on_conflict)?;
    let returning = written::returning(call, &preferences, Return::Representation)?;
    let reading = Reading {
        model: call.model,
        purpose: Purpose::Create,
        columns: query.columns.as_deref(),
        format,
    };
    let mut sent = reading.parse(&call.request.body)?;
    let inputs = match &mut sent {
        Sent::One(input) => std::slice::from_mut(input),
        Sent::Many(inputs) => inputs.as_mut_slice(),
    };
    if upsert.is_none() {
        // Made here, so that hooks know it. Of an upsert it may be another record's.
        inputs
            .iter_mut()
            .for_each(|input| _ = input.id.get_or_insert_with(new_id));
    }
    let run = hooked::run(&preferences);
    call.before_create(inputs, run).await?;
    if upsert.is_some_and(|upsert| upsert.resolution == Resolution::MergeDuplicates) {
        // Whether a record is new is known only when it is written.
        call.before_update(Which::Ids(&[]), inputs, Format::Json, run)
            .await?;
    }
    let asked = Asked {
        preferences,
        query,
        returning,
    };
    match (sent, upsert) {
        (Sent::One(input), None) => one(call, &asked, input).await,
        (sent, upsert) => many::create(call, &asked, sent, upsert).await,
    }
}

async fn one(call: &Call<'_>, asked: &Asked, input: Input) -> Result<Reply, Failure> {
    let preferences = &asked.preferences;
    let shape = written::shape(call, asked.query.select.as_deref(), false, asked.returning);
    let missing = preferences.missing.unwrap_or(Missing::Default);
    let creation = Creation::plan(call, input, missing);
    let answer = call.write(creation.statements(&shape)).await?;
    let row = creation.read(&answer)?;
    let wrote = Wrote::Created(creation.id.clone());
    Ok(written::one(
        call,
        &wrote,
        &shape,
        row,
        preferences,
        asked.returning,
    )?)
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
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
    pub fn plan(call: &'a Call<'a>, mut input: Input, missing: Missing) -> Self {
        let id = input.id.take();
        Self {
            call,
            id: id.unwrap_or_else(new_id),
            values: body::with_defaults(call.model, input, missing),
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
