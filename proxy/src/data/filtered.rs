//! `PATCH` and `DELETE /v1/data/{module}/{model}?filter`: every live record that a filter finds, all or none.

use http::header;
use model::{Action, Field};
use sql::{
    filter::Filter,
    postgres::{
        array_literal,
        delete::{self, FilteredDeletion, Referrer},
        update::{self, FilteredChange},
    },
};

use super::{
    Call, Failure, accept,
    body::{Input, Purpose},
    delete::in_use,
    locks::Locks,
    prefer::{Honours, Preferences, Return},
    record::Shape,
    refusal,
    writing::{self, WriteQuery},
    written,
};
use crate::{
    exchange::Reply,
    postgres::Row,
    problem::{FieldCode, Problem},
    query::refuse,
};

/// Most records that a filter may reach where they are not answered: what one transaction holds locks for, and what the
/// change events of one transaction are still a burst of (API.md "Writing").
const ROWS_MAX: u64 = 100_000;

/// Which records, and what comes back of them.
pub(super) struct Reach {
    filter: Filter,
    most: u64,
    returning: Return,
    shape: Shape,
}

impl Reach {
    /// A filter is required. Reading is needed: whether a filter finds something tells of values.
    pub fn plan(
        call: &Call<'_>,
        query: &WriteQuery,
        preferences: &Preferences,
        deleted: bool,
    ) -> Result<Self, Problem> {
        call.require(Action::Read)?;
        let filter = query.filter(call.model)?;
        let returning = written::returning(call, preferences, Return::Representation)?;
        let most = match returning {
            Return::Representation => u64::from(call.model.max_page_size()),
            Return::Minimal | Return::HeadersOnly => ROWS_MAX,
        };
        Ok(Self {
            filter,
            most: preferences.max_affected.map_or(most, |asked| asked.min(most)),
            shape: written::shape(call, query.select.as_deref(), deleted, returning),
            returning,
        })
    }

    fn is_shown(&self) -> bool {
        self.returning == Return::Representation
    }

    /// That the filter did not find too many.
    fn check(&self, found: u64, preferences: &Preferences) -> Result<(), Problem> {
        if found <= self.most {
            return Ok(());
        }
        match preferences.max_affected {
            Some(most) if most == self.most => Err(refusal::too_many_affected(most)),
            _ => {
                let most = self.most;
                let message = match self.is_shown() {
                    true => format!("find more than {most} records; with Prefer: return=minimal it may be {ROWS_MAX}"),
                    false => format!("find more than {most} records"),
                };
                Err(Problem::invalid(vec![refuse("filters", FieldCode::LimitExceeded, message)]))
            }
        }
    }

    fn reply(
        &self,
        rows: &[Row],
        affected: u64,
        preferences: &Preferences,
    ) -> Result<Reply, Problem> {
        written::several(
            false,
            &self.shape,
            rows,
            affected,
            preferences,
            self.returning,
            Honours::Several,
        )
    }
}

