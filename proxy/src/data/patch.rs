//! `PATCH /v1/data/{module}/{model}/{id}`: a partial change of one live record.

use model::{Action, Field};
use sql::postgres::{
    select,
    update::{self, Change},
};

use super::{
    Call, Failure, accept,
    body::{self, Purpose},
    etag::{self, IfMatch},
    locks::Locks,
    parse,
    prefer::Preferences,
    record::{self, Shape, Wrote},
    refusal::conflict,
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
    accept::require_json_body(&call.request.headers)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let input = body::parse_body(call.model, &call.request.body, Purpose::Patch)?;
    let expected = Expected {
        if_match: etag::if_match(&call.request.headers),
        version: input.version,
    };
    let shape = Shape::new(call.model, selected.as_deref(), false);
    let values: Vec<(&Field, Option<String>)> = call
        .model
        .fields()
        .iter()
        .zip(input.values)
        .filter_map(|(field, value)| Some((field, value?)))
        .collect();
    if values.is_empty() {
        return unchanged(call, &id, &shape, &expected, &preferences).await;
    }

    let tenant = call.caller.tenant.id;
    let parents = values
        .iter()
        .filter_map(|(field, value)| Some((*field, value.as_deref()?)));
    let locks = Locks::new(&tenant, call.model, parents, Some(&id));
    let mut statements = locks.statements();
    let versions = expected.versions();
    let change = Change {
        tenant,
        user: &call.caller.user,
        id: &id,
        values: &values,
        versions: versions.as_deref(),
    };
    statements.push(update::update(call.model, &change, &shape.columns));
    let answer = call.write(statements).await?;
    let row = answer.last().and_then(|rows| rows.first());
    let Some(row) = row else {
        expected.check(locks.own(&answer))?;
        return Err(locks.missing(&answer).into());
    };
    Ok(record::written(
        call,
        &Wrote::Changed,
        &shape,
        row,
        &preferences,
    )?)
}

/// Nothing to change: the record as it is, if it is the one that was expected.
async fn unchanged(
    call: &Call<'_>,
    id: &str,
    shape: &Shape,
    expected: &Expected,
    preferences: &Preferences,
) -> Result<Reply, Failure> {
    let tenant = call.caller.tenant.id;
    let version = call
        .model
        .column("version")
        .expect("every model has a version");
    let statements = [
        select::get(
            &tenant,
            call.model.name(),
            id,
            std::slice::from_ref(version),
        ),
        select::get(&tenant, call.model.name(), id, &shape.columns),
    ];
    // Exclusive: what was just written is to be seen, whatever serves the shared lane one day.
    let answer = call.read(Lane::Exclusive, statements).await?;
    let first = |i: usize| answer.get(i).and_then(|rows: &Vec<Row>| rows.first());
    expected.check(first(0))?;
    let row = first(1).ok_or_else(Problem::not_found)?;
    Ok(record::written(
        call,
        &Wrote::Changed,
        shape,
        row,
        preferences,
    )?)
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
