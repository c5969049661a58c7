//! `PATCH /v1/data/{module}/{model}?filter`: the same change of every live record that a filter finds, all or none.

use model::Field;
use sql::postgres::update::{self, FilteredChange};

use super::several::Asked;
use crate::{
    data::{
        Call, Failure,
        body::{self, Input},
        hooked::{Which, run},
        locks::Locks,
        reach::Reach,
    },
    exchange::Reply,
    problem::{FieldCode, Problem},
    query::refuse,
};

pub(super) async fn patch(
    call: &Call<'_>,
    asked: &Asked,
    mut input: Input,
) -> Result<Reply, Failure> {
    let preferences = &asked.preferences;
    let reach = Reach::plan(call, &asked.query, preferences, false)?;
    if input.values.iter().all(Option::is_none) {
        let error = refuse("body", FieldCode::Required, "names no field to change");
        return Err(Problem::invalid(vec![error]).into());
    }
    let inputs = std::slice::from_mut(&mut input);
    let filter = asked.query.filter_text();
    call.before_update(
        Which::Filter(&filter),
        inputs,
        asked.format,
        run(preferences),
    )
    .await?;
    let json = body::json_change(call.model, asked.format, inputs);
    let fields = call.model.fields().iter().zip(input.values);
    let values: Vec<(&Field, Option<String>)> = fields
        .filter_map(|(field, value)| Some((field, value?)))
        .collect();
    let rows = reach.rows(call);
    let change = FilteredChange {
        rows: &rows,
        user: &call.caller.user,
        values: &values,
        json,
    };
    let parents = values
        .iter()
        .filter_map(|(field, value)| Some((*field, value.as_deref()?)));
    let locks = Locks::new(&rows.tenant, call.model, parents, None).with_found(&rows);
    let mut statements = locks.statements();
    statements.push(match reach.is_shown() {
        true => update::update_filtered(call.model, &change, &reach.shape.columns),
        false => update::update_filtered_count(call.model, &change),
    });
    let answer = call.write(statements).await?;
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    let reached = reach.read(rows, preferences)?;
    if reached.written < reached.found {
        return Err(locks.missing(&answer).into());
    }
    Ok(reach.reply(&reached, preferences)?)
}
