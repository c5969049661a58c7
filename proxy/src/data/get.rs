//! `GET /v1/data/{module}/{model}/{id}`: one live record.

use http::{StatusCode, header};
use model::Action;
use sql::postgres::select;

use super::{Call, Failure, accept, etag, lane, parse, prefer::Preferences, record::Shape};
use crate::{exchange::Reply, problem::Problem};

pub(super) async fn get(call: &Call<'_>, id: &str) -> Result<Reply, Failure> {
    call.require(Action::Read)?;
    accept::require_json_answer(&call.request.headers)?;
    let preferences = Preferences::parse(&call.request.headers)?;
    let id = parse::parse_id(id)?;
    let query = parse::parse_get(call.names(), call.model, &call.request.query)?;
    call.require_read(&query.needs)?;
    let shape = Shape::with(call.model, query.select.as_deref(), false, &query.included);
    let statement = select::get(
        &call.caller.tenant.id,
        call.model.name(),
        &id,
        &shape.columns,
        &shape.related,
    );
    let answer = call
        .read(lane::of_related(1, &shape.related), [statement])
        .await?;
    let row = answer
        .first()
        .and_then(|rows| rows.first())
        .ok_or_else(Problem::not_found)?;
    let reply = shape.reply(StatusCode::OK, row, &preferences)?;
    // Without a tag the form is not the one that a tag names, and the header is ignored.
    let tag = reply
        .headers
        .get(header::ETAG)
        .and_then(|t| t.to_str().ok());
    if tag.is_some_and(|tag| etag::is_none_match(&call.request.headers, tag)) {
        let mut unchanged = Reply::empty(StatusCode::NOT_MODIFIED);
        for name in [header::ETAG, header::VARY] {
            if let Some(value) = reply.headers.get(&name) {
                unchanged.headers.insert(name, value.clone());
            }
        }
        return Ok(unchanged);
    }
    Ok(reply)
}
