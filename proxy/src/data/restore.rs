//! `POST /v1/data/{module}/{model}/{id}/restore`: a deleted record is there again.

use http::header;
use model::{Action, Field};
use sql::postgres::delete::{self, Restoration};

use super::{
    Call, Failure, accept, etag, parse,
    patch::Expected,
    prefer::{Preferences, Return},
    refusal::{conflict, missing_reference},
    writing,
    written::{self, Wrote},
};
use crate::{exchange::Reply, postgres::Row};

/// 404 for a record that is not there or not deleted; 409 when what it refers to is gone, or a unique value is taken.
pub(super) async fn restore(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.require(Action::Delete)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    writing::no_conditions(headers, &[header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let id = parse::parse_id(id)?;
    let selected = parse::parse_one(call.model, &call.request.query)?;
    let returning = written::returning(call, &preferences, Return::Representation)?;
    let shape = written::shape(call, selected.as_deref(), false, returning);
    let expected = Expected {
        if_match: etag::if_match(headers),
        version: None,
    };
    let tenant = call.caller.tenant.id;
    let versions = expected.versions();
    let restoration = Restoration {
        tenant,
        user: &call.caller.user,
        id: &id,
        versions: versions.as_deref(),
    };
    let mut references: Vec<&Field> = call
        .model
        .fields()
        .iter()
        .filter(|f| f.references.is_some())
        .collect();
    // Models are locked in one order by all writers.
    references.sort_by_key(|f| f.references.as_ref().map(|r| (&r.module, &r.model)));
    let mut statements = vec![delete::lock_deleted(&tenant, call.model, &id, &references)];
    let locks = references
        .iter()
        .filter_map(|field| delete::lock_parent_of(&tenant, call.model.name(), &id, field));
    statements.extend(locks);
    statements.push(delete::restore(call.model, &restoration, &shape.columns));
    let answer = call.write(statements).await?;
    let Some(row) = answer.last().and_then(|rows| rows.first()) else {
        let locked = answer.first().and_then(|rows| rows.first());
        expected.check(locked)?;
        let refers = |at: usize| {
            let value = locked.and_then(|row: &Row| row.values().nth(at + 1).flatten());
            value.is_some_and(|value| value != id.as_bytes())
        };
        let gone = references.iter().enumerate().filter(|(at, _)| {
            refers(*at) && answer.get(at + 1).is_none_or(Vec::is_empty)
        });
        let errors = gone.map(|(_, field)| missing_reference(field.name.as_str()));
        return Err(conflict(errors.collect()).into());
    };
    Ok(written::one(
        call,
        &Wrote::Changed,
        &shape,
        row,
        &preferences,
        returning,
    )?)
}
