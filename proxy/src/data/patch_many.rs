//! `PATCH /v1/data/{module}/{model}` with an array: each record that `id` names changes in its own way, all or none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::ModelName;
use sql::{
    Statement,
    postgres::{
        insert,
        update::{self, Changes, JsonChange},
    },
};

use super::{
    Call, Failure,
    body::Input,
    prefer::{Honours, Preferences, Return},
    refusal::{self, conflict, missing_reference},
    session::Stopped,
    writing::WriteQuery,
    written,
};
use crate::{
    exchange::Reply,
    postgres::{Answer, DatabaseError, Row},
    problem::{FieldCode, FieldError, Problem},
    query::refuse,
};

pub(super) async fn patch(
    call: &Call<'_>,
    preferences: &Preferences,
    query: &WriteQuery,
    inputs: Vec<Input>,
    json: JsonChange,
) -> Result<Reply, Failure> {
    query.nothing_else()?;
    let returning = written::returning(call, preferences, Return::Representation)?;
    let shape = written::shape(call, query.select.as_deref(), false, returning);
    if let Some(most) = preferences.max_affected
        && inputs.len() as u64 > most
    {
        return Err(refusal::too_many_affected(most).into());
    }
    let reply = |rows: &[Row], affected| {
        written::several(false, &shape, rows, affected, preferences, returning, Honours::Several)
    };
    if inputs.is_empty() {
        return Ok(reply(&[], 0)?);
    }
    let ids: Vec<&str> = inputs.iter().filter_map(|i| i.id.as_deref()).collect();
    let mut seen = BTreeSet::new();
    if let Some(row) = ids.iter().position(|id| !seen.insert(*id)) {
        let error = refuse("id", FieldCode::Duplicate, "is the same as in a record before it");
        return Err(Problem::invalid(vec![at(error, row)]).into());
    }
    let versions: Vec<Option<String>> = inputs
        .iter()
        .map(|input| input.version.map(|v| v.to_string()))
        .collect();
    let values: Vec<_> = inputs.iter().map(|input| input.values.as_slice()).collect();
    let written = values.iter().filter(|row| row.iter().any(Option::is_some)).count();
    let tenant = call.caller.tenant.id;
    let changes = Changes {
        tenant,
        user: &call.caller.user,
        ids: &ids,
        versions: &versions,
        values: &values,
        json,
    };

    let parents = parents(call, &inputs);
    let own_at = parents.range(..call.model.name().clone()).count();
    let mut locks: Vec<Statement> = Vec::new();
    for (target, asked) in &parents {
        // The rows themselves in the place of their model, so that all writers lock models in one order.
        if locks.len() == own_at {
            locks.push(update::lock_rows(&tenant, call.model, &ids));
        }
        let asked: Vec<String> = asked.iter().map(|id| (*id).to_owned()).collect();
        locks.push(insert::lock_parents(&tenant, target, &asked));
    }
    if locks.len() == own_at {
        locks.push(update::lock_rows(&tenant, call.model, &ids));
    }
    let mut statements = locks;
    if written > 0 {
        statements.push(update::update_many(call.model, &changes, &shape.columns));
    }
    // A record that keeps its values is answered as it is.
    let reads_all = written < inputs.len();
    if reads_all {
        statements.push(update::get_many(&tenant, call.model, &ids, &shape.columns));
    }
    let answer = match call.session.write(statements).await {
        Ok(answer) => answer,
        Err(Stopped::Database(DatabaseError::NotUnique(constraint))) => {
            return Err(conflict(refusal::not_unique(call.model, &constraint)).into());
        }
        Err(stopped) => return Err(call.failure(stopped)),
    };
    let changed = match written {
        0 => 0,
        _ => answer.get(parents.len() + 1).map_or(0, Vec::len),
    };
    if changed < written || reads_all {
        check(call, &inputs, &parents, own_at, &answer)?;
        if changed < written {
            return Err(refusal::unreadable().into());
        }
    }
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    let place = |row: &Row| number_at(row, shape.columns.len());
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| place(row).unwrap_or_default());
    Ok(reply(&rows, written as u64)?)
}

/// The rows that new values refer to, by model and id.
fn parents<'a>(call: &Call<'_>, inputs: &'a [Input]) -> BTreeMap<ModelName, BTreeSet<&'a str>> {
    let mut parents: BTreeMap<ModelName, BTreeSet<&str>> = BTreeMap::new();
    for (at, field) in call.model.fields().iter().enumerate() {
        let Some(reference) = &field.references else {
            continue;
        };
        let target = ModelName {
            module: reference.module.clone(),
            model: reference.model.clone(),
        };
        let ids = inputs.iter().filter_map(|input| input.values[at].as_ref()?.as_deref());
        let mut ids = ids.peekable();
        if ids.peek().is_some() {
            parents.entry(target).or_default().extend(ids);
        }
    }
    parents
}

/// Why nothing was written: a record is not there, has another version, or refers to what is not there. Passes when it
/// is none of these.
fn check(
    call: &Call<'_>,
    inputs: &[Input],
    parents: &BTreeMap<ModelName, BTreeSet<&str>>,
    own_at: usize,
    answer: &Answer,
) -> Result<(), Problem> {
    let found: HashMap<String, Option<i64>> = answer
        .get(own_at)
        .into_iter()
        .flatten()
        .filter_map(|row| Some((text_at(row, 0)?, number_at(row, 1))))
        .collect();
    let mut missing = Vec::new();
    let mut errors = Vec::new();
    for (row, input) in inputs.iter().enumerate() {
        let version = input.id.as_deref().and_then(|id| found.get(id));
        match (version, input.version) {
            (None, _) => {
                let error = refuse("id", FieldCode::NotFound, "is the id of no record");
                missing.push(at(error, row));
            }
            (Some(is), Some(expected)) if *is != Some(expected) => {
                let message = "is not the version of the record";
                errors.push(at(refuse("version", FieldCode::StaleVersion, message), row));
            }
            _ => {}
        }
    }
    if !missing.is_empty() {
        missing.truncate(crate::problem::ERRORS_MAX);
        return Err(Problem {
            errors: missing,
            ..Problem::not_found()
        });
    }
    for (nth, (target, asked)) in parents.iter().enumerate() {
        let place = if nth < own_at { nth } else { nth + 1 };
        let there: BTreeSet<String> = answer
            .get(place)
            .into_iter()
            .flatten()
            .filter_map(|row| text_at(row, 0))
            .collect();
        let gone: BTreeSet<&str> = asked.iter().copied().filter(|id| !there.contains(*id)).collect();
        for (column, field) in call.model.fields().iter().enumerate() {
            let refers = field.references.as_ref();
            if !refers.is_some_and(|r| r.module == target.module && r.model == target.model) {
                continue;
            }
            for (row, input) in inputs.iter().enumerate() {
                let value = input.values[column].as_ref().and_then(|v| v.as_deref());
                if value.is_some_and(|id| gone.contains(id)) {
                    errors.push(at(missing_reference(field.name.as_str()), row));
                }
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_by(|a, b| (a.row, &a.field).cmp(&(b.row, &b.field)));
    Err(conflict(errors))
}

fn at(error: FieldError, row: usize) -> FieldError {
    FieldError {
        row: Some(row),
        ..error
    }
}

fn text_at(row: &Row, at: usize) -> Option<String> {
    let value = row.values().nth(at).flatten()?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn number_at(row: &Row, at: usize) -> Option<i64> {
    text_at(row, at)?.parse().ok()
}
