//! `PATCH /v1/data/{module}/{model}/{id}`: a partial change of one live record.

mod filtered;
mod many;
pub(super) mod several;

use http::header;
use model::{Action, Field};
use sql::{
    Statement,
    postgres::{
        select,
        update::{self, Change, JsonChange},
    },
};

use super::{
    Call, Failure, accept,
    body::{self, Format, Input, Purpose, Reading},
    etag::IfMatch,
    hooked::{Which, run},
    locks::Locks,
    parse,
    prefer::{Preferences, Return},
    record::Shape,
    refusal::conflict,
    writing,
    written::{self, Wrote},
};
use crate::{
    exchange::Reply,
    postgres::{Lane, Row},
    problem::{FieldCode, Problem, ProblemKind},
    query::refuse,
};

pub(super) async fn patch(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.require(Action::Write)?;
    accept::require_json_answer(&call.request.headers)?;
    let format = Format::of(&call.request.headers, body::OF_CHANGE)?;
    writing::no_conditions(&call.request.headers, &[header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let returning = written::returning(call, &preferences, Return::Representation)?;
    let reading = Reading {
        model: call.model,
        purpose: Purpose::Patch,
        columns: None,
        format,
    };
    let mut input = reading.one(&call.request.body)?;
    let inputs = std::slice::from_mut(&mut input);
    if update::is_written(&inputs[0].values) {
        let which = Which::Ids(std::slice::from_ref(&id));
        call.before_update(which, inputs, format, run(&preferences))
            .await?;
    }
    let json = body::json_change(call.model, format, inputs);
    let expected = Expected {
        if_match: call.if_match()?,
        version: input.version,
    };
    let shape = written::shape(call, selected.as_deref(), false, returning);
    let alteration = Alteration::plan(call, id, input, expected, json);
    let statements = alteration.statements(&shape);
    let answer = if alteration.is_empty() {
        // Exclusive: what was just written is to be seen, whatever serves the shared lane one day.
        call.read(Lane::Exclusive, statements).await?
    } else {
        call.write(statements).await?
    };
    let row = alteration.read(&answer)?;
    Ok(written::one(
        call,
        &Wrote::Changed,
        &shape,
        row,
        &preferences,
        returning,
    )?)
}

/// A live record to be changed: what runs, and what the answers mean. The last statement is the one that writes, or,
/// where there is nothing to change, the one that reads the record as it is.
pub(super) struct Alteration<'a> {
    /// Of which model, and by whom.
    pub call: &'a Call<'a>,
    id: String,
    values: Vec<(&'a Field, Option<String>)>,
    expected: Expected,
    json: JsonChange,
}

impl<'a> Alteration<'a> {
    /// Takes the fields that were sent.
    pub fn plan(
        call: &'a Call<'a>,
        id: String,
        input: Input,
        expected: Expected,
        json: JsonChange,
    ) -> Self {
        let fields = call.model.fields().iter().zip(input.values);
        Self {
            call,
            id,
            values: fields
                .filter_map(|(field, value)| Some((field, value?)))
                .collect(),
            expected,
            json,
        }
    }

    /// Whether nothing changes. Which version the record has is then found out from the answers alone.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The statements of one transaction.
    pub fn statements(&self, shape: &Shape) -> Vec<Statement> {
        let tenant = self.call.caller.tenant.id;
        let model = self.call.model;
        if self.is_empty() {
            let version = model.column("version").expect("every model has a version");
            let version = [version.clone().into()];
            return vec![
                select::get(&tenant, model.name(), &self.id, &version, &[]),
                select::get(&tenant, model.name(), &self.id, &shape.columns, &[]),
            ];
        }
        let versions = self.expected.versions();
        let change = Change {
            tenant,
            user: &self.call.caller.user,
            id: &self.id,
            values: &self.values,
            versions: versions.as_deref(),
            json: self.json,
        };
        let mut statements = self.locks().statements();
        statements.push(update::update(model, &change, &shape.columns));
        statements
    }

    /// The row as it is now, or why it was not changed.
    pub fn read<'r>(&self, answer: &'r [Vec<Row>]) -> Result<&'r Row, Problem> {
        let row = answer.last().and_then(|rows| rows.first());
        if self.is_empty() {
            self.expected
                .check(answer.first().and_then(|rows| rows.first()))?;
            return row.ok_or_else(Problem::not_found);
        }
        match row {
            Some(row) => Ok(row),
            None => {
                let locks = self.locks();
                self.expected.check(locks.own(answer))?;
                Err(locks.missing(answer))
            }
        }
    }

    /// The row itself and its new parents.
    pub fn locks(&self) -> Locks<'_> {
        let parents = self
            .values
            .iter()
            .filter_map(|(field, value)| Some((*field, value.as_deref()?)));
        let tenant = &self.call.caller.tenant.id;
        Locks::new(tenant, self.call.model, parents, Some(&self.id))
    }
}

/// Which version the client means to write to.
pub(super) struct Expected {
    /// `If-Match`.
    pub if_match: Option<IfMatch>,
    /// `version` in the body.
    pub version: Option<i64>,
}

impl Expected {
    /// The versions that the row may have; any when `None`.
    pub fn versions(&self) -> Option<Vec<i64>> {
        match (&self.if_match, self.version) {
            (Some(IfMatch::Versions(list)), Some(version)) => {
                Some(list.iter().copied().filter(|v| *v == version).collect())
            }
            (Some(IfMatch::Versions(list)), None) => Some(list.clone()),
            (_, Some(version)) => Some(vec![version]),
            (_, None) => None,
        }
    }

    /// Why a row whose version is the first value of `row` was not written: not there 404, another than `If-Match`
    /// says 412, another than the body says 409. Passes when none of these is the reason.
    pub fn check(&self, row: Option<&Row>) -> Result<(), Problem> {
        let row = row.ok_or_else(Problem::not_found)?;
        let text = row
            .values()
            .next()
            .flatten()
            .and_then(|v| std::str::from_utf8(v).ok());
        let current: Option<i64> = text.and_then(|t| t.parse().ok());
        let is_current = |v: &i64| Some(*v) == current;
        if let Some(IfMatch::Versions(list)) = &self.if_match
            && !list.iter().any(is_current)
        {
            return Err(Problem::new(
                ProblemKind::PreconditionFailed,
                "The record has another version than If-Match names.",
            ));
        }
        match self.version {
            Some(version) if !is_current(&version) => {
                let message = "is not the version of the record";
                Err(conflict(vec![refuse(
                    "version",
                    FieldCode::StaleVersion,
                    message,
                )]))
            }
            _ => Ok(()),
        }
    }
}
