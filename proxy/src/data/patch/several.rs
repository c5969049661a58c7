//! `PATCH /v1/data/{module}/{model}`: an object changes what the filter finds, an array the records that it names.

use http::header;
use model::Action;

use super::{filtered, many};
use crate::{
    data::{
        Call, Failure, accept,
        body::{self, Format, Purpose, Reading, Sent},
        prefer::Preferences,
        writing::{self, WriteQuery},
    },
    exchange::Reply,
};

/// What a request says beside its body.
pub(super) struct Asked {
    pub preferences: Preferences,
    pub query: WriteQuery,
    pub format: Format,
}

pub(in crate::data) async fn patch(call: &Call<'_>) -> Result<Reply, Failure> {
    call.require(Action::Write)?;
    let headers = &call.request.headers;
    accept::require_json_answer(headers)?;
    let format = Format::of(headers, body::OF_PATCH)?;
    writing::no_conditions(headers, &[header::IF_MATCH, header::IF_NONE_MATCH])?;
    let preferences = Preferences::parse(headers)?;
    let purpose = match format.is_of_many(&call.request.body) {
        true => Purpose::PatchById,
        false => Purpose::PatchByFilter,
    };
    let query = WriteQuery::parse(call.model, &call.request.query, purpose)?;
    let reading = Reading {
        model: call.model,
        purpose,
        columns: query.columns.as_deref(),
        format,
    };
    let sent = reading.parse(&call.request.body)?;
    let asked = Asked {
        preferences,
        query,
        format,
    };
    match sent {
        Sent::One(input) => filtered::patch(call, &asked, input).await,
        Sent::Many(inputs) => many::patch(call, &asked, inputs).await,
    }
}
