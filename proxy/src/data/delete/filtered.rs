//! `DELETE /v1/data/{module}/{model}?filter`: a soft deletion of every live record that a filter finds, all or none.

use http::header;
use model::Action;
use sql::postgres::{
    array_literal,
    delete::{self, Cascade},
};

use super::{cascade, in_use};
use crate::{
    data::{
        Call, Failure, accept,
        body::Purpose,
        hooked::{Which, run},
        prefer::Preferences,
        reach::{Reach, text_at},
        refusal,
        writing::{self, WriteQuery},
    },
    exchange::Reply,
};

pub(in crate::data) async fn delete(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Delete)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    writing::no_conditions(headers, &[header::IF_MATCH, header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let query = WriteQuery::parse(call.model, &call.request.query, Purpose::Delete)?;
    let reach = Reach::plan(call, &query, &preferences, true)?;
    let filter = query.filter_text();
    call.before_delete(Which::Filter(&filter), run(&preferences))
        .await?;
    let (rows, user) = (reach.rows(call), &call.caller.user);
    let statement = match reach.is_shown() {
        true => delete::delete_filtered(&rows, user, &reach.shape.columns),
        false => delete::delete_filtered_ids(&rows, user),
    };
    let cascade = cascade(call);
    // Whether they may go is seen when they are gone: nobody can begin to refer to them from then on.
    let is_all = cascade.referrers().is_empty() && call.model.soft_delete();
    let answer = match is_all {
        true => call.write(vec![statement]).await?,
        false => call.step(vec![statement]).await?,
    };
    let rows = answer.last().map(Vec::as_slice).unwrap_or_default();
    let reached = reach.read(rows, &preferences)?;
    if reached.written < reached.found {
        return Err(refusal::unreadable().into());
    }
    let ids = match reach.is_shown() {
        true => {
            let id_at = reach.shape.columns.len();
            let ids = reached.rows.iter().filter_map(|row| text_at(row, id_at));
            Some(array_literal(&ids.map(str::to_owned).collect::<Vec<_>>()))
        }
        false => rows
            .first()
            .and_then(|row| text_at(row, 2))
            .map(str::to_owned),
    };
    if let Some(ids) = ids.filter(|_| reached.written > 0) {
        follow(call, &ids, &cascade).await?;
    }
    Ok(reach.reply(&reached, &preferences)?)
}

/// What the deletion of these records does to those that refer to them; an error undoes it.
async fn follow(call: &Call<'_>, ids: &str, cascade: &Cascade<'_>) -> Result<(), Failure> {
    let (tenant, user) = (&call.caller.tenant.id, &call.caller.user);
    if cascade.acts() {
        call.step(cascade.carry_out_of(tenant, user, ids)).await?;
    }
    let look = match cascade.acts() || cascade.removes() {
        true => cascade.blocked_of(tenant, ids),
        false => delete::referrers_of(tenant, ids, &cascade.referrers()),
    };
    if let Some(look) = look {
        let looked = call.step(vec![look]).await?;
        let told = looked.first().and_then(|rows| rows.first());
        if told.is_none_or(|row| row.values().any(|v| v == Some(b"t"))) {
            return Err(in_use(call, &cascade.blockers(), told).into());
        }
    }
    if let Some(purge) = cascade.purge_of(tenant, ids) {
        call.step(vec![purge]).await?;
    }
    Ok(())
}