/// The numbers that a row ends with, or is.
fn number_at(row: Option<&Row>, at: usize) -> Option<u64> {
    let value = row?.values().nth(at).flatten()?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

pub(super) async fn patch(
    call: &Call<'_>,
    preferences: &Preferences,
    query: &WriteQuery,
    input: Input,
    json: update::JsonChange,
) -> Result<Reply, Failure> {
    let reach = Reach::plan(call, query, preferences, false)?;
    let fields = call.model.fields().iter().zip(input.values);
    let values: Vec<(&Field, Option<String>)> = fields
        .filter_map(|(field, value)| Some((field, value?)))
        .collect();
    if values.is_empty() {
        let error = refuse("body", FieldCode::Required, "names no field to change");
        return Err(Problem::invalid(vec![error]).into());
    }
    let change = FilteredChange {
        tenant: call.caller.tenant.id,
        user: &call.caller.user,
        filter: &reach.filter,
        values: &values,
        json,
        most: reach.most,
    };
    let parents = values
        .iter()
        .filter_map(|(field, value)| Some((*field, value.as_deref()?)));
    let locks = Locks::new(&change.tenant, call.model, parents, None);
    let mut statements = locks.statements();
    statements.push(match reach.is_shown() {
        true => update::update_filtered(call.model, &change, &reach.shape.columns),
        false => update::update_filtered_count(call.model, &change),
    });
    let answer = call.write(statements).await?;
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    let first = rows.first();
    let (rows, affected, found) = match reach.is_shown() {
        true => {
            let found = first.and_then(|row| number_at(Some(row), row.values().count() - 1));
            let rows = written_rows(rows, reach.shape.columns.len());
            (rows, rows.len() as u64, found)
        }
        false => (
            &[][..],
            number_at(first, 0).unwrap_or_default(),
            number_at(first, 1),
        ),
    };
    let found = found.ok_or_else(refusal::unreadable)?;
    reach.check(found, preferences)?;
    if affected < found {
        return Err(locks.missing(&answer).into());
    }
    Ok(reach.reply(rows, affected, preferences)?)
}

/// The rows that were written: where there are none, one of nulls stands in their place.
fn written_rows(rows: &[Row], columns: usize) -> &[Row] {
    let is_null = |row: &Row| row.values().nth(columns).flatten().is_none();
    match rows {
        [one] if is_null(one) => &[],
        rows => rows,
    }
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Delete)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    writing::no_conditions(headers, &[header::IF_MATCH, header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let query = WriteQuery::parse(call.model, &call.request.query, Purpose::PatchByFilter)?;
    if query.columns.is_some() {
        let error = refuse("columns", FieldCode::UnknownField, "is not a parameter here");
        return Err(Problem::invalid(vec![error]).into());
    }
    let reach = Reach::plan(call, &query, &preferences, true)?;
    let tenant = call.caller.tenant.id;
    let deletion = FilteredDeletion {
        tenant,
        user: &call.caller.user,
        model: call.model.name(),
        filter: &reach.filter,
        most: reach.most,
    };
    let statement = match reach.is_shown() {
        true => delete::delete_filtered(&deletion, &reach.shape.columns),
        false => delete::delete_filtered_ids(&deletion),
    };
    let referrers: Vec<_> = call
        .catalog
        .referrers(call.model.name())
        .map(|(model, field)| Referrer {
            model: model.name(),
            field: &field.name,
        })
        .collect();
    // Whether they may go is seen when they are gone: nobody can begin to refer to them from then on.
    let answer = match referrers.is_empty() {
        true => call.write(vec![statement]).await?,
        false => call.step(vec![statement]).await?,
    };
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    let first = rows.first();
    let (rows, affected, found, ids) = match reach.is_shown() {
        true => {
            let found = first.and_then(|row| number_at(Some(row), row.values().count() - 1));
            let rows = written_rows(rows, reach.shape.columns.len());
            let id = |row: &Row| text_at(row, reach.shape.columns.len());
            let ids: Vec<_> = rows.iter().filter_map(id).collect();
            (rows, rows.len() as u64, found, Some(array_literal(&ids)))
        }
        false => (
            &[][..],
            number_at(first, 0).unwrap_or_default(),
            number_at(first, 2),
            first.and_then(|row| text_at(row, 1)),
        ),
    };
    let found = found.ok_or_else(refusal::unreadable)?;
    reach.check(found, &preferences)?;
    if affected > 0
        && let Some(look) = ids.and_then(|ids| delete::referrers_of(&tenant, &ids, &referrers))
    {
        let looked = call.step(vec![look]).await?;
        let told = looked.first().and_then(|rows| rows.first());
        if told.is_some_and(|row| row.values().any(|v| v == Some(b"t"))) {
            return Err(in_use(&referrers, told).into());
        }
    }
    Ok(reach.reply(rows, affected, &preferences)?)
}

fn text_at(row: &Row, at: usize) -> Option<String> {
    let value = row.values().nth(at).flatten()?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}
